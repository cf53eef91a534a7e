//! The memory of all sessions together: who goes, who waits and who goes on when it is used up.

use super::support::*;
use crate::server::HttpConfig;
use crate::{Request, Result};

fn engine(max_buffer_memory: usize) -> Engine {
    let config = HttpConfig {
        max_buffer_memory,
        send_wait_timeout: secs(60),
        head_timeout: secs(60),
        ..HttpConfig::default()
    };
    Engine::new(config, |server| {
        server.get("/*", path).get("/big", |request: &mut Request| -> Result {
            request.respond().send("x".repeat(300_000))
        })
    })
}

const PLENTY: usize = 1 << 30;

/// A client that is being served and takes nothing.
fn served(engine: &Engine) -> Client {
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    client.send(get("/big"));
    client
}

/// A client in the middle of a head of 20 kB.
fn begun(engine: &Engine) -> Client {
    let client = engine.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {}", "c".repeat(20_000)));
    client
}

/// What sessions hold when `count` of them are in that state.
fn held(count: usize, state: fn(&Engine) -> Client) -> usize {
    let engine = engine(PLENTY);
    let _clients: Vec<_> = (0..count).map(|_| state(&engine)).collect();
    assert!(engine.held() >= engine.held_by_sessions());
    engine.held_by_sessions()
}

#[test]
fn new_requests_are_refused_while_those_being_served_hold_more_than_the_limit() {
    let begin = |limit| {
        let engine = engine(limit);
        let idle = engine.connect();
        idle.send(get("/a"));
        idle.expect(ok("/a"));
        let served = [(); 3].map(|()| served(&engine));
        (engine, idle, served)
    };
    let all = begin(PLENTY).0.held_by_sessions();
    assert!(all > 3 * 60_000, "{all}");
    for (limit, is_short) in [(all - 1, true), (all, false), (all + 1, false)] {
        let (engine, idle, served) = begin(limit);
        assert_eq!(engine.held_by_sessions(), all);
        idle.send(get("/b"));
        if is_short {
            let text = idle.text();
            assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
            assert!(text.contains("\r\nRetry-After: 30\r\n"), "{text}");
            assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
        } else {
            idle.expect(ok("/b"));
            idle.expect_open();
        }
        // Nobody notices it who is being served, and when one has been, all is as before.
        served[0].take(usize::MAX);
        assert!(served[0].text().ends_with("xxx"));
        let next = engine.connect();
        next.send(get("/c"));
        next.expect(ok("/c"));
        served.iter().for_each(|client| client.expect_open());
        engine.held();
    }
}

#[test]
fn new_connections_wait_while_those_being_served_hold_more_than_the_limit() {
    let all = held(3, served);
    for (limit, is_short) in [(all - 1, true), (all, false)] {
        let engine = engine(limit);
        let served = [(); 3].map(|()| served(&engine));
        let next = engine.connect();
        next.put(get("/a"));
        engine.run();
        assert_eq!(engine.backlog(), usize::from(is_short));
        assert!(engine.waits().unwrap() > secs(1), "nobody asks for turns meanwhile");
        next.expect(if is_short { String::new() } else { ok("/a") });
        served[0].reset();
        assert_eq!(engine.backlog(), 0);
        next.expect(if is_short { ok("/a") } else { String::new() });
    }
}

#[test]
fn sessions_in_the_middle_of_a_head_are_cut_and_the_oldest_first() {
    let two = held(2, begun);
    for (limit, cut) in [(two - 1, 2), (two, 1), (two + 1, 1)] {
        let engine = engine(limit);
        let clients = [(); 3].map(|()| begun(&engine));
        let are_cut = clients.each_ref().map(Client::is_closed);
        assert_eq!(are_cut, [true, cut == 2, false], "{limit}");
        clients[2].send("\r\n\r\n");
        clients[2].expect(ok("/"));
        engine.held();
    }
}

#[test]
fn who_drips_keeps_its_place_among_those_who_are_cut() {
    let two = held(2, begun);
    let engine = engine(two);
    let (first, second) = (begun(&engine), begun(&engine));
    for _ in 0..10 {
        first.send("c");
    }
    let third = begun(&engine);
    first.expect_closed();
    second.expect_open();
    third.expect_open();
}

#[test]
fn who_is_being_served_is_not_cut_for_who_begins() {
    let one = held(1, served);
    let engine = engine(one + 1000);
    let served = served(&engine);
    for _ in 0..5 {
        begun(&engine).expect_closed();
    }
    served.take(usize::MAX);
    assert!(served.text().ends_with("xxx"));
}

#[test]
fn buffers_that_nobody_uses_are_the_first_to_go() {
    let limit = 5 * held(1, begun);
    let engine = engine(limit);
    let clients: Vec<_> = (0..40).map(|_| begun(&engine)).collect();
    let open = || clients.iter().filter(|client| !client.is_closed()).count();
    assert_eq!((open(), engine.held()), (5, limit));
    // Their requests end, and their buffers are kept, as far as they fit, for those who come next.
    clients.iter().filter(|client| !client.is_closed()).for_each(|client| {
        client.send("\r\n\r\n");
        client.expect(ok("/"));
    });
    assert_eq!(engine.held_by_sessions(), 0);
    assert!(engine.held() > limit / 2 && engine.held() <= limit, "{}", engine.held());
    let served = served(&engine);
    assert!(engine.held() <= limit, "{}", engine.held());
    served.take(usize::MAX);
    assert!(served.text().ends_with("xxx"));
    assert_eq!(open(), 5, "no idle session was cut");
}

#[test]
fn buffers_of_64_sessions_are_kept_for_others() {
    for (count, kept) in [(63, 63), (64, 64), (65, 64)] {
        let engine = engine(PLENTY);
        let clients: Vec<_> = (0..count).map(|_| begun(&engine)).collect();
        clients.iter().for_each(|client| client.send("\r\n\r\n"));
        assert_eq!((engine.spare(), engine.held_by_sessions()), (kept, 0));
    }
}

#[test]
fn what_a_layer_holds_counts() {
    let engine = engine(PLENTY);
    let client = engine.connect_as(Peer { window: 0, layered: true, ..Peer::default() });
    client.send(get("/big"));
    assert!(engine.held() >= 130_000, "{}", engine.held());
    client.reset();
    assert_eq!(engine.held_by_sessions(), 0);
}
