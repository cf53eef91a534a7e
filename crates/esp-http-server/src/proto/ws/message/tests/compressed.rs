//! Tests of messages that come compressed (RFC 7692).

use super::*;
use crate::proto::ws::deflate::ContextTakeover::{Off, On};
use crate::proto::ws::deflate::Deflater;
use crate::proto::ws::deflate::support::{Bits, compression};

/// RFC 7692, section 7.2.3.1.
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
/// Section 7.2.3.2: as above, pointing back to it.
const HELLO_AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";

fn events_with(how: Compression, limits: Limits, frames: &[Vec<u8>]) -> Outcome {
    events_at(|| MessageDecoder::with_deflate(limits, how), &frames.concat())
}

/// With context takeover and the limits of all tests.
fn events(frames: &[Vec<u8>]) -> Outcome {
    events_with(compression(15, On), LIMITS, frames)
}

fn hello(kind: MessageKind) -> Got {
    Message(kind, b"Hello".into())
}

#[test]
fn the_examples_of_the_rfc_arrive() {
    assert_eq!(events(&[frame(0xc1, HELLO)]).unwrap(), [hello(Text)]);
    let fragments = [frame(0x41, &HELLO[..3]), frame(0x80, &HELLO[3..])];
    assert_eq!(events(&fragments).unwrap(), [hello(Text)]);
    let two = [frame(0xc1, HELLO), frame(0xc1, HELLO_AGAIN)];
    assert_eq!(events(&two).unwrap(), [hello(Text), hello(Text)]);
    for payload in [
        &b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"[..],
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    ] {
        assert_eq!(events(&[frame(0xc2, payload)]).unwrap(), [hello(Binary)]);
    }
    assert_eq!(events(&[frame(0xc1, b"\x00")]).unwrap(), [Message(Text, vec![])]);
}

#[test]
fn plain_messages_and_control_frames_stand_between_compressed_ones() {
    let got = events(&[
        frame(0xc1, HELLO),
        frame(0x81, b"plain"),
        frame(0x41, &HELLO_AGAIN[..1]),
        frame(0x89, b"ping"),
        frame(0x00, &HELLO_AGAIN[1..3]),
        frame(0x80, &HELLO_AGAIN[3..]),
        frame(0x88, b""),
    ]);
    let expected = [
        hello(Text),
        Message(Text, b"plain".into()),
        Ping(b"ping".into()),
        hello(Text),
        Close(vec![]),
    ];
    assert_eq!(got.unwrap(), expected);
}

#[test]
fn only_first_frames_of_data_are_marked_and_only_if_it_was_agreed_on() {
    for first in [0xc9, 0xca, 0xc8, 0xa1, 0xd1] {
        let (_, error) = events(&[frame(first, b"")]).unwrap_err();
        assert_eq!(error, WsError::ReservedBits, "{first:#x}");
    }
    let continuation = [frame(0x41, &HELLO[..3]), frame(0xc0, &HELLO[3..])];
    assert_eq!(events(&continuation).unwrap_err().1, WsError::ReservedBits);
    let (_, error) = super::events(&[frame(0xc1, HELLO)]).unwrap_err();
    assert_eq!(error, WsError::ReservedBits);
}

#[test]
fn fragments_may_be_cut_anywhere_and_empty() {
    for cut in 0..=HELLO.len() {
        let frames = [frame(0x41, &HELLO[..cut]), frame(0x00, b""), frame(0x80, &HELLO[cut..])];
        assert_eq!(events(&frames).unwrap(), [hello(Text)], "cut at {cut}");
    }
    let bytes = [frame(0x41, b""), frame(0x80, b"")];
    assert_eq!(events(&bytes).unwrap(), [Message(Text, vec![])]);
}

#[test]
fn inflated_text_is_utf8() {
    let mut deflater = Deflater::new();
    let mut compressed = |text: &[u8]| {
        let mut payload = Vec::new();
        deflater.deflate(text, compression(15, Off), &mut payload);
        payload
    };
    let greeting = compressed("Grüße €".as_bytes());
    assert_eq!(events(&[frame(0xc1, &greeting)]).unwrap(), [Message(Text, "Grüße €".into())]);
    for invalid in [&b"a\xff"[..], b"\xe2\x82", b"\xed\xa0\x80"] {
        let payload = compressed(invalid);
        let (_, error) = events(&[frame(0xc1, &payload)]).unwrap_err();
        assert_eq!(error, WsError::NotUtf8);
        assert_eq!(events(&[frame(0xc2, &payload)]).unwrap(), [Message(Binary, invalid.into())]);
    }
}

#[test]
fn of_text_that_is_wrong_and_too_long_the_first_fault_is_told() {
    let how = compression(15, Off);
    let mut deflater = Deflater::new();
    for (at, expected) in [
        (0, WsError::NotUtf8),
        (299, WsError::NotUtf8),
        (300, WsError::MessageTooLong { limit: 300 }),
    ] {
        let mut text = [b'a'; 400];
        text[at] = 0xff;
        let mut payload = Vec::new();
        deflater.deflate(&text, how, &mut payload);
        let (_, error) = events_with(how, LIMITS, &[frame(0xc1, &payload)]).unwrap_err();
        assert_eq!(error, expected, "{at}");
    }
}

#[test]
fn what_cannot_be_inflated_is_refused() {
    for payload in [&b"\x06"[..], b"\xf2\x48", b"\xff\xff\xff", HELLO_AGAIN] {
        assert_eq!(events(&[frame(0xc2, payload)]), Err((vec![], WsError::NotDeflate)));
    }
    let without = [frame(0xc1, HELLO), frame(0xc1, HELLO_AGAIN)];
    let got = events_with(compression(15, Off), LIMITS, &without);
    assert_eq!(got, Err((vec![hello(Text)], WsError::NotDeflate)));
}

#[test]
fn a_fault_is_told_before_its_frame_ends() {
    let what_cannot_follow = vec![0x00, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (got, error) = events(&[
        frame(0x42, b"\x4a\x44"),
        frame(0x00, b"\x00\x76\x76\x76\x76\x76\x48\x89\x89"),
        what_cannot_follow,
    ])
    .unwrap_err();
    assert_eq!((got, error), (vec![], WsError::NotDeflate));
}

#[test]
fn the_limit_holds_for_what_a_message_inflates_to() {
    let zeros = |len: usize| {
        // One, and then three at a time, or 258.
        let bits = Bits::default().literal(0);
        bits.repeat(1, 258, (len - 1) / 258).repeat(1, 3, (len - 1) % 258 / 3).end()
    };
    for len in [298, 301, 304] {
        let limits = |message_len| Limits { message_len, ..LIMITS };
        let payload = zeros(len);
        let one = [frame(0xc2, &payload)];
        let two = [frame(0x42, &payload[..3]), frame(0x80, &payload[3..])];
        for frames in [&one[..], &two] {
            let whole = Ok(vec![Message(Binary, vec![0; len])]);
            for limit in [len as u64, len as u64 + 1, u64::MAX] {
                assert_eq!(events_with(compression(15, Off), limits(limit), frames), whole);
            }
            for limit in [len as u64 - 1, len as u64 / 2, 1, 0] {
                let long = WsError::MessageTooLong { limit };
                let got = events_with(compression(15, Off), limits(limit), frames);
                assert_eq!(got, Err((vec![], long)));
            }
        }
    }
}

/// A kilobyte that would be a megabyte.
#[test]
fn a_bomb_stops_at_the_limit() {
    let bomb = Bits::default().literal(0).repeat(1, 258, 4_000).end();
    let mut decoder = MessageDecoder::with_deflate(LIMITS, compression(15, On));
    let mut input = frame(0xc2, &bomb);
    let (mut at, mut message) = (0, Vec::new());
    let error = loop {
        match decoder.decode_into(&mut input[at..], &mut message) {
            Ok(decoded) => at += decoded.consumed,
            Err(error) => break error,
        }
        assert!(message.len() <= 300);
    };
    assert_eq!(error, WsError::MessageTooLong { limit: 300 });
    assert_eq!(error.close_code(), CloseCode::TOO_BIG);
}

/// Empty blocks inflate to nothing, however many there are.
#[test]
fn the_limit_holds_for_what_comes_over_the_wire() {
    let empty_blocks =
        |count: usize| [&b"\x00\x00\x00\xff\xff".repeat(count)[..], b"\x00"].concat();
    let len_limit = 300 + 300 / 8 + 64;
    assert_eq!(len_limit, 401);
    let passes = frame(0xc2, &empty_blocks(80));
    assert_eq!(events(&[passes]).unwrap(), [Message(Binary, vec![])]);
    let (_, error) = events(&[frame(0xc2, &empty_blocks(81))]).unwrap_err();
    assert_eq!(error, WsError::MessageTooLong { limit: 300 });
    // Each further frame may have ended with a flush.
    let passes = [frame(0x42, b""), frame(0x80, &empty_blocks(83))];
    assert_eq!(events(&passes).unwrap(), [Message(Binary, vec![])]);
    let (_, error) = events(&[frame(0x42, b""), frame(0x80, &empty_blocks(84))]).unwrap_err();
    assert_eq!(error, WsError::MessageTooLong { limit: 300 });
    // What can't be compressed still fits.
    let mut next = random::numbers();
    let noise: Vec<u8> = (0..300).map(|_| 144 + next(112) as u8).collect();
    let mut payload = Vec::new();
    Deflater::new().deflate(&noise, compression(8, Off), &mut payload);
    assert!(payload.len() > 300);
    assert_eq!(events(&[frame(0xc2, &payload)]).unwrap(), [Message(Binary, noise)]);
}

#[test]
fn the_limit_may_change_while_a_message_is_inflated() {
    let mut decoder = MessageDecoder::with_deflate(LIMITS, compression(15, Off));
    let (mut input, mut message) = (frame(0xc1, HELLO), Vec::new());
    let head = decoder.decode_into(&mut input, &mut message).unwrap();
    assert!(decoder.needs_room());
    let part = &mut input[head.consumed..head.consumed + 4];
    decoder.decode_into(part, &mut message).unwrap();
    let len = message.len() as u64;
    assert!((1..5).contains(&len));
    assert_eq!(decoder.set_message_len(len), Ok(()));
    let long = WsError::MessageTooLong { limit: len - 1 };
    assert_eq!(decoder.set_message_len(len - 1), Err(long));
}

#[test]
fn a_message_that_nobody_wants_still_moves_the_window() {
    let mut decoder = MessageDecoder::with_deflate(LIMITS, compression(15, On));
    let mut input = frame(0xc1, HELLO);
    let mut at = 0;
    loop {
        let decoded = decoder.decode(&mut input[at..], &mut [0; 2]).unwrap();
        at += decoded.consumed;
        if matches!(decoded.event, Some(Event::Data { end: End::Message, .. })) {
            break;
        }
    }
    let (mut input, mut message) = (frame(0xc1, HELLO_AGAIN), Vec::new());
    let head = decoder.decode_into(&mut input, &mut message).unwrap();
    decoder.decode_into(&mut input[head.consumed..], &mut message).unwrap();
    assert_eq!(message, b"Hello");
}

/// Frame by frame: what a frame inflates to is there when the frame ends.
#[test]
fn frames_end_where_their_payload_does() {
    let mut decoder = MessageDecoder::with_deflate(LIMITS, compression(15, On));
    let (mut ends, mut sum) = (Vec::new(), Vec::new());
    for mut input in [frame(0x41, &HELLO[..4]), frame(0x00, b""), frame(0x80, &HELLO[4..])] {
        let mut message = Vec::new();
        let head = decoder.decode_into(&mut input, &mut message).unwrap();
        assert!(matches!(head.event, Some(Event::Frame(_))));
        let decoded = decoder.decode_into(&mut input[head.consumed..], &mut message).unwrap();
        let Some(Event::Data { kind: Text, payload, end }) = decoded.event else {
            panic!("{decoded:?}");
        };
        assert_eq!(payload, Payload::Room(0..message.len()));
        assert_eq!(decoder.frame_remaining(), 0);
        ends.push(end);
        sum.extend(message);
    }
    assert_eq!(ends, [End::Frame, End::Frame, End::Message]);
    assert_eq!(sum, b"Hello");
}

/// Groups 12 and 13 of the Autobahn TestSuite: many messages, in windows and frames of all sizes.
#[test]
fn long_conversations_arrive() {
    let mut next = random::numbers();
    for bits in [8, 9, 12, 15] {
        for context_takeover in [On, Off] {
            let how = compression(bits, context_takeover);
            let limits = Limits { message_len: 200_000, fragment_count: 1 << 16, ..LIMITS };
            let mut decoder = MessageDecoder::with_deflate(limits, how);
            let mut deflater = Deflater::new();
            for round in 0..random::ROUNDS / 100 {
                let len =
                    [16, 64, 256, 1_024, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072][round % 10];
                let text: Vec<u8> =
                    (0..len).map(|index| b"lorem ipsum "[index / 7 * next(3) % 12]).collect();
                let mut payload = Vec::new();
                deflater.deflate(&text, how, &mut payload);
                let mut frames: Vec<Vec<u8>> =
                    payload.chunks(1 + next(1_500)).map(|part| frame(0x00, part)).collect();
                frames[0][0] |= 0x41;
                frames.last_mut().unwrap()[0] |= 0x80;
                let (mut input, mut at, mut message) = (frames.concat(), 0, Vec::new());
                loop {
                    let end = input.len().min(at + 2_000);
                    let decoded = decoder.decode_into(&mut input[at..end], &mut message).unwrap();
                    at += decoded.consumed;
                    if matches!(decoded.event, Some(Event::Data { end: End::Message, .. })) {
                        break;
                    }
                }
                assert!(message == text && at == input.len(), "{how:?}, message {round}");
            }
        }
    }
}

#[test]
fn mutated_messages_never_panic_and_never_depend_on_the_cut() {
    let seed = [
        frame(0x41, &HELLO[..2]),
        frame(0x89, b"p"),
        frame(0x80, &HELLO[2..]),
        frame(0xc1, HELLO_AGAIN),
    ]
    .concat();
    let mut next = random::numbers();
    for _ in 0..random::ROUNDS / 10 {
        let mut input = seed.clone();
        for _ in 0..=next(2) {
            let at = next(input.len());
            match next(3) {
                0 => drop(input.remove(at)),
                1 => input.insert(at, next(256) as u8),
                _ => input[at] ^= 1 << next(8),
            }
        }
        let how = compression(8, if next(2) == 0 { On } else { Off });
        let _ = events_with(how, LIMITS, &[input]);
    }
}
