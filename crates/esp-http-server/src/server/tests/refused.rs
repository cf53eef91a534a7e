//! Requests that are refused: which status, and that nothing behind them is believed.

use super::support::*;
use crate::server::HttpConfig;
use crate::{Request, Result};

fn engine() -> (Engine, Log) {
    let log = Log::default();
    let noted = log.clone();
    let config = HttpConfig {
        max_uri_len: 100,
        max_req_hdr_len: 400,
        max_req_hdr_fields: 5,
        ..HttpConfig::default()
    };
    let engine = Engine::new(config, |server| {
        server
            .get("/*", path)
            .post("/only-post", path)
            .put("/only-post", path)
            .any("/smuggled", move |_: &mut Request| -> Result {
                noted.note("smuggled");
                Ok(())
            })
            .get("/teapot", path)
    });
    (engine, log)
}

#[test]
fn a_bad_request_gets_its_status_and_nothing_behind_it_is_a_request() {
    let host = "Host: a\r\n";
    let long = "x".repeat(500);
    for (status, head) in [
        (
            "400 Bad Request",
            format!(
                "POST / HTTP/1.1\r\n{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
            ),
        ),
        (
            "400 Bad Request",
            format!(
                "POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
            ),
        ),
        (
            "400 Bad Request",
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
        ),
        ("400 Bad Request", format!("POST / HTTP/1.1\r\n{host}Content-Length: +5\r\n\r\n")),
        ("400 Bad Request", format!("GET / HTTP/1.1\r\n{host}A: b\rc\r\n\r\n")),
        ("400 Bad Request", format!("GET / HTTP/1.1\r\n{host}A : b\r\n\r\n")),
        ("400 Bad Request", format!("GET / HTTP/1.1\r\n{host}A: b\r\n c\r\n\r\n")),
        ("400 Bad Request", format!("GET / HTTP/1.1\n{host}\r\n")),
        ("400 Bad Request", "GET / HTTP/1.1\r\n\r\n".into()),
        ("400 Bad Request", format!("GET / HTTP/1.1\r\n{host}{host}\r\n")),
        ("400 Bad Request", "GET /\r\n".into()),
        ("400 Bad Request", "\u{16}\u{3}\u{1}\r\n\r\n".into()),
        ("414 URI Too Long", format!("GET /{long} HTTP/1.1\r\n{host}\r\n")),
        (
            "431 Request Header Fields Too Large",
            format!("GET / HTTP/1.1\r\n{host}A: {long}\r\n\r\n"),
        ),
        (
            "431 Request Header Fields Too Large",
            format!("GET / HTTP/1.1\r\n{host}{}\r\n", "A: b\r\n".repeat(5)),
        ),
        ("417 Expectation Failed", format!("GET / HTTP/1.1\r\n{host}Expect: wonders\r\n\r\n")),
        ("501 Not Implemented", format!("BREW / HTTP/1.1\r\n{host}\r\n")),
        (
            "501 Not Implemented",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n\r\n"),
        ),
        ("505 HTTP Version Not Supported", format!("GET / HTTP/2.0\r\n{host}\r\n")),
        ("505 HTTP Version Not Supported", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
    ] {
        let (engine, log) = engine();
        let client = engine.connect();
        client.send([get("/before"), head.clone(), get("/smuggled")].concat());
        let text = client.text();
        let text = text.strip_prefix(&ok("/before")).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head:?}: {text}");
        assert!(text.contains("\r\nConnection: close\r\n"), "{head:?}: {text}");
        client.expect_lingering();
        client.send(get("/smuggled"));
        client.expect_nothing();
        client.finish();
        client.expect_closed();
        assert!(log.take().is_empty(), "{head:?}");
        assert_eq!((engine.open(), engine.lent()), (0, 0));
    }
}

#[test]
fn the_next_client_is_not_told_of_the_last_ones_fault() {
    let (engine, _) = engine();
    let bad = engine.connect();
    bad.send("nonsense\r\n\r\n");
    bad.expect_last("400 Bad Request");
    bad.finish();
    // It gets the buffers back that the other one had.
    let good = engine.connect();
    good.send(get("/a"));
    good.expect(ok("/a"));
}

#[test]
fn an_unknown_path_is_404_and_the_connection_stays() {
    let engine = Engine::new(HttpConfig::default(), |server| server.get("/a", path));
    let client = engine.connect();
    client.send([post("/nowhere", "body"), get("/a")].concat());
    let text = client.text();
    assert!(text.starts_with("HTTP/1.1 404 Not Found\r\nContent-Type: text/plain"), "{text}");
    assert!(text.ends_with(&ok("/a")), "the body was dropped: {text}");
    client.expect_open();
}

#[test]
fn a_wrong_method_is_405_and_says_which_are_right() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/a", path).put("/a", path).get("/b", path)
    });
    let client = engine.connect();
    client.send([post("/a", ""), get("/b")].concat());
    let text = client.text();
    assert!(text.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{text}");
    assert!(text.contains("\r\nAllow: GET, HEAD, PUT, OPTIONS\r\n"), "{text}");
    // It is said once, and not in the next response.
    assert!(text.ends_with(&ok("/b")), "{text}");
}
