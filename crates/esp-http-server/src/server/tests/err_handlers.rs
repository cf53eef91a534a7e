//! Error handlers: which errors go to them, what they find, and whether the session stays open. What
//! they may do, and what happens when they fail, is in `err_handlers/running.rs`.

use super::support::*;
use super::ws::UPGRADE;
use crate::server::{HttpConfig, ServerBuilder};
use crate::{Error, ErrorCode, Request, Result, Status, WsRequest};

mod running;

fn config() -> HttpConfig {
    HttpConfig {
        max_req_hdr_len: 200,
        max_uri_len: 50,
        purge_len: 100,
        head_timeout: secs(4),
        recv_wait_timeout: secs(5),
        ..HttpConfig::default()
    }
}

/// Panics on purpose, without the noise on standard error.
fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("on purpose"))
}

/// What its error handlers answer.
fn page(code: ErrorCode) -> String {
    let status = code.status();
    ok("page").replace("200 OK", &format!("{} {}", status.code(), status.reason()))
}

fn last_page(code: ErrorCode) -> String {
    page(code).replace("\r\nContent-Length", "\r\nConnection: close\r\nContent-Length")
}

fn answer(request: &mut Request, code: ErrorCode) -> Result {
    request.respond().status(code.status()).send("page")
}

fn routes<T: crate::Transport>(server: ServerBuilder<T>) -> ServerBuilder<T> {
    server
        .get("/a", path)
        .post("/ten", |request: &mut Request| -> Result {
            let body = request.recv_all(10)?;
            request.respond().send(body.len().to_string())
        })
        .post("/len", |request: &mut Request| -> Result {
            let len = request.content_len()?;
            request.respond().send(len.to_string())
        })
        .get("/refused", |_: &mut Request| -> Result {
            Err(Error::Refused(Status::FORBIDDEN, "members only".into()))
        })
        .get("/teapot", |_: &mut Request| -> Result {
            Err(Error::Refused(Status::CONFLICT, "too late".into()))
        })
        .get("/panics", |_: &mut Request| -> Result { panic_quietly() })
        .get("/nothing", |_: &mut Request| -> Result { Ok(()) })
        .get("/parse", |_: &mut Request| -> Result { Ok("secret".parse::<u8>().map(|_| ())?) })
}

/// With an error handler for every code, which notes what it finds.
fn engine() -> (Engine, Log) {
    let log = Log::default();
    let engine = Engine::new(config(), |server| {
        ErrorCode::ALL.into_iter().fold(routes(server), |server, code| {
            let noted = log.clone();
            server.err_handler(code, move |request: &mut Request, code| -> Result {
                let (status, text) = (code.status().code(), request.err_text().unwrap());
                noted.note(format!("{status} {} {:?}: {text}", request.method(), request.uri()));
                answer(request, code)
            })
        })
    });
    (engine, log)
}

#[test]
fn errors_that_the_server_finds_in_a_whole_request_keep_the_session_open() {
    let (engine, log) = engine();
    let client = engine.connect();
    client.send([post("/nowhere", "body"), get("/a")].concat());
    client.expect([page(ErrorCode::NotFound), ok("/a")].concat());
    assert_eq!(log.take(), ["404 POST \"/nowhere\": Nothing here goes by this URI"]);
    client.send([post("/a", "body"), get("/a")].concat());
    let allowed = "\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n";
    let not_allowed = page(ErrorCode::MethodNotAllowed).replacen("\r\n\r\n", allowed, 1);
    client.expect([not_allowed, ok("/a")].concat());
    client.expect_open();
}

#[test]
fn an_error_in_a_head_closes_the_session_whatever_its_handler_returns() {
    let host = "Host: a\r\n";
    for (expected, head) in [
        (
            "400 POST \"\": Content-Length is not",
            format!("POST /a HTTP/1.1\r\n{host}Content-Length: +5\r\n\r\n"),
        ),
        ("400 GET \"\": Host is missing", "GET /a HTTP/1.1\r\nA: b\r\n\r\n".into()),
        ("400 GET \"\": the request line", "nonsense\r\n\r\n".into()),
        ("400 GET \"\": this port speaks plain", "\u{16}\u{3}\u{1}\r\n\r\n".into()),
        (
            "414 PUT \"\": the URI is longer than 50",
            format!("PUT /{} HTTP/1.1\r\n{host}\r\n", "x".repeat(50)),
        ),
        (
            "431 DELETE \"\": the head is longer",
            format!("DELETE /a HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(200)),
        ),
        ("501 GET \"\": the method is not known", format!("BREW /a HTTP/1.1\r\n{host}\r\n")),
        (
            "501 POST \"\": the only Transfer-Encoding",
            format!("POST /a HTTP/1.1\r\nTransfer-Encoding: x\r\n{host}\r\n"),
        ),
        ("505 GET \"\": HTTP/2.0 is not supported", format!("GET /a HTTP/2.0\r\n{host}\r\n")),
    ] {
        let (engine, log) = engine();
        let client = engine.connect();
        client.send([get("/a"), head.clone(), get("/a")].concat());
        let code = expected[..3].parse().ok().and_then(Status::new).unwrap();
        let code = ErrorCode::from_status(code).unwrap();
        client.expect([ok("/a"), last_page(code)].concat());
        let noted = log.take();
        assert!(noted.len() == 1 && noted[0].starts_with(expected), "{head:?}: {noted:?}");
        client.expect_lingering();
        client.send(get("/a"));
        client.expect_nothing();
        client.finish();
        assert_eq!((engine.open(), engine.lent()), (0, 0));
    }
}

#[test]
fn a_request_that_could_not_be_read_is_empty_to_its_error_handler() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(config(), |server| {
        let look = move |request: &mut Request, code| -> Result {
            let body = request.recv_all(100);
            noted.note(format!(
                "{:?} {:?} {:?} {:?} {} {:?} {:?} {body:?}",
                request.path(),
                request.query(),
                request.header("host"),
                request.header(""),
                request.headers().count(),
                request.body_len(),
                request.content_len(),
            ));
            answer(request, code)
        };
        server
            .err_handler(ErrorCode::BadRequest, look.clone())
            .err_handler(ErrorCode::RequestTimeout, look)
    });
    let start = "POST http://h/a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n";
    for end in ["Host: b\r\n\r\nxyz", "Content-Length: 3\r\n\r\nxyz", "A b\r\n\r\n", "Cookie: "] {
        let client = engine.connect();
        client.send([start, end].concat());
        if end == "Cookie: " {
            engine.advance(secs(4));
        }
        assert!(client.text().ends_with("page"), "{end}");
        client.expect_lingering();
        assert_eq!(log.take(), ["\"\" None None None 0 None Ok(0) Ok([])"], "{end}");
    }
}

#[test]
fn a_head_that_does_not_come_goes_to_the_handler_of_408_and_closes() {
    let (engine, log) = engine();
    let client = engine.connect();
    client.send("PUT /a HTTP/1.1\r\nHost: ");
    engine.advance(millis(3999));
    client.expect_nothing();
    engine.advance(millis(1));
    client.expect(last_page(ErrorCode::RequestTimeout));
    assert_eq!(log.take(), ["408 PUT \"\": The request did not arrive in time"]);
    client.send("a\r\n\r\n");
    client.expect_nothing();
    client.expect_lingering();
}

#[test]
fn what_a_handler_ends_with_goes_to_an_error_handler_and_may_keep_the_session() {
    let (engine, log) = engine();
    let client = engine.connect();
    client.send([get("/refused"), post("/ten", &"x".repeat(11)), get("/a")].concat());
    let pages = [page(ErrorCode::Forbidden), page(ErrorCode::ContentTooLarge), ok("/a")];
    client.expect(pages.concat());
    client.send(
        [
            post("/len", "").replace("Content-Length: 0", "Transfer-Encoding: chunked"),
            "0\r\n\r\n".into(),
        ]
        .concat(),
    );
    client.expect(page(ErrorCode::LengthRequired));
    client.expect_open();
    assert_eq!(
        log.take(),
        [
            "403 GET \"/refused\": members only",
            "413 POST \"/ten\": the body is longer than the 10 bytes that are accepted here",
            "411 POST \"/len\": this resource takes no chunked body; send a Content-Length",
        ]
    );
    // There is no error handler for it to go to.
    client.send(get("/teapot"));
    assert_eq!(client.expect_last("409 Conflict"), "too late\n");
    assert!(log.take().is_empty());
}

#[test]
fn a_body_that_is_too_long_to_be_dropped_closes_the_session() {
    let (engine, _) = engine();
    let client = engine.connect();
    client.send([post("/ten", &"x".repeat(101)), get("/a")].concat());
    client.expect(last_page(ErrorCode::ContentTooLarge));
    client.expect_lingering();
    // And one that can be dropped does not.
    let client = engine.connect();
    client.send([post("/ten", &"x".repeat(100)), get("/a")].concat());
    client.expect([page(ErrorCode::ContentTooLarge), ok("/a")].concat());
}

#[test]
fn a_body_that_is_broken_or_stays_away_closes_the_session() {
    let (engine, log) = engine();
    let chunked = "POST /ten HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let client = engine.connect();
    client.send([chunked, "g\r\n0\r\n\r\n", &get("/a")].concat());
    client.expect(last_page(ErrorCode::BadRequest));
    client.expect_lingering();
    let client = engine.connect();
    client.send(post("/ten", "abc").replace("abc", "ab"));
    engine.advance(secs(5));
    client.expect(last_page(ErrorCode::RequestTimeout));
    client.send(["c", &get("/a")].concat());
    client.expect_nothing();
    let client = engine.connect();
    client.put(post("/ten", "abc").replace("abc", "ab"));
    client.finish();
    client.expect(last_page(ErrorCode::BadRequest));
    let noted = log.take();
    assert!(noted[0].starts_with("400 POST \"/ten\": the body of the request is malformed"));
    assert_eq!(noted[1], "408 POST \"/ten\": the peer was silent for too long");
    assert_eq!(noted[2], "400 POST \"/ten\": the peer closed before the end of the body");
}

#[test]
fn a_handler_that_fails_panics_or_says_nothing_goes_to_the_handler_of_500_and_closes() {
    for path in ["/panics", "/nothing", "/parse"] {
        let (engine, log) = engine();
        let client = engine.connect();
        client.send([get(path), get("/a")].concat());
        client.expect(last_page(ErrorCode::InternalServerError));
        client.expect_lingering();
        let text = ErrorCode::InternalServerError.default_text();
        assert_eq!(log.take(), [format!("500 GET {path:?}: {text}")]);
    }
}

#[test]
fn an_error_behind_the_response_goes_to_nobody() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(config(), |server| {
        server
            .get("/", |request: &mut Request| -> Result {
                request.respond().send("done")?;
                Err(Error::NoSession)
            })
            .get("/half", |request: &mut Request| -> Result {
                request.respond().sized(9)?.send("half")?;
                Err(Error::NoSession)
            })
            .err_handler(ErrorCode::InternalServerError, move |_: &mut Request, _| -> Result {
                noted.note("called");
                Ok(())
            })
    });
    let client = engine.connect();
    client.send(get("/"));
    client.expect(ok("done"));
    client.expect_closed();
    let client = engine.connect();
    client.send(get("/half"));
    assert!(client.text().ends_with("\r\n\r\nhalf"));
    client.expect_closed();
    assert!(log.take().is_empty());
}

#[test]
fn a_websocket_handshake_that_is_refused_goes_to_an_error_handler() {
    let engine = Engine::new(config(), |server| {
        server
            .get("/a", path)
            .ws("/ws", |ws: &mut WsRequest| -> Result { ws.message(9).map(|_| ()) })
            .err_handler(ErrorCode::BadRequest, answer)
    });
    let client = engine.connect();
    client
        .send([UPGRADE.replace("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x"), get("/a")].concat());
    client.expect([page(ErrorCode::BadRequest), ok("/a")].concat());
}

#[test]
fn a_handler_that_was_told_to_end_calls_no_error_handler() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(config(), |server| {
        server
            .get("/closed", |request: &mut Request| request.sleep(secs(9)))
            .get("/other", |request: &mut Request| {
                request.sleep(secs(9)).map_err(|_| Error::NoSession)
            })
            .err_handler(ErrorCode::InternalServerError, move |_: &mut Request, _| -> Result {
                noted.note("called");
                Ok(())
            })
    });
    for path in ["/closed", "/other"] {
        let client = engine.connect();
        client.send(get(path));
        client.reset();
        client.expect_closed();
        let client = engine.connect();
        client.send(get(path));
        engine.handle().close(client.session()).unwrap();
        engine.run();
        client.expect_closed();
    }
    assert!(log.take().is_empty());
}

#[test]
fn every_error_is_told_once_whoever_answers_it() {
    let (engine, notices) = Engine::recorded(config(), |server| {
        routes(server).err_handler(ErrorCode::NotFound, answer).get(
            "/gone",
            |request: &mut Request| -> Result {
                request.respond().status(Status::GONE).send("gone")
            },
        )
    });
    for (request, status) in [
        (get("/nowhere"), 404),
        (post("/a", ""), 405),
        (get("/gone"), 410),
        (get("/refused"), 403),
        (get("/panics"), 500),
        ("nonsense\r\n".into(), 400),
    ] {
        let client = engine.connect();
        client.send(request);
        let noted = notices.take();
        let told = noted.iter().position(|line| line.starts_with("Error")).unwrap();
        assert_eq!(noted[told..told + 2], [format!("Error({status})"), "HeadersSent".into()]);
        assert_eq!(noted.iter().filter(|line| line.starts_with("Error")).count(), 1);
    }
}
