//! Compressed messages: what is agreed on, both directions, limits, and what they cost.
#![cfg(feature = "deflate")]

use super::support::*;
use super::ws::{BINARY, TEXT, UPGRADE, expect_close, expect_frame, frame, frames};
use crate::handler::ws::encodes;
use crate::proto::ws::deflate::{
    Compression, ContextTakeover, DeflateConfig, Deflater, Inflater, Rest, WindowBits,
};
use crate::server::HttpConfig;
use crate::{Result, UriHandler, WsRequest};

/// A first byte with RSV1.
const COMPRESSED_TEXT: u8 = 0xc1;
const COMPRESSED_BINARY: u8 = 0xc2;

const TAKEOVER: DeflateConfig = {
    let side = Compression { window_bits: WindowBits::MAX, context_takeover: ContextTakeover::On };
    DeflateConfig { server: side, client: side }
};

fn engine(config: DeflateConfig) -> Engine {
    Engine::new(HttpConfig::default(), |server| {
        let echo = |ws: &mut WsRequest| -> Result {
            let message = ws.message(10_000)?;
            ws.send(message)
        };
        let deaf = |_: &mut WsRequest| -> Result { Ok(()) };
        let parts = |ws: &mut WsRequest| -> Result {
            let head = ws.frame_head()?;
            let (mut part, mut sum) = ([0; 100], 0);
            loop {
                match ws.recv(&mut part)? {
                    0 => return ws.send(format!("{} became {sum}", head.len)),
                    len => sum += len,
                }
            }
        };
        let fragments = |ws: &mut WsRequest| -> Result {
            let said = ws.message(1000)?;
            let mut message = ws.text_fragments()?;
            for piece in str::from_utf8(said.payload())?.split('|') {
                if piece == "sleep" {
                    message.sleep(secs(1))?;
                }
                message.send(piece)?;
            }
            message.finish()
        };
        let small = |ws: &mut WsRequest| -> Result {
            let len = ws.message(100)?.payload().len();
            ws.send(len.to_string())
        };
        server
            .uri_handler(UriHandler::ws("/ws", echo).deflate(config))
            .uri_handler(UriHandler::ws("/deaf", deaf).deflate(config))
            .uri_handler(UriHandler::ws("/parts", parts).deflate(config))
            .uri_handler(UriHandler::ws("/fragments", fragments).deflate(config))
            .uri_handler(UriHandler::ws("/small", small).deflate(config))
            .ws("/plain", echo)
    })
}

/// Opens a WebSocket with this offer, and gives what was agreed on.
fn upgrade(client: &Client, path: &str, offer: &str) -> Option<String> {
    let offer = format!("Host: a\r\nSec-WebSocket-Extensions: {offer}\r\n");
    client.send(UPGRADE.replace("/ws", path).replace("Host: a\r\n", &offer));
    let head = client.text();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let (_, agreed) = head.split_once("Sec-WebSocket-Extensions: ")?;
    Some(agreed.split_once("\r\n").unwrap().0.to_owned())
}

fn connected(config: DeflateConfig, path: &str) -> (Engine, Client) {
    let engine = engine(config);
    let client = engine.connect();
    assert!(upgrade(&client, path, "permessage-deflate").is_some());
    (engine, client)
}

/// The client's compressor and decompressor.
struct Codec {
    deflater: Deflater,
    inflater: Inflater,
    compression: Compression,
}

impl Codec {
    fn new(compression: Compression) -> Self {
        let inflater = Inflater::new(compression);
        Self { deflater: Deflater::new(), inflater, compression }
    }

    fn compress(&mut self, message: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        self.deflater.deflate(message, self.compression, &mut payload);
        payload
    }

    #[track_caller]
    fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut room = vec![0; 1 << 16];
        let inflated = self.inflater.inflate(payload, Rest::Ended, &mut room).unwrap();
        assert!(inflated.is_done);
        room.truncate(inflated.produced);
        room
    }
}

fn text(number: usize) -> Vec<u8> {
    format!("the same words again and again, number {number}; ").repeat(10).into_bytes()
}

#[test]
fn nothing_is_compressed_where_nobody_has_asked_for_it() {
    let engine = engine(DeflateConfig::default());
    let client = engine.connect();
    assert_eq!(upgrade(&client, "/plain", "permessage-deflate"), None);
    client.send(frame(TEXT, &text(1)));
    expect_frame(&client, TEXT, text(1));
    client.send(frame(COMPRESSED_TEXT, b"\x00"));
    expect_close(&client, 1002);
}

#[test]
fn what_is_agreed_on_is_the_configuration_and_what_the_client_wants() {
    let engine = engine(DeflateConfig::default());
    let client = engine.connect();
    let agreed =
        upgrade(&client, "/ws", "x-unknown, permessage-deflate; server_max_window_bits=10");
    assert_eq!(
        agreed.as_deref(),
        Some(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=10"
        )
    );
    let other = engine.connect();
    assert_eq!(upgrade(&other, "/ws", "permessage-deflate; unknown=1"), None);
}

#[test]
fn messages_go_compressed_in_both_directions_with_context_and_without() {
    for config in [DeflateConfig::default(), TAKEOVER] {
        let (engine, client) = connected(config, "/ws");
        let mut codec = Codec::new(config.server);
        let mut lens = Vec::new();
        for number in 0..5 {
            client.send(frame(COMPRESSED_TEXT, &codec.compress(&text(number))));
            let received = frames(&client.received());
            let [(COMPRESSED_TEXT, payload)] = &received[..] else { panic!("{received:?}") };
            assert_eq!(codec.inflate(payload), text(number));
            lens.push(payload.len());
            assert_eq!(engine.lent(), 0);
        }
        let is_shrinking = lens[4] < lens[0] / 2;
        assert_eq!(is_shrinking, config == TAKEOVER, "{lens:?}");
    }
}

#[test]
fn a_client_need_not_compress_and_what_is_no_shorter_goes_as_it_is() {
    let (_, client) = connected(DeflateConfig::default(), "/ws");
    client.send(frame(TEXT, b"ab"));
    expect_frame(&client, TEXT, "ab");
    client.send(frame(BINARY, &[9; 1000]));
    let received = frames(&client.received());
    assert!(received[0].0 == COMPRESSED_BINARY && received[0].1.len() < 100, "{received:?}");
    let mut codec = Codec::new(TAKEOVER.server);
    let (_, client) = connected(TAKEOVER, "/ws");
    for _ in 0..2 {
        // With context everything is compressed: the client's window must see it.
        client.send(frame(TEXT, b"ab"));
        let received = frames(&client.received());
        assert_eq!(
            (received[0].0, codec.inflate(&received[0].1)),
            (COMPRESSED_TEXT, b"ab".to_vec())
        );
    }
}

#[test]
fn fragments_of_a_compressed_message_are_put_together() {
    let (_, client) = connected(DeflateConfig::default(), "/ws");
    let payload = Codec::new(DeflateConfig::default().client).compress(&text(3));
    let (first, second) = payload.split_at(20);
    client.send([frame(0x41, first), frame(0x89, b"ping"), frame(0x80, second)].concat());
    let received = frames(&client.received());
    assert_eq!(received[0], (0x8a, b"ping".to_vec()));
    assert_eq!(Codec::new(DeflateConfig::default().server).inflate(&received[1].1), text(3));
}

#[test]
fn the_limit_of_a_message_holds_for_what_it_inflates_to() {
    for (len, is_taken) in [(10_000, true), (10_001, false)] {
        let (_, client) = connected(DeflateConfig::default(), "/ws");
        let payload = Codec::new(DeflateConfig::default().client).compress(&vec![b'x'; len]);
        assert!(payload.len() < 200);
        client.send(frame(COMPRESSED_TEXT, &payload));
        match is_taken {
            true => assert_eq!(frames(&client.received())[0].0, COMPRESSED_TEXT),
            false => expect_close(&client, 1009),
        }
    }
}

#[test]
fn what_can_not_be_inflated_is_1007() {
    let (_, client) = connected(DeflateConfig::default(), "/ws");
    client.send(frame(COMPRESSED_BINARY, b"\xff\xff\xff\xff"));
    expect_close(&client, 1007);
    let (_, client) = connected(DeflateConfig::default(), "/ws");
    let payload = Codec::new(DeflateConfig::default().client).compress(b"\xff\xfe no text");
    client.send(frame(COMPRESSED_TEXT, &payload));
    expect_close(&client, 1007);
}

#[test]
fn a_bomb_that_nobody_reads_is_inflated_in_turns_with_others() {
    let (engine, client) = connected(TAKEOVER, "/deaf");
    let other = engine.connect();
    upgrade(&other, "/plain", "");
    let payload = Codec::new(TAKEOVER.client).compress(&vec![0; 10_000_000]);
    client.put(frame(COMPRESSED_BINARY, &payload));
    other.put(frame(TEXT, b"hello"));
    engine.poll_once();
    expect_frame(&other, TEXT, "hello");
    let is_done = engine.waits().is_none_or(|time| time > secs(0));
    assert!(!is_done, "more is to be inflated than fits into a turn");
    engine.run();
    client.expect_open();
}

#[test]
fn a_handler_that_drops_a_bomb_lets_others_have_their_turn() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        let heads = |ws: &mut WsRequest| -> Result {
            ws.frame_head()?;
            let head = ws.frame_head()?;
            ws.send(format!("{} bytes", head.len))
        };
        server
            .uri_handler(UriHandler::ws("/ws", heads).deflate(DeflateConfig::default()))
            .get("/page", path)
    });
    let (client, other) = (engine.connect(), engine.connect());
    upgrade(&client, "/ws", "permessage-deflate");
    let payload = Codec::new(DeflateConfig::default().client).compress(&vec![0; 10_000_000]);
    client.put([frame(COMPRESSED_BINARY, &payload), frame(BINARY, b"next")].concat());
    other.put(get("/page"));
    engine.poll_once();
    other.expect(ok("/page"));
    client.expect_nothing();
    engine.advance(secs(1));
    expect_frame(&client, TEXT, "4 bytes");
}

#[test]
fn a_part_by_part_reader_is_given_inflated_parts() {
    let (_, client) = connected(DeflateConfig::default(), "/parts");
    let payload = Codec::new(DeflateConfig::default().client).compress(&text(1));
    client.send(frame(COMPRESSED_TEXT, &payload));
    let said = format!("{} became {}", payload.len(), text(1).len());
    expect_frame(&client, TEXT, said);
}

/// The frames that come for a message that is sent in these fragments, separated by `|`.
fn sent_in(client: &Client, pieces: &str) -> Vec<(u8, Vec<u8>)> {
    client.send(frame(TEXT, pieces.as_bytes()));
    frames(&client.received())
}

#[test]
fn fragments_that_a_handler_sends_are_compressed_one_by_one() {
    for config in [DeflateConfig::default(), TAKEOVER] {
        let (_, client) = connected(config, "/fragments");
        let mut codec = Codec::new(config.server);
        let word = "to and fro ".repeat(20);
        let pieces = [&*word, "x", &word];
        let mut lens = Vec::new();
        for _ in 0..3 {
            let received = sent_in(&client, &pieces.join("|"));
            let firsts: Vec<u8> = received.iter().map(|(first, _)| *first).collect();
            assert_eq!(firsts, [0x41, 0x00, 0x00, 0x80], "the first says it for all");
            let (mut payload, mut message) = (Vec::new(), Vec::new());
            for ((_, fragment), piece) in received.iter().zip(pieces) {
                // The client has all of a fragment with that, and not only with the next one.
                payload.extend_from_slice(fragment);
                message.extend_from_slice(piece.as_bytes());
                let mut reader = Codec::new(config.server);
                if config.server.context_takeover == ContextTakeover::Off {
                    assert_eq!(reader.inflate(&payload), message);
                }
            }
            assert_eq!(received[3].1, b"");
            assert_eq!(codec.inflate(&payload), message);
            lens.push(payload.len());
        }
        let is_shrinking = lens[2] < lens[0];
        assert_eq!(is_shrinking, config == TAKEOVER, "{lens:?}");
    }
}

#[test]
fn other_messages_are_compressed_between_fragments() {
    let (engine, client) = connected(DeflateConfig::default(), "/fragments");
    let other = engine.connect();
    upgrade(&other, "/ws", "permessage-deflate");
    let word = "fro and to ".repeat(20);
    client.send(frame(TEXT, format!("{word}|sleep|{word}").as_bytes()));
    let mut received = client.received();
    other.send(frame(TEXT, &text(1)));
    let echo = frames(&other.received());
    engine.advance(secs(1));
    received.extend(client.received());
    let payload: Vec<u8> = frames(&received).into_iter().flat_map(|(_, payload)| payload).collect();
    let said = format!("{word}sleep{word}");
    assert_eq!(Codec::new(DeflateConfig::default().server).inflate(&payload), said.as_bytes());
    assert_eq!(Codec::new(DeflateConfig::default().server).inflate(&echo[0].1), text(1));
}

#[test]
fn fragments_of_which_the_first_becomes_no_shorter_go_as_they_are() {
    let (_, client) = connected(DeflateConfig::default(), "/fragments");
    let long = "a".repeat(200);
    let received = sent_in(&client, &format!("ab|{long}"));
    let expected = [(0x01, b"ab".to_vec()), (0x00, long.into_bytes()), (0x80, vec![])];
    assert_eq!(received, expected);
    // With context the client's window must see it.
    let (_, client) = connected(TAKEOVER, "/fragments");
    let received = sent_in(&client, "ab|cd");
    assert_eq!(received[0].0, 0x41);
    let payload: Vec<u8> = received.into_iter().flat_map(|(_, payload)| payload).collect();
    assert_eq!(Codec::new(TAKEOVER.server).inflate(&payload), b"abcd");
    // Of nothing at all there is nothing to compress.
    assert_eq!(sent_in(&client, ""), [(0x81, vec![])]);
}

#[test]
fn a_sender_that_flushes_every_little_fragment_is_within_the_limit() {
    let (_, client) = connected(DeflateConfig::default(), "/small");
    let how = DeflateConfig::default().client;
    let mut deflater = Deflater::new();
    for len in [100_u8, 101] {
        let mut sent = Vec::new();
        for number in 0..len {
            let mut payload = Vec::new();
            deflater.deflate(&[number], how, &mut payload);
            let is_last = number == len - 1;
            if !is_last {
                payload.extend([0, 0, 0xff, 0xff]);
            }
            let opcode = if number == 0 { 0x42 } else { 0x00 };
            sent.extend(frame(opcode | if is_last { 0x80 } else { 0 }, &payload));
        }
        client.send(sent);
        match len {
            100 => expect_frame(&client, TEXT, "100"),
            _ => expect_close(&client, 1009),
        }
    }
}

#[test]
fn a_broadcast_is_compressed_once_for_all_that_share_a_window_and_has_no_context() {
    let engine = engine(DeflateConfig::default());
    let offers = [
        "permessage-deflate",
        "permessage-deflate",
        "permessage-deflate; server_max_window_bits=9",
        "permessage-deflate; server_max_window_bits=9",
        "",
    ];
    let clients = offers.map(|offer| {
        let client = engine.connect();
        upgrade(&client, "/ws", offer);
        client
    });
    encodes::take();
    for number in 0..2 {
        engine.handle().ws_broadcast(text(number)).unwrap();
        engine.run();
        assert_eq!(encodes::take(), 3, "as it is, and for two sizes of window");
        for (client, offer) in clients.iter().zip(offers) {
            let received = frames(&client.received());
            let (first, payload) = &received[0];
            match offer {
                "" => assert_eq!((*first, payload), (BINARY, &text(number))),
                _ => {
                    assert_eq!(*first, COMPRESSED_BINARY);
                    let mut codec = Codec::new(DeflateConfig::default().server);
                    assert_eq!(codec.inflate(payload), text(number));
                }
            }
        }
    }
}

#[test]
fn with_context_each_client_has_its_own_and_nothing_gets_between() {
    let engine = engine(TAKEOVER);
    let clients = [(); 2].map(|()| engine.connect());
    let mut codecs = [(); 2].map(|()| Codec::new(TAKEOVER.server));
    for client in &clients {
        upgrade(client, "/ws", "permessage-deflate");
    }
    for number in 0..4 {
        // One of them has heard more than the other.
        clients[0].send(frame(TEXT, &text(number)));
        engine.handle().ws_broadcast(text(number + 1)).unwrap();
        engine.handle().ws_client(clients[1].session()).send(text(number + 2)).unwrap();
        engine.run();
        let mut inflated = |at: usize| -> Vec<_> {
            let received = frames(&clients[at].received());
            received.iter().map(|(_, payload)| codecs[at].inflate(payload)).collect()
        };
        assert_eq!(inflated(0), [text(number), text(number + 1)]);
        assert_eq!(inflated(1), [text(number + 1), text(number + 2)]);
    }
}

#[test]
fn messages_of_a_queue_that_drops_keep_the_context() {
    let config = HttpConfig {
        ws_queue_policy: crate::WsQueuePolicy::DropOldest,
        ws_queue_len: 1256, // two that wait, with what it takes to keep them
        ..HttpConfig::default()
    };
    let engine = Engine::new(config, |server| {
        let deaf = |_: &mut WsRequest| -> Result { Ok(()) };
        server.uri_handler(UriHandler::ws("/ws", deaf).deflate(TAKEOVER))
    });
    let client = engine.connect();
    upgrade(&client, "/ws", "permessage-deflate");
    client.fill();
    for number in 0..6 {
        engine.handle().ws_broadcast(text(number)).unwrap();
        engine.run();
    }
    client.take(usize::MAX);
    let mut codec = Codec::new(TAKEOVER.server);
    let received = frames(&client.received());
    let inflated: Vec<_> = received.iter().map(|(_, it)| codec.inflate(it)).collect();
    assert_eq!(inflated, [text(0), text(4), text(5)]);
}
