//! `HandlerMode::Serial`: one handler at a time, in order, and nobody else held up.

use super::support::*;
use crate::server::{HandlerMode, HttpConfig};
use crate::{Request, Result};

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
