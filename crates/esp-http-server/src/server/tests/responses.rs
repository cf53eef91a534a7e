//! How responses leave: in one write, in pieces, to readers of any speed.

use super::support::*;
use crate::server::HttpConfig;
use crate::{Error, Request, Result, Status};

fn engine(handler: impl Fn(&mut Request) -> Result + Send + Sync + 'static) -> Engine {
    Engine::new(HttpConfig::default(), |server| server.get("/", handler).get("/next", path))
}

#[test]
fn a_small_response_is_one_write() {
    let engine = engine(|request| {
        request
            .respond()
            .status(Status::CREATED)
            .content_type("text/plain")
            .header("X-A", "1")
            .header("X-B", "2")
            .send("x".repeat(60_000))
    });
    let client = engine.connect();
    client.send(get("/"));
    let text = client.text();
    let head = "HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 60000\r\n\
                X-A: 1\r\nX-B: 2\r\n\r\n";
    assert_eq!(text, [head, &"x".repeat(60_000)].concat());
    assert_eq!(client.sends(), [text.len()]);
}

#[test]
fn a_response_larger_than_the_buffer_reaches_a_slow_reader_in_order() {
    let body: String = (0..40_000).map(|number| format!("{number:08}")).collect();
    let sent = body.clone();
    let engine = engine(move |request| request.respond().send(&sent));
    let client = engine.connect_as(Peer { window: 0, send_len: 7000, ..Peer::default() });
    client.send(get("/"));
    client.expect_nothing();
    let mut text = String::new();
    for _ in 0..40 {
        client.take(10_000);
        text += &client.text();
    }
    assert_eq!(text, ok(&body));
    client.send(get("/next"));
    client.expect(ok("/next"));
}

#[test]
fn what_a_layer_keeps_inside_moves_on_when_the_peer_reads() {
    let engine = engine(|request| request.respond().send("x".repeat(200_000)));
    let client = engine.connect_as(Peer { window: 0, layered: true, ..Peer::default() });
    client.send(get("/"));
    let mut len = 0;
    for _ in 0..30 {
        client.take(10_000);
        len += client.received().len();
    }
    assert_eq!(len, ok(&"x".repeat(200_000)).len());
    client.send(get("/next"));
    client.expect(ok("/next"));
}

#[test]
fn a_chunked_response_of_many_pieces_is_whole() {
    let engine = engine(|request| {
        let mut chunks = request.respond().chunked()?;
        for number in 0..1000 {
            chunks.send(format!("{number:04x}").repeat(number % 7))?;
        }
        chunks.finish()
    });
    let client = engine.connect();
    client.send(get("/"));
    let text = client.text();
    let (head, mut rest) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.ends_with("Transfer-Encoding: chunked"), "{head}");
    let mut body = String::new();
    loop {
        let (len, data) = rest.split_once("\r\n").unwrap();
        let len = usize::from_str_radix(len, 16).unwrap();
        body += &data[..len];
        assert_eq!(&data[len..len + 2], "\r\n");
        rest = &data[len + 2..];
        if len == 0 {
            break;
        }
    }
    assert_eq!(rest, "");
    let expected: String =
        (0..1000).map(|number| format!("{number:04x}").repeat(number % 7)).collect();
    assert_eq!(body, expected);
    client.send(get("/next"));
    client.expect(ok("/next"));
}

#[test]
fn a_chunked_response_to_http_1_0_is_bare_and_ends_with_the_connection() {
    let engine = engine(|request| {
        let mut chunks = request.respond().chunked()?;
        chunks.send("one ")?;
        chunks.send("two")?;
        chunks.finish()
    });
    let client = engine.connect();
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client.expect("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\none two");
    client.expect_closed();
}

#[test]
fn the_answer_to_head_has_no_pieces() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/next", path).any("/*", |request: &mut Request| -> Result {
            let mut body = match request.path() {
                "/sized" => request.respond().sized(5)?,
                _ => request.respond().chunked()?,
            };
            body.send("12345")?;
            body.finish()
        })
    });
    for (path, framing) in
        [("/sized", "Content-Length: 5"), ("/chunked", "Transfer-Encoding: chunked")]
    {
        let client = engine.connect();
        client.send([get(path).replace("GET", "HEAD"), get("/next")].concat());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{framing}\r\n\r\n");
        client.expect([head, ok("/next")].concat());
    }
}

#[test]
fn a_flushed_piece_arrives_before_the_next_one_is_made() {
    let engine = engine(|request| {
        let mut chunks = request.respond().chunked()?;
        chunks.send("now")?;
        chunks.flush()?;
        chunks.request().sleep(secs(1))?;
        chunks.send("later")?;
        chunks.finish()
    });
    let client = engine.connect();
    client.send(get("/"));
    assert!(client.text().ends_with("\r\n\r\n3\r\nnow\r\n"));
    engine.advance(millis(999));
    client.expect_nothing();
    engine.advance(millis(2));
    client.expect("5\r\nlater\r\n0\r\n\r\n");
}

#[test]
fn more_than_was_announced_is_an_error_and_less_is_cut_off() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .get("/more", move |request: &mut Request| -> Result {
                let mut body = request.respond().sized(3)?;
                body.send("ab")?;
                let error = body.send("cd").unwrap_err();
                noted.note(error.to_string());
                Err(error)
            })
            .get("/less", |request: &mut Request| -> Result {
                let mut body = request.respond().sized(3)?;
                body.send("ab")?;
                body.finish()
            })
            .get("/unfinished", |request: &mut Request| -> Result {
                let mut body = request.respond().chunked()?;
                body.send("ab")
            })
    });
    for path in ["/more", "/less", "/unfinished"] {
        let client = engine.connect();
        client.send([get(path), get("/less")].concat());
        let text = client.text();
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
        assert!(text.trim_end().ends_with("ab"), "{text}");
        client.expect_lingering();
    }
    assert_eq!(log.take(), ["the body does not have the announced length of 3 bytes"]);
}

#[test]
fn a_second_response_is_an_error_and_is_not_sent() {
    let log = Log::default();
    let noted = log.clone();
    let engine = engine(move |request| {
        request.respond().send("first")?;
        let second = request.respond().status(Status::NOT_FOUND).header("X", "y").send("second");
        noted.note(second.unwrap_err().to_string());
        Ok(())
    });
    let client = engine.connect();
    client.send([get("/"), get("/next")].concat());
    client.expect([ok("first"), ok("/next")].concat());
    assert_eq!(log.take(), ["the response to this request has begun already"]);
}

#[test]
fn nothing_of_a_response_with_an_injected_header_is_sent() {
    let log = Log::default();
    let noted = log.clone();
    let engine = engine(move |request| {
        for (name, value) in [
            ("Location", "/\r\nSet-Cookie: a=b"),
            ("X\r\nY", "z"),
            ("X", "nul\0"),
            ("Content-Length", "7"),
            ("transfer-encoding", "chunked"),
            ("Connection", "close"),
        ] {
            let sent = request.respond().header("X-Good", "1").header(name, value).send("no");
            assert!(matches!(sent, Err(Error::InvalidField(_))), "{name}");
            noted.note("refused");
        }
        let sent = request.respond().content_type("text/html\r\nX: y").send("no");
        assert!(matches!(sent, Err(Error::InvalidField(_))));
        request.respond().send("clean")
    });
    let client = engine.connect();
    client.send(get("/"));
    client.expect(ok("clean"));
    assert_eq!(log.take().len(), 6);
}

#[test]
fn no_body_goes_with_a_status_that_has_none() {
    let engine = engine(|request| request.respond().status(Status::NO_CONTENT).send("none"));
    let client = engine.connect();
    client.send([get("/"), get("/next")].concat());
    client.expect(["HTTP/1.1 204 No Content\r\n\r\n", &ok("/next")].concat());
}

#[test]
fn a_content_type_among_the_fields_takes_the_place_of_the_other() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .get("/", |request: &mut Request| -> Result {
                request.respond().header("content-type", "a/b").send("")
            })
            .get("/both", |request: &mut Request| -> Result {
                request.respond().header("Content-Type", "a/b").content_type("c/d").send("")
            })
            .get("/err", |request: &mut Request| -> Result {
                request.respond().header("Content-Type", "a/b").send_custom_err("418 a/b", "")
            })
    });
    for target in ["/", "/both", "/err"] {
        let client = engine.connect();
        client.send(get(target));
        let text = client.text().to_lowercase();
        assert_eq!(text.matches("content-type: ").count(), 1, "{text}");
        assert!(text.contains("content-type: a/b\r\n"), "{text}");
    }
}
