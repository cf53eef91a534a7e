//! Heads that are refused, by the class of attack that leniency would feed.

use super::*;

use FieldLineError::*;
use HeadError::*;

fn assert_refused(cases: &[(&str, HeadError)], request: impl Fn(&str) -> String) {
    for (case, expected) in cases {
        assert_eq!(error(request(case)), *expected, "{case:?}");
    }
}

#[test]
fn content_length_is_digits_and_stands_once() {
    let cases = [
        // Each of these is a number to somebody: CVE-2021-32715, CVE-2023-34188, ESP-IDF 9d3f510.
        "+5",
        "-1",
        "-0",
        "5,5",
        "5, 5",
        "5 5",
        "0x5",
        "5h",
        "5.0",
        "1e3",
        "",
        ",",
        "٥",
        "\"5\"",
        "5;",
        "_5",
        "1_000",
        "18446744073709551616",
        "36893488147419103237",
        "99999999999999999999999999",
    ];
    for case in cases {
        let found = error(get(&format!("Content-Length: {case}")));
        assert_eq!(found, InvalidContentLength, "{case:?}");
        assert_eq!(found.status(), Status::BAD_REQUEST);
    }
    assert_refused(
        &[
            ("Content-Length: 5\r\nContent-Length: 6", DuplicateContentLength),
            ("Content-Length: 5\r\nContent-Length: 5", DuplicateContentLength),
            ("Content-Length: 5\r\nA: b\r\ncontent-length: 5", DuplicateContentLength),
        ],
        get,
    );
}

#[test]
fn transfer_encoding_is_chunked_alone() {
    for case in [
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        ",chunked",
        "chunked,",
        "identity",
        "xchunked",
        "chunkedx",
        "chunked;q=1",
        "\"chunked\"",
        "",
        "chunked\u{b}",
        "x",
        "chunk ed",
    ] {
        let found = error(get(&format!("Transfer-Encoding: {case}")));
        let expected = match case.contains('\u{b}') {
            true => Line(ControlByte(0x0b)),
            false => UnknownTransferEncoding,
        };
        assert_eq!(found, expected, "{case:?}");
    }
    assert_eq!(UnknownTransferEncoding.code(), Some(ErrorCode::MethodNotImplemented));
    assert_refused(
        &[("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", DuplicateTransferEncoding)],
        get,
    );
    assert_eq!(
        error("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
        TransferEncodingInHttp10
    );
}

#[test]
fn length_and_transfer_encoding_exclude_each_other() {
    assert_refused(
        &[
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", LengthAndTransferEncoding),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5", LengthAndTransferEncoding),
            ("Transfer-Encoding: chunked\r\nA: b\r\nContent-Length: 0", LengthAndTransferEncoding),
            ("Content-Length: 5\r\nTransfer-Encoding: identity", LengthAndTransferEncoding),
            // Hidden from one side by a space, a fold or a missing colon, each refused by itself.
            ("Content-Length: 5\r\nTransfer-Encoding : chunked", Line(InvalidName)),
            ("Content-Length: 5\r\n Transfer-Encoding: chunked", Line(Fold)),
            ("Content-Length: 5\r\nTransfer-Encoding chunked", Line(MissingColon)),
            ("Content-Length: 5\r\nTransfer-Encoding\t: chunked", Line(InvalidName)),
            ("Content-Length: 5\r\nTransfer_Encoding\u{0}: chunked", Line(ControlByte(0))),
        ],
        get,
    );
}

#[test]
fn field_lines_follow_the_grammar() {
    assert_refused(
        &[
            ("A : b", Line(InvalidName)),
            ("A\t: b", Line(InvalidName)),
            (": b", Line(InvalidName)),
            ("A b: c", Line(InvalidName)),
            ("A(: c", Line(InvalidName)),
            ("Ä: c", Line(InvalidName)),
            ("A", Line(MissingColon)),
            ("A b", Line(MissingColon)),
            (" A: b", Line(Fold)),
            ("A: b\r\n c", Line(Fold)),
            ("A: b\r\n\tc", Line(Fold)),
            ("A: b\nX: c", Line(BareLf)),
            ("A: b\rX: c", Line(BareCr)),
            ("A: b\r\rX: c", Line(BareCr)),
            ("A: b\r\r\nX: c", Line(BareCr)),
            ("A: \0", Line(ControlByte(0))),
            ("A: b\u{7f}", Line(ControlByte(0x7f))),
            ("A: \u{1b}[2J", Line(ControlByte(0x1b))),
            ("A\u{1}: b", Line(ControlByte(1))),
        ],
        get,
    );
    assert_eq!(error("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), Line(Fold));
    assert_eq!(error("GET / HTTP/1.1\r\nHost: h\n\n"), Line(BareLf));
    assert_eq!(error("GET / HTTP/1.1\r\nHost: h\r\n\n"), Line(BareLf));
}

#[test]
fn host_stands_once_and_is_valid() {
    let host = |value: &str| format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
    for valid in [
        "h",
        "example.org",
        "example.org:80",
        "example.org:",
        "1.2.3.4",
        "[::1]",
        "[::1]:65535",
        "[::ffff:1.2.3.4]:1",
        "under_score",
        "a%20b",
        "xn--bcher-kva.example",
    ] {
        assert_eq!(head(host(valid)).authority(), Some(valid));
    }
    for invalid in [
        "",
        ":80",
        "a b",
        "a,b",
        "a, a",
        "a/b",
        "a@b",
        "user:pw@h",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:+80",
        "a:-1",
        "[::1",
        "::1",
        "[::1]80",
        "[]",
        "[::g]",
        "[fe80::1%25eth0]",
        "[v1.a]",
        "h\\",
        "h%",
        "h%2",
        "h%zz",
        "h?",
        "h#",
        "\"h\"",
        "<h>",
        "bücher.example",
    ] {
        assert_eq!(error(host(invalid)), InvalidHost, "{invalid:?}");
        let old = host(invalid).replace("1.1", "1.0");
        assert_eq!(error(old), InvalidHost, "{invalid:?} in HTTP/1.0");
    }
    assert_eq!(error("GET / HTTP/1.1\r\n\r\n"), MissingHost);
    assert_eq!(error("GET http://h/ HTTP/1.1\r\nA: b\r\n\r\n"), MissingHost);
    assert_eq!(error(get("Host: h")), DuplicateHost);
    assert_eq!(error(get("hOsT: other")), DuplicateHost);
}

#[test]
fn targets_are_uris_that_fit_the_method() {
    let cases = [
        ("GET", "/a#b", Fragment),
        ("GET", "#", Fragment),
        ("GET", "http://h/#x", Fragment),
        ("GET", "/%", InvalidTarget),
        ("GET", "/%2", InvalidTarget),
        ("GET", "/%zz", InvalidTarget),
        ("GET", "/a?b=%u0041", InvalidTarget),
        ("GET", "/%%20", InvalidTarget),
        ("GET", "/a\\b", InvalidTarget),
        ("GET", "/\\h/", InvalidTarget),
        ("GET", "http://h/a\\b?c", InvalidTarget),
        ("GET", "a", InvalidTarget),
        ("GET", "?a", InvalidTarget),
        ("GET", "*", InvalidTarget),
        ("OPTIONS", "**", InvalidTarget),
        ("OPTIONS", "*?a", InvalidTarget),
        ("GET", "h:80", InvalidTarget),
        ("GET", "http:", InvalidTarget),
        ("GET", "http:/h/", InvalidTarget),
        ("GET", "http://", InvalidTarget),
        ("GET", "http:///a", InvalidTarget),
        ("GET", "http://user@h/", InvalidTarget),
        ("GET", "http://h:99999/", InvalidTarget),
        ("GET", "http://h/%g0", InvalidTarget),
        ("GET", "ftp://h/", InvalidTarget),
        ("GET", "javascript://h/", InvalidTarget),
        ("CONNECT", "/", InvalidTarget),
        ("CONNECT", "h", InvalidTarget),
        ("CONNECT", "h:", InvalidTarget),
        ("CONNECT", ":80", InvalidTarget),
        ("CONNECT", "http://h:80", InvalidTarget),
        ("CONNECT", "[::1]", InvalidTarget),
    ];
    for (method, sent, expected) in cases {
        assert_eq!(error(target(method, sent)), expected, "{method} {sent}");
    }
    for byte in [0x00, 0x01, b'\t', 0x0b, 0x1f, 0x7f, 0x80, 0xff, b'"', b'<', b'>'] {
        let input = [b"GET /a", &[byte][..], b"b HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        assert_eq!(error(input), InvalidTarget, "{byte:#04x}");
    }
}

#[test]
fn the_request_line_has_two_spaces_and_one_crlf() {
    for line in [
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET /  HTTP/1.1\r\n",
        " GET / HTTP/1.1\r\n",
        "GET\t/ HTTP/1.1\r\n",
        "GET /\r\n",
        "GET\r\n",
        "GET / \r\n",
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\rX",
        "GET / http/1.1\r\n",
        "GET / HTTP/11\r\n",
        "GET / HTTP/1.1x\r\n",
        "GET / HTTP/a.1\r\n",
        "GET / HTTP 1.1\r\n",
        "G\0T / HTTP/1.1\r\n",
        "GET/ HTTP/1.1\r\n",
        "(GET) / HTTP/1.1\r\n",
        "GET / XTTP/1.1\r\n",
        "GET / HTTP/1.10\r\n",
        "GET / a HTTP/1.1\r\n",
        "HTTP/1.1 200 OK\r\n",
        "GÉT / HTTP/1.1\r\n",
    ] {
        let found = error(format!("{line}Host: h\r\n\r\n"));
        let expected = match line {
            "GET  / HTTP/1.1\r\n" => InvalidTarget,
            _ => RequestLine,
        };
        assert_eq!(found, expected, "{line:?}");
        assert_eq!(found.code(), Some(ErrorCode::BadRequest));
    }
}

#[test]
fn unknown_methods_are_not_implemented() {
    for method in ["BREW", "get", "GETT", "UNSUBSCRIBER", "A", "!#$%&'*+-.^"] {
        let found = error(target(method, "/"));
        assert_eq!(found, UnknownMethod, "{method}");
        assert_eq!(found.code(), Some(ErrorCode::MethodNotImplemented));
    }
    // A method without end isn't waited for.
    assert_eq!(error("A".repeat(12)), UnknownMethod);
    assert_eq!(outcome("A".repeat(11).as_bytes(), &LIMITS), Ok(None));
}

#[test]
fn other_versions_are_not_supported() {
    for (version, major, minor) in
        [("2.0", b'2', b'0'), ("0.9", b'0', b'9'), ("1.2", b'1', b'2'), ("3.0", b'3', b'0')]
    {
        let found = error(format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n"));
        assert_eq!(found, UnsupportedVersion { major, minor });
        assert_eq!(found.code(), Some(ErrorCode::VersionNotSupported));
        assert!(found.to_string().starts_with(&format!("HTTP/{version} is not supported")));
    }
}

#[test]
fn other_protocols_are_recognised() {
    let preface = error("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!((preface, preface.status()), (Http2Preface, Status::HTTP_VERSION_NOT_SUPPORTED));
    let hello = error(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!((hello, hello.status()), (TlsOnPlainPort, Status::BAD_REQUEST));
    assert_eq!(error(b"\x16"), TlsOnPlainPort);
    assert_eq!(error(b"\x80\x2e\x01\x00\x02"), RequestLine);
}

#[test]
fn other_expectations_fail() {
    for case in ["200-ok", "100-continue, 200-ok", "100-continue=1", "", "\"100-continue\""] {
        let found = error(get(&format!("Expect: {case}\r\nContent-Length: 1")));
        assert_eq!(found, Expectation, "{case:?}");
        assert_eq!((found.status(), found.code()), (Status::EXPECTATION_FAILED, None));
    }
}
