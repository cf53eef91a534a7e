//! What a request says, taken apart: query, header fields, cookies, forms, trailers, the raw head.

use super::support::*;
use crate::proto::form::Form;
use crate::server::HttpConfig;
use crate::{Error, Request, Result};

/// Runs `handler` for these bytes; gives the answer.
fn answer(
    handler: impl Fn(&mut Request) -> Result + Send + Sync + 'static,
    bytes: impl AsRef<[u8]>,
) -> String {
    let engine = Engine::new(HttpConfig::default(), |server| server.any("/*", handler));
    let client = engine.connect();
    client.send(bytes);
    client.text()
}

fn with_fields(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

fn form_post(content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\n{content_type}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[test]
fn a_query_is_given_as_sent_and_decoded() {
    let text = answer(
        |request| {
            assert_eq!(request.query(), Some("q=a%20b+c&q=2&%6eame=%C3%A9&empty=&bare"));
            assert_eq!(request.query_value("q"), Some("a%20b+c"));
            assert_eq!(request.query_value("name"), None, "it was sent otherwise");
            let param = |key| request.query_param(key).map(|value| value.map(String::from));
            assert_eq!(param("q")?.as_deref(), Some("a b c"));
            assert_eq!(param("name")?.as_deref(), Some("é"));
            assert_eq!(param("empty")?.as_deref(), Some(""));
            assert_eq!(param("bare")?.as_deref(), Some(""));
            assert_eq!(param("Q")?, None);
            let all = Form::parse(request.query().unwrap_or_default().as_bytes())?;
            assert_eq!(all.values("q").collect::<Vec<_>>(), ["a b c", "2"]);
            request.respond().send("")
        },
        get("/?q=a%20b+c&q=2&%6eame=%C3%A9&empty=&bare"),
    );
    assert_eq!(text, ok(""));
}

#[test]
fn without_a_query_there_is_no_value() {
    for target in ["/", "/?", "/?&&"] {
        let text = answer(
            |request| {
                assert_eq!(request.query_param("q")?, None);
                request.respond().send("none")
            },
            get(target),
        );
        assert_eq!(text, ok("none"), "{target}");
    }
}

#[test]
fn a_query_that_cannot_be_decoded_is_400_when_the_handler_passes_it_on() {
    let handler = |request: &mut Request| -> Result {
        assert!(request.query_param("good")?.is_some(), "other values don't matter");
        let value = request.query_param("bad")?.map(String::from);
        request.respond().send(value.unwrap_or_default())
    };
    for bad in ["%ff", "%C3", "%C3%28", "%ED%A0%80", "a%80"] {
        let text = answer(handler, get(&format!("/?bad={bad}&good=1")));
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{bad}: {text}");
        assert!(text.ends_with("the query's value for \"bad\": the decoded bytes are not UTF-8\n"));
    }
}

#[test]
fn header_fields_are_found_in_any_case_all_of_them_and_as_bytes() {
    let text = answer(
        |request| {
            assert_eq!(request.header("x-a"), Some("1"));
            assert_eq!(request.header_bytes("X-A"), Some(&b"1"[..]));
            let values: Vec<_> = request.header_values("X-a").collect();
            assert_eq!(values, [&b"1"[..], b"2, 3", b""]);
            assert_eq!(request.header("x-bytes"), None, "it is no text");
            assert_eq!(request.header_bytes("x-bytes"), Some(&b"\xe9\xff"[..]));
            assert_eq!(request.header_values("x").count(), 0);
            assert_eq!(request.header_bytes(""), None);
            let names: Vec<_> = request.headers().map(|(name, _)| name).collect();
            assert_eq!(names, ["Host", "X-A", "x-a", "X-Bytes", "X-A"]);
            request.respond().send("")
        },
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a:2, 3 \r\nX-Bytes: \xe9\xff\r\nX-A:\r\n\r\n",
    );
    assert_eq!(text, ok(""));
}

#[test]
fn cookies_are_found_in_all_their_fields() {
    let text = answer(
        |request| {
            assert_eq!(request.cookie("a"), Some("1"));
            assert_eq!(request.cookie("b"), Some("\"2%3B\""), "as it was sent");
            assert_eq!(request.cookie("c"), Some("=3"));
            assert_eq!(request.cookie("A"), None);
            assert_eq!(request.cookie("broken"), None);
            let all: Vec<_> = request.cookies().collect();
            assert_eq!(all, [("a", "1"), ("b", "\"2%3B\""), ("a", "9"), ("c", "=3")]);
            request.respond().send("")
        },
        [
            &b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=\"2%3B\"\r\n"[..],
            b"cookie: a=9;c==3; broken=\xff; junk\r\nCookie:\r\n\r\n",
        ]
        .concat(),
    );
    assert_eq!(text, ok(""));
    let none = |request: &mut Request| -> Result {
        assert_eq!((request.cookie("a"), request.cookies().count()), (None, 0));
        request.respond().send("")
    };
    assert_eq!(answer(none, get("/")), ok(""));
}

#[test]
fn the_raw_head_is_what_was_sent() {
    let head = with_fields("X-A:  1 \t");
    let sent = head.clone();
    let text = answer(
        move |request| {
            assert_eq!(request.raw_head(), sent.as_bytes());
            request.respond().send("")
        },
        // Empty lines before a head are no part of it, and neither is what follows.
        ["\r\n", &head, "GE"].concat(),
    );
    assert_eq!(text, ok(""));
}

#[test]
fn trailers_are_there_behind_the_body() {
    let handler = |request: &mut Request| -> Result {
        assert_eq!(request.trailers().count(), 0);
        assert_eq!(request.recv_all(10)?, b"hello");
        let trailers: Vec<_> = request.trailers().collect();
        assert_eq!(trailers, [("Digest", &b"sum"[..]), ("host-", b"")]);
        // They are none of the head's.
        assert_eq!(request.header("digest"), None);
        request.respond().send("")
    };
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n0\r\nDigest:  sum\r\nhost-:\r\n\r\n";
    assert_eq!(answer(handler, request), ok(""));
    // Another request does not have them.
    let none = |request: &mut Request| -> Result {
        request.recv_all(10)?;
        assert_eq!(request.trailers().count(), 0);
        request.respond().send("")
    };
    assert_eq!(answer(none, post("/", "hello")), ok(""));
}

/// CVE-2020-27304 and its kin: whoever opens files by it decodes it first, once, and then looks.
#[test]
fn a_path_stays_as_it_was_sent() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/secret", |_: &mut Request| -> Result { unreachable!() }).get("/files/*", path)
    });
    for target in [
        "/files/../secret",
        "/files/%2e%2e/secret",
        "/files/..%2fsecret",
        "/files/..%5Csecret",
        "/files//secret",
        "/files/%00secret",
        "/files/./a",
    ] {
        let client = engine.connect();
        client.send(get(target));
        client.expect(ok(target));
    }
    for target in ["/%73ecret", "//secret", "/secret/", "/./secret", "/secret%00", "/x/../secret"] {
        let client = engine.connect();
        client.send(get(target));
        assert!(client.text().starts_with("HTTP/1.1 404 Not Found\r\n"), "{target}");
    }
}

#[test]
fn a_form_is_read_and_decoded() {
    let handler = |request: &mut Request| -> Result {
        let form = request.form(100)?;
        let pairs: Vec<_> = form.pairs().map(|(name, value)| format!("{name}={value}")).collect();
        request.respond().send(pairs.join("|"))
    };
    let body = b"name=J%C3%BCrgen+K&topping=ham&topping=%26&empty=";
    for content_type in [
        FORM,
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n",
        "content-type:\tAPPLICATION/X-WWW-FORM-URLENCODED\r\n",
    ] {
        let text = answer(handler, form_post(content_type, body));
        assert_eq!(text, ok("name=Jürgen K|topping=ham|topping=&|empty="));
    }
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n".to_owned()
        + FORM
        + "\r\n3\r\na=%\r\n5\r\n41&b=\r\n0\r\n\r\n";
    assert_eq!(answer(handler, chunked), ok("a=A|b="));
    assert_eq!(answer(handler, form_post(FORM, b"")), ok(""));
}

#[test]
fn what_is_no_form_is_415_before_it_is_read() {
    let handler = |request: &mut Request| -> Result {
        let error = request.form(100).map(|_| ()).unwrap_err();
        let mut rest = [0; 9];
        assert_eq!(request.recv(&mut rest)?, 3, "nothing was read");
        Err(error)
    };
    let twice = FORM.repeat(2);
    for content_type in [
        "",
        "Content-Type:\r\n",
        "Content-Type: text/plain\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n",
        "Content-Type: application/json\r\n",
        &twice,
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Encoding: gzip\r\n",
    ] {
        let text = answer(handler, form_post(content_type, b"a=1"));
        assert!(text.starts_with("HTTP/1.1 415 Unsupported Media Type\r\n"), "{content_type}");
    }
}

#[test]
fn a_form_that_cannot_be_decoded_is_400() {
    let handler = |request: &mut Request| -> Result {
        request.form(100)?;
        request.respond().send("")
    };
    for body in [&b"a=%"[..], b"a=%zz", b"a=1&b=%4", b"a=\xff", b"%ff=1"] {
        let text = answer(handler, form_post(FORM, body));
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{}", body.escape_ascii());
        assert!(text.contains("the form can't be decoded: "), "{text}");
    }
}

#[test]
fn the_limit_of_a_form_holds_to_the_byte() {
    let handler = |request: &mut Request| -> Result {
        let form = request.form(10);
        if let Err(error) = &form {
            assert!(matches!(error, Error::BodyTooLong { limit: 10 }), "{error}");
        }
        let len = form?.value("a").map_or(0, str::len);
        request.respond().send(len.to_string())
    };
    for (len, status) in [(9, "200"), (10, "200"), (11, "413"), (1000, "413")] {
        let body = "a=".to_owned() + &"x".repeat(len - 2);
        let text = answer(handler, form_post(FORM, body.as_bytes()));
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{len}: {text}");
    }
}

#[test]
fn recv_fills_buffers_of_any_size() {
    for (size, reads) in [(1, "111110"), (4, "410"), (5, "50"), (6, "50"), (100, "50")] {
        let text = answer(
            move |request| {
                assert_eq!(request.recv(&mut [])?, 0, "no room is no end");
                let mut lens = String::new();
                let mut body = Vec::new();
                loop {
                    // What is behind the buffer's end must stay as it is.
                    let mut buffer = vec![b'.'; size + 1];
                    let len = request.recv(&mut buffer[..size])?;
                    assert!(buffer[len..].iter().all(|&byte| byte == b'.'));
                    body.extend_from_slice(&buffer[..len]);
                    lens += &len.to_string();
                    if len == 0 {
                        break;
                    }
                }
                assert_eq!(body, b"hello");
                request.respond().send(lens)
            },
            post("/", "hello"),
        );
        assert_eq!(text, ok(reads), "{size}");
    }
    for (size, status) in [(0, "200"), (4, "200"), (5, "200"), (6, "400")] {
        let text = answer(
            move |request| {
                request.recv_exact(&mut vec![0; size])?;
                request.respond().send("")
            },
            post("/", "hello"),
        );
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{size}: {text}");
    }
}

#[test]
fn a_password_is_asked_for_until_it_is_the_right_one() {
    let page = |request: &mut Request| match request.basic_auth() {
        Some(auth) if auth.matches("admin", "secret") => request.respond().send("settings"),
        _ => request.respond().ask_for_password("the \"device\""),
    };
    let challenge = "WWW-Authenticate: Basic realm=\"the \\\"device\\\"\", charset=\"UTF-8\"\r\n";
    let good = "Authorization: Basic YWRtaW46c2VjcmV0";
    assert_eq!(answer(page, with_fields(good)), ok("settings"));
    let empty = "Authorization: Basic Og==";
    let prefix = "Authorization: Basic YWRtaW46c2VjcmU=";
    let twice = format!("{good}\r\n{good}");
    for fields in ["X: y", empty, prefix, "Authorization: Bearer YWRtaW46c2VjcmV0", &twice] {
        let text = answer(page, with_fields(fields));
        assert!(text.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{fields}: {text}");
        assert!(text.contains(challenge), "{fields}: {text}");
    }
}

#[test]
fn a_realm_is_one_line() {
    let text = answer(
        |request| match request.respond().ask_for_password("a\r\nSet-Cookie: b=c") {
            Err(Error::InvalidField(_)) => request.respond().send("refused"),
            other => other,
        },
        get("/"),
    );
    assert_eq!(text, ok("refused"));
}
