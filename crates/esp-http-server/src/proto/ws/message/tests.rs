//! Tests of messages. Every exchange goes through [`events`], which also feeds it cut at every byte
//! and byte by byte: what arrives must not depend on the network.

use crate::proto::random;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::proto::ws::frame::CloseCode;

const LIMITS: Limits = Limits { message_len: 300, fragment_count: 8 };
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

/// Feeds `input` in pieces that end at `ends`.
fn events_in_steps(
    limits: Limits,
    input: &[u8],
    ends: impl Iterator<Item = usize>,
) -> Result<Vec<Got>, (Vec<Got>, WsError)> {
    let mut decoder = MessageDecoder::new(limits);
    let (mut got, mut message, mut at) = (Vec::new(), Vec::new(), 0);
    for end in ends {
        loop {
            // A copy, as what isn't consumed must be there again as it came.
            let mut piece = input[at..end].to_vec();
            let decoded = match decoder.decode(&mut piece) {
                Ok(decoded) => decoded,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut [0x82, 0x80, 0, 0, 0, 0]), Err(error), "final");
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
                Some(Event::Data { kind, data, end }) => {
                    message.extend_from_slice(&piece[data]);
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

fn events_within(limits: Limits, input: &[u8]) -> Result<Vec<Got>, (Vec<Got>, WsError)> {
    let whole = events_in_steps(limits, input, [input.len()].into_iter());
    for cut in 0..input.len() {
        let in_two = events_in_steps(limits, input, [cut, input.len()].into_iter());
        assert_eq!(in_two, whole, "cut at {cut}");
    }
    assert_eq!(events_in_steps(limits, input, 0..=input.len()), whole, "byte by byte");
    whole
}

fn events(frames: &[Vec<u8>]) -> Result<Vec<Got>, (Vec<Got>, WsError)> {
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
    let head = decoder.decode(&mut input).unwrap();
    assert!(matches!(head.event, Some(Event::Frame(FrameHead { len: 0, .. }))));
    let data = Some(Event::Data { kind: Binary, data: 0..0, end: End::Message });
    assert_eq!(decoder.decode(&mut []), Ok(Decoded { consumed: 0, event: data }));
    assert_eq!(decoder.decode(&mut []), Ok(Decoded { consumed: 0, event: None }));
}

#[test]
fn a_frames_length_is_known_before_its_payload() {
    let mut input = frame(0x02, b"hello");
    let mut decoder = MessageDecoder::new(LIMITS);
    let Decoded { consumed, event } = decoder.decode(&mut input).unwrap();
    assert!(matches!(event, Some(Event::Frame(FrameHead { len: 5, fin: false, .. }))));
    assert_eq!(decoder.frame_remaining(), 5);
    let decoded = decoder.decode(&mut input[consumed..consumed + 2]).unwrap();
    let data = Some(Event::Data { kind: Binary, data: 0..2, end: End::No });
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
    let unlimited = Limits { message_len: u64::MAX, fragment_count: u32::MAX };
    assert_eq!(events_within(unlimited, &head), Ok(vec![]));
}

#[test]
fn the_most_fragments_pass_and_one_more_does_not() {
    let with = |count: usize| {
        let mut frames = vec![frame(0x00, b""); count];
        frames[0][0] = 0x02;
        frames[count - 1][0] = 0x80;
        frames
    };
    for count in [7, 8] {
        assert_eq!(events(&with(count)).unwrap(), [Message(Binary, vec![])]);
    }
    assert_eq!(error(&with(9)), WsError::TooManyFragments { limit: 8 });
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
fn invalid_text_fails_with_its_first_byte() {
    let mut stream = Utf8Stream::default();
    assert_eq!(stream.push(b"ok \xf4"), Ok(()));
    assert_eq!(stream.push(b""), Ok(()));
    // Beyond U+10FFFF: known before the character is whole.
    assert_eq!(stream.push(b"\x90"), Err(WsError::NotUtf8));
}

#[test]
fn a_broken_end_of_text_does_not_reach_the_next_message() {
    let mut stream = Utf8Stream::default();
    stream.push(b"\xe2\x82").unwrap();
    assert_eq!(stream.finish(), Err(WsError::NotUtf8));
    assert_eq!(stream.push("€".as_bytes()).and_then(|()| stream.finish()), Ok(()));
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
    let text: Vec<String> = [WsError::Mask, WsError::MessageTooLong { limit: 300 }]
        .map(|error| alloc::format!("{error}"))
        .into();
    assert_eq!(text[0], "a client's frame is not masked, or a server's frame is");
    assert_eq!(text[1], "a message is longer than 300 bytes");
}
