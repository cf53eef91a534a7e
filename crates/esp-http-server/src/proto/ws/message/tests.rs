//! Tests of messages. Every exchange goes through [`events`], which also feeds it cut at every byte
//! and byte by byte: what arrives must not depend on the network.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::proto::random;
use crate::proto::ws::frame::CloseCode;

mod autobahn;
#[cfg(feature = "deflate")]
mod compressed;

const LIMITS: Limits = Limits { message_len: 300, fragment_count: 8, empty_fragment_count: 4 };
const KEY: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// What arrived, with payload put together.
#[derive(Clone, Debug, PartialEq)]
enum Got {
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Vec<u8>),
}

use Got::*;
use MessageKind::*;

type Outcome = Result<Vec<Got>, (Vec<Got>, WsError)>;

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let head = FrameHead {
        fin: true,
        rsv: Rsv::NONE,
        opcode: Opcode::Binary,
        len: payload.len() as u64,
        mask: Some(KEY),
    };
    frame::encode_head(&mut out, &head);
    out[0] = first;
    let start = out.len();
    out.extend_from_slice(payload);
    frame::apply_mask(&mut out[start..], KEY, 0);
    out
}

/// How a test reads.
#[derive(Clone, Copy)]
enum Reading {
    /// By [`MessageDecoder::decode_into`].
    Whole,
    /// By [`MessageDecoder::decode`], with so much room.
    Room(usize),
}

/// Feeds `input` in pieces that end at `ends`.
fn events_in_steps(
    mut decoder: MessageDecoder,
    reading: Reading,
    input: &[u8],
    ends: impl Iterator<Item = usize>,
) -> Outcome {
    let (mut got, mut message, mut at) = (Vec::new(), Vec::new(), 0);
    for end in ends {
        loop {
            // A copy, as what isn't consumed must be there again as it came.
            let mut piece = input[at..end].to_vec();
            let mut room = vec![0; if let Reading::Room(len) = reading { len } else { 0 }];
            let result = match reading {
                Reading::Whole => decoder.decode_into(&mut piece, &mut message),
                Reading::Room(_) => decoder.decode(&mut piece, &mut room),
            };
            let decoded = match result {
                Ok(decoded) => decoded,
                Err(error) => {
                    let again = decoder.decode(&mut [0x82, 0x80, 0, 0, 0, 0], &mut room);
                    assert_eq!(again, Err(error), "final");
                    return Err((got, error));
                }
            };
            if decoded.event.is_none() {
                assert_eq!(piece[decoded.consumed..], input[at + decoded.consumed..end]);
            }
            at += decoded.consumed;
            match decoded.event {
                None => break,
                Some(Event::Frame(_)) => {}
                Some(Event::Data { kind, payload, end }) => {
                    match (reading, payload) {
                        (Reading::Whole, Payload::Room(data)) => {
                            assert_eq!(data.end, message.len())
                        }
                        (Reading::Whole, Payload::Input(_)) => panic!("it is in the message"),
                        (_, Payload::Room(data)) => message.extend_from_slice(&room[data]),
                        (_, Payload::Input(data)) => message.extend_from_slice(&piece[data]),
                    }
                    if end == End::Message {
                        got.push(Message(kind, core::mem::take(&mut message)));
                    }
                }
                Some(Event::Ping(payload)) => got.push(Ping(piece[payload].to_vec())),
                Some(Event::Pong(payload)) => got.push(Pong(piece[payload].to_vec())),
                Some(Event::Close(payload)) => got.push(Close(piece[payload].to_vec())),
            }
        }
    }
    Ok(got)
}

/// What arrives at a decoder, made anew for each way to cut and to read the input.
fn events_at(decoder: impl Fn() -> MessageDecoder, input: &[u8]) -> Outcome {
    let whole = events_in_steps(decoder(), Reading::Whole, input, [input.len()].into_iter());
    for reading in [Reading::Whole, Reading::Room(1), Reading::Room(7)] {
        for cut in random::cuts(input.len()) {
            let ends = [cut, input.len()].into_iter();
            assert_eq!(events_in_steps(decoder(), reading, input, ends), whole, "cut at {cut}");
        }
        let every_byte = events_in_steps(decoder(), reading, input, random::drips(input.len()));
        assert_eq!(every_byte, whole, "byte by byte");
    }
    whole
}

fn events_within(limits: Limits, input: &[u8]) -> Outcome {
    events_at(|| MessageDecoder::new(limits), input)
}

fn events(frames: &[Vec<u8>]) -> Outcome {
    events_within(LIMITS, &frames.concat())
}

fn error(frames: &[Vec<u8>]) -> WsError {
    events(frames).expect_err("refused").1
}

#[test]
fn messages_arrive_whole() {
    let got = events(&[
        frame(0x81, "Grüße".as_bytes()),
        frame(0x82, b"\xff\x00"),
        frame(0x82, &[7; 200]),
        frame(0x81, b""),
    ]);
    let expected = [
        Message(Text, "Grüße".into()),
        Message(Binary, vec![0xff, 0]),
        Message(Binary, vec![7; 200]),
        Message(Text, vec![]),
    ];
    assert_eq!(got.unwrap(), expected);
}

#[test]
fn fragments_are_joined_around_control_frames() {
    let got = events(&[
        frame(0x01, b"a"),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x8a, b""),
        frame(0x00, b"b"),
        frame(0x80, b"c"),
        frame(0x02, b""),
        frame(0x80, b""),
    ]);
    let expected =
        [Ping(b"ping".into()), Pong(vec![]), Message(Text, b"abc".into()), Message(Binary, vec![])];
    assert_eq!(got.unwrap(), expected);
}

#[test]
fn an_empty_frame_gives_its_data_once() {
    let mut input = frame(0x82, b"");
    let mut decoder = MessageDecoder::new(LIMITS);
    let head = decoder.decode(&mut input, &mut []).unwrap();
    assert!(matches!(head.event, Some(Event::Frame(FrameHead { len: 0, .. }))));
    let payload = Payload::Input(0..0);
    let event = Some(Event::Data { kind: Binary, payload, end: End::Message });
    assert_eq!(decoder.decode(&mut [], &mut []), Ok(Decoded { consumed: 0, event }));
    assert_eq!(decoder.decode(&mut [], &mut []), Ok(NOTHING));
}

#[test]
fn a_frames_length_is_known_before_its_payload() {
    let mut input = frame(0x02, b"hello");
    let mut decoder = MessageDecoder::new(LIMITS);
    let Decoded { consumed, event } = decoder.decode(&mut input, &mut []).unwrap();
    assert!(matches!(event, Some(Event::Frame(FrameHead { len: 5, fin: false, .. }))));
    assert_eq!(decoder.frame_remaining(), 5);
    let decoded = decoder.decode(&mut input[consumed..consumed + 2], &mut []).unwrap();
    let data = Some(Event::Data { kind: Binary, payload: Payload::Input(0..2), end: End::No });
    assert_eq!((decoded.event, &input[consumed..consumed + 2]), (data, &b"he"[..]));
    assert_eq!(decoder.frame_remaining(), 3);
}

#[test]
fn fragments_come_in_order() {
    assert_eq!(error(&[frame(0x80, b"a")]), WsError::UnexpectedContinuation);
    let ended = [frame(0x01, b"a"), frame(0x80, b"b"), frame(0x80, b"c")];
    assert_eq!(error(&ended), WsError::UnexpectedContinuation);
    assert_eq!(error(&[frame(0x01, b"a"), frame(0x81, b"b")]), WsError::InterleavedMessage);
    assert_eq!(error(&[frame(0x02, b"a"), frame(0x02, b"b")]), WsError::InterleavedMessage);
}

#[test]
fn frames_that_break_the_framing_are_refused() {
    assert_eq!(error(&[b"\x81\x05Hello".to_vec()]), WsError::Mask);
    assert_eq!(error(&[frame(0xc1, b"a")]), WsError::ReservedBits);
    assert_eq!(error(&[frame(0x83, b"a")]), WsError::ReservedOpcode(3));
    assert_eq!(error(&[frame(0x09, b"a")]), WsError::ControlFrame);
    assert_eq!(error(&[frame(0x89, &[0; 126])]), WsError::ControlFrame);
    assert_eq!(events(&[frame(0x89, &[0; 125])]).unwrap(), [Ping(vec![0; 125])]);
}

#[test]
fn the_longest_message_passes_and_one_byte_more_does_not() {
    for len in [299, 300] {
        assert_eq!(events(&[frame(0x82, &vec![1; len])]).unwrap().len(), 1);
        let halves = [frame(0x02, &[1; 150]), frame(0x80, &vec![1; len - 150])];
        assert_eq!(events(&halves).unwrap(), [Message(Binary, vec![1; len])]);
    }
    let long = WsError::MessageTooLong { limit: 300 };
    assert_eq!(error(&[frame(0x82, &[1; 301])]), long);
    assert_eq!(error(&[frame(0x02, &[1; 150]), frame(0x80, &[1; 151])]), long);
    assert_eq!(long.close_code(), CloseCode::TOO_BIG);
    // The head is enough: no byte of the payload is waited for, and no length overflows.
    let head = [&b"\x82\xff"[..], &(u64::MAX >> 1).to_be_bytes(), &KEY].concat();
    assert_eq!(error(&[frame(0x02, b"a"), [b"\x80", &head[1..]].concat()]), long);
    let unlimited = Limits { message_len: u64::MAX, ..LIMITS };
    assert_eq!(events_within(unlimited, &head), Ok(vec![]));
}

#[test]
fn the_limit_may_change_while_a_message_arrives() {
    let mut decoder = MessageDecoder::new(LIMITS);
    let mut input = frame(0x02, &[1; 100]);
    decoder.decode(&mut input, &mut []).unwrap();
    for limit in [u64::MAX, 101, 100] {
        assert_eq!(decoder.set_message_len(limit), Ok(()));
    }
    let long = WsError::MessageTooLong { limit: 99 };
    assert_eq!(decoder.set_message_len(99), Err(long));
    assert_eq!(decoder.decode(&mut input, &mut []), Err(long), "it is final");

    let mut decoder = MessageDecoder::new(LIMITS);
    assert_eq!(decoder.set_message_len(0), Ok(()), "there is no message yet");
    assert_eq!(
        decoder.decode(&mut frame(0x82, b"a"), &mut []),
        Err(WsError::MessageTooLong { limit: 0 })
    );
}

#[test]
fn the_most_fragments_pass_and_one_more_does_not() {
    let with = |count: usize| {
        let mut frames = vec![frame(0x00, b"a"); count];
        frames[0][0] = 0x02;
        frames[count - 1][0] = 0x80;
        frames
    };
    for count in [7, 8] {
        assert_eq!(events(&with(count)).unwrap(), [Message(Binary, vec![b'a'; count])]);
    }
    let error = error(&with(9));
    assert_eq!(error, WsError::TooManyFragments { limit: 8 });
    assert_eq!(error.close_code(), CloseCode::TOO_BIG);
}

#[test]
fn a_flood_of_empty_fragments_ends_at_its_limit() {
    let with = |count: usize| {
        let mut frames = vec![frame(0x00, b""); count + 1];
        frames[0] = frame(0x01, b"a");
        frames[count][0] = 0x80;
        frames
    };
    for count in [3, 4] {
        assert_eq!(events(&with(count)).unwrap(), [Message(Text, b"a".into())]);
    }
    let flood = error(&with(5));
    assert_eq!(flood, WsError::TooManyEmptyFragments { limit: 4 });
    assert_eq!(flood.close_code(), CloseCode::POLICY_VIOLATION);
    let two_messages = [with(4), with(4)].concat();
    assert_eq!(events(&two_messages).unwrap().len(), 2, "the limit is one message's");
}

#[test]
fn a_frame_is_read_in_parts_into_a_buffer_of_any_size() {
    let text = "Grüße aus Köln".as_bytes();
    for buffer_len in 1..=text.len() + 1 {
        let mut input = frame(0x81, text);
        let mut decoder = MessageDecoder::new(LIMITS);
        let Decoded { consumed: mut at, event } = decoder.decode(&mut input, &mut []).unwrap();
        assert!(matches!(event, Some(Event::Frame(head)) if head.len == text.len() as u64));
        let mut read = Vec::new();
        loop {
            let part_len = buffer_len.min(input.len() - at);
            let part = &mut input[at..at + part_len];
            let decoded = decoder.decode(part, &mut []).unwrap();
            let Some(Event::Data { payload: Payload::Input(data), end, .. }) = decoded.event else {
                panic!("there is a part: {decoded:?}");
            };
            read.extend_from_slice(&part[data]);
            at += decoded.consumed;
            assert_eq!(decoder.frame_remaining() as usize, text.len() - read.len());
            if end == End::Message {
                break;
            }
        }
        assert_eq!(read, text);
    }
}

#[test]
fn text_is_utf8_however_it_is_cut() {
    let text = "aé€\u{10ffff}z";
    for cut in 0..=text.len() {
        let (first, second) = text.as_bytes().split_at(cut);
        let got = events(&[frame(0x01, first), frame(0x80, second)]);
        assert_eq!(got.unwrap(), [Message(Text, text.into())], "cut at {cut}");
    }
    for invalid in [
        &b"\xff"[..],
        b"\x80",
        b"\xc3",
        b"a\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x28\xa1",
    ] {
        assert_eq!(error(&[frame(0x81, invalid)]), WsError::NotUtf8, "{invalid:?}");
        for cut in 0..=invalid.len() {
            let (first, second) = invalid.split_at(cut);
            let frames = [frame(0x01, first), frame(0x80, second)];
            assert_eq!(error(&frames), WsError::NotUtf8, "{invalid:?} cut at {cut}");
        }
        assert!(events(&[frame(0x82, invalid)]).is_ok(), "binary may be anything");
    }
    assert_eq!(WsError::NotUtf8.close_code(), CloseCode::INVALID_DATA);
}

#[test]
fn nothing_is_read_behind_a_close() {
    let got = events(&[frame(0x88, b"\x03\xe8bye"), frame(0x83, b"junk"), frame(0x81, b"late")]);
    assert_eq!(got.unwrap(), [Close(b"\x03\xe8bye".into())]);
    assert_eq!(events(&[frame(0x88, b"")]).unwrap(), [Close(vec![])]);
}

#[test]
fn close_payloads_are_checked() {
    for (payload, expected) in [
        (&b"\x03"[..], WsError::ClosePayload),
        (b"\x03\xed", WsError::ClosePayload),
        (b"\x00\x00", WsError::ClosePayload),
        (b"\x03\xe8\xc3", WsError::NotUtf8),
    ] {
        assert_eq!(error(&[frame(0x88, payload)]), expected, "{payload:?}");
    }
}

#[test]
fn mutated_frames_never_panic_and_never_depend_on_the_cut() {
    let seed = [
        frame(0x01, "aé".as_bytes()),
        frame(0x89, b"p"),
        frame(0x80, "€z".as_bytes()),
        frame(0x88, b"\x03\xe8x"),
    ]
    .concat();
    let mut next = random::numbers();
    for _ in 0..random::ROUNDS {
        let mut input = seed.clone();
        for _ in 0..=next(2) {
            let at = next(input.len());
            match next(3) {
                0 => drop(input.remove(at)),
                1 => input.insert(at, next(256) as u8),
                _ => input[at] ^= 1 << next(8),
            }
        }
        let _ = events_within(LIMITS, &input);
    }
}

#[test]
fn errors_are_told_to_people() {
    for (error, text) in [
        (WsError::Mask, "a client's frame is not masked, or a server's frame is"),
        (WsError::NotDeflate, "a compressed message can't be inflated"),
        (WsError::MessageTooLong { limit: 300 }, "a message is longer than 300 bytes"),
        (WsError::TooManyFragments { limit: 8 }, "a message comes in more than 8 frames"),
        (WsError::TooManyEmptyFragments { limit: 4 }, "a message has more than 4 empty frames"),
    ] {
        assert_eq!(alloc::format!("{error}"), text);
    }
}
