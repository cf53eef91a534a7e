//! What a session holds of bytes that are on their way: no more than it was told, in any phase, and
//! whatever is longer works all the same.

use super::support::*;
use super::ws::{TEXT, frame, frames, upgrade};
use crate::server::HttpConfig;
use crate::{Request, Result, WsRequest};

const LEN: usize = 4096;

fn config() -> HttpConfig {
    HttpConfig {
        recv_buffer_len: LEN,
        send_buffer_len: LEN,
        max_req_hdr_len: 10_000,
        recv_wait_timeout: secs(60),
        ..HttpConfig::default()
    }
}

fn sized(request: &mut Request) -> Result {
    let len = request.query().unwrap_or_default().parse().unwrap();
    request.respond().send("x".repeat(len))
}

fn engine() -> (Engine, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    Engine::with_stacks(config(), usize::MAX, |server| {
        server
            .get("/*", path)
            .get("/sized", sized)
            .get("/chunked", |request: &mut Request| -> Result {
                let mut chunks = request.respond().chunked()?;
                (0..3000).try_for_each(|_| chunks.send("0123456789"))?;
                chunks.finish()
            })
            .post("/sleep", |request: &mut Request| -> Result {
                request.sleep(secs(5))?;
                echo(request)
            })
            .post("/echo", echo)
            .ws("/ws", |ws: &mut WsRequest| -> Result {
                let message = ws.message(100_000)?;
                ws.send(message)
            })
    })
}

/// One byte fewer, just as many, one more.
#[test]
fn a_handler_may_write_as_much_as_its_buffer_takes_before_it_waits() {
    let high = LEN + 1024;
    let head_len = ok(&"x".repeat(LEN)).len() - LEN;
    for (len, waits) in [(high - 1, false), (high, false), (high + 1, true), (200_000, true)] {
        let (engine, stacks) = engine();
        let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
        client.send(get(&format!("/sized?{:04}", len - head_len)));
        let running = stacks.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(running, usize::from(waits), "{len}");
        let (_, sending) = client.buffers();
        assert!(sending >= len.min(high) && sending <= high + 256, "{len}: {sending}");
        client.take(usize::MAX);
        let text = client.text();
        assert!(text == ok(&"x".repeat(len - head_len)), "{len}: {} bytes", text.len());
    }
}

#[test]
fn what_frames_a_body_stays_within_its_buffer() {
    let (engine, _) = engine();
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    client.send(get("/chunked"));
    let mut received = Vec::new();
    for _ in 0..3000 {
        let (_, sending) = client.buffers();
        assert!(sending <= LEN + 1024 + 256, "{sending}");
        client.take(17);
        received.extend(client.received());
    }
    client.take(usize::MAX);
    received.extend(client.received());
    let text = String::from_utf8(received).unwrap();
    assert!(text.ends_with("\r\na\r\n0123456789\r\n0\r\n\r\n"));
    assert_eq!(text.matches("0123456789").count(), 3000);
}

#[test]
fn a_client_that_sends_ahead_fills_no_more_than_its_buffer() {
    let (engine, _) = engine();
    let client = engine.connect();
    let body = "x".repeat(100_000);
    client.send(post("/sleep", &body));
    let (receiving, _) = client.buffers();
    assert!(receiving <= LEN, "{receiving}");
    assert!(client.unread() > 100_000 - LEN, "{}", client.unread());
    engine.advance(secs(5));
    assert_eq!(client.text(), ok(&body));
}

#[test]
fn a_body_of_any_length_passes_through_its_buffer() {
    let (engine, _) = engine();
    let client = engine.connect();
    client.put(post("/echo", &"x".repeat(100_000)));
    for _ in 0..30 {
        engine.poll_once();
        if !client.received().is_empty() {
            break;
        }
        let (receiving, _) = client.buffers();
        assert!(receiving <= LEN, "{receiving}");
    }
}

#[test]
fn a_head_may_be_longer_than_the_buffer() {
    let (engine, _) = engine();
    for piece_len in [1, 100, 10_000] {
        let client = engine.connect();
        let head =
            get("/a").replace("\r\n\r\n", &format!("\r\nCookie: {}\r\n\r\n", "c".repeat(9000)));
        for piece in head.as_bytes().chunks(piece_len) {
            let (receiving, _) = client.buffers();
            assert!(receiving <= 10_000 + 512, "{receiving}");
            client.send(piece);
        }
        client.expect(ok("/a"));
    }
}

#[test]
fn pipelined_requests_wait_where_they_are_while_their_client_reads_nothing() {
    let (engine, _) = engine();
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    let count = 2000;
    client.send(get("/a").repeat(count));
    let (receiving, sending) = client.buffers();
    assert!(receiving <= LEN && sending <= LEN + 1024 + 256, "{receiving} {sending}");
    assert!(client.unread() > 0);
    client.take(usize::MAX);
    assert_eq!(client.text().matches("HTTP/1.1 200 OK").count(), count);
}

#[test]
fn a_response_behind_one_that_still_waits_has_no_buffer_of_its_own() {
    let (engine, _) = engine();
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    client.send(get("/sized?4500").repeat(50));
    let mut received = Vec::new();
    for _ in 0..250 {
        let (_, sending) = client.buffers();
        assert!(sending <= LEN + 1024 + 256, "{sending}");
        client.take(777);
        received.extend(client.received());
    }
    client.take(usize::MAX);
    received.extend(client.received());
    assert_eq!(String::from_utf8(received).unwrap(), ok(&"x".repeat(4500)).repeat(50));
}

#[test]
fn a_websocket_holds_no_more_than_its_buffers() {
    let (engine, _) = engine();
    let client = engine.connect_as(Peer { window: 300, ..Peer::default() });
    upgrade(&client, "/ws");
    client.fill();
    // Pongs wait for it, messages of others, and its own echo.
    client.send(frame(0x89, &[b'p'; 125]).repeat(20));
    let pushed = engine.handle().ws_client(client.session());
    for _ in 0..20 {
        pushed.send(vec![1; 500]).unwrap();
        engine.run();
        let (receiving, sending) = client.buffers();
        assert!(receiving <= LEN && sending <= LEN + 1024 + 256, "{receiving} {sending}");
    }
    client.take(usize::MAX);
    assert_eq!(frames(&client.received()).len(), 40);
    client.send(frame(TEXT, &[b'x'; 50_000]));
    assert_eq!(frames(&client.received()), [(TEXT, vec![b'x'; 50_000])]);
}
