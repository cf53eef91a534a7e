//! Every timer, to the millisecond.

use super::support::*;
use crate::server::HttpConfig;
use crate::{Error, Request, Result};

fn config() -> HttpConfig {
    HttpConfig {
        handshake_timeout: secs(3),
        head_timeout: secs(4),
        recv_wait_timeout: secs(5),
        // What a byte is worth is for `rates`.
        recv_min_rate: 0,
        send_min_rate: 0,
        purge_timeout: millis(4500),
        send_wait_timeout: secs(6),
        idle_timeout: secs(7),
        linger_timeout: secs(2),
        ..HttpConfig::default()
    }
}

fn engine() -> Engine {
    Engine::new(config(), |server| {
        server
            .get("/*", path)
            .post("/echo", echo)
            .get("/big", |request: &mut Request| -> Result {
                request.respond().send("x".repeat(300_000))
            })
            .get("/medium", |request: &mut Request| -> Result {
                request.respond().send("x".repeat(30_000))
            })
            .post("/unread", |request: &mut Request| -> Result { request.respond().send("") })
    })
}

#[track_caller]
fn closes_after(engine: &Engine, client: &Client, time: std::time::Duration) {
    engine.advance(time - millis(1));
    assert!(!client.is_closed(), "too early");
    engine.advance(millis(1));
    client.expect_closed();
    assert_eq!((engine.open(), engine.lent(), engine.waits()), (0, 0, None));
}

#[test]
fn a_handshake_that_takes_too_long_ends() {
    let engine = engine();
    let client = engine.connect_as(Peer { handshake: Handshake::UnderWay, ..Peer::default() });
    // A byte now and then does not help.
    engine.advance(secs(2));
    client.shake_hands(Handshake::UnderWay);
    closes_after(&engine, &client, secs(1));
}

#[test]
fn a_connection_without_a_request_ends() {
    let engine = engine();
    let client = engine.connect();
    closes_after(&engine, &client, secs(7));
    let client = engine.connect();
    engine.advance(secs(5));
    client.send(get("/a"));
    closes_after(&engine, &client, secs(7));
}

#[test]
fn a_head_that_drips_in_is_408() {
    let engine = engine();
    let client = engine.connect();
    engine.advance(secs(5));
    client.send("G");
    for byte in "ET / HTTP".as_bytes().chunks(1).take(3) {
        engine.advance(secs(1));
        client.send(byte);
        client.expect_nothing();
    }
    engine.advance(millis(999));
    client.expect_nothing();
    engine.advance(millis(1));
    client.expect_last("408 Request Timeout");
    client.expect_lingering();
    closes_after(&engine, &client, secs(2));
}

#[test]
fn a_body_that_stops_coming_is_408_if_the_handler_passes_it_on() {
    let engine = engine();
    let client = engine.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    for _ in 0..3 {
        engine.advance(millis(4999));
        client.send("x");
    }
    engine.advance(millis(4999));
    client.expect_nothing();
    engine.advance(millis(1));
    client.expect_last("408 Request Timeout");
    client.expect_lingering();
    closes_after(&engine, &client, secs(2));
}

#[test]
fn a_handler_may_wait_again_after_a_timeout() {
    let engine = Engine::new(config(), |server| {
        server.post("/", |request: &mut Request| -> Result {
            let mut waited = 0;
            loop {
                match request.recv(&mut [0; 9]) {
                    Ok(_) => return request.respond().send(waited.to_string()),
                    Err(Error::TimedOut) => waited += 1,
                    Err(error) => return Err(error),
                }
            }
        })
    });
    let client = engine.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
    engine.advance(secs(17));
    client.expect_nothing();
    client.send("x");
    client.expect(ok("3"));
    client.expect_open();
}

#[test]
fn no_time_at_all_to_wait_is_no_endless_loop() {
    let config = HttpConfig { recv_wait_timeout: secs(0), ..config() };
    let engine = Engine::new(config, |server| {
        server.post("/", |request: &mut Request| -> Result {
            while let Err(Error::TimedOut) = request.recv(&mut [0; 9]) {}
            path(request)
        })
    });
    let client = engine.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
    client.send("x");
    client.expect(ok("/"));
}

#[test]
fn an_unread_body_that_does_not_come_ends_the_connection() {
    let engine = engine();
    let client = engine.connect();
    client.send("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    client.expect(ok(""));
    // A byte now and then does not help.
    engine.advance(secs(4));
    client.send("x");
    engine.advance(millis(499));
    client.expect_open();
    engine.advance(millis(1));
    client.expect_lingering();
    closes_after(&engine, &client, secs(2));
}

#[test]
fn a_client_that_never_reads_is_closed() {
    for path in ["/medium", "/big"] {
        let engine = engine();
        let client = engine.connect_as(Peer { window: 1000, ..Peer::default() });
        client.send(get(path));
        engine.advance(secs(5));
        client.take(10);
        closes_after(&engine, &client, secs(6));
    }
}

#[test]
fn a_handler_whose_client_never_reads_is_told() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(config(), |server| {
        server.get("/", move |request: &mut Request| -> Result {
            let sent = request.respond().send("x".repeat(300_000));
            noted.note(format!("{sent:?}, {:?}", request.wait_peer(secs(1))));
            noted.note(format!("{:?}", request.sleep(secs(1))));
            sent
        })
    });
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    client.send(get("/"));
    closes_after(&engine, &client, secs(6));
    let closed = "Err(the session is closed)";
    let told = format!("Err(the peer was silent for too long), {closed}");
    assert_eq!(log.take(), [&*told, closed]);
}

#[test]
fn a_client_that_reads_slowly_has_all_the_time_it_needs() {
    for layered in [false, true] {
        let engine = engine();
        let client = engine.connect_as(Peer { window: 0, layered, ..Peer::default() });
        client.send(get("/medium"));
        let mut text = String::new();
        // Far longer than the timers of heads and of idle sessions.
        for _ in 0..31 {
            engine.advance(secs(5));
            client.take(1000);
            text += &client.text();
        }
        assert_eq!(text, ok(&"x".repeat(30_000)));
        client.expect_open();
    }
}

#[test]
fn no_timer_of_a_head_goes_off_in_a_session_that_closes() {
    let engine = engine();
    let client = engine.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    engine.advance(secs(3));
    client.send("st : a\r\n");
    client.expect_last("400 Bad Request");
    engine.advance(millis(1500));
    client.expect_nothing();
    client.expect_lingering();
}

#[test]
fn a_lingering_client_that_keeps_sending_is_closed_in_time() {
    let engine = engine();
    let client = engine.connect();
    client.send("nonsense\r\n");
    client.expect_last("400 Bad Request");
    for _ in 0..19 {
        engine.advance(millis(100));
        client.send("x".repeat(10_000));
        client.expect_lingering();
        assert_eq!((client.unread(), engine.lent()), (0, 0), "it is dropped, and needs no buffer");
    }
    closes_after(&engine, &client, millis(100));
}

#[test]
fn with_so_linger_a_session_that_ends_waits_for_its_peer_before_it_is_reset() {
    let config = HttpConfig { enable_so_linger: true, ..config() };
    let engine = Engine::new(config, |server| server.get("/*", path));
    let last = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let slow = engine.connect();
    slow.send(last);
    slow.expect_last("200 OK");
    slow.expect_lingering();
    closes_after(&engine, &slow, secs(2));
    let done = engine.connect();
    done.send(last);
    done.finish();
    done.expect_last("200 OK");
    done.expect_closed();
    // Without a word to wait for, it does not wait.
    let idle = engine.connect();
    closes_after(&engine, &idle, secs(7));
}

#[test]
fn with_so_linger_a_peer_that_finished_first_is_told_the_end_before_the_reset() {
    let config = HttpConfig { enable_so_linger: true, ..config() };
    let engine = Engine::new(config, |server| server.get("/*", path));
    let client = engine.connect();
    client.put(get("/a"));
    client.finish();
    client.expect(ok("/a"));
    assert!(client.is_shut(), "or the reset would take the answer with it");
    client.expect_closed();
}

#[test]
fn a_transport_settles_a_tenth_of_a_second_after_an_answer() {
    let engine = engine();
    let client = engine.connect_as(Peer { can_settle: true, ..Peer::default() });
    client.send(get("/a"));
    client.expect(ok("/a"));
    engine.advance(millis(60));
    // What comes in between changes nothing: the time is that of a session which goes on.
    client.send(get("/b"));
    client.expect(ok("/b"));
    engine.advance(millis(39));
    assert!(client.can_settle());
    engine.advance(millis(1));
    assert!(!client.can_settle());
    client.send(get("/c"));
    client.expect(ok("/c"));
    closes_after(&engine, &client, secs(7));
}

#[test]
fn the_transport_of_a_session_that_ends_before_does_not_settle() {
    let engine = engine();
    let client = engine.connect_as(Peer { can_settle: true, ..Peer::default() });
    client.send(get("/a"));
    client.expect(ok("/a"));
    engine.advance(millis(99));
    client.finish();
    client.expect_closed();
    engine.advance(secs(10));
    assert!(client.can_settle());
    assert_eq!(engine.waits(), None);
}
