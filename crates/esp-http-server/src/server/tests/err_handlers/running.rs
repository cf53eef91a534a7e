//! Error handlers at work: what they may do, how they fail, how they are changed and called.

use super::*;
use crate::server::HandlerMode;

#[test]
fn an_error_handler_that_returns_an_error_closes_the_session() {
    let engine = Engine::new(config(), |server| {
        server.get("/a", path).err_handler(ErrorCode::NotFound, |request: &mut Request, code| {
            answer(request, code)?;
            Err(Error::NoSession)
        })
    });
    let client = engine.connect();
    client.send([get("/nowhere"), get("/a")].concat());
    client.expect(page(ErrorCode::NotFound));
    client.expect_lingering();
}

#[test]
fn when_an_error_handler_fails_the_server_answers() {
    type Handler = fn(&mut Request, ErrorCode) -> Result;
    let handlers: [Handler; 4] = [
        |_, _| Ok(()),
        |_, _| Err(Error::Refused(Status::BAD_REQUEST, "never told".into())),
        |_, _| panic_quietly(),
        |request, _| {
            // Set, and never sent.
            let _ = request.respond().header("X-Lost", "1");
            Err(Error::NoSession)
        },
    ];
    for handler in handlers {
        let (engine, stacks) = Engine::with_stacks(config(), 1, |server| {
            ErrorCode::ALL
                .into_iter()
                .fold(routes(server), |server, code| server.err_handler(code, handler))
        });
        for (request, status, text) in [
            (get("/nowhere"), "404 Not Found", ErrorCode::NotFound.default_text()),
            (get("/refused"), "403 Forbidden", "members only\n"),
            (
                get("/panics"),
                "500 Internal Server Error",
                ErrorCode::InternalServerError.default_text(),
            ),
            ("GET /a HTTP/1.1\r\n\r\n".into(), "400 Bad Request", "Host is missing\n"),
        ] {
            let client = engine.connect();
            client.send(request);
            assert_eq!(client.expect_last(status), text);
        }
        let client = engine.connect();
        client.send(post("/a", ""));
        let text = client.text();
        assert!(
            text.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n") && !text.contains("X-Lost"),
            "{text}"
        );
        assert_eq!(stacks.load(std::sync::atomic::Ordering::Relaxed), 0);
    }
}

#[test]
fn error_handlers_change_while_the_server_runs() {
    let engine = Engine::new(config(), |server| {
        server
            .err_handler(ErrorCode::NotFound, |request: &mut Request, _| {
                request.respond().send("first")
            })
            .err_handler(ErrorCode::NotFound, |request: &mut Request, _| {
                request.respond().send("second")
            })
            .post("/change", |request: &mut Request| -> Result {
                request.server().register_err_handler(ErrorCode::NotFound, answer);
                request.handle_err(ErrorCode::NotFound, None)
            })
    });
    let client = engine.connect();
    client.send(get("/nowhere"));
    client.expect(ok("second"));
    client.send([post("/change", ""), get("/nowhere")].concat());
    client.expect(page(ErrorCode::NotFound).repeat(2));
    engine.handle().unregister_err_handler(ErrorCode::NotFound);
    client.send(get("/nowhere"));
    assert!(client.text().ends_with(ErrorCode::NotFound.default_text()));
    client.expect_open();
}

#[test]
fn a_handler_hands_its_request_to_an_error_handler() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(config(), |server| {
        server
            .get("/a", path)
            .post("/*", |request: &mut Request| -> Result {
                assert_eq!(request.err_text(), None);
                let code = match request.path() {
                    "/404" => ErrorCode::NotFound,
                    "/401" => ErrorCode::Unauthorized,
                    "/403" => ErrorCode::Forbidden,
                    "/501" => ErrorCode::MethodNotImplemented,
                    _ => ErrorCode::InternalServerError,
                };
                request.handle_err(code, Some("no such article"))?;
                let again = request.handle_err(code, None);
                assert!(matches!(again, Err(Error::ResponseStarted)));
                Ok(())
            })
            .err_handler(ErrorCode::NotFound, move |request: &mut Request, code| -> Result {
                noted.note(request.err_text().unwrap());
                answer(request, code)
            })
            .err_handler(ErrorCode::Unauthorized, |_: &mut Request, _| -> Result {
                panic_quietly()
            })
            // Round and round.
            .err_handler(ErrorCode::MethodNotImplemented, |request: &mut Request, code| {
                request.handle_err(code, None)
            })
    });
    let client = engine.connect();
    client.send([post("/404", "body"), get("/a")].concat());
    client.expect([page(ErrorCode::NotFound), ok("/a")].concat());
    assert_eq!(log.take(), ["no such article"]);
    // Without an error handler, and with one that leaves it to the server.
    for path in ["/403", "/501"] {
        client.send(post(path, ""));
        let text = client.text();
        assert!(text.starts_with(&format!("HTTP/1.1 {} ", &path[1..])), "{text}");
        assert!(text.ends_with("\r\n\r\nno such article\n"), "{text}");
        client.expect_open();
    }
    client.send(post("/401", ""));
    assert_eq!(client.expect_last("401 Unauthorized"), "no such article\n");
    let client = engine.connect();
    client.send(post("/500", ""));
    assert_eq!(client.expect_last("500 Internal Server Error"), "no such article\n");
}

#[test]
fn in_serial_mode_an_error_handler_waits_for_its_turn_too() {
    let config =
        HttpConfig { handler_mode: HandlerMode::Serial, queue_timeout: secs(3), ..config() };
    let engine = Engine::new(config, |server| {
        routes(server)
            .get("/sleep", |request: &mut Request| -> Result {
                request.sleep(secs(2))?;
                path(request)
            })
            .err_handler(ErrorCode::NotFound, answer)
            .err_handler(ErrorCode::BadRequest, answer)
    });
    let (sleeping, lost, bad) = (engine.connect(), engine.connect(), engine.connect());
    sleeping.send(get("/sleep"));
    lost.send([get("/nowhere"), get("/sleep")].concat());
    bad.send("nonsense\r\n");
    lost.expect_nothing();
    bad.expect_nothing();
    engine.advance(secs(2));
    lost.expect(page(ErrorCode::NotFound));
    bad.expect(last_page(ErrorCode::BadRequest));
    // Who waits for too long gets the server's word.
    let late = engine.connect();
    engine.handle().register_err_handler(ErrorCode::Forbidden, |request: &mut Request, _| {
        request.sleep(secs(9))
    });
    engine.advance(secs(2));
    sleeping.send(get("/refused"));
    late.send(get("/nowhere"));
    engine.advance(secs(3));
    assert_eq!(late.expect_last("404 Not Found"), ErrorCode::NotFound.default_text());
}

#[test]
fn an_error_handler_has_all_the_time_that_a_handler_has() {
    let config = HttpConfig { idle_timeout: secs(7), ..config() };
    let engine = Engine::new(config, |server| {
        server.err_handler(ErrorCode::BadRequest, |request: &mut Request, code| -> Result {
            request.sleep(secs(100))?;
            answer(request, code)
        })
    });
    let (at_once, dripping) = (engine.connect(), engine.connect());
    at_once.send("nonsense\r\n");
    dripping.send("nons");
    dripping.send("ense\r\n");
    engine.advance(secs(100));
    at_once.expect(last_page(ErrorCode::BadRequest));
    dripping.expect(last_page(ErrorCode::BadRequest));
}

#[test]
fn an_error_handler_may_read_the_body_wait_and_answer_in_pieces() {
    let engine = Engine::new(config(), |server| {
        server.get("/a", path).err_handler(
            ErrorCode::NotFound,
            |request: &mut Request, code| -> Result {
                let body = request.recv_all(10)?;
                request.sleep(secs(1))?;
                let mut page = request.respond().status(code.status()).chunked()?;
                page.send(body)?;
                page.finish()
            },
        )
    });
    let client = engine.connect();
    client.send("PUT /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n1");
    let other = engine.connect();
    other.send(get("/a"));
    other.expect(ok("/a"));
    client.send("23");
    client.expect_nothing();
    engine.advance(secs(1));
    let text = client.text();
    assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n3\r\n123\r\n0\r\n\r\n"), "{text}");
    client.send(get("/a"));
    client.expect(ok("/a"));
}

#[test]
fn an_error_handler_that_is_cut_off_is_told() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(config(), |server| {
        server.err_handler(ErrorCode::BadRequest, move |request: &mut Request, _| -> Result {
            noted.note(format!("{:?}", request.sleep(secs(9))));
            request.respond().send("")
        })
    });
    let client = engine.connect();
    client.send("nonsense\r\n");
    client.reset();
    client.expect_closed();
    assert_eq!(log.take(), ["Err(the session is closed)"]);
    assert_eq!((engine.open(), engine.lent()), (0, 0));
}
