//! The least rates: what a peer that does a little now and then can stretch, and what it can't.

use super::detached::with;
use super::support::*;
use super::ws::{BINARY, PING, TEXT, expect_close, expect_frame, frame, upgrade};
use crate::server::HttpConfig;
use crate::{Error, Request, Result, WsRequest};

/// Bytes per second. So a byte is worth 10 ms.
const RATE: usize = 100;

fn config() -> HttpConfig {
    HttpConfig {
        recv_wait_timeout: secs(5),
        recv_min_rate: RATE,
        send_wait_timeout: secs(6),
        send_min_rate: RATE,
        idle_timeout: secs(3600),
        ws_close_timeout: secs(2),
        ..HttpConfig::default()
    }
}

fn engine_with(config: HttpConfig) -> Engine {
    Engine::new(config, |server| {
        server
            .post("/echo", echo)
            .post("/slow", |request: &mut Request| -> Result {
                while request.recv(&mut [0])? > 0 {
                    request.sleep(secs(60))?;
                }
                request.respond().send("done")
            })
            .get("/big", |request: &mut Request| -> Result {
                request.respond().send("x".repeat(300_000))
            })
            .get("/medium", |request: &mut Request| -> Result {
                request.respond().send("x".repeat(30_000))
            })
            .ws("/ws", |ws: &mut WsRequest| -> Result {
                let message = ws.message(100_000)?;
                ws.send(message)
            })
            .ws("/deaf", |_: &mut WsRequest| -> Result { Ok(()) })
            .ws("/patient", |ws: &mut WsRequest| -> Result {
                loop {
                    match ws.message(100) {
                        Err(Error::TimedOut) => ws.send("still there?")?,
                        message => return ws.send(message?),
                    }
                }
            })
    })
}

fn engine() -> Engine {
    engine_with(config())
}

/// A client that has announced a body.
fn announced(engine: &Engine, path: &str, len: usize) -> Client {
    let client = engine.connect();
    client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n"));
    client.expect_nothing();
    client
}

/// Drips the bytes, one a second, and says after how many the time is up, which is to the millisecond
/// `left` behind the last one.
#[track_caller]
fn drip(engine: &Engine, client: &Client, bytes: &[u8], left: u64) {
    for byte in bytes.chunks(1) {
        client.expect_nothing();
        engine.advance(secs(1));
        client.send(byte);
    }
    engine.advance(millis(left - 1));
    client.expect_nothing();
    engine.advance(millis(1));
}

#[test]
fn a_body_that_drips_is_408_when_its_bytes_do_not_pay_for_the_waits() {
    let engine = engine();
    let client = announced(&engine, "/echo", 1000);
    // Five seconds, and 10 ms for each byte.
    drip(&engine, &client, b"xxxxx", 50);
    client.expect_last("408 Request Timeout");
}

#[test]
fn chunks_that_drip_are_408_as_well() {
    let engine = engine();
    let client = engine.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    drip(&engine, &client, b"3\r\nab", 50);
    client.expect_last("408 Request Timeout");
}

#[test]
fn the_least_rate_is_enough_for_ever_and_a_little_less_is_not() {
    for (period, is_enough) in [(9, true), (10, true), (11, false)] {
        let engine = engine();
        let client = announced(&engine, "/echo", 20_000);
        let mut sent = 0;
        while sent < 20_000 && client.unread() == 0 && !client.is_shut() {
            engine.advance(millis(period));
            client.send("x");
            sent += 1;
        }
        let text = client.text();
        match is_enough {
            true => assert_eq!(text, ok(&"x".repeat(20_000)), "{period} ms"),
            // Each byte costs the millisecond that it is late, of 5,000.
            false => {
                assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
                assert!((4985..5000).contains(&sent), "{sent}");
            }
        }
    }
}

#[test]
fn what_was_sent_fast_is_not_saved_up_for_dripping() {
    let engine = engine();
    let client = announced(&engine, "/echo", 100_000);
    client.send("x".repeat(90_000));
    drip(&engine, &client, b"xxxxx", 50);
    client.expect_last("408 Request Timeout");
}

#[test]
fn a_burst_makes_good_for_the_wait_before_it() {
    let engine = engine();
    let client = announced(&engine, "/echo", 1010);
    for _ in 0..2 {
        engine.advance(millis(4999));
        client.send("x".repeat(500));
    }
    engine.advance(millis(4999));
    client.send("x".repeat(10));
    client.expect(ok(&"x".repeat(1010)));
}

#[test]
fn what_the_handler_does_between_its_waits_costs_the_client_nothing() {
    let engine = engine();
    let client = announced(&engine, "/slow", 5);
    for _ in 0..5 {
        client.expect_nothing();
        // Late by almost a second each time, but not by more than five in all.
        engine.advance(millis(990));
        client.send("x");
        engine.advance(secs(60));
    }
    client.expect(ok("done"));
}

#[test]
fn each_request_has_its_own_time() {
    let engine = engine();
    let client = engine.connect();
    for _ in 0..5 {
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
        for _ in 0..4 {
            client.expect_nothing();
            engine.advance(secs(1));
            client.send("x");
        }
        client.expect(ok("xxxx"));
    }
}

#[test]
fn without_a_rate_only_the_single_wait_is_bounded() {
    let engine = engine_with(HttpConfig { recv_min_rate: 0, send_min_rate: 0, ..config() });
    let client = announced(&engine, "/echo", 50);
    for _ in 0..50 {
        client.expect_nothing();
        engine.advance(millis(4999));
        client.send("x");
    }
    client.expect(ok(&"x".repeat(50)));
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    client.send(get("/medium"));
    for _ in 0..50 {
        engine.advance(millis(5999));
        client.take(1);
    }
    client.expect_open();
    engine.advance(secs(6));
    client.expect_closed();
}

#[test]
fn a_message_that_drips_is_1008() {
    let engine = engine();
    let client = engine.connect();
    upgrade(&client, "/ws");
    engine.advance(secs(3000));
    let message = frame(BINARY, &[b'x'; 200]);
    // From the first byte on; the head has none to wait for before it.
    client.send(&message[..1]);
    drip(&engine, &client, &message[1..6], 50);
    expect_close(&client, 1008);
    // More of it does not help.
    engine.advance(millis(1999));
    client.send(&message[6..7]);
    client.expect_open();
    engine.advance(millis(1));
    client.expect_closed();

    // The same with a handler that waits for it.
    let client = engine.connect();
    upgrade(&client, "/ws");
    client.send(&message[..9]);
    drip(&engine, &client, &message[9..14], 50);
    expect_close(&client, 1008);
}

#[test]
fn a_ping_that_drips_is_1008_and_so_is_the_rest_of_a_message_that_nobody_wants() {
    let engine = engine();
    let ping = frame(PING, b"are you there?");
    let message = frame(TEXT, &[b'x'; 100]);
    for (path, bytes) in [("/ws", ping), ("/deaf", message)] {
        let client = engine.connect();
        upgrade(&client, path);
        client.send(&bytes[..8]);
        drip(&engine, &client, &bytes[8..13], 50);
        expect_close(&client, 1008);
        engine.advance(secs(2));
        client.expect_closed();
        assert_eq!((engine.open(), engine.lent(), engine.waits()), (0, 0, None));
    }
}

#[test]
fn each_message_has_its_own_time_and_silence_between_them_is_free() {
    let engine = engine();
    let client = engine.connect();
    upgrade(&client, "/ws");
    for silence in [0, 1000, 0, 7] {
        engine.advance(secs(silence));
        let message = frame(TEXT, b"hello");
        client.send(&message[..7]);
        for byte in message[7..].chunks(1) {
            client.expect_nothing();
            engine.advance(secs(1));
            client.send(byte);
        }
        expect_frame(&client, TEXT, "hello");
    }
    assert_eq!(engine.lent(), 0);
}

#[test]
fn a_handler_that_asks_for_a_message_has_not_begun_to_wait_for_its_bytes() {
    let engine = engine();
    let client = engine.connect();
    upgrade(&client, "/patient");
    client.send(&frame(TEXT, b"")[..3]);
    engine.advance(millis(4990));
    client.send(&frame(TEXT, b"")[3..]);
    expect_frame(&client, TEXT, "");
    let message = frame(TEXT, b"hello");
    client.send(&message[..8]);
    engine.advance(secs(5));
    expect_frame(&client, TEXT, "still there?");
    // Who goes on waiting gives it the time anew.
    engine.advance(millis(4999));
    client.send(&message[8..]);
    // What came before was in what the error has ended.
    expect_frame(&client, TEXT, "llo");
}

#[test]
fn a_client_that_sips_is_closed_when_it_does_not_pay_for_the_time() {
    for (path, layered) in [("/medium", false), ("/medium", true), ("/big", false), ("/big", true)]
    {
        let engine = engine();
        let client = engine.connect_as(Peer { window: 0, layered, ..Peer::default() });
        client.send(get(path));
        for _ in 0..6 {
            engine.advance(secs(1));
            client.take(10);
        }
        engine.advance(millis(599));
        client.expect_open();
        engine.advance(millis(1));
        client.expect_closed();
        assert_eq!((engine.open(), engine.lent(), engine.waits()), (0, 0, None));
    }
}

#[test]
fn a_client_that_reads_at_the_least_rate_is_served_and_one_below_it_is_not() {
    for layered in [false, true] {
        for (len, is_enough) in [(110, true), (100, true), (90, false)] {
            let engine = engine();
            let client = engine.connect_as(Peer { window: 0, layered, ..Peer::default() });
            client.send(get("/medium"));
            let mut seconds = 0;
            let mut text = String::new();
            while !client.is_closed() && text.len() < 30_000 {
                engine.advance(secs(1));
                seconds += 1;
                client.take(len);
                text += &client.text();
            }
            assert_eq!(!client.is_closed(), is_enough, "{len} bytes a second");
            // Each second costs the 100 ms that are missing, until less than a second is left of six.
            assert!(is_enough || (50..=52).contains(&seconds), "{seconds}");
        }
    }
}

#[test]
fn reading_that_nobody_has_reported_is_seen_before_the_client_is_closed() {
    let engine = engine();
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    client.send(get("/medium"));
    for _ in 0..10 {
        engine.advance(millis(5999));
        client.take_unseen(700);
        client.expect_nothing();
        engine.advance(millis(1));
        assert_eq!(client.received().len(), 700);
    }
    // So little is worth 100 ms.
    client.take_unseen(10);
    engine.advance(millis(6099));
    client.expect_open();
    engine.advance(millis(1));
    client.expect_closed();
}

#[test]
fn when_all_is_taken_the_time_begins_anew() {
    let engine = engine();
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    for _ in 0..5 {
        client.send(get("/medium"));
        engine.advance(millis(5999));
        client.expect_nothing();
        client.take(ok(&"x".repeat(30_000)).len());
        assert_eq!(client.text().len(), ok(&"x".repeat(30_000)).len());
    }
    client.expect_open();
}

#[test]
fn a_thread_with_a_detached_request_waits_no_longer_than_a_handler() {
    let parked = Parked::default();
    let handler = parked.handler();
    let engine = Engine::new(config(), |server| server.any("/away", handler));
    let client = engine.connect();
    client.send("POST /away HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    let job = engine.elsewhere(parked.take().unwrap());
    // What comes while the thread is busy has kept nobody waiting.
    engine.advance(secs(30));
    client.send("x".repeat(10));
    engine.advance(secs(30));
    job.begin(with(|request| request.recv_all(1000)));
    drip(&engine, &client, b"xxxxx", 50);
    assert_eq!(job.said().as_deref(), Some("Err(the peer was silent for too long)"));
}

/// What is there already is looked at before who is late.
mod a_server_that_was_busy {
    use super::*;

    fn engine() -> Engine {
        let config = HttpConfig { handshake_timeout: secs(3), head_timeout: secs(4), ..config() };
        engine_with(config)
    }

    #[test]
    fn still_takes_a_handshake_that_is_there() {
        let engine = engine();
        let shaking = Peer { handshake: Handshake::UnderWay, ..Peer::default() };
        let (good, bad) = (engine.connect_as(shaking.clone()), engine.connect_as(shaking));
        good.put_handshake(Handshake::Done);
        bad.put_handshake(Handshake::UnderWay);
        engine.lag(secs(30));
        good.expect_open();
        bad.expect_closed();
    }

    #[test]
    fn still_takes_the_rest_of_a_head_and_of_a_body() {
        let engine = engine();
        let head = engine.connect();
        head.send("GET /medium HTTP/1.1\r\n");
        let body = announced(&engine, "/echo", 4);
        let dripping = engine.connect();
        dripping.send("GET /medium HTTP/1.1\r\n");
        head.put("Host: a\r\n\r\n");
        body.put("body");
        dripping.put("H");
        engine.lag(secs(30));
        assert_eq!(head.text(), ok(&"x".repeat(30_000)));
        body.expect(ok("body"));
        dripping.expect_last("408 Request Timeout");
    }

    #[test]
    fn still_sees_that_a_client_has_read() {
        let engine = engine();
        let clients = [(); 2].map(|()| engine.connect_as(Peer { window: 0, ..Peer::default() }));
        clients.iter().for_each(|client| client.send(get("/medium")));
        clients[0].put_room(20_000);
        engine.lag(secs(30));
        clients[0].expect_open();
        clients[1].expect_closed();
    }
}

/// A server that stops waits for nobody beyond its time, whatever they drip.
#[test]
fn a_stopping_server_ends_in_time_beside_peers_that_drip() {
    let config =
        HttpConfig { stop_timeout: secs(3), send_min_rate: 1, recv_min_rate: 1, ..config() };
    let engine = engine_with(config);
    let head = engine.connect();
    head.send("GET / HT");
    let body = announced(&engine, "/echo", 1000);
    let purged = engine.connect();
    purged.send("POST /medium HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    let sips = engine.connect_as(Peer { window: 0, ..Peer::default() });
    sips.send(get("/big"));
    let never = engine.connect_as(Peer { window: 0, ..Peer::default() });
    never.send(get("/medium"));
    let sleeps = announced(&engine, "/slow", 1000);
    sleeps.send("x");
    let web_socket = engine.connect();
    upgrade(&web_socket, "/ws");
    web_socket.send(&frame(TEXT, b"a message")[..8]);
    engine.handle().stop();
    engine.run();
    let dripping = [&head, &body, &purged, &sleeps, &web_socket];
    for _ in 0..29 {
        engine.advance(millis(100));
        dripping.iter().filter(|client| !client.is_closed()).for_each(|client| client.send("x"));
        sips.take(1);
    }
    engine.advance(millis(99));
    assert!(!engine.is_stopped());
    engine.advance(millis(1));
    assert!(engine.is_stopped());
    assert_eq!((engine.open(), engine.lent(), engine.waits()), (0, 0, None));
}
