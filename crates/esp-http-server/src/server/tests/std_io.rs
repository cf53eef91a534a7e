//! Requests and responses as `std::io::Read` and `Write`.

use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write};

use super::support::*;
use crate::server::HttpConfig;
use crate::{Error, Request, Result};

fn engine(handler: impl Fn(&mut Request) -> Result + Send + Sync + 'static) -> Engine {
    let config = HttpConfig { recv_wait_timeout: secs(3), ..HttpConfig::default() };
    Engine::new(config, |server| server.any("/", handler).get("/next", path))
}

/// The data in chunks that were received.
fn joined(text: &str) -> String {
    let (_, mut rest) = text.split_once("\r\n\r\n").unwrap();
    let mut body = String::new();
    while let Some((len, data)) = rest.split_once("\r\n") {
        let len = usize::from_str_radix(len, 16).unwrap();
        body += &data[..len];
        rest = &data[len + 2..];
    }
    body
}

#[test]
fn a_response_can_be_written_to() {
    let engine = engine(|request| {
        let mut chunks = request.respond().chunked()?;
        writeln!(chunks, "{}, {:>3}", "o".repeat(3), 2)?;
        chunks.write_all(b"raw")?;
        Write::flush(&mut chunks)?;
        assert_eq!(chunks.write(b"")?, 0);
        chunks.finish()
    });
    let client = engine.connect();
    client.send([get("/"), get("/next")].concat());
    engine.advance(millis(1));
    let text = client.text();
    let text = text.strip_suffix(&ok("/next")).unwrap();
    assert_eq!(joined(text), "ooo,   2\nraw");
}

#[test]
fn a_buffered_writer_makes_few_chunks_of_many_pieces() {
    let engine = engine(|request| {
        let mut chunks = request.respond().chunked()?;
        let mut out = BufWriter::with_capacity(1000, &mut chunks);
        for number in 0..500 {
            writeln!(out, "{number:03}")?;
        }
        out.flush()?;
        drop(out);
        chunks.finish()
    });
    let client = engine.connect();
    client.send(get("/"));
    engine.advance(millis(1));
    let text = client.text();
    assert_eq!(text.matches("3e8\r\n").count(), 2, "{text}");
    let expected: String = (0..500).map(|number| format!("{number:03}\n")).collect();
    assert_eq!(joined(&text), expected);
}

#[test]
fn a_body_and_a_response_can_be_copied() {
    let engine = engine(|request| {
        let mut body = Vec::new();
        let len = std::io::copy(request, &mut body)?;
        assert_eq!(len, 100_000);
        let mut chunks = request.respond().sized(len)?;
        std::io::copy(&mut &*body, &mut chunks)?;
        chunks.finish()
    });
    let client = engine.connect();
    let body = "0123456789".repeat(10_000);
    client.send([post("/", &body), get("/next")].concat());
    client.expect([ok(&body), ok("/next")].concat());
}

#[test]
fn a_body_can_be_read_line_by_line() {
    let engine = engine(|request| {
        let lines: std::io::Result<Vec<_>> = BufReader::new(&mut *request).lines().collect();
        request.respond().send(lines?.join("|"))
    });
    let client = engine.connect();
    client.send(post("/", "a\nb\r\n\nc"));
    client.expect(ok("a|b||c"));
}

#[test]
fn an_error_that_went_through_io_is_still_what_it_was() {
    let log = Log::default();
    let noted = log.clone();
    let engine = engine(move |request| {
        let error = request.read_to_end(&mut Vec::new()).unwrap_err();
        noted.note(format!("{:?}: {error}", error.kind()));
        Err(error.into())
    });
    let announced = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf";
    let client = engine.connect();
    client.send(announced);
    engine.advance(secs(3));
    client.expect_last("408 Request Timeout");
    let client = engine.connect();
    client.put(announced);
    client.finish();
    client.expect_last("400 Bad Request");
    let client = engine.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\n");
    client.expect_last("400 Bad Request");
    let client = engine.connect();
    client.send(announced);
    client.reset();
    assert_eq!(
        log.take(),
        [
            "TimedOut: the peer was silent for too long",
            "UnexpectedEof: the peer closed before the end of the body",
            "InvalidData: the body of the request is malformed: \
             a chunk size is not 1 to 16 hexadecimal digits",
            "ConnectionAborted: the session is closed",
        ]
    );
}

#[test]
fn too_much_written_is_an_error_of_the_writer() {
    let engine = engine(|request| {
        let mut chunks = request.respond().sized(3)?;
        let error = chunks.write_all(b"1234").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        chunks.write_all(b"123")?;
        chunks.finish()
    });
    let client = engine.connect();
    client.send([get("/"), get("/next")].concat());
    client.expect([ok("123"), ok("/next")].concat());
}

#[test]
fn an_io_error_stays_the_one_that_it_was() {
    let error: std::io::Error = Error::from(std::io::Error::from(ErrorKind::NotFound)).into();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_raw_response_can_be_written_to() {
    let engine = engine(|request| {
        let mut raw = request.raw_response()?;
        write!(raw, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2)?;
        raw.write_all(b"hi")?;
        Write::flush(&mut raw)?;
        raw.finish()
    });
    let client = engine.connect();
    client.send([get("/"), get("/next")].concat());
    client.expect(["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", &ok("/next")].concat());
}
