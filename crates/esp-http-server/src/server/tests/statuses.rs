//! What a status and a method make of a response: its framing, its fields, whether the session goes on.

use super::support::*;
use crate::server::HttpConfig;
use crate::{ErrorCode, Request, Result, Status};

fn engine(handler: impl Fn(&mut Request) -> Result + Send + Sync + 'static) -> Engine {
    Engine::new(HttpConfig::default(), |server| server.any("*", handler).get("/next", path))
}

/// The answer to `request`, in front of that to another one behind it.
fn answer(
    handler: impl Fn(&mut Request) -> Result + Send + Sync + 'static,
    request: &str,
) -> String {
    let client = engine(handler).connect();
    client.send([request, &get("/next")].concat());
    let text = client.text();
    client.expect_open();
    let answer = text.strip_suffix(&ok("/next"));
    answer.unwrap_or_else(|| panic!("the next request was misunderstood: {text}")).to_owned()
}

/// All ways to send a body of five bytes.
fn five(request: &mut Request, status: Status) -> Result {
    let path = request.path().to_owned();
    let response = request.respond().status(status);
    let mut chunks = match &*path {
        "/sized" => response.sized(5)?,
        "/chunked" => response.chunked()?,
        _ => return response.send("12345"),
    };
    chunks.send("123")?;
    chunks.send("45")?;
    chunks.finish()
}

#[test]
fn statuses_without_content_have_none_however_it_is_sent() {
    for path in ["/sent", "/sized", "/chunked"] {
        let with = |status: Status| answer(move |request| five(request, status), &get(path));
        assert_eq!(with(Status::NO_CONTENT), "HTTP/1.1 204 No Content\r\n\r\n", "{path}");
        // RFC 9110, section 15.3.6: the end must be told, and there is nothing before it.
        let reset = "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(with(Status::RESET_CONTENT), reset, "{path}");
        // Section 15.4.5: the length is what a 200 would have had.
        let length = if path == "/chunked" { "" } else { "Content-Length: 5\r\n" };
        let not_modified = format!("HTTP/1.1 304 Not Modified\r\n{length}\r\n");
        assert_eq!(with(Status::NOT_MODIFIED), not_modified, "{path}");
    }
    let empty = answer(
        |request| request.respond().status(Status::NOT_MODIFIED).header("ETag", "\"1\"").send(""),
        &get("/"),
    );
    assert_eq!(empty, "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n");
}

#[test]
fn the_answer_to_head_tells_what_get_would_have_sent() {
    for path in ["/sent", "/sized", "/chunked"] {
        for status in [Status::OK, Status::PARTIAL_CONTENT, Status::NOT_FOUND] {
            let with = |request: &str| answer(move |request| five(request, status), request);
            let (get_answer, head_answer) =
                (with(&get(path)), with(&get(path).replace("GET", "HEAD")));
            let (head, _) = get_answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(head_answer, [head, "\r\n\r\n"].concat(), "{path} {status}");
        }
    }
}

#[test]
fn an_http_1_0_client_sees_no_chunks_and_no_interim_responses() {
    for keep_alive in ["", "Connection: keep-alive\r\n"] {
        let engine = engine(|request| {
            request.respond().status(Status::PROCESSING).interim()?;
            five(request, Status::OK)
        });
        let client = engine.connect();
        client.send(format!("GET /chunked HTTP/1.0\r\n{keep_alive}\r\n"));
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n";
        client.expect([head, "12345"].concat());
        client.expect_closed();
    }
}

#[test]
fn behind_a_tunnel_that_was_agreed_to_nothing_is_a_request() {
    let connect = "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n";
    for (status, answers) in [(Status::OK, 1), (Status::ACCEPTED, 1), (Status::FORBIDDEN, 2)] {
        let engine = engine(move |request| five(request, status));
        let client = engine.connect();
        client.send([connect, &get("/next")].concat());
        let text = client.text();
        assert_eq!(text.matches("HTTP/1.1").count(), answers, "{text}");
        // RFC 9110, section 9.3.6: the client would not see it, and the tunnel would begin with it.
        let is_tunnel = answers == 1;
        assert_eq!(text.contains("Content-Length"), !is_tunnel, "{text}");
        assert_eq!(text.ends_with("Connection: close\r\n\r\n"), is_tunnel, "{text}");
    }
}

#[test]
fn a_status_may_be_given_as_upstream_takes_it() {
    for (status, line) in [
        ("418 I'm a teapot", "418 I'm a teapot"),
        ("200 Fine, thanks \u{e9}", "200 Fine, thanks \u{e9}"),
        ("404", "404 Not Found"),
        ("404 ", "404 "),
        ("599", "599 "),
        ("999 Beyond  all", "999 Beyond  all"),
    ] {
        let text =
            answer(move |request| request.respond().custom_status(status).send("x"), &get("/"));
        assert!(text.starts_with(&format!("HTTP/1.1 {line}\r\nContent-Type")), "{status}: {text}");
    }
    // The last one counts, with the reason that belongs to it.
    let text = answer(
        |request| {
            let response = request.respond().custom_status("200 Fine");
            response.status(Status::CREATED).send("x")
        },
        &get("/"),
    );
    assert!(text.starts_with("HTTP/1.1 201 Created\r\n"), "{text}");
    // The code decides, not the way it was given.
    let text =
        answer(|request| request.respond().custom_status("204 Nothing").send("x"), &get("/"));
    assert_eq!(text, "HTTP/1.1 204 Nothing\r\n\r\n");
}

#[test]
fn a_redirect_has_its_location_and_the_fields_set_before() {
    for status in [301, 302, 303, 307, 308].map(|code| Status::new(code).unwrap()) {
        let text = answer(
            move |request| {
                request.respond().header("Set-Cookie", "a=b").redirect(status, "/login?to=%2Fa#b")
            },
            &post("/", ""),
        );
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 16\r\n\
             Set-Cookie: a=b\r\nLocation: /login?to=%2Fa#b\r\n\r\n"
        );
        assert_eq!(text, [&head, "/login?to=%2Fa#b"].concat());
    }
    for location in
        ["https://[::1]:8443/a;b?c=d&e", "..", "?a", "//h/", "/%E2%82%AC", "/a'(b)*!$,@"]
    {
        let text =
            answer(move |request| request.respond().redirect(Status::FOUND, location), &get("/"));
        assert!(text.contains(&format!("\r\nLocation: {location}\r\n")), "{text}");
    }
}

#[test]
fn an_error_is_sent_at_once_with_its_text_or_the_default() {
    for code in ErrorCode::ALL {
        for text in [None, Some("because")] {
            let engine = Engine::new(HttpConfig::default(), |server| {
                server
                    .get("/next", path)
                    .get("/", move |request: &mut Request| -> Result {
                        request.respond().header("X-A", "1").send_err(code, text)
                    })
                    .err_handler(code, |_: &mut Request, _| -> Result {
                        unreachable!("it was not asked for")
                    })
            });
            let client = engine.connect();
            client.send([get("/"), get("/next")].concat());
            let got = client.text();
            assert!(got.starts_with(&format!("HTTP/1.1 {}\r\n", code.status())), "{got}");
            assert!(got.contains("\r\nX-A: 1\r\n\r\n"), "{got}");
            let (_, body) = got.split_once("\r\n\r\n").unwrap();
            assert!(body.starts_with(text.unwrap_or(code.default_text())), "{got}");
            let closes = matches!(code, ErrorCode::InternalServerError | ErrorCode::RequestTimeout);
            assert_eq!(got.contains("\r\nConnection: close\r\n"), closes, "{got}");
            assert_eq!(got.ends_with(&ok("/next")), !closes, "{got}");
        }
    }
}

#[test]
fn an_error_may_have_any_status_and_any_text() {
    let text = answer(
        |request| request.respond().send_custom_err("418 I'm a teapot", "<short & stout>"),
        &get("/"),
    );
    assert_eq!(
        text,
        "HTTP/1.1 418 I'm a teapot\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: 15\r\n\r\n<short & stout>"
    );
}

#[test]
fn interim_responses_come_at_once_and_before_the_response() {
    let engine = engine(|request| {
        let hints = request.respond().status(Status::EARLY_HINTS);
        hints.header("Link", "</a.css>; rel=preload").header("Link", "</b.js>").interim()?;
        request.sleep(secs(1))?;
        request.respond().custom_status("102 Still at it").interim()?;
        request.sleep(secs(1))?;
        request.respond().header("X-A", "1").send("done")
    });
    let client = engine.connect();
    client.send(get("/"));
    client
        .expect("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>\r\n\r\n");
    engine.advance(secs(1));
    client.expect("HTTP/1.1 102 Still at it\r\n\r\n");
    engine.advance(secs(1));
    // Nothing of theirs is in it.
    client.expect(ok("done").replace("\r\n\r\n", "\r\nX-A: 1\r\n\r\n"));
}

#[test]
fn continue_can_be_said_before_the_body_is_read_and_is_said_once() {
    let handler = |request: &mut Request| -> Result {
        request.respond().status(Status::CONTINUE).interim()?;
        request.respond().status(Status::CONTINUE).interim()?;
        let body = request.recv_all(10)?;
        request.respond().send(body)
    };
    let client = engine(handler).connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n";
    client.send([head, "Expect: 100-continue\r\n\r\n"].concat());
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    client.expect(ok("abc"));
    client.expect_open();
    // Nobody waits for it.
    client.send([head, "\r\nabc"].concat());
    client.expect(ok("abc"));
}

#[test]
fn a_client_that_was_told_to_continue_keeps_its_connection_also_if_the_body_is_not_read() {
    let client = engine(|request| {
        request.respond().status(Status::CONTINUE).interim()?;
        request.respond().send("")
    })
    .connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    client.expect(["HTTP/1.1 100 Continue\r\n\r\n", &ok("")].concat());
    client.send(["abc", &get("/next")].concat());
    client.expect(ok("/next"));
}

#[test]
fn trailers_go_behind_a_chunked_body() {
    let handler = |request: &mut Request| -> Result {
        let mut chunks = request.respond().header("Trailer", "Digest").chunked()?;
        chunks.send("abc")?;
        chunks.finish_with_trailers([("Digest", "sum"), ("X-Empty", "")])
    };
    let text = answer(handler, &get("/"));
    assert!(text.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nDigest: sum\r\nX-Empty: \r\n\r\n"), "{text}");
    let text = answer(handler, &get("/").replace("GET", "HEAD"));
    assert!(text.ends_with("Transfer-Encoding: chunked\r\nTrailer: Digest\r\n\r\n"), "{text}");
    let client = engine(handler).connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert!(client.text().ends_with("\r\n\r\nabc"));
}
