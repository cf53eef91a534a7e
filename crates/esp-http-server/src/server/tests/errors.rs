//! How handlers fail, and what the client is told.

use super::support::*;
use crate::server::HttpConfig;
use crate::{Error, Request, Result, Status};

fn engine(handler: impl Fn(&mut Request) -> Result + Send + Sync + 'static) -> Engine {
    Engine::new(HttpConfig::default(), |server| server.any("/", handler).get("/next", path))
}

/// Panics on purpose, without the noise on standard error.
fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("on purpose"))
}

#[test]
fn a_panic_before_the_response_is_500_and_the_server_lives() {
    let (engine, stacks) = Engine::with_stacks(HttpConfig::default(), 1, |server| {
        server.get("/", |_: &mut Request| -> Result { panic_quietly() }).get("/next", path)
    });
    for _ in 0..3 {
        let client = engine.connect();
        client.send([get("/"), get("/next")].concat());
        let body = client.expect_last("500 Internal Server Error");
        assert!(!body.contains("purpose"), "{body}");
        client.expect_lingering();
    }
    assert_eq!(stacks.load(std::sync::atomic::Ordering::Relaxed), 0);
    let client = engine.connect();
    client.send(get("/next"));
    client.expect(ok("/next"));
}

#[test]
fn a_panic_after_the_head_cuts_the_response_off() {
    let engine = engine(|request| {
        let mut body = request.respond().chunked()?;
        body.send("half")?;
        panic_quietly()
    });
    let client = engine.connect();
    client.send(get("/"));
    let text = client.text();
    assert!(text.ends_with("\r\n\r\n4\r\nhalf\r\n"), "{text}");
    client.expect_closed();
}

#[test]
fn a_handler_that_returns_without_response_is_500() {
    let engine = engine(|request| {
        // Set, and never sent.
        let _ = request.respond().header("X-Lost", "1");
        Ok(())
    });
    let client = engine.connect();
    client.send(get("/"));
    let text = client.text();
    assert!(text.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{text}");
    assert!(!text.contains("X-Lost"), "{text}");
    client.expect_closed();
}

#[test]
fn errors_of_others_are_500_and_keep_their_text_to_themselves() {
    let engine = engine(|request| {
        let number: u8 = request.header("x-number").unwrap_or("secret").parse()?;
        request.respond().send(number.to_string())
    });
    let client = engine.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Number: 7\r\n\r\n");
    client.expect(ok("7"));
    client.send(get("/"));
    let body = client.expect_last("500 Internal Server Error");
    assert!(!body.contains("digit"), "{body}");
}

#[test]
fn a_handler_may_have_an_error_type_of_its_own() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", |_: &mut Request| -> Result<(), std::num::ParseIntError> {
            "secret".parse::<u8>().map(|_| ())
        })
    });
    let client = engine.connect();
    client.send(get("/"));
    assert!(!client.expect_last("500 Internal Server Error").contains("digit"));
}

#[test]
fn a_request_that_is_refused_is_told_why_unless_it_is_our_fault() {
    let refuse = |status| {
        let engine = engine(move |_| Err(Error::Refused(status, "the reason".into())));
        let client = engine.connect();
        client.send(get("/"));
        client.expect_last(&format!("{} {}", status.code(), status.reason()))
    };
    assert!(refuse(Status::FORBIDDEN).contains("the reason"));
    assert!(!refuse(Status::SERVICE_UNAVAILABLE).contains("the reason"));
}

#[test]
fn only_an_error_can_refuse_a_request() {
    for code in [100, 101, 200, 204, 304, 399, 600, 999] {
        let status = Status::new(code).unwrap();
        let engine = engine(move |_| Err(Error::Refused(status, "fine".into())));
        let client = engine.connect();
        client.send(get("/"));
        assert!(!client.expect_last("500 Internal Server Error").contains("fine"));
    }
    for code in [400, 499, 500, 599] {
        let status = Status::new(code).unwrap();
        assert_eq!(Error::Refused(status, String::new()).status(), Some(status));
    }
}

#[test]
fn an_error_after_the_response_only_ends_the_connection() {
    let engine = engine(|request| {
        request.respond().send("done")?;
        Err(Error::NoSession)
    });
    let client = engine.connect();
    client.send(get("/"));
    client.expect(ok("done"));
    client.expect_closed();
}

#[test]
fn panics_in_hooks_and_queued_work_are_contained() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", path).on_close(|_| panic_quietly())
    });
    let log = Log::default();
    let noted = log.clone();
    engine.handle().queue_work(|_| panic_quietly()).unwrap();
    engine.handle().queue_work(move |_| noted.note("next")).unwrap();
    let client = engine.connect();
    client.send(get("/"));
    client.expect(ok("/"));
    client.finish();
    client.expect_closed();
    assert_eq!(log.take(), ["next"]);
    assert!(engine.handle().clients().is_empty());
}
