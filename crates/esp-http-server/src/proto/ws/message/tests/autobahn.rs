//! The cases of the Autobahn TestSuite (crossbario/autobahn-testsuite) that can be decided on bytes
//! alone. The table of group 6 is that of Markus Kuhn's UTF-8 decoder stress test, as the suite uses
//! it.

use super::*;

/// The code that a client which sends these frames is closed with.
fn closed_with(frames: &[Vec<u8>]) -> u16 {
    error(frames).close_code().code()
}

/// 1.1 and 1.2: the lengths at which the form of the length changes.
#[test]
fn group_1_messages_of_all_lengths_arrive() {
    let limits = Limits { message_len: 65_536, ..LIMITS };
    for len in [0, 125, 126, 127, 128, 65_535, 65_536] {
        for (first, kind) in [(0x81, Text), (0x82, Binary)] {
            let payload = vec![b'*'; len];
            let input = frame(first, &payload);
            let expected = Ok(vec![Message(kind, payload)]);
            for step in [input.len(), 997] {
                let ends = (0..input.len()).step_by(step).chain([input.len()]);
                let decoder = MessageDecoder::new(limits);
                assert_eq!(events_in_steps(decoder, Reading::Whole, &input, ends), expected);
            }
        }
    }
}

#[test]
fn group_2_pings_and_pongs_arrive_whole() {
    for payload in [&b""[..], b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", &[0xfe; 125]] {
        assert_eq!(events(&[frame(0x89, payload)]).unwrap(), [Ping(payload.into())]);
        let pong_then_ping = events(&[frame(0x8a, payload), frame(0x89, payload)]);
        assert_eq!(pong_then_ping.unwrap(), [Pong(payload.into()), Ping(payload.into())]);
    }
    assert_eq!(closed_with(&[frame(0x89, &[0xfe; 126])]), 1002); // 2.5
    let ten: Vec<Vec<u8>> = (0..10).map(|number| frame(0x89, &[number])).collect();
    assert_eq!(events(&ten).unwrap().len(), 10); // 2.10
}

#[test]
fn group_3_reserved_bits_fail_and_what_came_before_counts() {
    for rsv in 1..=7 {
        for opcode in [0x1, 0x2, 0x8, 0x9, 0xa] {
            let bad = frame(0x80 | rsv << 4 | opcode, b"");
            let frames = [frame(0x81, b"Hello"), bad, frame(0x89, b"")];
            let (got, error) = events(&frames).unwrap_err();
            assert_eq!(got, [Message(Text, b"Hello".into())]);
            assert_eq!(error.close_code().code(), 1002);
        }
    }
}

#[test]
fn group_4_reserved_opcodes_fail() {
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        for payload in [&b""[..], b"reserved opcode payload"] {
            assert_eq!(closed_with(&[frame(0x80 | opcode, payload)]), 1002);
            let (got, _) =
                events(&[frame(0x81, b"Hello"), frame(0x80 | opcode, payload)]).unwrap_err();
            assert_eq!(got.len(), 1);
        }
    }
}

#[test]
fn group_5_fragments_come_in_order() {
    let (one, two) = (&b"fragment1"[..], &b"fragment2"[..]);
    let joined = || Message(Text, [one, two].concat());
    // 5.1 and 5.2
    assert_eq!(closed_with(&[frame(0x09, one), frame(0x80, two)]), 1002);
    assert_eq!(closed_with(&[frame(0x0a, one), frame(0x80, two)]), 1002);
    // 5.3 to 5.8
    assert_eq!(events(&[frame(0x01, one), frame(0x80, two)]).unwrap(), [joined()]);
    let with_ping = [frame(0x01, one), frame(0x89, b"ping"), frame(0x80, two)];
    assert_eq!(events(&with_ping).unwrap(), [Ping(b"ping".into()), joined()]);
    // 5.9 to 5.14
    for first in [0x80, 0x00] {
        assert_eq!(closed_with(&[frame(first, b"nothing"), frame(0x81, b"Hello")]), 1002);
    }
    // 5.15
    let frames = [frame(0x01, one), frame(0x80, two), frame(0x00, b"none"), frame(0x81, b"Hello")];
    assert_eq!(events(&frames), Err((vec![joined()], WsError::UnexpectedContinuation)));
    // 5.16 and 5.17
    for first in [0x00, 0x80] {
        let frames = [frame(first, one), frame(0x01, two), frame(0x80, two)];
        assert_eq!(closed_with(&frames), 1002);
    }
    // 5.18
    assert_eq!(closed_with(&[frame(0x01, one), frame(0x81, two)]), 1002);
    // 5.19 and 5.20
    let five = [
        frame(0x01, b"1"),
        frame(0x00, b"2"),
        frame(0x89, b"p1"),
        frame(0x00, b"3"),
        frame(0x00, b"4"),
        frame(0x89, b"p2"),
        frame(0x80, b"5"),
    ];
    let expected = [Ping(b"p1".into()), Ping(b"p2".into()), Message(Text, b"12345".into())];
    assert_eq!(events(&five).unwrap(), expected);
}

/// 6.5 to 6.23: text that is UTF-8.
const VALID: &[&[u8]] = &[
    // 6.5
    b"hello\x24world",
    b"hello\xc2\xa2world",
    b"hello\xe2\x82\xacworld",
    b"hello\xf0\xa4\xad\xa2world",
    KOSME,
    // 6.7
    b"\x00",
    b"\xc2\x80",
    b"\xe0\xa0\x80",
    b"\xf0\x90\x80\x80",
    // 6.9
    b"\x7f",
    b"\xdf\xbf",
    b"\xef\xbf\xbf",
    b"\xf4\x8f\xbf\xbf",
    // 6.11.1 to 6.11.4
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xf4\x8f\xbf\xbf",
    // 6.22: code points that are no characters
    b"\xef\xbf\xbe",
    b"\xef\xbf\xbf",
    b"\xf0\x9f\xbf\xbe",
    b"\xf0\x9f\xbf\xbf",
    b"\xf0\xaf\xbf\xbe",
    b"\xf0\xaf\xbf\xbf",
    b"\xf0\xbf\xbf\xbe",
    b"\xf0\xbf\xbf\xbf",
    b"\xf1\x8f\xbf\xbe",
    b"\xf1\x8f\xbf\xbf",
    b"\xf1\x9f\xbf\xbe",
    b"\xf1\x9f\xbf\xbf",
    b"\xf1\xaf\xbf\xbe",
    b"\xf1\xaf\xbf\xbf",
    b"\xf1\xbf\xbf\xbe",
    b"\xf1\xbf\xbf\xbf",
    b"\xf2\x8f\xbf\xbe",
    b"\xf2\x8f\xbf\xbf",
    b"\xf2\x9f\xbf\xbe",
    b"\xf2\x9f\xbf\xbf",
    b"\xf2\xaf\xbf\xbe",
    b"\xf2\xaf\xbf\xbf",
    b"\xf2\xbf\xbf\xbe",
    b"\xf2\xbf\xbf\xbf",
    b"\xf3\x8f\xbf\xbe",
    b"\xf3\x8f\xbf\xbf",
    b"\xf3\x9f\xbf\xbe",
    b"\xf3\x9f\xbf\xbf",
    b"\xf3\xaf\xbf\xbe",
    b"\xf3\xaf\xbf\xbf",
    b"\xf3\xbf\xbf\xbe",
    b"\xf3\xbf\xbf\xbf",
    b"\xf4\x8f\xbf\xbe",
    b"\xf4\x8f\xbf\xbf",
    // 6.23: specials, such as the replacement character
    b"\xef\xbf\xb9",
    b"\xef\xbf\xba",
    b"\xef\xbf\xbb",
    b"\xef\xbf\xbc",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbe",
    b"\xef\xbf\xbf",
];

/// The Greek word "kosme".
const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

/// 6.8 to 6.21: text that is not. The long runs of 6.12.8 and 6.13 are made in the test.
const INVALID: &[&[u8]] = &[
    // 6.8
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    // 6.10
    b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    // 6.11.5
    b"\xf4\x90\x80\x80",
    // 6.12: continuation bytes of nothing
    b"\x80",
    b"\xbf",
    b"\x80\xbf",
    b"\x80\xbf\x80",
    b"\x80\xbf\x80\xbf",
    b"\x80\xbf\x80\xbf\x80",
    b"\x80\xbf\x80\xbf\x80\xbf",
    // 6.14: without the last continuation byte
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
    // 6.15: those in a row
    b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\
      \xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf",
    // 6.16: bytes that stand nowhere
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    // 6.17: a slash, longer than it is
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf8\x80\x80\x80\xaf",
    b"\xfc\x80\x80\x80\x80\xaf",
    // 6.18: the last code points that need fewer bytes
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf8\x87\xbf\xbf\xbf",
    b"\xfc\x83\xbf\xbf\xbf\xbf",
    // 6.19: NUL, longer than it is
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xf8\x80\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80\x80",
    // 6.20: halves of UTF-16 pairs
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbe\x80",
    b"\xed\xbf\xbf",
    // 6.21: both halves
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xa0\x80\xed\xbf\xbf",
    b"\xed\xad\xbf\xed\xb0\x80",
    b"\xed\xad\xbf\xed\xbf\xbf",
    b"\xed\xae\x80\xed\xb0\x80",
    b"\xed\xae\x80\xed\xbf\xbf",
    b"\xed\xaf\xbf\xed\xb0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
];

/// The text in one frame, and in frames of one byte.
fn in_both_ways(text: &[u8]) -> [Outcome; 2] {
    let limits = Limits { fragment_count: 100, ..LIMITS };
    let mut bytes: Vec<Vec<u8>> = text.iter().map(|&byte| frame(0x00, &[byte])).collect();
    bytes[0][0] = 0x01;
    bytes.push(frame(0x80, b""));
    [frame(0x81, text), bytes.concat()].map(|input| events_within(limits, &input))
}

#[test]
fn group_6_text_is_utf8() {
    const STEP: usize = if cfg!(miri) { 5 } else { 1 };
    let greeting = "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(); // 6.2
    for text in VALID.iter().copied().step_by(STEP).chain([greeting]) {
        let expected = Ok(vec![Message(Text, text.into())]);
        assert_eq!(in_both_ways(text), [expected.clone(), expected], "{}", text.escape_ascii());
    }
    // 6.12.8 and 6.13
    let continuations: Vec<u8> = (0x80..0xbf).collect();
    let lonely = [0xc0..0xdf, 0xe0..0xef, 0xf0..0xf7, 0xf8..0xfb, 0xfc..0xfd]
        .map(|starts| starts.flat_map(|byte| [byte, b' ']).collect::<Vec<u8>>());
    let broken = [KOSME, b"\xed\xa0\x80", b"edited"].concat(); // 6.3
    let runs = lonely.iter().chain([&continuations, &broken]).map(Vec::as_slice);
    for text in INVALID.iter().copied().chain(runs).step_by(STEP) {
        for outcome in in_both_ways(text) {
            assert_eq!(outcome, Err((vec![], WsError::NotUtf8)), "{}", text.escape_ascii());
        }
    }
}

#[test]
fn group_6_empty_text_and_every_prefix_of_a_word() {
    // 6.1
    let empty = [frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")];
    assert_eq!(events(&empty).unwrap(), [Message(Text, vec![])]);
    let middle = [frame(0x01, b""), frame(0x00, b"middle"), frame(0x80, b"")];
    assert_eq!(events(&middle).unwrap(), [Message(Text, b"middle".into())]);
    // 6.6
    for len in 1..=KOSME.len() {
        let is_whole = core::str::from_utf8(&KOSME[..len]).is_ok();
        assert_eq!(events(&[frame(0x81, &KOSME[..len])]).is_ok(), is_whole, "{len} bytes");
    }
}

/// 6.4: text that can't become valid any more is refused at once, not at the end of its frame or
/// message.
#[test]
fn group_6_fails_fast() {
    let whole = [KOSME, b"\xf4\x90\x80\x80", b"edited"].concat();
    let bad = KOSME.len() + 1; // the first byte that no character goes on with
    for frames in [
        [frame(0x01, KOSME), frame(0x00, &whole[KOSME.len()..][..4])],
        [frame(0x01, &whole[..bad]), frame(0x00, &whole[bad..=bad])],
    ] {
        assert_eq!(error(&frames), WsError::NotUtf8);
    }
    let input = frame(0x81, &whole);
    let until = |len: usize| {
        let end = input.len() - whole.len() + len;
        events_within(LIMITS, &input[..end])
    };
    assert_eq!(until(bad), Ok(vec![]));
    assert_eq!(until(bad + 1), Err((vec![], WsError::NotUtf8)));
}

#[test]
fn group_7_closes() {
    let close = |payload: &[u8]| events(&[frame(0x88, payload)]);
    let normal = &[0x03, 0xe8][..];
    // 7.1: nothing counts behind a close
    for late in [frame(0x88, b""), frame(0x89, b""), frame(0x81, b"Hello"), frame(0x80, b"two")] {
        let got = events(&[frame(0x81, b"Hello"), frame(0x88, normal), late]);
        assert_eq!(got.unwrap(), [Message(Text, b"Hello".into()), Close(normal.into())]);
    }
    let inside = events(&[frame(0x01, b"fragment1"), frame(0x88, normal), frame(0x80, b"2")]);
    assert_eq!(inside.unwrap(), [Close(normal.into())]);
    // 7.3
    let reason = |len: usize| [normal, &vec![b'*'; len]].concat();
    for payload in [vec![], normal.to_vec(), reason(12), reason(123)] {
        assert_eq!(close(&payload), Ok(vec![Close(payload)]));
    }
    assert_eq!(closed_with(&[frame(0x88, b"a")]), 1002);
    assert_eq!(closed_with(&[frame(0x88, &reason(124))]), 1002);
    // 7.5
    let broken = [normal, KOSME, b"\xed\xa0\x80", b"edited"].concat();
    assert_eq!(closed_with(&[frame(0x88, &broken)]), 1007);
    // 7.7
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999_u16] {
        let payload = code.to_be_bytes().to_vec();
        assert_eq!(close(&payload), Ok(vec![Close(payload)]), "{code}");
    }
    // 7.9 and 7.13, and the codes that only ever describe a close without frame
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535_u16] {
        assert_eq!(closed_with(&[frame(0x88, &code.to_be_bytes())]), 1002, "{code}");
        assert_eq!(closed_with(&[frame(0x88, &[&code.to_be_bytes()[..], b"x"].concat())]), 1002);
    }
}

/// 9.3, 9.4 and 10.1: long messages in many frames. The suite's frames of 64 bytes make 65,536.
#[test]
fn groups_9_and_10_long_messages_arrive_in_frames_of_all_sizes() {
    const LEN: usize = if cfg!(miri) { 1 << 10 } else { 1 << 20 };
    let payload: Vec<u8> = (0..LEN).map(|index| b'a' + (index % 23) as u8).collect();
    for fragment_len in [64, 256, 1_300, 65_536, LEN] {
        let mut frames: Vec<Vec<u8>> =
            payload.chunks(fragment_len).map(|part| frame(0x00, part)).collect();
        frames[0][0] |= 0x01;
        frames.last_mut().unwrap()[0] |= 0x80;
        let limits = Limits { message_len: LEN as u64, fragment_count: 1 << 16, ..LIMITS };
        let input = frames.concat();
        let ends = (0..input.len()).step_by(4_099).chain([input.len()]);
        let got = events_in_steps(MessageDecoder::new(limits), Reading::Whole, &input, ends);
        assert!(got == Ok(vec![Message(Text, payload.clone())]), "frames of {fragment_len} bytes");
    }
}
