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

/// Clients that have been served, and then one that says nothing on every connection it gets.
#[test]
fn silent_connections_get_a_quarter_of_the_places_from_those_that_were_served() {
    let engine = engine(20, true);
    let served = [(); 20].map(|()| engine.connect());
    served.iter().for_each(|client| client.send(get("/x")));
    let open = |clients: &[Client]| clients.iter().filter(|client| !client.is_closed()).count();
    let silent: Vec<_> = (0..6).map(|_| engine.connect()).collect();
    // Five places are theirs, and a sixth is one too many, which shows with the next.
    assert_eq!((open(&served), open(&silent)), (14, 6));
    let more: Vec<_> = (0..100).map(|_| engine.connect()).collect();
    assert_eq!((open(&served), open(&silent), open(&more)), (14, 0, 6));
    // Whoever begins has time for six others to come: it is served then, and safe.
    let begins = engine.connect();
    let _more: Vec<_> = (0..5).map(|_| engine.connect()).collect();
    begins.send(get("/x"));
    begins.expect(ok("/x"));
    let _flood: Vec<_> = (0..100).map(|_| engine.connect()).collect();
    begins.expect_open();
    assert_eq!(open(&served), 13);
}

fn from(addr: &str) -> Peer {
    Peer { addr: Some(addr.parse().unwrap()), ..Peer::default() }
}

fn engine_for(max_sessions_per_addr: usize, lru_purge_enable: bool) -> Engine {
    let config = HttpConfig {
        max_open_sockets: 10,
        max_sessions_per_addr,
        lru_purge_enable,
        ..HttpConfig::default()
    };
    Engine::new(config, |server| {
        server.get("/*", path).get("/sleep", |request: &mut Request| -> Result {
            request.sleep(secs(5))?;
            path(request)
        })
    })
}

#[test]
fn sessions_of_one_address() {
    let engine = engine_for(3, true);
    let other = engine.connect_as(from("192.0.2.9:1"));
    let [a, b, c] = [1, 2, 3].map(|port| engine.connect_as(from(&format!("192.0.2.1:{port}"))));
    [&a, &b, &c, &a].iter().for_each(|client| client.send(get("/x")));
    [&a, &b, &c].iter().for_each(|client| client.expect_open());
    // Its own least recently used goes, though there are places and another's is older.
    let d = engine.connect_as(from("[::ffff:192.0.2.1]:4"));
    b.expect_closed();
    [&a, &c, &d, &other].iter().for_each(|client| client.expect_open());
    assert_eq!(engine.open(), 4);
    // As soon as one leaves there is a place again.
    a.finish();
    let _e = engine.connect_as(from("192.0.2.1:5"));
    [&c, &d].iter().for_each(|client| client.expect_open());
}

#[test]
fn an_address_with_nothing_but_sessions_being_served_gets_no_more() {
    for lru_purge_enable in [false, true] {
        let engine = engine_for(2, lru_purge_enable);
        let sleeping = [1, 2].map(|port| engine.connect_as(from(&format!("[2001:db8::{port}]:1"))));
        sleeping.iter().for_each(|client| client.send(get("/sleep")));
        let refused = engine.connect_as(from("[2001:db8::3]:1"));
        refused.expect_closed();
        refused.expect_nothing();
        let other = engine.connect_as(from("[2001:db8:0:1::1]:1"));
        other.expect_open();
        engine.advance(secs(5));
        sleeping.iter().for_each(|client| client.expect(ok("/sleep")));
        // Now they are idle.
        let next = engine.connect_as(from("[2001:db8::3]:2"));
        assert_eq!(next.is_closed(), !lru_purge_enable);
        assert_eq!(sleeping[0].is_closed(), lru_purge_enable);
    }
}

#[test]
fn a_flood_from_one_address_closes_no_session_of_another() {
    let engine = engine_for(5, true);
    let good = [1, 2, 3].map(|number| engine.connect_as(from(&format!("192.0.2.{number}:1"))));
    good.iter().for_each(|client| client.send(get("/x")));
    for port in 1..200 {
        let bad = engine.connect_as(from(&format!("198.51.100.1:{port}")));
        bad.send(get("/x"));
    }
    assert_eq!(engine.open(), 8);
    good.iter().for_each(|client| client.expect_open());
}

#[test]
fn so_many_connections_are_accepted_in_one_turn_and_no_more() {
    for (count, accepted) in [(63, 63), (64, 64), (65, 64)] {
        let engine = engine(1000, true);
        let _clients: Vec<_> = (0..count).map(|_| engine.connect_quietly()).collect();
        engine.poll_once();
        assert_eq!((engine.open(), engine.backlog()), (accepted, count - accepted));
        // Whether there are more of them it looks at once.
        assert_eq!(engine.waits() == Some(millis(0)), count >= 64);
        engine.run();
        assert_eq!((engine.open(), engine.backlog()), (count, 0));
    }
}
