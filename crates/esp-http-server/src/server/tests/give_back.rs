//! What is left when a crowd has gone: nothing, after a while.

use core::time::Duration;
use std::collections::HashSet;

use super::support::*;
use crate::server::HttpConfig;

/// What is kept that nobody needs is freed after this at least, and twice this at most.
const KEPT_FOR: Duration = secs(5);

fn engine() -> Engine {
    let config = HttpConfig {
        max_open_sockets: 1000,
        max_sessions_per_addr: 999,
        // No timer has the engine look at a session meanwhile, for which it would take buffers.
        handshake_timeout: secs(1000),
        head_timeout: secs(1000),
        idle_timeout: secs(1000),
        ..HttpConfig::default()
    };
    Engine::new(config, |server| server.get("/*", path).post("/echo", echo))
}

/// Clients that have begun a request of 2 kB each.
fn crowd(engine: &Engine, count: usize) -> Vec<Client> {
    let begin = |_| {
        let client = engine.connect();
        client.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nCookie: {}", "c".repeat(2000)));
        client
    };
    (0..count).map(begin).collect()
}

/// Their requests end, and they stay.
fn be_served(clients: &[Client]) {
    for client in clients {
        client.send("\r\n\r\n");
        client.expect(ok("/x"));
    }
}

#[test]
fn buffers_of_a_crowd_are_freed_when_nobody_needs_them() {
    let engine = engine();
    let clients = crowd(&engine, 40);
    engine.advance(secs(1));
    be_served(&clients);
    assert_eq!((engine.spare(), engine.held_by_sessions()), (40, 0));
    assert!(engine.held() > 40 * 2000);
    engine.advance(KEPT_FOR - millis(1000));
    assert_eq!(engine.spare(), 40, "they may come back");
    engine.advance(KEPT_FOR + millis(1001));
    assert_eq!((engine.spare(), engine.held()), (0, 0));
    clients.iter().for_each(Client::expect_open);
    assert!(!engine.has_plans(), "and the engine sleeps");
    clients[7].send(get("/y"));
    clients[7].expect(ok("/y"));
}

#[test]
fn buffers_that_somebody_needs_now_and_then_are_kept_and_no_others() {
    let engine = engine();
    let clients = crowd(&engine, 10);
    be_served(&clients);
    for _ in 0..30 {
        engine.advance(secs(1));
        clients[0].send(get("/x"));
        clients[0].expect(ok("/x"));
    }
    assert_eq!(engine.spare(), 1);
}

#[test]
fn buffers_of_sessions_that_have_ended_are_freed_too() {
    let engine = engine();
    drop(crowd(&engine, 20));
    (0..20).for_each(|number| engine.client(number).reset());
    assert_eq!((engine.open(), engine.spare()), (0, 20));
    engine.advance(KEPT_FOR * 2);
    assert_eq!((engine.spare(), engine.held()), (0, 0));
    assert!(!engine.has_plans(), "nothing is left to look for");
}

#[test]
fn rows_of_the_tables_are_given_back_and_names_are_not() {
    let engine = engine();
    let mut names = HashSet::new();
    for crowd_len in [65, 300, 999, 64, 700] {
        let clients: Vec<_> = (0..crowd_len).map(|_| engine.connect()).collect();
        for client in &clients {
            assert!(names.insert(client.session()), "a name is one client's for ever");
        }
        let rows = engine.rows();
        assert!(rows >= crowd_len, "{rows}");
        clients.iter().for_each(Client::reset);
        assert_eq!((engine.open(), engine.rows()), (0, rows), "another crowd may come");
        engine.advance(KEPT_FOR * 2);
        assert!(engine.rows() <= 128, "{} rows after {crowd_len}", engine.rows());
        assert!(!engine.has_plans());
    }
}

#[test]
fn a_session_in_the_last_row_stays_and_so_does_the_table() {
    let engine = engine();
    let clients: Vec<_> = (0..500).map(|_| engine.connect()).collect();
    let (last, others) = clients.split_last().unwrap();
    others.iter().for_each(Client::reset);
    engine.advance(KEPT_FOR * 2);
    last.send(get("/x"));
    last.expect(ok("/x"));
    assert!(engine.rows() >= 500);
    // Those that come take the rows before it; who goes after it makes room behind them.
    let next = engine.connect();
    last.reset();
    engine.advance(KEPT_FOR * 2);
    assert!(engine.rows() <= 128, "{}", engine.rows());
    next.send(get("/y"));
    next.expect(ok("/y"));
    assert!(engine.handle().close(next.session()).is_ok());
    engine.run();
    next.expect_closed();
}
