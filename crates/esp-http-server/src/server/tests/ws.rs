//! WebSockets: the handshake, messages, pings, closing.

use super::support::*;
use crate::server::HttpConfig;
use crate::{CloseCode, KeepAlive, Result, WsRequest};

pub(super) const TEXT: u8 = 0x81;
pub(super) const BINARY: u8 = 0x82;
pub(super) const CLOSE: u8 = 0x88;
pub(super) const PING: u8 = 0x89;
pub(super) const PONG: u8 = 0x8a;

pub(super) const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Makes the connection a WebSocket.
#[track_caller]
pub(super) fn upgrade(client: &Client, path: &str) {
    client.send(UPGRADE.replace("/ws", path));
    client.expect(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    );
}

/// A frame as a client sends it.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The frames that a client has received: first byte and payload.
pub(super) fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, len, rest @ ..] = bytes {
        let (len, rest) = match len {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            len => (usize::from(*len), rest),
        };
        frames.push((*first, rest[..len].to_vec()));
        bytes = &rest[len..];
    }
    assert!(bytes.is_empty(), "half a frame");
    frames
}

#[track_caller]
pub(super) fn expect_frame(client: &Client, first: u8, payload: impl AsRef<[u8]>) {
    assert_eq!(frames(&client.received()), [(first, payload.as_ref().to_vec())]);
}

#[track_caller]
pub(super) fn expect_close(client: &Client, code: u16) {
    expect_frame(client, CLOSE, code.to_be_bytes());
}

/// Answers a close frame of the server's, which ends all.
#[track_caller]
pub(super) fn answer_close(client: &Client, code: u16) {
    client.expect_open();
    client.send(frame(CLOSE, &code.to_be_bytes()));
    client.expect_nothing();
    client.expect_lingering();
}

fn echo(ws: &mut WsRequest) -> Result {
    let message = ws.message(1000)?;
    ws.send(message)
}

fn engine(log: &Log) -> Engine {
    let noted = log.clone();
    Engine::new(HttpConfig::default(), |server| {
        server
            .ws("/ws", move |ws: &mut WsRequest| -> Result {
                noted.note("handler");
                echo(ws)
            })
            .ws("/deaf", |_: &mut WsRequest| -> Result { Ok(()) })
            .ws("/bye", |ws: &mut WsRequest| -> Result {
                ws.close(CloseCode::POLICY_VIOLATION, "enough");
                Ok(())
            })
            .get("/page", path)
    })
}

fn connected() -> (Engine, Client, Log) {
    let log = Log::default();
    let engine = engine(&log);
    let client = engine.connect();
    upgrade(&client, "/ws");
    (engine, client, log)
}

#[test]
fn a_request_that_is_no_upgrade_or_of_another_version_is_426() {
    let engine = engine(&Log::default());
    for request in [get("/ws"), UPGRADE.replace("Version: 13", "Version: 8")] {
        let client = engine.connect();
        client.send([request, get("/page")].concat());
        let text = client.text();
        assert!(text.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{text}");
        assert!(text.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{text}");
        assert!(text.contains("\r\nUpgrade: websocket\r\n"), "{text}");
        assert!(text.ends_with(&ok("/page")), "{text}");
    }
    let client = engine.connect();
    client.send(UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"));
    assert!(client.text().starts_with("HTTP/1.1 400 Bad Request\r\n"));
}

#[test]
fn text_and_bytes_are_echoed() {
    let (_, client, _) = connected();
    client.send(frame(TEXT, "grüße".as_bytes()));
    expect_frame(&client, TEXT, "grüße");
    client.send(frame(BINARY, &[0, 255, 128]));
    expect_frame(&client, BINARY, [0, 255, 128]);
    client.send(frame(TEXT, b""));
    expect_frame(&client, TEXT, "");
    client.send([frame(TEXT, b"one"), frame(TEXT, b"two")].concat());
    let both = frames(&client.received());
    assert_eq!(both, [(TEXT, b"one".to_vec()), (TEXT, b"two".to_vec())]);
}

#[test]
fn frames_may_follow_the_handshake_at_once() {
    let client = engine(&Log::default()).connect();
    client.send([UPGRADE.as_bytes(), &frame(TEXT, b"early")].concat());
    let received = client.received();
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(frames(&received[end..]), [(TEXT, b"early".to_vec())]);
}

#[test]
fn fragments_are_put_together_and_pings_in_between_are_answered() {
    let (_, client, log) = connected();
    client.send(frame(0x01, b"one "));
    client.send(frame(PING, b"there?"));
    expect_frame(&client, PONG, "there?");
    client.send(frame(0x00, b"two "));
    client.expect_nothing();
    client.send(frame(0x80, b"three"));
    expect_frame(&client, TEXT, "one two three");
    assert_eq!(log.take(), ["handler"]);
}

#[test]
fn messages_split_at_every_byte_are_the_same_messages() {
    let stream = [
        frame(TEXT, "grüße".as_bytes()),
        frame(PING, b"p"),
        frame(0x02, b"ab"),
        frame(PONG, b""),
        frame(0x80, b"cd"),
        frame(BINARY, &[7; 200]),
    ]
    .concat();
    let expected = [
        (TEXT, "grüße".as_bytes().to_vec()),
        (PONG, b"p".to_vec()),
        (BINARY, b"abcd".to_vec()),
        (BINARY, vec![7; 200]),
    ];
    for split in 0..=stream.len() {
        let (_, client, _) = connected();
        client.send(&stream[..split]);
        client.send(&stream[split..]);
        assert_eq!(frames(&client.received()), expected, "split at {split}");
    }
    let (_, client, _) = connected();
    stream.chunks(1).for_each(|byte| client.send(byte));
    assert_eq!(frames(&client.received()), expected);
}

#[test]
fn a_ping_is_answered_without_a_handler() {
    let (engine, client, log) = connected();
    client.send(frame(PING, b"12345"));
    expect_frame(&client, PONG, "12345");
    client.send(frame(PONG, b"unasked"));
    client.expect_nothing();
    assert!(log.take().is_empty());
    assert_eq!(engine.lent(), 0);
}

#[test]
fn an_idle_websocket_holds_no_buffers_and_no_stack() {
    let (engine, stacks) =
        Engine::with_stacks(HttpConfig::default(), 9, |server| server.ws("/ws", echo));
    let clients: Vec<_> = (0..10).map(|_| engine.connect()).collect();
    for client in &clients {
        upgrade(client, "/ws");
        client.send(frame(TEXT, b"hello"));
    }
    let used = || stacks.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((engine.lent(), used()), (0, 0));
    clients[0].send(&frame(TEXT, b"hello")[..7]);
    assert_eq!((engine.lent(), used()), (1, 1));
    clients[0].send(&frame(TEXT, b"hello")[7..]);
    assert_eq!((engine.lent(), used()), (0, 0));
}

#[test]
fn a_close_is_answered_with_its_code() {
    for code in [1000_u16, 1001, 4999] {
        let (engine, client, _) = connected();
        client.send(frame(CLOSE, &[&code.to_be_bytes()[..], b"reason"].concat()));
        expect_close(&client, code);
        client.expect_lingering();
        client.finish();
        client.expect_closed();
        assert_eq!(engine.open(), 0);
    }
    let (_, client, _) = connected();
    client.send(frame(CLOSE, b""));
    expect_frame(&client, CLOSE, "");
}

#[test]
fn a_close_in_the_middle_of_a_message_ends_the_handler() {
    let (_, client, _) = connected();
    client.send(frame(0x01, b"half"));
    client.send(frame(CLOSE, &1000_u16.to_be_bytes()));
    expect_close(&client, 1000);
    client.expect_lingering();
}

#[test]
fn who_breaks_the_protocol_is_told_and_closed() {
    let mut unmasked = vec![TEXT, 2];
    unmasked.extend(b"hi");
    for (bytes, code) in [
        (unmasked, 1002),
        (frame(0xc1, b"rsv"), 1002),
        (frame(0x83, b"opcode"), 1002),
        (frame(0x80, b"continues nothing"), 1002),
        (frame(0x09, b"fragmented ping"), 1002),
        (frame(CLOSE, b"x"), 1002),
        (frame(CLOSE, &1005_u16.to_be_bytes()), 1002),
        (frame(TEXT, b"\xff"), 1007),
        ([frame(0x01, b"a"), frame(TEXT, b"b")].concat(), 1002),
    ] {
        let (_, client, _) = connected();
        client.send([bytes, frame(TEXT, b"nobody listens")].concat());
        expect_close(&client, code);
        client.expect_lingering();
    }
}

#[test]
fn a_message_over_the_limit_is_1009_to_the_byte() {
    let message = [b'x'; 1001];
    let (_, client, _) = connected();
    client.send(frame(TEXT, &message[..1000]));
    expect_frame(&client, TEXT, &message[..1000]);
    // Refused by its head: nothing of it is waited for.
    client.send(&frame(TEXT, &message)[..10]);
    expect_close(&client, 1009);
    client.expect_lingering();

    let (_, client, _) = connected();
    client.send([frame(0x01, &message[..999]), frame(0x80, b"xx")].concat());
    expect_close(&client, 1009);
}

#[test]
fn what_a_handler_does_not_read_is_dropped_and_the_next_message_starts_it_again() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.ws("/ws", move |ws: &mut WsRequest| -> Result {
            noted.note("started");
            ws.send("seen")
        })
    });
    let client = engine.connect();
    upgrade(&client, "/ws");
    client.send(frame(0x02, &[1; 300]));
    expect_frame(&client, TEXT, "seen");
    client.send([frame(0x00, &[2; 300]), frame(PING, b""), frame(0x80, &[3; 300])].concat());
    expect_frame(&client, PONG, "");
    client.send(frame(TEXT, b"next"));
    expect_frame(&client, TEXT, "seen");
    assert_eq!(log.take().len(), 2);
}

#[test]
fn a_client_that_sends_without_pause_does_not_keep_others_from_being_served() {
    let engine = engine(&Log::default());
    let flood = engine.connect_as(Peer { recv_len: 100, ..Peer::default() });
    upgrade(&flood, "/deaf");
    let other = engine.connect();
    flood.put(frame(BINARY, &[0; 100_000]));
    other.put(get("/page"));
    engine.poll_once();
    other.expect(ok("/page"));
    assert!(flood.unread() > 50_000);
    engine.run();
    assert_eq!(flood.unread(), 0);
}

#[test]
fn a_handler_can_close_with_a_code_and_does_not_wait_for_ever_for_the_answer() {
    let engine = engine(&Log::default());
    let client = engine.connect();
    upgrade(&client, "/bye");
    client.send(frame(TEXT, b"hello"));
    expect_frame(&client, CLOSE, b"\x03\xf0enough");
    client.send([frame(TEXT, b"too late"), frame(CLOSE, &1008_u16.to_be_bytes())].concat());
    client.expect_nothing();
    engine.advance(secs(2));
    client.expect_closed();

    let silent = engine.connect();
    upgrade(&silent, "/bye");
    silent.send(frame(TEXT, b"hello"));
    engine.advance(secs(2));
    silent.expect_closed();
}

#[test]
fn a_handler_that_fails_or_panics_closes_with_1011() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .ws("/fails", |ws: &mut WsRequest| -> Result {
                ws.message(99)?;
                "no number".parse::<u8>()?;
                Ok(())
            })
            .ws("/panics", |_: &mut WsRequest| -> Result {
                std::panic::resume_unwind(Box::new("on purpose"))
            })
    });
    for path in ["/fails", "/panics"] {
        let client = engine.connect();
        upgrade(&client, path);
        client.send(frame(TEXT, b"hello"));
        expect_close(&client, 1011);
        answer_close(&client, 1011);
    }
}

#[test]
fn a_message_that_stops_coming_is_the_clients_fault() {
    let (engine, client, _) = connected();
    client.send(frame(0x01, b"half"));
    engine.advance(secs(5));
    expect_close(&client, 1008);
    answer_close(&client, 1008);
}

#[test]
fn silent_clients_are_pinged_and_those_that_stay_silent_are_closed() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .ws("/ws", echo)
            .ws_keep_alive(KeepAlive { ping_every: secs(5), close_after: secs(10) })
    });
    let (alive, dead) = (engine.connect(), engine.connect());
    upgrade(&alive, "/ws");
    upgrade(&dead, "/ws");
    engine.advance(secs(3));
    // Any sign of life puts the ping off.
    alive.send(frame(TEXT, b"hi"));
    expect_frame(&alive, TEXT, "hi");
    engine.advance(secs(2));
    alive.expect_nothing();
    expect_frame(&dead, PING, "");
    engine.advance(secs(3));
    expect_frame(&alive, PING, "");
    for _ in 0..10 {
        alive.send(frame(PONG, b""));
        engine.advance(secs(5));
        expect_frame(&alive, PING, "");
    }
    dead.expect_nothing();
    dead.expect_closed();
    alive.expect_open();
    engine.advance(millis(9999));
    alive.expect_open();
    engine.advance(millis(1));
    alive.expect_closed();
    assert_eq!(engine.open(), 0);
}

#[test]
fn a_client_is_not_taken_for_dead_while_its_handler_works() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .ws("/ws", |ws: &mut WsRequest| -> Result {
                let first = ws.message(99)?;
                // The handler reads on: what comes is for it.
                let second = ws.message(99)?;
                ws.send(first)?;
                ws.send(second)
            })
            .ws_keep_alive(KeepAlive { ping_every: secs(1), close_after: secs(1) })
    });
    let client = engine.connect();
    upgrade(&client, "/ws");
    engine.advance(secs(1));
    expect_frame(&client, PING, "");
    client.send(frame(TEXT, b"one"));
    engine.advance(secs(4));
    client.send(frame(TEXT, b"two"));
    assert_eq!(frames(&client.received()), [(TEXT, b"one".to_vec()), (TEXT, b"two".to_vec())]);
    client.expect_open();
}

#[test]
fn no_ping_waits_for_an_answer_while_a_handler_works_on_messages_that_came_before() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .ws("/ws", |ws: &mut WsRequest| -> Result {
                if ws.message(99)?.payload() == b"slow" {
                    // Nothing that takes time here; a message that comes late does.
                    ws.message(99)?;
                }
                Ok(())
            })
            .ws_keep_alive(KeepAlive { ping_every: secs(1), close_after: secs(1) })
    });
    let client = engine.connect();
    upgrade(&client, "/ws");
    // More messages than fit into one turn, in one read.
    let messages = [frame(TEXT, b"quick").repeat(100), frame(TEXT, b"slow")].concat();
    client.send(messages);
    engine.advance(secs(4));
    client.expect_nothing();
    client.expect_open();
    client.send(frame(TEXT, b"late"));
    engine.advance(secs(1));
    expect_frame(&client, PING, "");
}
