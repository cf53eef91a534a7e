//! Server-sent events.

use super::support::*;
use crate::server::HttpConfig;
use crate::{Error, Request, Result, Status, StreamEvent};

fn engine(handler: impl Fn(&mut Request) -> Result + Send + Sync + 'static) -> Engine {
    Engine::new(HttpConfig::default(), |server| server.get("/", handler).get("/next", path))
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                    Transfer-Encoding: chunked\r\nCache-Control: no-store\r\n\r\n";

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

#[test]
fn every_event_is_a_chunk_that_leaves_at_once() {
    let engine = engine(|request| {
        let mut events = request.respond().event_stream()?;
        events.send(StreamEvent::new().name("a").id("1").retry(secs(3)).data("x\r\ny"))?;
        events.request().sleep(secs(1))?;
        events.comment("still here")?;
        events.request().sleep(secs(1))?;
        events.send("last")?;
        events.finish()
    });
    let client = engine.connect();
    client.send([get("/"), get("/next")].concat());
    let first = "event: a\nid: 1\nretry: 3000\ndata: x\ndata: y\n\n";
    client.expect([HEAD, &chunk(first)].concat());
    engine.advance(secs(1));
    client.expect(chunk(": still here\n\n"));
    engine.advance(secs(1));
    client.expect([&chunk("data: last\n\n"), "0\r\n\r\n", &ok("/next")].concat());
}

#[test]
fn a_name_or_an_id_of_two_lines_is_an_error_and_the_stream_goes_on() {
    let engine = engine(|request| {
        let mut events = request.respond().event_stream()?;
        for bad in ["a\nb", "a\rb", "a\0b", "x\n\ndata: injected"] {
            for event in [StreamEvent::new().name(bad), StreamEvent::new().id(bad).data("x")] {
                let error = events.send(event).unwrap_err();
                assert!(matches!(error, Error::InvalidField(_)), "{error}");
            }
        }
        events.send("good")?;
        events.finish()
    });
    let client = engine.connect();
    client.send(get("/"));
    client.expect([HEAD, &chunk("data: good\n\n"), "0\r\n\r\n"].concat());
}

#[test]
fn where_to_go_on_is_a_header_field() {
    let engine = engine(|request| {
        let last = request.header("Last-Event-ID").unwrap_or("none").to_owned();
        let mut events = request.respond().event_stream()?;
        events.send(&last)?;
        events.finish()
    });
    let client = engine.connect();
    client.send(get("/").replace("\r\n\r\n", "\r\nlast-event-id: 41\r\n\r\n"));
    client.expect([HEAD, &chunk("data: 41\n\n"), "0\r\n\r\n"].concat());
}

/// Sends as long as somebody listens, and notes why it ends.
fn endless(log: &Log) -> impl Fn(&mut Request) -> Result + Send + Sync + 'static {
    let noted = log.clone();
    move |request| {
        let mut events = request.respond().event_stream()?;
        loop {
            let sent = events.send("tick").and_then(|()| events.request().sleep(secs(1)));
            if let Err(error) = sent {
                noted.note(error.to_string());
                return Err(error);
            }
        }
    }
}

#[test]
fn head_does_not_start_a_stream_that_nobody_would_end() {
    let log = Log::default();
    let engine = engine(endless(&log));
    let client = engine.connect();
    client.send([get("/").replace("GET", "HEAD"), get("/next")].concat());
    let text = client.text();
    assert!(text.contains("\r\nConnection: close\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    assert_eq!(log.take(), ["the session is closed"]);
    client.expect_lingering();
}

#[test]
fn a_listener_that_leaves_ends_the_handler() {
    let log = Log::default();
    let engine = engine(endless(&log));
    let client = engine.connect();
    client.send(get("/"));
    engine.advance(secs(5));
    assert_eq!(client.text().matches("data: tick").count(), 6);
    assert!(log.take().is_empty());
    client.reset();
    assert_eq!(log.take(), ["the session is closed"]);
    assert_eq!(engine.open(), 0);
}

#[test]
fn a_listener_that_does_not_read_holds_up_its_handler_and_then_loses_it() {
    let log = Log::default();
    let engine = engine(endless(&log));
    let client = engine.connect();
    client.send(get("/"));
    client.fill();
    engine.advance(secs(5));
    assert!(log.take().is_empty());
    // One event waits, not five.
    client.take(1000);
    assert_eq!(client.text().matches("data: tick").count(), 2);
    client.fill();
    engine.advance(secs(10));
    assert_eq!(log.take(), ["the peer was silent for too long"]);
    client.expect_closed();
}

#[test]
fn an_http_1_0_listener_gets_events_until_the_connection_ends() {
    let engine = engine(|request| {
        let mut events = request.respond().event_stream()?;
        events.send("x")?;
        events.finish()
    });
    let client = engine.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let head = HEAD.replace("Transfer-Encoding: chunked", "Connection: close");
    client.expect([&head, "data: x\n\n"].concat());
    client.expect_closed();
}

#[test]
fn a_browser_is_told_with_204_to_stay_away() {
    let engine = engine(|request| request.respond().status(Status::NO_CONTENT).send(""));
    let client = engine.connect();
    client.send(get("/"));
    client.expect("HTTP/1.1 204 No Content\r\n\r\n");
}
