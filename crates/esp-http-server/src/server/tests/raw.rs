//! Responses whose every byte is the handler's.

use super::support::*;
use crate::server::HttpConfig;
use crate::{Error, Request, Result};

fn engine(handler: impl Fn(&mut Request) -> Result + Send + Sync + 'static) -> Engine {
    Engine::new(HttpConfig::default(), |server| server.any("/", handler).get("/next", path))
}

#[test]
fn raw_bytes_are_sent_as_they_are_and_the_session_goes_on() {
    let engine = engine(|request| {
        let mut raw = request.raw_response()?;
        raw.send("HTTP/1.1 299 Own\r\n")?;
        raw.send("")?;
        raw.flush()?;
        raw.request().sleep(secs(1))?;
        raw.send("content-length:2\r\n\r\nhi")?;
        raw.finish()
    });
    let client = engine.connect();
    client.send([get("/"), get("/next")].concat());
    client.expect("HTTP/1.1 299 Own\r\n");
    engine.advance(secs(1));
    client.expect(["content-length:2\r\n\r\nhi", &ok("/next")].concat());
    client.expect_open();
}

#[test]
fn who_does_not_vouch_for_the_response_loses_the_connection() {
    let engine = engine(|request| {
        let mut raw = request.raw_response()?;
        raw.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")?;
        if request.query() == Some("fail") { Err(Error::NoSession) } else { Ok(()) }
    });
    for target in ["/", "/?fail"] {
        let client = engine.connect();
        client.send([get(target), get("/next")].concat());
        client.expect("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi");
        client.expect_lingering();
    }
}

#[test]
fn a_client_that_wants_to_close_is_closed_behind_it() {
    let engine = engine(|request| {
        let mut raw = request.raw_response()?;
        raw.send("HTTP/1.1 204 No Content\r\n\r\n")?;
        raw.finish()
    });
    let client = engine.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.expect("HTTP/1.1 204 No Content\r\n\r\n");
    client.expect_closed();
}

#[test]
fn a_handler_that_does_not_think_of_head_puts_nothing_in_front_of_the_next_response() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        let raw = |request: &mut Request| -> Result {
            let mut raw = request.raw_response()?;
            raw.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")?;
            raw.finish()
        };
        server.get("/", raw).get("/next", path)
    });
    let client = engine.connect();
    client.send(["HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", &get("/next")].concat());
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    client.expect_lingering();
}

#[test]
fn as_long_as_nothing_was_sent_the_server_can_still_answer() {
    let log = Log::default();
    let noted = log.clone();
    let engine = engine(move |request| {
        let raw = request.raw_response()?;
        noted.note("begun");
        raw.finish()
    });
    let client = engine.connect();
    client.send([get("/"), get("/next")].concat());
    client.expect_last("500 Internal Server Error");
    assert_eq!(log.take(), ["begun"]);
    client.expect_lingering();
}

#[test]
fn a_request_has_one_response_raw_or_not() {
    let engine = engine(|request| {
        let mut raw = request.raw_response()?;
        raw.request().respond().send("first")?;
        assert!(matches!(raw.send("HTTP/1.1 200 OK\r\n\r\n"), Err(Error::ResponseStarted)));
        raw.finish()?;
        assert!(matches!(request.raw_response(), Err(Error::ResponseStarted)));
        Ok(())
    });
    let client = engine.connect();
    client.send([get("/"), get("/next")].concat());
    client.expect([ok("first"), ok("/next")].concat());
    let engine = self::engine(|request| {
        let mut raw = request.raw_response()?;
        raw.send("HTTP/1.1 204 No Content\r\n\r\n")?;
        let second = raw.request().respond().send("second");
        assert!(matches!(second, Err(Error::ResponseStarted)));
        raw.finish()
    });
    let client = engine.connect();
    client.send([get("/"), get("/next")].concat());
    client.expect(["HTTP/1.1 204 No Content\r\n\r\n", &ok("/next")].concat());
}

#[test]
fn a_body_that_waits_for_continue_is_not_taken_for_the_next_request() {
    let engine = engine(|request| {
        let mut raw = request.raw_response()?;
        raw.send("HTTP/1.1 204 No Content\r\n\r\n")?;
        raw.finish()
    });
    let client = engine.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    client.expect("HTTP/1.1 204 No Content\r\n\r\n");
    client.send(get("/next"));
    client.expect_nothing();
}

#[test]
fn much_is_sent_to_a_slow_reader_in_order() {
    let body: String = (0..20_000).map(|number| format!("{number:06}")).collect();
    let sent = body.clone();
    let engine = engine(move |request| {
        let mut raw = request.raw_response()?;
        raw.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len()))?;
        raw.send(&sent)?;
        raw.finish()
    });
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    client.send(get("/"));
    let mut text = String::new();
    for _ in 0..20 {
        client.take(10_000);
        text += &client.text();
    }
    assert_eq!(text.split_once("\r\n\r\n").unwrap().1, body);
}
