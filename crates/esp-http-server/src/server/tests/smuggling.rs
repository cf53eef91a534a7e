//! Bytes that two parties could cut into requests in different ways. Whatever is in doubt is refused, the
//! connection closes, and nothing of the same bytes is taken for another request. What is not in doubt
//! is cut as its head says, also if its handler reads none of it or forgets its errors.

use super::support::*;
use crate::server::HttpConfig;
use crate::{Request, Result};

/// Where a body ends, five handlers have their own way not to care.
const PATHS: [&str; 5] = ["/reads", "/reads-once", "/unread", "/forgets", "/answers-first"];

fn engine() -> (Engine, Log) {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig { purge_len: 1000, ..HttpConfig::default() }, |server| {
        server
            .get("/next", path)
            .post("/reads", |request: &mut Request| -> Result {
                request.recv_all(200)?;
                path(request)
            })
            .post("/reads-once", |request: &mut Request| -> Result {
                // What stands before a fault, of which it does not hear.
                let _ = request.recv(&mut [0; 100]);
                path(request)
            })
            .post("/unread", path)
            .post("/forgets", |request: &mut Request| -> Result {
                while request.recv(&mut [0; 7]).is_ok_and(|len| len > 0) {}
                path(request)
            })
            .post("/answers-first", |request: &mut Request| -> Result {
                let mut chunks = request.respond().sized(2)?;
                chunks.send("ok")?;
                let _ = chunks.request().recv_all(200);
                chunks.finish()
            })
            .any("/smuggled", move |request: &mut Request| -> Result {
                noted.note("smuggled");
                request.respond().send("smuggled")
            })
    });
    (engine, log)
}

/// One whole answer of 4xx or 5xx, which says that it is the last.
#[track_caller]
fn expect_refused(client: &Client, what: &str) {
    let text = client.text();
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{what:?}: {text}");
    let is_error = text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.1 5");
    assert!(is_error && text.contains("\r\nConnection: close\r\n"), "{what:?}: {text}");
    client.expect_lingering();
}

/// How many whole answers with status 200 there are.
fn served(text: &str) -> usize {
    text.matches("HTTP/1.1 200 OK\r\n").count()
}

/// Faults in the line `name: value`, one of which some server forgives.
const FAULTS: [fn(&str, &str) -> String; 13] = [
    |name, value| format!("{name} : {value}\r\n"),
    |name, value| format!("{name}\t: {value}\r\n"),
    |name, value| format!(" {name}: {value}\r\n"),
    |name, value| format!("X: y\r\n {name}: {value}\r\n"),
    |name, value| format!("X: y\r\n\t{name}: {value}\r\n"),
    |name, value| format!("{name}:\r\n {value}\r\n"),
    |name, value| format!("X: y\n{name}: {value}\r\n"),
    |name, value| format!("{name}: {value}\n"),
    |name, value| format!("X: y\r{name}: {value}\r\n"),
    |name, value| format!("{name} {value}\r\n"),
    |name, value| format!("{name}\0: {value}\r\n"),
    |name, value| format!("{name}: \u{b}{value}\r\n"),
    |name, value| format!("\u{feff}{name}: {value}\r\n"),
];

fn plain(name: &str, value: &str) -> String {
    format!("{name}: {value}\r\n")
}

/// Whoever goes by the chunks ends the body before `/smuggled`, whoever goes by the length behind it.
fn ambiguous_body() -> String {
    ["0\r\n\r\n", &get("/smuggled")].concat()
}

#[test]
fn a_body_with_two_readings_is_refused_whatever_hides_one_of_them() {
    let body = ambiguous_body();
    let len = body.len().to_string();
    let lengths = [&*len, "5", "0", "+5", "-5", &format!("{len}, {len}"), "0x5", ""];
    let encodings = [
        "chunked",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, identity",
        ",chunked",
        "xchunked",
        "",
    ];
    let mut heads = Vec::new();
    for length in lengths {
        for encoding in encodings {
            let length = |line: fn(&str, &str) -> String| line("Content-Length", length);
            let encoding = |line: fn(&str, &str) -> String| line("Transfer-Encoding", encoding);
            heads.push([length(plain), encoding(plain)].concat());
            heads.push([encoding(plain), length(plain)].concat());
            for fault in FAULTS {
                heads.push([length(fault), encoding(plain)].concat());
                heads.push([length(plain), encoding(fault)].concat());
                heads.push([encoding(fault), length(plain)].concat());
                heads.push([encoding(plain), length(fault)].concat());
            }
        }
    }
    // And each of them alone, or twice.
    for fault in FAULTS {
        heads.push(fault("Content-Length", &len));
        heads.push(fault("Transfer-Encoding", "chunked"));
    }
    for (name, one, other) in [
        ("Content-Length", &*len, &*len),
        ("Content-Length", &len, "5"),
        ("Content-Length", "5", &len),
        ("Transfer-Encoding", "chunked", "chunked"),
        ("Transfer-Encoding", "chunked", "identity"),
        ("Transfer-Encoding", "identity", "chunked"),
    ] {
        heads.push([plain(name, one), plain(&name.to_lowercase(), other)].concat());
        heads.push([plain(name, one), plain("X", "y"), plain(name, other)].concat());
    }
    let (engine, log) = engine();
    for lines in heads {
        let client = engine.connect();
        let head = format!("POST /unread HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        client.send([&*head, &body, &get("/next")].concat());
        expect_refused(&client, &lines);
        client.send(get("/next"));
        client.expect_nothing();
        client.finish();
    }
    assert!(log.take().is_empty());
    assert_eq!((engine.open(), engine.lent()), (0, 0));
}

#[test]
fn a_body_with_one_reading_ends_where_its_head_says_whatever_the_handler_does() {
    let body = ambiguous_body();
    let length = format!("Content-Length: {}\r\n", body.len());
    let spaced = format!("content-length: \t {} \r\n", body.len());
    for path in PATHS {
        for (lines, smuggled) in [
            (&*length, 0),
            (&spaced, 0),
            ("Transfer-Encoding: chunked\r\n", 1),
            ("TRANSFER-encoding:Chunked\r\n", 1),
        ] {
            let request =
                [&format!("POST {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n"), &*body, &get("/next")];
            let request = request.concat();
            for piece_len in [request.len(), 1] {
                let (engine, log) = engine();
                let client = engine.connect();
                request.as_bytes().chunks(piece_len).for_each(|piece| client.send(piece));
                let text = client.text();
                assert_eq!(served(&text), 2 + smuggled, "{path} {lines}: {text}");
                assert!(text.ends_with(&ok("/next")), "{path} {lines}: {text}");
                // By chunks it is a request of its own, and no secret.
                assert_eq!(log.take().len(), smuggled);
            }
        }
    }
}

/// CWE-681 and CWE-444: ESP-IDF 9d3f510 cut a length to 32 bits, Mongoose (CVE-2023-34188) took
/// negative ones, hyper (CVE-2021-32715) a sign.
#[test]
fn a_length_that_is_no_number_of_bytes_is_refused() {
    let (engine, log) = engine();
    for length in [
        "-1",
        "-0",
        "+5",
        "5,5",
        "5, 5",
        "5 5",
        "5\t5",
        "0x5",
        "5e0",
        "5.",
        "٥",
        "",
        // 2^64 + 5, and 2^64 itself.
        "18446744073709551621",
        "18446744073709551616",
        "99999999999999999999999999999999999999999999999999",
    ] {
        for path in PATHS {
            let client = engine.connect();
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nhello");
            client.send([&*head, &get("/smuggled"), &get("/next")].concat());
            expect_refused(&client, length);
        }
    }
    assert!(log.take().is_empty());
}

#[test]
fn a_length_beyond_32_bits_is_not_cut_to_five() {
    for length in [(1_u64 << 32) + 5, (1 << 63) + 5, 1 << 63, u64::MAX] {
        for path in PATHS {
            let (engine, log) = engine();
            let client = engine.connect();
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nhello");
            client.send([&*head, &get("/smuggled"), &get("/next")].concat());
            // Some wait for the rest, until they are tired of it.
            engine.advance(secs(6));
            let text = client.text();
            assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{length} {path}: {text}");
            engine.advance(secs(3));
            client.expect_nothing();
            client.expect_closed();
            assert!(log.take().is_empty(), "{length} {path}");
        }
    }
}

#[test]
fn behind_a_chunked_body_that_breaks_the_rules_nothing_is_a_request() {
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5;a=\nb\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\n\r\n",
        "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
        "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\n\rX",
    ] {
        for path in PATHS {
            let (engine, log) = engine();
            let client = engine.connect();
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send([&*head, body, &get("/smuggled"), &get("/next")].concat());
            let text = client.text();
            // Who does not look at the body can't know; the connection ends all the same.
            let status = if path == "/reads" { "400 Bad Request" } else { "200 OK" };
            assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{path} {body:?}: {text}");
            assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{path} {body:?}: {text}");
            client.expect_lingering();
            assert!(log.take().is_empty(), "{path} {body:?}");
        }
    }
}

#[test]
fn a_body_that_comes_late_is_still_a_body() {
    let late = get("/smuggled") + &"x".repeat(100);
    for path in PATHS {
        let (engine, log) = engine();
        let client = engine.connect();
        let len = "hello".len() + late.len();
        client
            .send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\nhello"));
        // Longer than any handler waits, and any server that drops what nobody has read.
        engine.advance(secs(5));
        client.send([&*late, &get("/next")].concat());
        let text = client.text();
        assert!(log.take().is_empty(), "{path}: {text}");
        // Either all of it is known to be the body, or the connection has ended.
        let answers = text.matches("HTTP/1.1 ").count();
        assert!(answers == 1 || (answers == 2 && text.ends_with(&ok("/next"))), "{path}: {text}");
    }
}
