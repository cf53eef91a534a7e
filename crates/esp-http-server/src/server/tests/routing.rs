//! URI handlers as clients see them: which one a request goes to and what it finds there. Those that
//! come and go while the server runs are in `routing/changes.rs`; how the best one is found is tested
//! with the router.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::support::*;
use super::ws::{TEXT, expect_frame, frame, upgrade};
use crate::proto::uri::match_wildcard;
use crate::server::HttpConfig;
use crate::{
    Error, ErrorCode, Method, OpenSession, Request, Result, ServerBuilder, Status, UriHandler,
    WsRequest,
};

mod changes;

fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// The answer to OPTIONS from the table.
fn options(allow: &str) -> String {
    format!("HTTP/1.1 204 No Content\r\nAllow: {allow}\r\n\r\n")
}

/// Answers with a name of its own.
fn named(name: &'static str) -> impl Fn(&mut Request) -> Result + Send + Sync {
    move |request| request.respond().send(name)
}

#[track_caller]
fn expect_status(client: &Client, status: &str) {
    let text = client.text();
    assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{text}");
}

/// A server that can't be put together says why.
fn error(routes: impl FnOnce(ServerBuilder<HttpConfig>) -> ServerBuilder<HttpConfig>) -> Error {
    let config = HttpConfig { max_uri_handlers: 3, ..HttpConfig::default() };
    routes(ServerBuilder::new(config)).share(1).err().unwrap()
}

#[test]
fn upstreams_documented_wildcards_match_as_documented() {
    for (uri, found, not_found) in [
        ("*", &["/", "/foo", "/foo/bar"][..], &[][..]),
        ("/foo/?", &["/foo", "/foo/"], &["/fo", "/foox", "/foo/bar"]),
        ("/foo/*", &["/foo/", "/foo/bar"], &["/foo", "/fo"]),
        ("/foo/?*", &["/foo", "/foo/", "/foo/bar"], &["/foox", "/fo"]),
        ("/foo/*?", &["/foo", "/foo/", "/foo/bar"], &["/foox", "/fo"]),
    ] {
        let engine = Engine::new(HttpConfig::default(), |server| server.get(uri, path));
        let client = engine.connect();
        for target in found {
            client.send(get(target));
            client.expect(ok(target));
        }
        for target in not_found {
            client.send(get(target));
            expect_status(&client, "404 Not Found");
        }
    }
}

#[test]
fn the_query_and_the_form_of_the_target_make_no_difference() {
    let engine = Engine::new(HttpConfig::default(), |server| server.get("/a/{x}", path));
    let client = engine.connect();
    for target in ["/a/b", "/a/b?c/d", "/a/b?", "http://h/a/b", "http://h:80/a/b?c"] {
        client.send(get(target));
        client.expect(ok("/a/b"));
    }
}

#[test]
fn paths_are_compared_as_they_were_sent() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/a%20b", path).get("/c/d", path).get("/c/{x}", named("x"))
    });
    let client = engine.connect();
    for (target, answer) in [
        ("/a%20b", Some("/a%20b")),
        ("/%61%20b", None),
        ("/a+b", None),
        ("/c/%64", Some("x")),
        ("/c%2Fd", None),
        ("/c/x/../d", None),
        ("/C/d", None),
    ] {
        client.send(get(target));
        match answer {
            Some(answer) => client.expect(ok(answer)),
            None => expect_status(&client, "404 Not Found"),
        }
    }
}

#[test]
fn parameters_are_decoded_or_raw() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/users/{id}/posts/{post-2}/*", |request: &mut Request| -> Result {
            let text = format!(
                "{} {} {} {:?}",
                request.param("id")?,
                request.param("post-2")?,
                request.param_raw("id").unwrap(),
                request.param_raw("other"),
            );
            request.respond().send(text)
        })
    });
    let client = engine.connect();
    for (target, answer) in [
        ("/users/7/posts/8/", "7 8 7 None"),
        ("/users/%C3%A9t%C3%A9/posts/a+b/c/d?id=9", "été a+b %C3%A9t%C3%A9 None"),
        // One segment, whatever is in it: whoever makes a path of it must look.
        ("/users/..%2F..%2Fetc/posts/%00/", "../../etc \0 ..%2F..%2Fetc None"),
        ("http://h/users/7/posts/8/", "7 8 7 None"),
    ] {
        client.send(get(target));
        client.expect(ok(answer));
    }
    client.send(get("/users/%ff/posts/8/"));
    let text = client.text();
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
    assert!(
        text.ends_with("the path's value for \"id\": the decoded bytes are not UTF-8\n"),
        "{text}"
    );
}

#[test]
fn a_parameter_that_the_uri_does_not_have_is_a_mistake_of_the_handler() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/a/{x}", move |request: &mut Request| -> Result {
            assert!(matches!(request.param("y"), Err(Error::NoParam(name)) if name == "y"));
            assert!(matches!(request.param(""), Err(Error::NoParam(_))));
            assert!(request.param_raw("a").is_none(), "that is no parameter");
            let error = request.param("y").unwrap_err();
            noted.note(error.to_string());
            Err(error)
        })
    });
    let client = engine.connect();
    client.send(get("/a/b"));
    client.expect_last("500 Internal Server Error");
    assert_eq!(log.take(), ["the handler's URI has no parameter {y}"]);
}

#[test]
fn several_methods_of_one_uri_have_a_handler_each() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .get("/a", named("get"))
            .post("/a", named("post"))
            .put("/a", named("put"))
            .delete("/a", named("delete"))
            .patch("/a", named("patch"))
            .route(Method::Propfind, "/a", named("propfind"))
            .any("/a", named("any"))
    });
    let client = engine.connect();
    for (method, answer) in [
        ("GET", "get"),
        ("POST", "post"),
        ("PUT", "put"),
        ("DELETE", "delete"),
        ("PATCH", "patch"),
        ("PROPFIND", "propfind"),
        ("PURGE", "any"),
        ("OPTIONS", "any"),
    ] {
        client.send(request(method, "/a"));
        client.expect(ok(answer));
    }
}

#[test]
fn options_is_answered_from_the_table() {
    let (engine, notices) = Engine::recorded(HttpConfig::default(), |server| {
        server
            .get("/a/{x}", path)
            .post("/a/b", path)
            .ws("/ws", |_: &mut WsRequest| -> Result { Ok(()) })
    });
    let client = engine.connect();
    notices.take();
    client.send(request("OPTIONS", "/a/b"));
    client.expect(options("GET, HEAD, POST, OPTIONS"));
    assert_eq!(notices.take(), ["OnData(34)", "OnHeader", "HeadersSent", "SentData(60)"]);
    client.send(
        [
            request("OPTIONS", "/a/c"),
            request("OPTIONS", "*"),
            request("OPTIONS", "http://h"),
            "OPTIONS /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody".into(),
            get("/a/d"),
        ]
        .concat(),
    );
    let all = options("GET, HEAD, POST, OPTIONS");
    let expected =
        [&options("GET, HEAD, OPTIONS"), &all, &all, &options("GET, OPTIONS"), &ok("/a/d")];
    client.expect(expected.map(String::as_str).concat());
    client.send(request("OPTIONS", "/nowhere"));
    expect_status(&client, "404 Not Found");
    client.send("OPTIONS /a/b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let text = client.text();
    assert!(text.contains("\r\nConnection: close\r\n") && !text.contains("Content-"), "{text}");
    client.expect_closed();
}

#[test]
fn what_the_server_answers_itself_a_handler_can_answer_instead() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .get("/a", named("get"))
            .head("/a", |request: &mut Request| -> Result {
                request.respond().header("X-Head", "own").send("12345")
            })
            .options("/a", named("options of a"))
            .get("/b", named("get"))
            .options("*", named("options of the rest"))
            .err_handler(ErrorCode::NotFound, |request: &mut Request, code: ErrorCode| {
                request.respond().status(code.status()).send("not here")
            })
            .err_handler(ErrorCode::MethodNotAllowed, |request: &mut Request, code: ErrorCode| {
                request.respond().status(code.status()).send("not so")
            })
    });
    let client = engine.connect();
    client.send(request("HEAD", "/a"));
    client
        .expect(ok("12345").replace("Length: 5\r\n\r\n12345", "Length: 5\r\nX-Head: own\r\n\r\n"));
    client.send(request("OPTIONS", "/a"));
    client.expect(ok("options of a"));
    for target in ["/b", "*", "/nowhere"] {
        client.send(request("OPTIONS", target));
        client.expect(ok("options of the rest"));
    }
    client.send(request("DELETE", "/a"));
    let text = client.text();
    assert!(text.starts_with("HTTP/1.1 405 ") && text.ends_with("not so"), "{text}");
    assert!(text.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"), "{text}");
}

#[test]
fn an_error_handler_answers_for_uris_that_nobody_has() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        let not_found = |request: &mut Request, code: ErrorCode| -> Result {
            assert!(request.user_ctx::<u32>().is_none() && request.param_raw("x").is_none());
            request.respond().status(code.status()).send("not here")
        };
        server
            .uri_handler(UriHandler::new(Method::Get, "/{x}", path).user_ctx(7_u32))
            .err_handler(ErrorCode::NotFound, not_found)
    });
    let client = engine.connect();
    client.send([get("/a/b"), get("/a")].concat());
    client.expect([ok("not here").replace("200 OK", "404 Not Found"), ok("/a")].concat());
}

fn count(request: &mut Request) -> Result {
    let Some(count) = request.user_ctx::<AtomicU32>() else {
        return request.respond().send("no counter");
    };
    let count = count.fetch_add(1, Ordering::Relaxed);
    request.respond().send(count.to_string())
}

#[test]
fn each_handler_has_a_context_of_its_own() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .uri_handler(UriHandler::new(Method::Get, "/a", count).user_ctx(AtomicU32::new(10)))
            .uri_handler(
                UriHandler::any("/*", count).user_ctx("replaced").user_ctx(AtomicU32::new(20)),
            )
            .uri_handler(UriHandler::new(Method::Get, "/text", count).user_ctx("text"))
            .get("/none", count)
    });
    let (client, other) = (engine.connect(), engine.connect());
    for (client, target, answer) in [
        (&client, "/a", "10"),
        (&other, "/a", "11"),
        (&client, "/x", "20"),
        (&client, "/y", "21"),
        (&client, "/a", "12"),
        (&client, "/text", "no counter"),
        (&client, "/none", "no counter"),
    ] {
        client.send(get(target));
        client.expect(ok(answer));
    }
}

#[test]
fn an_error_handler_finds_the_context_and_the_parameters_of_the_handler_that_failed() {
    let fail = |_: &mut Request| -> Result { Err(Error::Refused(Status::FORBIDDEN, "no".into())) };
    let handle_err = |request: &mut Request| request.handle_err(ErrorCode::Forbidden, None);
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .uri_handler(UriHandler::new(Method::Get, "/a/{x}", fail).user_ctx("ctx of a"))
            .uri_handler(UriHandler::new(Method::Get, "/b/{x}", handle_err).user_ctx("ctx of b"))
            .err_handler(ErrorCode::Forbidden, |request: &mut Request, _| -> Result {
                let ctx = request.user_ctx::<&str>().copied().unwrap_or_default();
                let text = format!("{ctx} {}", request.param("x")?);
                request.respond().send(text)
            })
    });
    let client = engine.connect();
    client.send([get("/a/1"), get("/b/2")].concat());
    client.expect([ok("ctx of a 1"), ok("ctx of b 2")].concat());
}

#[test]
fn a_websocket_has_the_context_and_the_parameters_of_its_handler() {
    let talk = |ws: &mut WsRequest| -> Result {
        ws.message(100)?;
        let room = ws.param("room")?.into_owned();
        let raw = ws.param_raw("room").map(str::to_owned);
        let name = ws.user_ctx::<String>().cloned().unwrap_or_default();
        assert!(ws.user_ctx::<u32>().is_none());
        ws.send(format!("{name} {room} {raw:?} {:?}", ws.param_raw("other")))
    };
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.uri_handler(UriHandler::ws("/rooms/{room}", talk).user_ctx(String::from("room"))).ws(
            "/plain",
            |ws: &mut WsRequest| -> Result {
                ws.message(100)?;
                ws.send(format!("{:?} {:?}", ws.param_raw("room"), ws.user_ctx::<String>()))
            },
        )
    });
    let [a, b, plain] = [(); 3].map(|()| engine.connect());
    upgrade(&a, "/rooms/red%20room");
    upgrade(&b, "/rooms/blue");
    upgrade(&plain, "/plain");
    for _ in 0..2 {
        for client in [&a, &b, &plain] {
            client.send(frame(TEXT, b""));
        }
        expect_frame(&a, TEXT, "room red room Some(\"red%20room\") None");
        expect_frame(&b, TEXT, "room blue Some(\"blue\") None");
        expect_frame(&plain, TEXT, "None None");
    }
}

#[test]
fn the_servers_context_is_found_everywhere() {
    let log = Log::default();
    let (opened, worked) = (log.clone(), log.clone());
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .global_user_ctx("replaced")
            .global_user_ctx(Arc::new(7_u32))
            .on_open(move |session: &mut OpenSession| -> Result {
                opened.note(format!("open {:?}", session.global_user_ctx::<Arc<u32>>()));
                Ok(())
            })
            .get("/", |request: &mut Request| -> Result {
                assert!(request.global_user_ctx::<u32>().is_none());
                let ctx = request.global_user_ctx::<Arc<u32>>().unwrap().to_string();
                request.respond().send(ctx)
            })
            .ws("/ws", |ws: &mut WsRequest| -> Result {
                ws.message(100)?;
                ws.send(format!("{:?}", ws.global_user_ctx::<Arc<u32>>()))
            })
    });
    let client = engine.connect();
    client.send(get("/"));
    client.expect(ok("7"));
    upgrade(&client, "/ws");
    client.send(frame(TEXT, b""));
    expect_frame(&client, TEXT, "Some(7)");
    let handle = engine.handle();
    assert_eq!(**handle.global_user_ctx::<Arc<u32>>().unwrap(), 7);
    assert_eq!(handle.global_user_ctx::<&str>(), None);
    let work = handle.queue_work(move |context| {
        worked.note(format!("work {:?}", context.global_user_ctx::<Arc<u32>>()));
    });
    work.unwrap();
    engine.run();
    assert_eq!(log.take(), ["open Some(7)", "work Some(7)"]);
    let ctx = Arc::downgrade(&handle.global_user_ctx::<Arc<u32>>().unwrap());
    drop((client, engine));
    assert!(ctx.upgrade().is_none());
    assert!(handle.global_user_ctx::<Arc<u32>>().is_none());
}

#[test]
fn a_server_without_a_context_has_none() {
    let engine = Engine::new(HttpConfig::default(), |server| server);
    assert_eq!(engine.handle().global_user_ctx::<()>(), None);
}

#[test]
fn a_match_function_takes_the_place_of_templates() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .get("no template", named("first"))
            .uri_match(|uri, path| uri == "no template" && path.ends_with(".x") || uri == path)
            .get("/{id}", |request: &mut Request| -> Result {
                assert!(request.param_raw("id").is_none());
                request.respond().send("second")
            })
            .post("/a.x", named("third"))
    });
    let client = engine.connect();
    for (method, target, answer) in [
        ("GET", "/a.x", ok("first")),
        ("GET", "/{id}", ok("second")),
        ("POST", "/a.x", ok("third")),
        ("OPTIONS", "/a.x", options("GET, HEAD, POST, OPTIONS")),
    ] {
        client.send(request(method, target));
        client.expect(answer);
    }
    client.send(get("/7"));
    expect_status(&client, "404 Not Found");
}

#[test]
fn upstreams_own_match_function_matches_in_upstreams_order() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .uri_match(match_wildcard)
            .get("/a/*", named("general"))
            .post("/a/b", named("special"))
    });
    let client = engine.connect();
    client.send([get("/a/b"), post("/a/b", "")].concat());
    client.expect([ok("general"), ok("special")].concat());
    let error = engine.handle().register_uri_handler(UriHandler::new(Method::Get, "/a/c", path));
    assert!(matches!(error, Err(Error::HandlerExists { .. })));
}

#[test]
fn a_match_function_that_panics_costs_its_request_and_nothing_else() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .uri_match(|uri, path| match path {
                "/panic" => std::panic::resume_unwind(Box::new("on purpose")),
                _ => uri == path,
            })
            .get("/a", path)
    });
    let client = engine.connect();
    client.send([get("/a"), get("/panic"), get("/a")].concat());
    let text = client.text();
    assert!(text.starts_with(&ok("/a")) && text.ends_with(&ok("/a")), "{text}");
    assert!(text.contains("HTTP/1.1 500 Internal Server Error\r\n"), "{text}");
    client.expect_open();
}

#[test]
fn what_is_wrong_with_a_registration_is_told_when_the_server_starts() {
    for (server, text) in [
        (
            error(|server| server.get("/a/{x}", path).get("/a/{y}", path)),
            "there is a handler for GET /a/{y} already",
        ),
        (
            error(|server| server.any("/a", path).uri_handler(UriHandler::any("/a", path))),
            "there is a handler for any method of /a already",
        ),
        (
            error(|server| server.get("/{x", path).get("/a", path).get("/a", path)),
            "the URI template \"/{x\": a parameter is a whole segment, with nothing before or \
             behind its braces",
        ),
        (
            error(|server| server.get("/a", path).post("/a", path).any("/a", path).any("/b", path)),
            "no room for another URI handler (max_uri_handlers = 3)",
        ),
        (
            error(|server| server.get("/*", path).get("/a", path).uri_match(match_wildcard)),
            "there is a handler for GET /a already",
        ),
    ] {
        assert_eq!(server.to_string(), text);
    }
}
