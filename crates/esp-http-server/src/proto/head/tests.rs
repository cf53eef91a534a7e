//! Tests of the head parser. Every input goes through [`outcome`], which also feeds it cut at every
//! byte and byte by byte: the answer must not depend on the network.

use crate::proto::random;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;
use crate::proto::status::{ErrorCode, Status};

mod refused;

const LIMITS: Limits = Limits { head_len: 2048, uri_len: 256, field_count: 32 };

/// What a head says, in one comparable value.
#[derive(Debug, PartialEq)]
struct Outcome {
    consumed: usize,
    raw: Vec<u8>,
    line: (Method, String, Version),
    fields: Vec<(String, Vec<u8>)>,
    body_len: BodyLen,
    keep_alive: bool,
    expect_continue: bool,
}

/// `Ok(None)` if the head needs more bytes.
fn parse_with(
    head: &mut Head,
    input: &[u8],
    limits: &Limits,
) -> Result<Option<Outcome>, HeadError> {
    let Parsed::Complete { len } = head.parse(input, limits)? else {
        return Ok(None);
    };
    Ok(Some(Outcome {
        consumed: len,
        raw: head.raw().to_vec(),
        line: (head.method(), head.target().to_string(), head.version()),
        fields: head.fields().map(|(name, value)| (name.to_string(), value.to_vec())).collect(),
        body_len: head.body_len(),
        keep_alive: head.keep_alive(),
        expect_continue: head.expect_continue(),
    }))
}

/// Feeds the first `cuts[0]` bytes, then the first `cuts[1]`, and so on, up to the first answer.
fn parse_in_steps(
    input: &[u8],
    limits: &Limits,
    steps: impl Iterator<Item = usize>,
) -> Result<Option<Outcome>, HeadError> {
    let mut head = Head::new();
    for len in steps {
        if let Some(outcome) = parse_with(&mut head, &input[..len], limits)? {
            return Ok(Some(outcome));
        }
        let judged = head.cursor.skipped + head.cursor.start + head.cursor.scanned;
        // A CR waits for its LF; every other byte is judged once.
        assert!(judged + 1 >= len, "{judged} of {len} bytes judged");
    }
    Ok(None)
}

fn outcome(input: &[u8], limits: &Limits) -> Result<Option<Outcome>, HeadError> {
    let whole = parse_with(&mut Head::new(), input, limits);
    for cut in random::cuts(input.len()) {
        let in_two = parse_in_steps(input, limits, [cut, input.len()].into_iter());
        assert_eq!(in_two, whole, "cut at {cut}: {}", input.escape_ascii());
    }
    let dripped = parse_in_steps(input, limits, random::drips(input.len()));
    assert_eq!(dripped, whole, "byte by byte: {}", input.escape_ascii());
    whole
}

fn error(input: impl AsRef<[u8]>) -> HeadError {
    let input = input.as_ref();
    match outcome(input, &LIMITS) {
        Err(error) => error,
        Ok(head) => panic!("not refused: {}: {head:?}", input.escape_ascii()),
    }
}

fn head(input: impl AsRef<[u8]>) -> Head {
    let input = input.as_ref();
    let expected = outcome(input, &LIMITS);
    let mut head = Head::new();
    assert_eq!(parse_with(&mut head, input, &LIMITS), expected);
    match expected {
        Ok(Some(_)) => head,
        other => panic!("{}: {other:?}", input.escape_ascii()),
    }
}

/// A GET with these lines behind a valid `Host`.
fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n")
}

/// A GET for this target with a valid `Host`.
fn target(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn a_head_is_read_with_its_fields() {
    let head = head(
        "POST /a/b?c=d&e HTTP/1.1\r\nHost: example.org:8080\r\nX-Empty:\r\nContent-Length:  5 \t\r\n\
         x-UTF8: caf\u{e9}\r\nCookie: a=1;\tb=2\r\n\r\n",
    );
    assert_eq!(head.method(), Method::Post);
    assert_eq!(head.target(), "/a/b?c=d&e");
    assert_eq!((head.path(), head.query()), ("/a/b", Some("c=d&e")));
    assert_eq!(head.version(), Version::Http11);
    assert_eq!(head.body_len(), BodyLen::Length(5));
    assert_eq!(head.authority(), Some("example.org:8080"));
    assert_eq!(head.field("HOST"), Some(&b"example.org:8080"[..]));
    assert_eq!(head.field("x-empty"), Some(&b""[..]));
    assert_eq!(head.field_str("X-Utf8"), Some("café"));
    assert_eq!(head.field_str("cookie"), Some("a=1;\tb=2"));
    assert_eq!(head.field("x"), None);
    assert_eq!(head.fields().count(), 5);
    assert!(head.raw().starts_with(b"POST /a") && head.raw().ends_with(b"b=2\r\n\r\n"));
}

#[test]
fn a_value_that_is_not_utf8_is_given_as_bytes_only() {
    let head = head(b"GET / HTTP/1.1\r\nHost: h\r\nX: \xff\xfe\r\n\r\n");
    assert_eq!(head.field("x"), Some(&b"\xff\xfe"[..]));
    assert_eq!(head.field_str("x"), None);
}

#[test]
fn only_the_heads_own_bytes_are_consumed() {
    let (first, second) = (get("A: 1"), get("B: 2"));
    let both = format!("{first}{second}rest");
    let mut head = Head::new();
    assert_eq!(head.parse(both.as_bytes(), &LIMITS), Ok(Parsed::Complete { len: first.len() }));
    assert_eq!(head.field("a"), Some(&b"1"[..]));
    let rest = &both.as_bytes()[first.len()..];
    assert_eq!(head.parse(rest, &LIMITS), Ok(Parsed::Complete { len: second.len() }));
    assert_eq!(head.field("a"), None);
    assert_eq!(head.field("b"), Some(&b"2"[..]));
}

#[test]
fn a_second_head_allocates_nothing() {
    let (long, short) = (get("X-Long: 1234567890\r\nY: 2"), get("Z: 3"));
    let mut head = Head::new();
    head.parse(long.as_bytes(), &LIMITS).unwrap();
    let buffers = (head.raw.as_ptr(), head.raw.capacity(), head.fields.as_ptr());
    head.clear();
    head.parse(short.as_bytes(), &LIMITS).unwrap();
    assert_eq!((head.raw.as_ptr(), head.raw.capacity(), head.fields.as_ptr()), buffers);
    assert_eq!(head.field("z"), Some(&b"3"[..]));
}

#[test]
fn an_unfinished_head_says_nothing() {
    let mut head = Head::new();
    assert!(!head.has_begun());
    let input = b"POST /x?y HTTP/1.1\r\nHost: h\r\nA: b\r\n";
    assert_eq!(head.parse(input, &LIMITS), Ok(Parsed::Partial));
    assert!(head.has_begun());
    assert_eq!((head.target(), head.query(), head.raw()), ("", None, &b""[..]));
    assert_eq!((head.fields().count(), head.field("host"), head.field("")), (0, None, None));
    head.clear();
    assert!(!head.has_begun());
}

#[test]
fn an_error_stays_an_error_until_the_head_is_cleared() {
    let mut head = Head::new();
    let bad = b"GET / HTTP/1.1\r\nHost : h\r\n\r\n";
    let error = head.parse(bad, &LIMITS).unwrap_err();
    // Nothing behind the fault may be taken for a request.
    assert_eq!(head.parse(get("A: b").as_bytes(), &LIMITS), Err(error));
    assert_eq!(head.parse(b"", &LIMITS), Err(error));
    head.clear();
    assert!(head.parse(get("A: b").as_bytes(), &LIMITS).is_ok());
}

#[test]
fn a_head_that_fails_or_is_abandoned_keeps_only_its_method_and_version() {
    let begun =
        "PUT http://h/a?b HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n";
    for end in ["Host: h\r\n", "Content-Le"] {
        let mut head = Head::new();
        match head.parse([begun, end].concat().as_bytes(), &LIMITS) {
            Ok(_) => head.abandon(),
            Err(error) => assert_eq!(error, HeadError::DuplicateHost),
        }
        assert_eq!((head.method(), head.version()), (Method::Put, Version::Http10));
        assert_eq!((head.target(), head.path(), head.query()), ("", "", None));
        assert_eq!((head.fields().count(), head.field(""), head.authority()), (0, None, None));
        assert_eq!((head.body_len(), head.expect_continue()), (BodyLen::None, false));
        assert!(head.raw().is_empty() && head.has_begun());
    }
}

#[test]
fn two_empty_lines_before_a_head_are_skipped_and_no_more() {
    let request = get("A: b");
    for lines in ["", "\r\n", "\r\n\r\n"] {
        let input = format!("{lines}{request}");
        let outcome = outcome(input.as_bytes(), &LIMITS).unwrap().unwrap();
        assert_eq!(outcome.consumed, input.len());
        assert_eq!(outcome.raw, request.as_bytes());
    }
    assert_eq!(error(format!("\r\n\r\n\r\n{request}")), HeadError::RequestLine);
    assert_eq!(error(format!("\n{request}")), HeadError::Line(FieldLineError::BareLf));
    assert_eq!(error(format!("\r{request}")), HeadError::Line(FieldLineError::BareCr));
}

#[test]
fn connections_persist_by_version_and_option() {
    for (version, lines, expected) in [
        ("1.1", "A: b", true),
        ("1.1", "Connection: close", false),
        ("1.1", "connection: Keep-Alive", true),
        ("1.1", "Connection: upgrade , CLOSE", false),
        ("1.1", "Connection: closed", true),
        ("1.1", "Connection: keep-alive\r\nConnection: close", false),
        ("1.0", "A: b", false),
        ("1.0", "Connection: keep-alive", true),
        ("1.0", "Connection: keep-alive, close", false),
    ] {
        let head = head(format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n\r\n"));
        assert_eq!(head.keep_alive(), expected, "{version} {lines}");
    }
}

#[test]
fn tokens_are_found_in_lists_over_several_fields() {
    let head = head(get("Upgrade: h2c,, websocket\r\nUpgrade: \"x\"\r\nConnection:\tUPGRADE"));
    assert!(head.contains_token("UPGRADE", "WebSocket"));
    assert!(head.contains_token("connection", "upgrade"));
    assert!(!head.contains_token("upgrade", "web"));
    assert!(!head.contains_token("upgrade", ""));
    assert_eq!(head.values("upgrade").count(), 2);
}

#[test]
fn body_lengths_are_told() {
    for (lines, expected) in [
        ("A: b", BodyLen::None),
        ("Content-Length: 0", BodyLen::Length(0)),
        ("Content-Length: 007", BodyLen::Length(7)),
        ("CONTENT-LENGTH: 4294967301", BodyLen::Length((1 << 32) + 5)),
        ("Content-Length: 18446744073709551615", BodyLen::Length(u64::MAX)),
        ("Transfer-Encoding: chunked", BodyLen::Chunked),
        ("transfer-encoding:\tCHUNKED ", BodyLen::Chunked),
    ] {
        assert_eq!(head(get(lines)).body_len(), expected, "{lines}");
    }
}

#[test]
fn continue_is_expected_only_by_http11_with_a_body() {
    for (version, lines, expected) in [
        ("1.1", "Expect: 100-continue\r\nContent-Length: 1", true),
        ("1.1", "Expect: 100-Continue\r\nTransfer-Encoding: chunked", true),
        ("1.1", "Expect: 100-continue", false),
        ("1.1", "Expect: 100-continue\r\nContent-Length: 0", false),
        ("1.1", "Content-Length: 1", false),
        ("1.0", "Expect: 100-continue\r\nContent-Length: 1", false),
    ] {
        let head = head(format!("POST / HTTP/{version}\r\nHost: h\r\n{lines}\r\n\r\n"));
        assert_eq!(head.expect_continue(), expected, "{version} {lines}");
    }
}

#[test]
fn every_form_of_target_is_split() {
    for (method, sent, path, query, authority) in [
        ("GET", "/", "/", None, "h"),
        ("GET", "/?", "/", Some(""), "h"),
        ("GET", "/a%20b?c?d", "/a%20b", Some("c?d"), "h"),
        ("GET", "//a//b", "//a//b", None, "h"),
        ("GET", "/http://x/", "/http://x/", None, "h"),
        ("GET", "/q?a=[1]|{2}^\\`", "/q", Some("a=[1]|{2}^\\`"), "h"),
        ("GET", "http://x.org", "/", None, "x.org"),
        ("GET", "HTTPS://x.org:80?q", "/", Some("q"), "x.org:80"),
        ("GET", "http://[::1]:8080/a?b", "/a", Some("b"), "[::1]:8080"),
        ("OPTIONS", "*", "*", None, "h"),
        ("OPTIONS", "/a", "/a", None, "h"),
        ("OPTIONS", "http://x.org", "*", None, "x.org"),
        ("OPTIONS", "http://x.org/", "/", None, "x.org"),
        ("CONNECT", "x.org:443", "", None, "x.org:443"),
    ] {
        let head = head(target(method, sent));
        let found = (head.target(), head.path(), head.query(), head.authority());
        assert_eq!(found, (sent, path, query, Some(authority)), "{method} {sent}");
    }
}

#[test]
fn http10_needs_no_host() {
    let head = head("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((head.version(), head.authority()), (Version::Http10, None));
}

#[test]
fn the_longest_target_passes_and_one_byte_more_does_not() {
    let long = HeadError::UriTooLong { limit: 256 };
    for len in [255, 256] {
        let path = "/".repeat(len);
        assert_eq!(head(target("GET", &path)).target(), path);
    }
    assert_eq!(error(target("GET", &"/".repeat(257))), long);
    // The answer doesn't wait for the end of a line that may never come.
    assert_eq!(outcome(format!("GET {}", "/".repeat(256)).as_bytes(), &LIMITS), Ok(None));
    assert_eq!(error(format!("GET {}", "/".repeat(257))), long);
    assert_eq!(long.code(), Some(ErrorCode::UriTooLong));
    assert_eq!(long.to_string(), "the URI is longer than 256 bytes");
}

#[test]
fn the_longest_head_passes_and_one_byte_more_does_not() {
    let frame = get("X: ").len();
    let sized = |len: usize| get(&format!("X: {}", "y".repeat(len - frame)));
    let limits = Limits { head_len: 200, ..LIMITS };
    let long = HeadError::HeadTooLong { limit: 200 };
    for len in [199, 200] {
        let input = sized(len);
        assert_eq!(outcome(input.as_bytes(), &limits).unwrap().unwrap().consumed, len);
        // Neither the empty lines before it nor the bytes behind it belong to the head.
        let input = format!("\r\n{input}{}", "z".repeat(300));
        assert_eq!(outcome(input.as_bytes(), &limits).unwrap().unwrap().consumed, len + 2);
    }
    assert_eq!(outcome(sized(201).as_bytes(), &limits), Err(long));
    assert_eq!(outcome(&sized(201).as_bytes()[..199], &limits), Ok(None));
    assert_eq!(outcome(&sized(201).as_bytes()[..200], &limits), Err(long));
    assert_eq!(long.code(), Some(ErrorCode::HeaderFieldsTooLarge));
}

#[test]
fn the_most_fields_pass_and_one_more_does_not() {
    let with =
        |count: usize| get(&"A: b\r\n".repeat(count - 1)).replace("\r\n\r\n\r\n", "\r\n\r\n");
    for count in [31, 32] {
        assert_eq!(head(with(count)).fields().count(), count);
    }
    let many = HeadError::TooManyFields { limit: 32 };
    assert_eq!(error(with(33)), many);
    assert_eq!(many.status(), Status::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[test]
fn a_long_head_that_drips_is_judged_once() {
    // `parse_in_steps` checks that every call starts where the last one ended.
    let limits = Limits { head_len: 1 << 16, uri_len: 1 << 15, field_count: 1 };
    const LEN: usize = random::many(30_000);
    let input = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(LEN));
    assert!(
        parse_in_steps(input.as_bytes(), &limits, random::drips(input.len())).unwrap().is_some()
    );
    let input = format!("GET / HTTP/1.0\r\nX:{}\r\n\r\n", " \ty".repeat(LEN * 2 / 3));
    assert!(
        parse_in_steps(input.as_bytes(), &limits, random::drips(input.len())).unwrap().is_some()
    );
}

#[test]
fn mutated_heads_never_panic_and_never_depend_on_the_cut() {
    let seeds = [
        "POST http://h/a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "\r\nOPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    let spice = b"\r\n\t :,;#%/?*\x00\x7f\x80\xff\x16HT10+-[]@";
    let mut next = random::numbers();
    for round in 0..random::ROUNDS {
        let mut input = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..=next(3) {
            let at = next(input.len());
            match next(4) {
                0 if input.len() > 1 => drop(input.remove(at)),
                1 => input.insert(at, spice[next(spice.len())]),
                2 => input[at] = spice[next(spice.len())],
                _ => input.truncate(at + 1),
            }
        }
        let _ = outcome(&input, &LIMITS);
    }
}
