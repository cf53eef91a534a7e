//! `Date`, and the clock behind it (RFC 9110, section 6.6.1).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::*;
use crate::server::HttpConfig;
use crate::{Error, Request, Result, Status};

/// A time of day that a test sets, and how often it was asked for.
#[derive(Clone, Default)]
struct Wall {
    time: Arc<Mutex<Option<Duration>>>,
    asked: Arc<AtomicUsize>,
}

/// Sunday, 6 November 1994, 08:49:37.
const THAT_DAY: Duration = secs(784_111_777);

impl Wall {
    fn set(&self, time: Duration) {
        *self.time.lock().unwrap() = Some(time);
    }

    /// An engine with this clock.
    fn engine(&self) -> Engine {
        let Self { time, asked } = self.clone();
        Engine::new(HttpConfig { purge_len: 9, ..HttpConfig::default() }, move |server| {
            server
                .get("/*", path)
                .get("/own", |request: &mut Request| -> Result {
                    request.respond().header("date", "someday").send("")
                })
                .get("/sleep", |request: &mut Request| -> Result {
                    request.sleep(secs(90))?;
                    path(request)
                })
                .get("/hints", |request: &mut Request| -> Result {
                    request
                        .respond()
                        .status(Status::EARLY_HINTS)
                        .header("Link", "</a>")
                        .interim()?;
                    path(request)
                })
                .get("/refused", |_: &mut Request| -> Result {
                    Err(Error::Refused(Status::FORBIDDEN, "no".into()))
                })
                .wall_clock(move || {
                    asked.fetch_add(1, Ordering::Relaxed);
                    *time.lock().unwrap()
                })
        })
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

/// The values of `Date` in what the client was sent.
fn dates(client: &Client) -> Vec<String> {
    let text = client.text();
    text.lines().filter_map(|line| line.strip_prefix("Date: ")).map(str::to_owned).collect()
}

#[test]
fn without_a_clock_there_is_no_date() {
    let engine = Engine::new(HttpConfig::default(), |server| server.get("/*", path));
    let client = engine.connect();
    client.send(get("/a"));
    client.expect(ok("/a"));
}

#[test]
fn every_response_says_the_date_first() {
    let wall = Wall::default();
    wall.set(THAT_DAY);
    let engine = wall.engine();
    let client = engine.connect();
    client.send(get("/a"));
    client.expect(ok("/a").replace(" OK\r\n", " OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
    // Also the server's own, and those of handlers that fail.
    for (request, status) in [
        (get("/refused"), "403"),
        (post("/a", ""), "405"),
        ("OPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\n".into(), "204"),
        ("GET /a HTTP/1.0\r\n\r\n".into(), "200"),
        ("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n".into(), "200"),
        ("GET /a HTTP/1.1\r\n\r\n".into(), "400"),
        ("nonsense\r\n\r\n".into(), "400"),
    ] {
        let client = engine.connect();
        client.send(&request);
        let text = client.text();
        let head = format!("HTTP/1.1 {status} ");
        assert!(text.starts_with(&head), "{request:?}: {text}");
        assert_eq!(
            text.matches("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n").count(),
            1,
            "{text}"
        );
    }
}

#[test]
fn the_clock_is_asked_once_a_second_and_the_date_changes_with_it() {
    let wall = Wall::default();
    // It is in the middle of a second, and the date changes at its end.
    wall.set(THAT_DAY + millis(400));
    let engine = wall.engine();
    let client = engine.connect();
    client.send(get("/a").repeat(50));
    assert_eq!(dates(&client), ["Sun, 06 Nov 1994 08:49:37 GMT"; 50]);
    engine.advance(millis(599));
    wall.set(THAT_DAY + millis(999));
    client.send(get("/a"));
    assert_eq!(dates(&client), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
    assert_eq!(wall.asked(), 1);
    engine.advance(millis(1));
    wall.set(THAT_DAY + secs(1));
    client.send(get("/a").repeat(2));
    assert_eq!(dates(&client), ["Sun, 06 Nov 1994 08:49:38 GMT"; 2]);
    assert_eq!(wall.asked(), 1);
    // An hour without requests costs nothing.
    engine.advance(secs(3600));
    assert_eq!(wall.asked(), 0);
}

#[test]
fn no_response_tells_the_date_of_an_earlier_one() {
    let wall = Wall::default();
    wall.set(THAT_DAY);
    let engine = wall.engine();
    let client = engine.connect();
    client.send(get("/a"));
    assert_eq!(dates(&client), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
    engine.advance(secs(30));
    wall.set(THAT_DAY + secs(30));
    for request in [
        "OPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        post("/a", ""),
        get("/a"),
        get("/refused"),
    ] {
        // In the buffers of the one before, whose bytes have left.
        client.send(&request);
        assert_eq!(dates(&client), ["Sun, 06 Nov 1994 08:50:07 GMT"], "{request:?}");
    }
}

#[test]
fn a_handler_that_has_waited_tells_the_time_at_which_it_answers() {
    let wall = Wall::default();
    wall.set(THAT_DAY);
    let engine = wall.engine();
    let client = engine.connect();
    client.send(get("/sleep"));
    engine.advance(secs(89));
    wall.set(THAT_DAY + secs(90));
    engine.advance(secs(1));
    assert_eq!(dates(&client), ["Sun, 06 Nov 1994 08:51:07 GMT"]);
}

#[test]
fn a_date_of_the_handlers_wins() {
    let wall = Wall::default();
    wall.set(THAT_DAY);
    let client = wall.engine().connect();
    client.send([get("/own"), get("/a")].concat());
    let text = client.text();
    assert!(text.contains("\r\ndate: someday\r\n"), "{text}");
    assert_eq!(text.to_lowercase().matches("\r\ndate: ").count(), 2, "one each: {text}");
}

#[test]
fn an_interim_response_has_none() {
    let wall = Wall::default();
    wall.set(THAT_DAY);
    let client = wall.engine().connect();
    client.send(get("/hints"));
    let text = client.text();
    let (hints, answer) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(hints, "HTTP/1.1 103 Early Hints\r\nLink: </a>");
    assert!(answer.contains("\r\nDate: "), "{answer}");
}

#[test]
fn a_clock_that_does_not_know_yet_is_asked_again() {
    let wall = Wall::default();
    let engine = wall.engine();
    let client = engine.connect();
    client.send(get("/a").repeat(2));
    client.expect(ok("/a").repeat(2));
    assert_eq!(wall.asked(), 1);
    wall.set(THAT_DAY);
    engine.advance(secs(1));
    client.send(get("/a"));
    assert_eq!(dates(&client).len(), 1);
    // It may also be put back.
    wall.set(Duration::ZERO);
    engine.advance(secs(1));
    client.send(get("/a"));
    assert_eq!(dates(&client), ["Thu, 01 Jan 1970 00:00:00 GMT"]);
}

#[test]
fn a_clock_that_panics_tells_no_date() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/*", path).wall_clock(|| -> Option<Duration> {
            std::panic::resume_unwind(Box::new("on purpose"))
        })
    });
    let client = engine.connect();
    client.send(get("/a"));
    client.expect(ok("/a"));
}
