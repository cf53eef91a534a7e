//! Tests of the body decoder. Every body goes through [`outcome`], which also feeds it cut at every
//! byte and byte by byte, and reads it into buffers of different lengths: what arrives must depend neither
//! on the network nor on the handler.

use crate::proto::random;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::*;

/// Data, trailers, and bytes consumed of a body that is done.
type Body = (Vec<u8>, Vec<(String, Vec<u8>)>, usize);

const LIMITS: Limits =
    Limits { chunk_line_len: 40, excess_len: 100, trailers_len: 100, trailer_count: 4 };

/// Feeds `input` in pieces that end at `ends`, of which `take` takes some and appends the data;
/// `Ok(None)` if the body isn't done with the last one.
fn in_steps(
    len: BodyLen,
    input: &[u8],
    ends: impl Iterator<Item = usize>,
    mut take: impl FnMut(&mut BodyDecoder, &[u8], &mut Vec<u8>) -> Result<usize, BodyError>,
) -> Result<Option<Body>, BodyError> {
    let mut decoder = BodyDecoder::new(len);
    let (mut data, mut at) = (Vec::new(), 0);
    for end in ends {
        while at < end && !decoder.is_done() {
            let consumed = take(&mut decoder, &input[at..end], &mut data)?;
            assert!(consumed > 0, "no progress at {at} of {}", input.escape_ascii());
            at += consumed;
        }
    }
    if !decoder.is_done() {
        assert_eq!(decoder.trailers().count(), 0, "trailers before the end");
        return Ok(None);
    }
    let trailers = decoder.trailers().map(|(name, value)| (name.to_string(), value.to_vec()));
    Ok(Some((data, trailers.collect(), at)))
}

fn decode_in_steps(
    len: BodyLen,
    input: &[u8],
    ends: impl Iterator<Item = usize>,
) -> Result<Option<Body>, BodyError> {
    in_steps(len, input, ends, |decoder, piece, data| {
        let decoded = decoder.decode(piece, &LIMITS)?;
        assert!(decoded.data.end <= decoded.consumed);
        data.extend_from_slice(&piece[decoded.data]);
        Ok(decoded.consumed)
    })
}

/// As [`decode_in_steps`], into a buffer of `buf_len` bytes.
fn copy_in_steps(
    len: BodyLen,
    input: &[u8],
    buf_len: usize,
    ends: impl Iterator<Item = usize>,
) -> Result<Option<Body>, BodyError> {
    let mut buf = vec![0; buf_len];
    in_steps(len, input, ends, |decoder, piece, data| {
        let copied = decoder.copy_into(piece, &mut buf, &LIMITS)?;
        data.extend_from_slice(&buf[..copied.len]);
        Ok(copied.consumed)
    })
}

fn outcome(len: BodyLen, input: &[u8]) -> Result<Option<Body>, BodyError> {
    let whole = decode_in_steps(len, input, [input.len()].into_iter());
    for cut in random::cuts(input.len()) {
        let in_two = decode_in_steps(len, input, [cut, input.len()].into_iter());
        assert_eq!(in_two, whole, "cut at {cut}: {}", input.escape_ascii());
    }
    let dripped = decode_in_steps(len, input, random::drips(input.len()));
    assert_eq!(dripped, whole, "byte by byte: {}", input.escape_ascii());
    for buf_len in [1, 2, 5, 1000] {
        let copied = copy_in_steps(len, input, buf_len, [input.len()].into_iter());
        assert_eq!(copied, whole, "into {buf_len}: {}", input.escape_ascii());
        let dripped = copy_in_steps(len, input, buf_len, random::drips(input.len()));
        assert_eq!(dripped, whole, "dripped into {buf_len}: {}", input.escape_ascii());
    }
    whole
}

fn chunked(input: impl AsRef<[u8]>) -> Result<Option<Body>, BodyError> {
    outcome(BodyLen::Chunked, input.as_ref())
}

fn data(input: impl AsRef<[u8]>) -> Vec<u8> {
    let input = input.as_ref();
    match chunked(input) {
        Ok(Some((data, _, consumed))) if consumed == input.len() => data,
        other => panic!("{}: {other:?}", input.escape_ascii()),
    }
}

#[test]
fn no_body_is_done_at_once() {
    for len in [BodyLen::None, BodyLen::Length(0)] {
        let mut decoder = BodyDecoder::new(len);
        assert!(decoder.is_done());
        assert_eq!(decoder.decode(b"GET", &LIMITS), Ok(Decoded { consumed: 0, data: 0..0 }));
    }
}

#[test]
fn a_body_with_length_ends_at_it() {
    let (found, _, consumed) = outcome(BodyLen::Length(5), b"helloGET /").unwrap().unwrap();
    assert_eq!((&*found, consumed), (&b"hello"[..], 5));
    assert_eq!(outcome(BodyLen::Length(6), b"hello"), Ok(None));
}

#[test]
fn a_length_beyond_32_bits_is_not_cut() {
    let mut decoder = BodyDecoder::new(BodyLen::Length((1 << 32) + 3));
    assert_eq!(decoder.decode(b"abcd", &LIMITS), Ok(Decoded { consumed: 4, data: 0..4 }));
    assert_eq!(decoder.remaining_hint(), (1 << 32) - 1);
    assert!(!decoder.is_done());
}

#[test]
fn chunks_are_joined_and_the_next_request_is_left() {
    let input = b"5\r\nhello\r\n1\r\n \r\n00A\r\nworldworld\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
    let (found, trailers, consumed) = chunked(input).unwrap().unwrap();
    assert_eq!(&*found, b"hello worldworld");
    assert_eq!(trailers, []);
    assert!(input[consumed..].starts_with(b"GET /"));
}

#[test]
fn one_call_gives_one_run_and_the_framing_around_it() {
    let mut decoder = BodyDecoder::new(BodyLen::Chunked);
    let input = b"5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n";
    assert_eq!(decoder.decode(input, &LIMITS), Ok(Decoded { consumed: 13, data: 3..8 }));
    assert_eq!(decoder.remaining_hint(), 3);
    assert_eq!(decoder.decode(&input[13..], &LIMITS), Ok(Decoded { consumed: 10, data: 0..3 }));
    // The end is known without another call.
    assert!(decoder.is_done());
    assert_eq!(decoder.decode(b"GET", &LIMITS), Ok(Decoded { consumed: 0, data: 0..0 }));
}

#[test]
fn one_call_fills_the_buffer_with_many_chunks_and_takes_the_framing_around_them() {
    let mut decoder = BodyDecoder::new(BodyLen::Chunked);
    let input = b"1\r\na\r\n1\r\nb\r\n3\r\ncde\r\n0\r\n\r\nGET";
    let mut buf = [0; 4];
    let copied = decoder.copy_into(input, &mut buf, &LIMITS).unwrap();
    assert_eq!((copied, &buf), (Copied { consumed: 17, len: 4 }, b"abcd"));
    let copied = decoder.copy_into(&input[17..], &mut buf, &LIMITS).unwrap();
    assert_eq!((copied, buf[0]), (Copied { consumed: 8, len: 1 }, b'e'));
    // The end is known without another call.
    assert!(decoder.is_done());
    assert_eq!(decoder.copy_into(b"GET", &mut buf, &LIMITS), Ok(Copied { consumed: 0, len: 0 }));
}

#[test]
fn data_before_a_fault_is_copied_before_it_is_told() {
    let mut decoder = BodyDecoder::new(BodyLen::Chunked);
    let input = b"1\r\na\r\n1\r\nb\r\nx\r\n";
    let mut buf = [0; 8];
    let copied = decoder.copy_into(input, &mut buf, &LIMITS).unwrap();
    assert_eq!((copied.len, &buf[..2]), (2, &b"ab"[..]));
    // What would be the end of another body is not that of this one.
    for left in [&input[copied.consumed..], b"\r\n0\r\n\r\nGET"] {
        assert_eq!(decoder.copy_into(left, &mut buf, &LIMITS), Err(BodyError::ChunkSize));
        assert_eq!(decoder.decode(left, &LIMITS), Err(BodyError::ChunkSize));
    }
    assert!(!decoder.is_done());
}

#[test]
fn an_unfinished_body_needs_more() {
    let input = b"5;a=\"b\"\r\nhello\r\n0\r\nA: b\r\n\r\n";
    assert!(chunked(input).unwrap().is_some());
    for len in 0..input.len() {
        assert_eq!(chunked(&input[..len]), Ok(None), "{len}");
    }
}

#[test]
fn chunk_sizes_are_hexadecimal_digits_only() {
    for size in [
        "",
        "+5",
        "-5",
        " 5",
        "5 ",
        "\t5",
        "0x5",
        "0X5",
        "5h",
        "g",
        "5,",
        "5.",
        "_5",
        "5\0",
        // 17 digits, though the value fits; and one that doesn't.
        "00000000000000005",
        "10000000000000005",
        "ffffffffffffffffff",
        "\u{666}",
    ] {
        assert_eq!(chunked(format!("{size}\r\nhello\r\n")), Err(BodyError::ChunkSize), "{size:?}");
    }
    assert_eq!(BodyError::ChunkSize.status(), Status::BAD_REQUEST);
    assert_eq!(data("0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n"), b"hello");
    assert_eq!(data("a\r\n0123456789\r\n0\r\n\r\n"), data("A\r\n0123456789\r\n0\r\n\r\n"));
}

#[test]
fn the_largest_chunk_size_does_not_overflow() {
    let mut decoder = BodyDecoder::new(BodyLen::Chunked);
    let decoded = decoder.decode(b"FFFFFFFFFFFFFFFF\r\nabc", &LIMITS);
    assert_eq!(decoded, Ok(Decoded { consumed: 21, data: 18..21 }));
    assert_eq!(decoder.remaining_hint(), u64::MAX - 3);
}

#[test]
fn lines_and_chunks_end_in_crlf() {
    for input in [
        "5\nhello\r\n", // CVE-2023-38697: a bare LF behind the size
        "5\rhello\r\n",
        "5\r\rhello",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n", // mongoose#2552: the terminator isn't looked at
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r\r\n",
    ] {
        let found = chunked(input).unwrap_err();
        assert!(
            matches!(found, BodyError::ChunkTerminator | BodyError::ChunkSize),
            "{input:?}: {found:?}"
        );
    }
    assert_eq!(chunked("5;a\nhello\r\n"), Err(BodyError::Extension));
    assert_eq!(chunked("5;a\rb\r\n"), Err(BodyError::ChunkTerminator));
    assert_eq!(chunked("0\r\n\n"), Err(BodyError::TrailerLine(FieldLineError::BareLf)));
    assert_eq!(chunked("0\r\n\rX"), Err(BodyError::TrailerLine(FieldLineError::BareCr)));
}

#[test]
fn extensions_are_skipped_within_a_bound() {
    for extension in [";a", ";a=b;c", ";a=\"b\"", ";a=\"\\\"; c\"", ";", "; a = b", ";\tx"] {
        assert_eq!(data(format!("2{extension}\r\nhi\r\n0{extension}\r\n\r\n")), b"hi");
    }
    for byte in ["\0", "\n", "\u{1}", "\u{7f}", "\"\n\"", "\"\\\n"] {
        assert_eq!(chunked(format!("2;{byte}\r\nhi\r\n")), Err(BodyError::Extension), "{byte:?}");
    }
    let limit = LIMITS.chunk_line_len;
    for len in [limit - 1, limit] {
        let extension = "x".repeat(len - "2;".len());
        assert_eq!(data(format!("2;{extension}\r\nhi\r\n0\r\n\r\n")), b"hi", "{len}");
    }
    let extension = "x".repeat(limit + 1 - "2;".len());
    let too_long = Err(BodyError::ChunkLineTooLong { limit });
    assert_eq!(chunked(format!("2;{extension}\r\nhi")), too_long);
    assert_eq!(chunked(format!("2;{extension}")), too_long);
}

#[test]
fn chunks_have_so_much_framing_for_their_data_and_not_more() {
    let limit = LIMITS.excess_len;
    // A chunk of one byte may have 18 bytes of framing: this one has five, and 13 of extension.
    let fair = format!("1;{}\r\nx\r\n", "e".repeat(12));
    let excess = |len: usize| format!("1;{}\r\nx\r\n", "e".repeat(12 + len));
    let end = "0\r\n\r\n";
    const FAIR: usize = if cfg!(miri) { 5 } else { 50 };
    for len in [limit - 1, limit] {
        // What is fair is not saved up, and the excess is that of the whole body.
        let chunks = [&fair.repeat(FAIR), &excess(20).repeat(len / 20), &excess(len % 20)];
        let body = chunks.map(String::as_str).concat();
        assert_eq!(data(body + end).len(), FAIR + len / 20 + 1, "{len}");
    }
    let too_much = Err(BodyError::TooMuchFraming { limit });
    let full = excess(20).repeat(limit / 20);
    assert_eq!(chunked(full.clone() + &excess(1)), too_much);
    assert_eq!(chunked(full.clone() + &excess(1).replace("\nx\r\n", "")), too_much, "at its CR");
    // The last chunk has framing, too: its line, and the empty one in place of trailers.
    let last = |len: usize| format!("0;{}\r\n\r\n", "e".repeat(10 + len));
    assert_eq!(data(full.clone() + &last(0)).len(), limit / 20);
    assert_eq!(chunked(full + &last(1)), too_much);
}

#[test]
fn framing_grows_with_the_data() {
    // Twice the data is fair: an extension as long as the limit lets it be.
    let extension = "e".repeat(LIMITS.chunk_line_len - "14;".len());
    let chunk = format!("14;{extension}\r\n{}\r\n", "x".repeat(20));
    const CHUNKS: usize = if cfg!(miri) { 8 } else { 50 };
    assert_eq!(data(chunk.repeat(CHUNKS) + "0\r\n\r\n").len(), 20 * CHUNKS);
    // One-byte chunks without end cost whoever sends them six bytes each.
    assert_eq!(data("1\r\nx\r\n".repeat(10 * CHUNKS) + "0\r\n\r\n").len(), 10 * CHUNKS);
}

#[test]
fn trailers_are_kept() {
    let input = b"2\r\nhi\r\n0\r\nDigest: abc \r\nX-Empty:\r\n\r\n";
    let (found, trailers, consumed) = chunked(input).unwrap().unwrap();
    assert_eq!((&*found, consumed), (&b"hi"[..], input.len()));
    let expected =
        vec![("Digest".to_string(), b"abc".to_vec()), ("X-Empty".to_string(), Vec::new())];
    assert_eq!(trailers, expected);
}

#[test]
fn trailers_follow_the_grammar_and_decide_nothing() {
    use FieldLineError::*;
    for (line, expected) in [
        ("A : b", BodyError::TrailerLine(InvalidName)),
        ("A", BodyError::TrailerLine(MissingColon)),
        ("A: b\r\n c", BodyError::TrailerLine(Fold)),
        ("A: b\nB: c", BodyError::TrailerLine(BareLf)),
        ("A: b\rB: c", BodyError::TrailerLine(BareCr)),
        ("A: \0", BodyError::TrailerLine(ControlByte(0))),
        ("Content-Length: 5", BodyError::ForbiddenTrailer),
        ("transfer-encoding: chunked", BodyError::ForbiddenTrailer),
        ("HOST: other", BodyError::ForbiddenTrailer),
    ] {
        assert_eq!(chunked(format!("0\r\n{line}\r\n\r\n")), Err(expected), "{line:?}");
    }
}

#[test]
fn trailers_are_bounded_in_bytes_and_count() {
    let sized = |len: usize| format!("0\r\nA: {}\r\n\r\n", "x".repeat(len - "A: \r\n".len()));
    let limit = LIMITS.trailers_len;
    for len in [limit - 1, limit] {
        let (_, trailers, consumed) = chunked(sized(len)).unwrap().unwrap();
        assert_eq!((trailers.len(), consumed), (1, sized(len).len()));
    }
    let too_long = Err(BodyError::TrailersTooLong { limit });
    assert_eq!(chunked(sized(limit + 1)), too_long);
    assert_eq!(chunked(format!("0\r\nA: {}", "x".repeat(limit))), too_long);

    let many = |count: usize| format!("0\r\n{}\r\n", "A: b\r\n".repeat(count));
    let limit = LIMITS.trailer_count;
    for count in [limit - 1, limit] {
        assert_eq!(chunked(many(count)).unwrap().unwrap().1.len(), count);
    }
    let too_many = BodyError::TooManyTrailers { limit };
    assert_eq!(chunked(many(limit + 1)), Err(too_many));
    assert_eq!(too_many.status().code(), 431);
}

#[test]
fn an_error_is_final() {
    let mut decoder = BodyDecoder::new(BodyLen::Chunked);
    assert_eq!(decoder.decode(b"+5\r\n", &LIMITS), Err(BodyError::ChunkSize));
    assert_eq!(decoder.decode(b"0\r\n\r\n", &LIMITS), Err(BodyError::ChunkSize));
    assert!(!decoder.is_done());
}

#[test]
fn mutated_bodies_never_panic_and_never_depend_on_the_cut() {
    let seed = b"5;a=\"b\"\r\nhello\r\nB\r\nhello world\r\n0\r\nA: b\r\nC: d\r\n\r\nGET";
    let spice = b"\r\n\t :;\"\\\x00\x7f\xff0fFgG+-x";
    let mut next = random::numbers();
    for _ in 0..random::ROUNDS {
        let mut input = seed.to_vec();
        for _ in 0..=next(2) {
            let at = next(input.len());
            match next(3) {
                0 if input.len() > 1 => drop(input.remove(at)),
                1 => input.insert(at, spice[next(spice.len())]),
                _ => input[at] = spice[next(spice.len())],
            }
        }
        let _ = chunked(&input);
    }
}
