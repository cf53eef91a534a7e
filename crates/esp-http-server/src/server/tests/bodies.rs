//! Bodies of requests: read in pieces, announced with `Expect`, left unread.

use super::support::*;
use crate::server::HttpConfig;
use crate::{Request, Result, Status};

/// Reads the body in pieces of three and answers with them.
fn in_threes(request: &mut Request) -> Result {
    let mut pieces = Vec::new();
    let mut piece = [0; 3];
    loop {
        match request.recv(&mut piece)? {
            0 => return request.respond().send(pieces),
            len => {
                pieces.extend_from_slice(&piece[..len]);
                pieces.push(b'|');
            }
        }
    }
}

/// Takes exactly four bytes and leaves the rest.
fn four(request: &mut Request) -> Result {
    let mut four = [0; 4];
    request.recv_exact(&mut four)?;
    request.respond().send(four)
}

fn unread(request: &mut Request) -> Result {
    request.respond().send("unread")
}

fn up_to_ten(request: &mut Request) -> Result {
    let body = request.recv_all(10)?;
    request.respond().send(body.len().to_string())
}

fn engine() -> Engine {
    Engine::new(HttpConfig { purge_len: 1000, ..HttpConfig::default() }, |server| {
        server
            .post("/threes", in_threes)
            .post("/four", four)
            .post("/unread", unread)
            .post("/ten", up_to_ten)
            .post("/len", |request: &mut Request| -> Result {
                let len = request.content_len()?;
                request.respond().send(len.to_string())
            })
            .get("/next", path)
    })
}

fn chunked(path: &str, chunks: &[&str]) -> String {
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in chunks {
        request += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    request + "0\r\n\r\n"
}

fn announced(path: &str, len: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n")
}

#[test]
fn a_body_is_read_in_pieces_however_it_is_framed() {
    let client = engine().connect();
    client.send(post("/threes", "abcdefgh"));
    client.expect(ok("abc|def|gh|"));
    client.send(chunked("/threes", &["abcdefg"]));
    let text = client.text();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body.replace('|', ""), "abcdefg");
    client.send([chunked("/threes", &[]), post("/threes", ""), get("/next")].concat());
    client.expect([ok(""), ok(""), ok("/next")].concat());
}

#[test]
fn a_handler_waits_for_the_rest_of_a_body_while_others_are_served() {
    let engine = engine();
    let (slow, other) = (engine.connect(), engine.connect());
    slow.send(announced("/threes", 6));
    slow.send("abc");
    other.send(get("/next"));
    other.expect(ok("/next"));
    slow.send("de");
    slow.expect_nothing();
    slow.send("f");
    slow.expect(ok("abc|de|f|"));
}

#[test]
fn exactly_so_many_bytes_or_an_error() {
    let client = engine().connect();
    client.send([post("/four", "abcdefgh"), get("/next")].concat());
    client.expect([ok("abcd"), ok("/next")].concat());
    client.send(post("/four", "abc"));
    client.expect_last("400 Bad Request");
}

#[test]
fn a_limit_on_the_whole_body_holds_to_the_byte() {
    for (len, status) in
        [(9, "200 OK"), (10, "200 OK"), (11, "413 Content Too Large"), (900, "413")]
    {
        let body = "x".repeat(len);
        let (start, end) = body.split_at(len / 2);
        for request in [post("/ten", &body), chunked("/ten", &[start, end])] {
            let client = engine().connect();
            client.send(request);
            let text = client.text();
            assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{len}: {text}");
            assert_eq!(text.contains("Connection: close"), len > 10);
        }
    }
}

#[test]
fn a_body_that_is_announced_too_long_is_refused_before_it_comes() {
    let engine = engine();
    let client = engine.connect();
    client.send(announced("/ten", 1_000_000));
    let text = client.expect_last("413 Content Too Large");
    assert_eq!(text, "the body is longer than the 10 bytes that are accepted here\n");
    // The client is still sending: closing now would take the answer away from it.
    client.expect_lingering();
    assert_eq!(engine.lent(), 0, "waiting for that costs no buffers");
    client.send("x".repeat(100_000));
    client.expect_lingering();
    client.finish();
    client.expect_closed();
}

#[test]
fn a_handler_that_needs_a_length_refuses_a_body_without() {
    let client = engine().connect();
    client.send(post("/len", "abc"));
    client.expect(ok("3"));
    client.send(chunked("/len", &["abc"]));
    let text = client.expect_last("411 Length Required");
    assert!(text.contains("send a Content-Length"), "{text}");
}

#[test]
fn continue_is_sent_when_the_handler_reads() {
    let client = engine().connect();
    let head = announced("/threes", 3).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    client.send(&head);
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    client.expect(ok("abc|"));
    // Who does not wait needs no answer.
    client.send(head + "abc");
    client.expect(ok("abc|"));
    client.expect_open();
}

#[test]
fn who_waits_for_continue_and_is_not_asked_for_the_body_is_closed() {
    let client = engine().connect();
    client.send(announced("/unread", 3).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(client.expect_last("200 OK"), "unread");
    client.expect_lingering();
    // Whether these are the body or a request nobody can know.
    client.send(get("/next"));
    client.expect_nothing();
}

#[test]
fn what_a_handler_leaves_unread_is_dropped() {
    let client = engine().connect();
    client.send([post("/unread", &"x".repeat(1000)), get("/next")].concat());
    client.expect([ok("unread"), ok("/next")].concat());
    client.send(announced("/unread", 1000));
    client.expect(ok("unread"));
    // It comes late, and in pieces.
    for _ in 0..10 {
        client.send("x".repeat(100));
        client.expect_open();
    }
    client.send([chunked("/unread", &["ab", "cd"]), get("/next")].concat());
    client.expect([ok("unread"), ok("/next")].concat());
}

#[test]
fn more_than_purge_len_of_unread_body_ends_the_connection() {
    let client = engine().connect();
    client.send([post("/unread", &"x".repeat(1001)), get("/next")].concat());
    assert_eq!(client.expect_last("200 OK"), "unread");
    client.expect_lingering();

    // A chunked body does not tell how long it will be.
    let client = engine().connect();
    client.send([chunked("/unread", &["x"; 300]), get("/next")].concat());
    client.expect(ok("unread"));
    client.expect_lingering();
}

#[test]
fn a_handler_may_answer_in_pieces_before_it_has_read_a_large_body() {
    let engine = Engine::new(HttpConfig { purge_len: 1000, ..HttpConfig::default() }, |server| {
        server.get("/next", path).post("/*", |request: &mut Request| -> Result {
            let reads = request.path() == "/reads";
            let mut body = request.respond().sized(2)?;
            body.send("ab")?;
            if reads {
                body.request().recv_all(5000)?;
            }
            body.finish()
        })
    });
    let client = engine.connect();
    client.send([post("/reads", &"x".repeat(5000)), get("/next")].concat());
    client.expect([ok("ab"), ok("/next")].concat());
    client.send([post("/leaves", &"x".repeat(5000)), get("/next")].concat());
    client.expect(ok("ab"));
    client.expect_lingering();
}

#[test]
fn a_body_that_breaks_off_or_breaks_the_rules_is_400() {
    let client = engine().connect();
    client.send(announced("/threes", 10));
    client.put("abc");
    client.finish();
    assert!(client.expect_last("400 Bad Request").contains("before the end of the body"));
    client.expect_closed();

    for body in ["3\nabc", "g\r\n", "-1\r\n", "0x3\r\n", "3 \r\nabc", "3\r\nabcd\r\n", "\r\n"] {
        let client = engine().connect();
        let head = "POST /threes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send([head, body, "\r\n0\r\n\r\n", &get("/next")].concat());
        assert!(client.expect_last("400 Bad Request").contains("malformed"), "{body:?}");
        client.expect_lingering();
    }
}

#[test]
fn a_peer_that_resets_wakes_the_handler() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.post("/", move |request: &mut Request| -> Result {
            let error = request.recv(&mut [0]).unwrap_err();
            noted.note(error.to_string());
            // It can't wait any more, whatever for.
            noted.note(request.sleep(secs(1)).unwrap_err().to_string());
            request.respond().status(Status::OK).send("nobody is there")
        })
    });
    let client = engine.connect();
    client.send(announced("/", 10));
    client.reset();
    client.expect_closed();
    assert_eq!(log.take(), ["the session is closed"; 2]);
    assert_eq!(engine.open(), 0);
}
