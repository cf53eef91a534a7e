//! Tests of the way out. The inflater, which holds compressed data to its window, is their measure.

use super::*;
use crate::proto::random;
use crate::proto::ws::WsError;
use crate::proto::ws::deflate::inflater::tests::inflate;
use crate::proto::ws::deflate::support::compression;
use crate::proto::ws::deflate::{Inflater, Rest};

use ContextTakeover::{Off, On};

fn deflate(deflater: &mut Deflater, message: &[u8], compression: Compression) -> Vec<u8> {
    let mut out = b"before".to_vec();
    deflater.deflate(message, compression, &mut out);
    assert!(out.starts_with(b"before"));
    out.split_off(b"before".len())
}

/// What a client makes of a message.
fn receive(inflater: &mut Inflater, payload: &[u8]) -> Result<Vec<u8>, WsError> {
    let (mut message, mut rest) = (Vec::new(), payload);
    loop {
        let mut room = [0; 10_000];
        let inflated = inflater.inflate(rest, Rest::Ended, &mut room)?;
        message.extend_from_slice(&room[..inflated.produced]);
        rest = &rest[inflated.consumed..];
        if inflated.is_done {
            return Ok(message);
        }
    }
}

/// Text that repeats itself over short and long distances.
fn text(next: &mut impl FnMut(usize) -> usize, len: usize) -> Vec<u8> {
    let mut text: Vec<u8> = Vec::with_capacity(len);
    while text.len() < len {
        match next(4) {
            0 if !text.is_empty() => {
                let at = next(text.len());
                let end = text.len().min(at + 3 + next(300));
                text.extend_from_within(at..end);
            }
            1 => text.extend(core::iter::repeat_n(next(256) as u8, next(400))),
            _ => text.extend((0..next(50)).map(|_| b"etaoin shrdlu"[next(13)])),
        }
    }
    text.truncate(len);
    text
}

#[test]
fn the_example_of_the_rfc_is_written() {
    let mut deflater = Deflater::new();
    let hello = deflate(&mut deflater, b"Hello", compression(15, Off));
    assert_eq!(hello, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    assert_eq!(deflate(&mut deflater, b"", compression(15, Off)), b"\x00");
}

#[test]
fn empty_messages_are_a_zero_byte_in_any_row() {
    for context_takeover in [On, Off] {
        let how = compression(15, context_takeover);
        let mut deflater = Deflater::new();
        let messages = [&b""[..], b"", b"Hello", b"", b"", b"Hello"];
        let payloads = messages.map(|message| deflate(&mut deflater, message, how));
        assert_eq!([&payloads[0], &payloads[1], &payloads[3], &payloads[4]], [b"\x00"; 4]);
        let payloads = payloads.each_ref().map(Vec::as_slice);
        assert_eq!(inflate(how, &payloads), Ok(messages.map(Vec::from).to_vec()));
    }
}

#[test]
fn messages_are_compressed() {
    let mut deflater = Deflater::new();
    let json =
        br#"{"sensors":[{"id":17,"value":23.5},{"id":18,"value":23.0},{"id":19,"value":24.1}]}"#;
    let first = deflate(&mut deflater, json, compression(15, On));
    let second = deflate(&mut deflater, json, compression(15, On));
    assert!(first.len() < json.len(), "{} bytes", first.len());
    assert!(second.len() < first.len() / 2, "it points back to the first: {} bytes", second.len());
    let alone = deflate(&mut deflater, &json.repeat(100), compression(15, Off));
    assert!(alone.len() < 200, "{} bytes", alone.len());
}

#[test]
fn every_window_is_kept_and_every_message_arrives() {
    let mut next = random::numbers();
    for bits in 8..=15 {
        for context_takeover in [On, Off] {
            let how = compression(bits, context_takeover);
            let (mut deflater, mut client) = (Deflater::new(), Inflater::new(how));
            for round in 0..random::ROUNDS / 100 {
                let len = next([10, 300, 5_000, 100_000][round % 4]);
                let message = text(&mut next, len);
                let payload = deflate(&mut deflater, &message, how);
                assert!(!payload.is_empty());
                let received = receive(&mut client, &payload);
                assert!(received == Ok(message), "{how:?}, message {round} of {len} bytes");
            }
        }
    }
}

#[test]
fn a_client_with_a_smaller_window_would_notice() {
    let mut next = random::numbers();
    let noise: Vec<u8> = (0..300).map(|_| next(256) as u8).collect();
    let message = noise.repeat(3);
    for (bits, is_fine) in [(15, true), (9, true), (8, false)] {
        let payload = deflate(&mut Deflater::new(), &message, compression(15, Off));
        let mut client = Inflater::new(compression(bits, Off));
        assert_eq!(receive(&mut client, &payload).is_ok(), is_fine, "{bits} bits");
    }
}

#[test]
fn without_context_takeover_one_deflater_serves_many_clients() {
    let mut next = random::numbers();
    let mut deflater = Deflater::new();
    let mut clients: Vec<(Compression, Inflater)> =
        (8..=15).map(|bits| compression(bits, Off)).map(|how| (how, Inflater::new(how))).collect();
    for _ in 0..random::ROUNDS / 30 {
        let len = next(2_000);
        let message = text(&mut next, len);
        let (how, client) = &mut clients[next(8)];
        let payload = deflate(&mut deflater, &message, *how);
        assert_eq!(receive(client, &payload), Ok(message));
    }
}

#[test]
fn a_broadcast_for_the_smallest_window_is_good_for_all() {
    let mut next = random::numbers();
    let message = text(&mut next, 20_000);
    let payload = deflate(&mut Deflater::new(), &message, compression(9, Off));
    for (bits, context_takeover) in [(9, Off), (9, On), (12, On), (15, Off), (15, On)] {
        let mut client = Inflater::new(compression(bits, context_takeover));
        assert_eq!(receive(&mut client, &payload).as_ref(), Ok(&message));
    }
}

#[test]
fn a_message_without_context_points_at_nothing_before_it() {
    let mut deflater = Deflater::new();
    deflate(&mut deflater, &b"Hello".repeat(50), compression(15, On));
    let payload = deflate(&mut deflater, &b"Hello".repeat(50), compression(15, Off));
    let mut client = Inflater::new(compression(15, Off));
    assert_eq!(receive(&mut client, &payload), Ok(b"Hello".repeat(50)));
}

#[test]
fn a_message_in_fragments_arrives_whatever_is_compressed_between_them_without_context() {
    let mut next = random::numbers();
    for (bits, context_takeover) in [(8, On), (8, Off), (15, On), (15, Off)] {
        let how = compression(bits, context_takeover);
        let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new(how));
        for _ in 0..50 {
            let fragments: Vec<_> = (0..1 + next(5))
                .map(|_| {
                    let len = next(700);
                    text(&mut next, len)
                })
                .collect();
            let mut payload = deflate(&mut deflater, &fragments[0], how);
            for fragment in &fragments[1..] {
                if context_takeover == Off {
                    deflate(&mut deflater, b"of another connection", how);
                }
                deflater.deflate_more(fragment, how, &mut payload);
            }
            assert_eq!(receive(&mut inflater, &payload), Ok(fragments.concat()));
        }
    }
}
