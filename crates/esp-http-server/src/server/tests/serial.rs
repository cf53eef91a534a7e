//! `HandlerMode::Serial`: one handler at a time, in order, and nobody else held up.

use std::sync::atomic::Ordering;

use super::support::*;
use super::ws::{TEXT, expect_close, frame, upgrade};
use crate::server::{HandlerMode, HttpConfig};
use crate::{Request, Result, WsRequest};

fn engine(config: HttpConfig) -> (Engine, Log) {
    let log = Log::default();
    let noted = log.clone();
    let config = HttpConfig { handler_mode: HandlerMode::Serial, ..config };
    let engine = Engine::new(config, |server| {
        server
            .post("/*", move |request: &mut Request| -> Result {
                noted.note(format!("> {}", request.path()));
                let body = request.recv_all(100)?;
                noted.note(format!("< {}", request.path()));
                request.respond().send(body)
            })
            .get("/close", |request: &mut Request| -> Result { request.respond().send("bye") })
    });
    (engine, log)
}

fn head(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
}

#[test]
fn a_handler_starts_only_after_the_one_before_it_has_returned() {
    let (engine, log) = engine(HttpConfig::default());
    let clients: Vec<_> = (0..4).map(|_| engine.connect()).collect();
    for (number, client) in clients.iter().enumerate() {
        client.send(head(&format!("/{number}")));
    }
    assert_eq!(log.take(), ["> /0"]);
    // The body of the one that waits is of no use yet.
    clients[2].send("c");
    assert_eq!(log.take(), [""; 0]);
    clients[0].send("a");
    assert_eq!(log.take(), ["< /0", "> /1"]);
    clients[0].expect(ok("a"));
    clients[1].send("b");
    assert_eq!(log.take(), ["< /1", "> /2", "< /2", "> /3"]);
    clients[2].expect(ok("c"));
}

#[test]
fn who_comes_later_does_not_overtake_those_who_wait() {
    let (engine, log) = engine(HttpConfig::default());
    let (first, waiting, late) = (engine.connect(), engine.connect(), engine.connect());
    first.send(head("/first"));
    waiting.send(post("/waiting", "w"));
    // In one turn the first handler ends, its client sends another request, and so does a late one.
    first.put(["1".into(), post("/again", "2")].concat());
    late.put(post("/late", "l"));
    engine.run();
    let starts: Vec<_> = log.take().into_iter().filter(|line| line.starts_with('>')).collect();
    assert_eq!(starts, ["> /first", "> /waiting", "> /again", "> /late"]);
    first.expect([ok("1"), ok("2")].concat());
    late.expect(ok("l"));
}

#[test]
fn many_pipelined_requests_of_two_clients_take_turns_and_never_stall() {
    let (engine, log) = engine(HttpConfig::default());
    let (slow, one, two) = (engine.connect(), engine.connect(), engine.connect());
    slow.send(head("/slow"));
    one.send(post("/one", "1").repeat(5));
    two.send(post("/two", "2").repeat(5));
    slow.send("s");
    let starts: Vec<_> = log.take().into_iter().filter(|line| line.starts_with("> /")).collect();
    assert_eq!(starts[1..5], ["> /one", "> /two", "> /one", "> /two"]);
    one.expect(ok("1").repeat(5));
    two.expect(ok("2").repeat(5));
}

#[test]
fn slow_peers_heads_and_handshakes_go_on_while_a_handler_waits() {
    let (engine, log) = engine(HttpConfig::default());
    let blocker = engine.connect();
    blocker.send(head("/blocker"));
    let shaking = engine.connect_as(Peer { handshake: Handshake::UnderWay, ..Peer::default() });
    shaking.shake_hands(Handshake::Done);
    assert_eq!(engine.handle().clients().len(), 2);
    shaking.send(&head("/x")[..10]);
    shaking.send(&head("/x")[10..]);
    let unknown = engine.connect();
    unknown.send("GET /unknown HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(unknown.text().starts_with("HTTP/1.1 405"));
    let bad = engine.connect();
    bad.send("bad\r\n");
    bad.expect_last("400 Bad Request");
    shaking.expect_nothing();
    blocker.send("b");
    assert_eq!(log.take(), ["> /blocker", "< /blocker", "> /x"]);
}

#[test]
fn who_leaves_while_waiting_does_not_leave_its_turn_to_its_successor() {
    let (engine, log) = engine(HttpConfig::default());
    let (blocker, leaver, waiting) = (engine.connect(), engine.connect(), engine.connect());
    blocker.send(head("/blocker"));
    leaver.send(head("/leaver"));
    waiting.send(head("/waiting"));
    engine.handle().close(leaver.session()).unwrap();
    engine.run();
    leaver.expect_closed();
    // It gets the slot that has become free, but stands at the end of the queue.
    let successor = engine.connect();
    successor.send(head("/successor"));
    blocker.send("b");
    assert_eq!(log.take(), ["> /blocker", "< /blocker", "> /waiting"]);
    waiting.send("w");
    assert_eq!(log.take(), ["< /waiting", "> /successor"]);
}

#[test]
fn for_a_client_that_has_gone_no_handler_starts() {
    let (engine, log) = engine(HttpConfig::default());
    let (blocker, gone) = (engine.connect(), engine.connect());
    blocker.send(head("/blocker"));
    gone.send(head("/gone"));
    gone.reset();
    gone.expect_closed();
    assert_eq!(engine.queued(), 0, "a queue of clients that have left would grow without bound");
    blocker.send("b");
    assert_eq!(log.take(), ["> /blocker", "< /blocker"]);
}

#[test]
fn a_place_that_a_queued_handler_makes_free_is_given_to_the_next_in_the_backlog() {
    let config =
        HttpConfig { max_open_sockets: 2, lru_purge_enable: false, ..HttpConfig::default() };
    let (engine, _) = engine(config);
    let (blocker, closing) = (engine.connect(), engine.connect());
    blocker.send(head("/blocker"));
    closing.send("GET /close HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let next = engine.connect();
    assert_eq!(engine.backlog(), 1);
    blocker.send("b");
    assert_eq!(closing.expect_last("200 OK"), "bye");
    assert_eq!(engine.backlog(), 0, "accepted without a new report");
    next.expect_open();
}

#[test]
fn who_waits_for_its_turn_for_too_long_is_told_when_to_come_back() {
    let config =
        HttpConfig { queue_timeout: secs(7), recv_wait_timeout: secs(60), ..HttpConfig::default() };
    let (engine, log) = engine(config);
    let (blocker, early, late) = (engine.connect(), engine.connect(), engine.connect());
    blocker.send(head("/blocker"));
    early.send(post("/early", "e"));
    engine.advance(secs(1));
    late.send(post("/late", "l"));
    engine.advance(millis(5999));
    early.expect_nothing();
    engine.advance(millis(1));
    let text = early.text();
    assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
    assert!(text.contains("\r\nRetry-After: 7\r\n"), "{text}");
    assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
    assert_eq!(engine.queued(), 1);
    early.finish();
    // The next one in its slot does not inherit its place.
    let successor = engine.connect();
    successor.send(head("/successor"));
    blocker.send("b");
    assert_eq!(log.take(), ["> /blocker", "< /blocker", "> /late", "< /late", "> /successor"]);
    late.expect(ok("l"));
    // Nothing of the time before counts for a handler that has started.
    engine.advance(secs(8));
    successor.send("s");
    successor.expect(ok("s"));
}

#[test]
fn a_websocket_whose_turn_does_not_come_is_closed_with_1013() {
    let config = HttpConfig {
        handler_mode: HandlerMode::Serial,
        queue_timeout: secs(3),
        ..HttpConfig::default()
    };
    let engine = Engine::new(config, |server| {
        server.get("/sleep", |request: &mut Request| -> Result { request.sleep(secs(60)) }).ws(
            "/ws",
            |ws: &mut WsRequest| -> Result {
                let message = ws.message(100)?;
                ws.send(message)
            },
        )
    });
    let ws = engine.connect();
    upgrade(&ws, "/ws");
    engine.connect().send(get("/sleep"));
    ws.send(frame(TEXT, b"hello"));
    engine.advance(millis(2999));
    ws.expect_nothing();
    engine.advance(millis(1));
    expect_close(&ws, 1013);
    super::ws::answer_close(&ws, 1013);
}

#[test]
fn for_want_of_a_stack_a_request_waits_as_long_and_no_longer() {
    let config = HttpConfig { queue_timeout: secs(3), ..HttpConfig::default() };
    let (engine, stacks) = Engine::with_stacks(config, 1, |server| {
        server.get("/*", path).get("/sleep", |request: &mut Request| -> Result {
            request.sleep(secs(5))?;
            path(request)
        })
    });
    let (sleeping, early) = (engine.connect(), engine.connect());
    sleeping.send(get("/sleep"));
    early.send(get("/early"));
    engine.advance(secs(2));
    let late = engine.connect();
    late.send(get("/late"));
    engine.advance(millis(999));
    early.expect_nothing();
    engine.advance(millis(1));
    early.expect_last("503 Service Unavailable");
    engine.advance(millis(1999));
    late.expect_nothing();
    engine.advance(millis(1));
    // Both are due in the same turn, and whoever comes first, nobody is left without an answer.
    assert!(late.text().starts_with("HTTP/1.1 "));
    sleeping.expect(ok("/sleep"));
    assert_eq!(stacks.load(Ordering::Relaxed), 0);
}

#[test]
fn every_wait_for_a_turn_has_the_whole_time() {
    let (engine, _) = engine(HttpConfig { queue_timeout: secs(3), ..HttpConfig::default() });
    let (one, other) = (engine.connect(), engine.connect());
    for _ in 0..3 {
        one.send(head("/one"));
        other.send(post("/other", "o"));
        engine.advance(millis(2999));
        one.send("1");
        one.expect(ok("1"));
        other.expect(ok("o"));
    }
}
