//! The socket limit: who is closed for a new connection, and what happens if nobody may be.

use super::support::*;
use super::ws::upgrade;
use crate::server::HttpConfig;
use crate::{Request, Result, WsRequest};

fn engine(limit: usize, lru_purge_enable: bool) -> Engine {
    let config = HttpConfig { max_open_sockets: limit, lru_purge_enable, ..HttpConfig::default() };
    Engine::new(config, |server| {
        server
            .get("/*", path)
            .get("/sleep", |request: &mut Request| -> Result {
                request.sleep(secs(5))?;
                path(request)
            })
            .get("/big", |request: &mut Request| -> Result {
                request.respond().send("x".repeat(30_000))
            })
            .ws("/ws", |ws: &mut WsRequest| -> Result {
                let message = ws.message(100)?;
                ws.send(message)
            })
    })
}

#[test]
fn the_least_recently_used_session_goes_first() {
    let engine = engine(3, true);
    let [a, b, c] = [(); 3].map(|()| engine.connect());
    for client in [&a, &b, &c, &a] {
        client.send(get("/x"));
    }
    let d = engine.connect();
    b.expect_closed();
    let e = engine.connect();
    c.expect_closed();
    // A head that is not whole is no use.
    a.send("GET / ");
    d.send(get("/x"));
    let f = engine.connect();
    a.expect_closed();
    [&d, &e, &f].iter().for_each(|client| client.expect_open());
    assert_eq!(engine.open(), 3);
}

#[test]
fn a_connection_in_its_handshake_can_be_evicted() {
    let engine = engine(2, true);
    let shaking = engine.connect_as(Peer { handshake: Handshake::UnderWay, ..Peer::default() });
    let client = engine.connect();
    client.send(get("/x"));
    let next = engine.connect();
    shaking.expect_closed();
    next.send(get("/x"));
    next.expect(ok("/x"));
    client.expect_open();
}

/// What it has sent is heard of only in the next turn, and closing it would reset it.
#[test]
fn a_new_connection_has_its_turn_before_it_can_be_closed_for_another() {
    let engine = engine(2, true);
    let clients = [(); 5].map(|()| engine.connect_quietly());
    let closed = || clients.iter().filter(|client| client.is_closed()).count();
    engine.poll_once();
    assert_eq!((engine.open(), engine.backlog(), closed()), (2, 3, 0));
    assert_eq!(engine.waits(), Some(millis(0)), "it comes back at once");
    clients[0].put(get("/x"));
    engine.poll_once();
    clients[0].expect(ok("/x"));
    assert_eq!((engine.open(), engine.backlog(), closed()), (2, 1, 2));
    engine.run();
    assert_eq!((engine.backlog(), closed()), (0, 3));
    assert!(engine.waits().unwrap() > secs(1));
}

#[test]
fn those_that_linger_go_before_the_idle_and_those_before_websockets() {
    let engine = engine(3, true);
    let ws = engine.connect();
    upgrade(&ws, "/ws");
    let idle = engine.connect();
    let lingering = engine.connect();
    lingering.send("nonsense\r\n");
    lingering.expect_lingering();
    let one = engine.connect();
    lingering.expect_closed();
    let two = engine.connect();
    idle.expect_closed();
    two.send(get("/x"));
    let _three = engine.connect();
    one.expect_closed();
    ws.expect_open();
}

#[test]
fn a_websocket_that_must_go_is_told() {
    let engine = engine(1, true);
    let ws = engine.connect();
    upgrade(&ws, "/ws");
    let next = engine.connect();
    assert_eq!(ws.received(), [0x88, 2, 0x03, 0xf5], "1013, try again later");
    ws.expect_closed();
    next.expect_open();
}

#[test]
fn a_session_that_is_being_served_is_never_evicted() {
    let engine = engine(2, true);
    let sleeping = engine.connect();
    sleeping.send(get("/sleep"));
    // Its handler has returned, and the client is still reading.
    let reading = engine.connect_as(Peer { window: 0, ..Peer::default() });
    reading.send(get("/big"));
    let next = engine.connect();
    assert_eq!(engine.backlog(), 1);
    assert!(engine.waits().unwrap() > secs(1), "no spinning");
    reading.take(100_000);
    assert_eq!(reading.text(), ok(&"x".repeat(30_000)));
    reading.expect_closed();
    assert_eq!(engine.backlog(), 0);
    next.send(get("/x"));
    next.expect(ok("/x"));
    engine.advance(secs(4));
    sleeping.expect_nothing();
    engine.advance(secs(1));
    sleeping.expect(ok("/sleep"));
}

#[test]
fn a_session_with_requests_left_over_from_its_turn_is_being_served() {
    let engine = engine(1, true);
    let busy = engine.connect();
    busy.put(get("/x").repeat(200));
    let next = engine.connect();
    // It was idle only after the last of them.
    assert_eq!(busy.text().matches("200 OK").count(), 200);
    busy.expect_closed();
    next.expect_open();
}

#[test]
fn without_purge_a_connection_waits_in_the_backlog() {
    let engine = engine(2, false);
    let (one, two) = (engine.connect(), engine.connect());
    let (three, four) = (engine.connect(), engine.connect());
    assert_eq!((engine.backlog(), engine.open()), (2, 2));
    // Nobody asks for turns meanwhile.
    assert!(engine.waits().unwrap() > secs(50), "{:?}", engine.waits());
    three.put(get("/three"));
    one.send(get("/x"));
    one.expect(ok("/x"));
    one.finish();
    // In the same turn, and with what it has sent.
    three.expect(ok("/three"));
    assert_eq!(engine.backlog(), 1);
    engine.advance(secs(60));
    two.expect_closed();
    four.expect_open();
}
