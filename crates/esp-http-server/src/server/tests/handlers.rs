//! Handlers that wait, and what they see of the world meanwhile.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::support::*;
use crate::server::HttpConfig;
use crate::{Error, Request, Result};

fn sleepy(request: &mut Request) -> Result {
    request.sleep(secs(2))?;
    path(request)
}

#[test]
fn a_sleeping_handler_wakes_in_time_and_holds_up_nobody() {
    let engine =
        Engine::new(HttpConfig::default(), |server| server.get("/sleep", sleepy).get("/*", path));
    let (sleeper, other) = (engine.connect(), engine.connect());
    sleeper.send([get("/sleep"), get("/behind")].concat());
    other.send(get("/other"));
    other.expect(ok("/other"));
    engine.advance(millis(1999));
    sleeper.expect_nothing();
    engine.advance(millis(1));
    sleeper.expect([ok("/sleep"), ok("/behind")].concat());
}

#[test]
fn a_handler_that_sleeps_for_no_time_lets_others_go_first() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .get("/busy", move |request: &mut Request| -> Result {
                for turn in 0..5 {
                    noted.note(turn.to_string());
                    request.sleep(secs(0))?;
                }
                path(request)
            })
            .get("/*", path)
    });
    let busy = engine.connect();
    busy.send(get("/busy"));
    assert_eq!(log.take(), ["0"], "one turn, one step");
    assert!(engine.waits().unwrap() <= millis(1));
    let other = engine.connect();
    other.send(get("/other"));
    other.expect(ok("/other"));
    engine.advance(millis(1));
    busy.expect(ok("/busy"));
    assert_eq!(log.take(), ["1", "2", "3", "4"]);
}

#[test]
fn a_peer_that_leaves_ends_a_sleep() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.post("/", move |request: &mut Request| -> Result {
            let slept = request.sleep(secs(3600));
            noted.note(format!("{slept:?}"));
            slept
        })
    });
    for bytes in [0, 3, 10_000] {
        let client = engine.connect();
        client.send(post("/", ""));
        client.send("x".repeat(bytes));
        client.reset();
        client.expect_closed();
        assert_eq!(log.take(), ["Err(the session is closed)"]);
    }
    assert_eq!((engine.open(), engine.waits()), (0, None));
}

#[test]
fn a_client_that_sends_ahead_of_a_sleeping_handler_fills_no_memory() {
    let engine =
        Engine::new(HttpConfig::default(), |server| server.get("/sleep", sleepy).get("/a", path));
    let client = engine.connect();
    client.send(get("/sleep"));
    let many = 10_000;
    client.send(get("/a").repeat(many));
    let unread = client.unread();
    assert!(unread > many * get("/a").len() - 100_000, "{unread} bytes are left to the network");
    engine.advance(secs(2));
    let text = client.text();
    assert_eq!(text.matches("200 OK").count(), 1 + many);
}

#[test]
fn without_a_stack_a_request_waits_for_one_in_order() {
    let log = Log::default();
    let noted = log.clone();
    let (engine, used) = Engine::with_stacks(HttpConfig::default(), 2, |server| {
        server.get("/*", move |request: &mut Request| -> Result {
            noted.note(request.path());
            request.sleep(secs(1))?;
            path(request)
        })
    });
    let clients: Vec<_> = (0..6).map(|_| engine.connect()).collect();
    for (number, client) in clients.iter().enumerate() {
        client.send(get(&format!("/{number}")));
    }
    assert_eq!(used.load(Ordering::Relaxed), 2);
    assert_eq!(log.take(), ["/0", "/1"]);
    engine.advance(secs(1));
    assert_eq!(log.take(), ["/2", "/3"]);
    // Who comes now waits behind those who wait.
    let late = engine.connect();
    late.send(get("/late"));
    engine.advance(secs(1));
    assert_eq!(log.take(), ["/4", "/5"]);
    engine.advance(secs(2));
    assert_eq!(log.take(), ["/late"]);
    clients
        .iter()
        .enumerate()
        .for_each(|(number, client)| client.expect(ok(&format!("/{number}"))));
    late.expect(ok("/late"));
    assert_eq!(used.load(Ordering::Relaxed), 0);
}

#[test]
fn without_any_stack_the_answer_is_503() {
    let (engine, _) = Engine::with_stacks(HttpConfig::default(), 0, |server| server.get("/", path));
    let client = engine.connect();
    client.send(get("/"));
    client.expect_last("503 Service Unavailable");
}

/// The hazard that [`Request`] warns of: handlers of one worker share its thread.
#[test]
fn a_lock_held_while_waiting_is_held_against_the_other_handlers_of_the_worker() {
    let log = Log::default();
    let (noted, lock) = (log.clone(), Arc::new(Mutex::new(())));
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.post("/", move |request: &mut Request| -> Result {
            // `lock` instead of `try_lock` would stop the worker here, and with it the handler that
            // could unlock.
            let guard = lock.try_lock();
            noted.note(if guard.is_ok() { "locked" } else { "would wait for ever" });
            request.recv(&mut [0])?;
            path(request)
        })
    });
    let (one, two) = (engine.connect(), engine.connect());
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    one.send(head);
    two.send(head);
    assert_eq!(log.take(), ["locked", "would wait for ever"]);
    one.send("x");
    one.expect(ok("/"));
    let three = engine.connect();
    three.send(head);
    assert_eq!(log.take(), ["locked"]);
}

#[test]
fn a_server_that_is_dropped_tells_waiting_handlers_to_end() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", move |request: &mut Request| -> Result {
            let slept = request.sleep(secs(1));
            noted.note(format!("{slept:?}, {:?}", request.sleep(secs(1))));
            slept
        })
    });
    let client = engine.connect();
    client.send(get("/"));
    drop((client, engine));
    assert_eq!(log.take(), ["Err(the session is closed), Err(the session is closed)"]);
}

#[test]
fn what_the_head_says_is_there_until_the_handler_ends() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/a", |request: &mut Request| -> Result {
            let session = request.session();
            request.sleep(secs(1))?;
            let mut out = request.respond().chunked()?;
            out.send("x".repeat(100_000))?;
            let request = out.request();
            assert_eq!(request.session(), session);
            assert_eq!(request.query_value("k"), Some("v"));
            assert_eq!(request.header("HOST"), Some("a"));
            assert!(matches!(request.content_len(), Ok(0)));
            assert_eq!(request.headers().count(), 1);
            out.finish()
        })
    });
    let client = engine.connect();
    client.send(get("/a?k=v"));
    engine.advance(secs(1));
    assert!(client.text().ends_with("\r\n0\r\n\r\n"));
}

#[test]
fn a_handler_can_reach_the_server_it_runs_in() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", move |request: &mut Request| -> Result {
            let (server, session) = (request.server(), request.session());
            assert_eq!(server.clients(), [session]);
            let noted = noted.clone();
            // Done as soon as this turn is over, without a waker.
            server
                .queue_work(move |context| noted.note(format!("{:?}", context.close(session))))?;
            request.sleep(secs(5))
        })
    });
    let client = engine.connect();
    client.send(get("/"));
    client.expect_closed();
    client.expect_nothing();
    assert_eq!(log.take(), ["Ok(())"]);
    assert!(matches!(engine.handle().close(client_id()), Err(Error::NoSession)));
}

fn client_id() -> crate::SessionId {
    crate::SessionId::new(0, 0, 1)
}
