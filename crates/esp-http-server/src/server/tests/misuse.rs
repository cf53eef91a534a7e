//! Handlers that break the rules of a response, at every stage. They are told so by an error; the
//! client gets a 500 or a closed connection, and never an answer that belongs to another request.

use super::support::*;
use crate::server::HttpConfig;
use crate::{Error, Request, Result, Status, StreamEvent};

/// What a client makes of the bytes it was sent for a GET and another one behind it.
#[derive(Debug, PartialEq)]
enum Seen {
    /// The whole answer to the first, and that to the second.
    Both(String),
    /// The whole answer to the first, and the connection ends.
    First(String),
    /// The connection ends before the first answer is whole.
    CutOff,
}

/// Sends two requests, of which `handler` has the first.
fn seen(handler: impl Fn(&mut Request) -> Result + Send + Sync + 'static) -> Seen {
    let engine =
        Engine::new(HttpConfig::default(), |server| server.get("/", handler).get("/next", path));
    let client = engine.connect();
    client.send([get("/"), get("/next")].concat());
    engine.advance(secs(3));
    let text = client.text();
    let seen = match without_interim(&text).and_then(split_answer) {
        None => Seen::CutOff,
        Some((answer, "")) => Seen::First(answer.into()),
        Some((answer, rest)) => {
            assert_eq!(rest, ok("/next"), "what came behind {answer:?}");
            Seen::Both(answer.into())
        }
    };
    assert_eq!(client.is_closed(), !matches!(seen, Seen::Both(_)), "{text:?}");
    seen
}

/// What stands behind interim responses, which have a head and nothing else.
fn without_interim(mut text: &str) -> Option<&str> {
    while text.starts_with("HTTP/1.1 1") {
        text = text.split_once("\r\n\r\n")?.1;
    }
    Some(text)
}

/// The first response and the rest, split as its head says (RFC 9112, section 6.3).
fn split_answer(text: &str) -> Option<(&str, &str)> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 "), "{text:?}");
    let len = if head.contains("Transfer-Encoding: chunked") {
        let mut at = 0;
        loop {
            let (size, _) = body.get(at..)?.split_once("\r\n")?;
            let chunk = usize::from_str_radix(size, 16).expect("a chunk size");
            at += size.len() + 2 + chunk + 2;
            if chunk == 0 {
                break at;
            }
        }
    } else {
        let (_, len) = head.split_once("Content-Length: ")?;
        len.split("\r\n").next()?.parse().expect("a length")
    };
    (len <= body.len()).then(|| text.split_at(head.len() + 4 + len))
}

#[track_caller]
fn expect_500(seen: Seen) {
    let Seen::First(answer) = seen else { panic!("{seen:?}") };
    assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
}

/// As a bug in user code panics, without the noise on standard error.
fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("on purpose"))
}

/// Bytes that can't be had.
struct Trap;

impl AsRef<[u8]> for Trap {
    fn as_ref(&self) -> &[u8] {
        panic_quietly()
    }
}

impl From<Trap> for StreamEvent<'_> {
    fn from(_: Trap) -> Self {
        panic_quietly()
    }
}

#[test]
fn no_response_at_all_is_500() {
    expect_500(seen(|_| Ok(())));
    expect_500(seen(|request| {
        let _ = request.respond().status(Status::CREATED).header("X-Lost", "1");
        Ok(())
    }));
    expect_500(seen(|request| request.respond().status(Status::EARLY_HINTS).interim()));
    expect_500(seen(|request| request.raw_response().map(drop)));
}

#[test]
fn a_second_response_is_refused_however_it_is_begun() {
    type Second = fn(&mut Request) -> Result;
    let seconds: [Second; 11] = [
        |request| request.respond().send("second"),
        |request| request.respond().status(Status::NO_CONTENT).send(""),
        |request| request.respond().header("X-Late", "1").send(""),
        |request| request.respond().chunked()?.finish(),
        |request| request.respond().sized(0)?.finish(),
        |request| request.respond().event_stream()?.finish(),
        |request| request.respond().redirect(Status::FOUND, "/"),
        |request| request.respond().send_err(crate::ErrorCode::NotFound, None),
        |request| request.respond().status(Status::PROCESSING).interim(),
        |request| request.raw_response()?.send("HTTP/1.1 200 OK\r\n\r\n"),
        |request| request.handle_err(crate::ErrorCode::InternalServerError, None),
    ];
    for (number, second) in seconds.into_iter().enumerate() {
        // Noticed and forgotten: nothing has happened.
        let forgiving = seen(move |request| {
            request.respond().send("first")?;
            assert!(matches!(second(request), Err(Error::ResponseStarted)), "{number}");
            Ok(())
        });
        assert_eq!(forgiving, Seen::Both(ok("first")), "{number}");
        // Passed on: the first one stands, and the connection closes.
        let strict = seen(move |request| {
            request.respond().send("first")?;
            second(request)
        });
        assert_eq!(strict, Seen::First(ok("first")), "{number}");
        // In the middle of the first one.
        let inside = seen(move |request| {
            let mut chunks = request.respond().sized(5)?;
            chunks.send("fi")?;
            assert!(matches!(second(chunks.request()), Err(Error::ResponseStarted)), "{number}");
            chunks.send("rst")?;
            chunks.finish()
        });
        assert_eq!(inside, Seen::Both(ok("first")), "{number}");
    }
}

#[test]
fn a_length_that_is_not_kept_cuts_the_response_off() {
    let less = |request: &mut Request| -> Result {
        let mut body = request.respond().sized(10)?;
        body.send("too short")?;
        let error = body.finish().unwrap_err();
        assert!(matches!(error, Error::BodyLength { announced: 10 }), "{error}");
        Ok(())
    };
    assert_eq!(seen(less), Seen::CutOff);
    assert_eq!(
        seen(|request| {
            let mut body = request.respond().sized(10)?;
            // What does not fit is not sent in part either.
            assert!(matches!(body.send("far too long"), Err(Error::BodyLength { announced: 10 })));
            body.finish()
        }),
        Seen::CutOff
    );
    assert_eq!(
        seen(|request| {
            let mut body = request.respond().sized(2)?;
            body.send("ok")?;
            body.send("more")
        }),
        // The client has all that it was promised; who sends more is not trusted any further.
        Seen::First(ok("ok"))
    );
    assert_eq!(
        seen(|request| {
            let mut body = request.respond().sized(2)?;
            body.send("ok")?;
            assert!(body.send("more").is_err());
            body.finish()
        }),
        Seen::Both(ok("ok"))
    );
    assert_eq!(seen(|request| request.respond().sized(u64::MAX)?.finish()), Seen::CutOff);
}

#[test]
fn a_response_that_is_not_finished_is_cut_off() {
    assert_eq!(seen(|request| request.respond().chunked().map(drop)), Seen::CutOff);
    assert_eq!(seen(|request| request.respond().chunked()?.send("half")), Seen::CutOff);
    assert_eq!(seen(|request| request.respond().event_stream()?.send("half")), Seen::CutOff);
    assert_eq!(seen(|request| request.raw_response()?.send("HTTP/1.1 200 OK\r\n")), Seen::CutOff);
}

#[test]
fn a_panic_is_500_before_the_head_and_cuts_off_behind_it() {
    expect_500(seen(|_| panic_quietly()));
    expect_500(seen(|request| {
        let _response = request.respond().header("X-Lost", "1");
        panic_quietly()
    }));
    expect_500(seen(|request| request.respond().header("X-Trap", Trap).send("")));
    expect_500(seen(|request| request.respond().send(Trap)));
    expect_500(seen(|request| {
        request.respond().status(Status::PROCESSING).interim()?;
        panic_quietly()
    }));
    expect_500(seen(|request| request.raw_response()?.send(Trap)));

    assert_eq!(seen(|request| request.respond().chunked()?.send(Trap)), Seen::CutOff);
    assert_eq!(
        seen(|request| {
            let mut chunks = request.respond().chunked()?;
            chunks.send("half")?;
            panic_quietly()
        }),
        Seen::CutOff
    );
    assert_eq!(
        seen(|request| {
            let mut chunks = request.respond().chunked()?;
            chunks.flush()?;
            chunks.finish_with_trailers([("X-Trap", Trap)])
        }),
        Seen::CutOff
    );
    assert_eq!(seen(|request| request.respond().event_stream()?.send(Trap)), Seen::CutOff);
    assert_eq!(
        seen(|request| {
            request.respond().send("whole")?;
            panic_quietly()
        }),
        Seen::First(ok("whole"))
    );
}

/// What must not stand in a head (CWE-113), whoever has chosen it.
const INJECTIONS: [&str; 7] = [
    "a\rb",
    "a\nb",
    "a\0b",
    "a\r\nSet-Cookie: x=y",
    "a\r\n\r\nHTTP/1.1 200 OK",
    "\u{1b}[2J",
    "\u{7f}",
];

/// `send` is refused with an error of that kind, nothing of it is sent, and another response is.
fn expect_refused(
    is_right: impl Fn(&Error) -> bool + Send + Sync + Clone + 'static,
    send: impl Fn(&mut Request) -> Result + Send + Sync + Clone + 'static,
) {
    let (is_right, again) = (is_right.clone(), send.clone());
    let forgiving = seen(move |request| {
        let error = send(request).unwrap_err();
        assert!(is_right(&error), "{error}");
        request.respond().send("another")
    });
    assert_eq!(forgiving, Seen::Both(ok("another")));
    expect_500(seen(again));
}

fn is_field(error: &Error) -> bool {
    matches!(error, Error::InvalidField(_))
}

fn is_status(error: &Error) -> bool {
    matches!(error, Error::InvalidStatus(_))
}

#[test]
fn a_header_field_that_is_none_is_refused() {
    for bad in INJECTIONS {
        expect_refused(is_field, move |request| request.respond().header("X-A", bad).send(""));
        expect_refused(is_field, move |request| request.respond().header(bad, "a").send(""));
        expect_refused(is_field, move |request| request.respond().content_type(bad).send(""));
        expect_refused(is_field, move |request| {
            let cookie = format!("session={bad}; HttpOnly");
            request.respond().header("Set-Cookie", cookie).send("")
        });
        expect_refused(is_field, move |request| {
            request.respond().status(Status::EARLY_HINTS).header("Link", bad).interim()
        });
        expect_refused(is_field, move |request| {
            request.respond().header("X-A", bad).chunked().map(drop)
        });
        expect_refused(is_field, move |request| {
            request.respond().header("X-A", bad).event_stream().map(drop)
        });
    }
    for name in [
        "",
        " ",
        "X A",
        "X:",
        "(x)",
        "caf\u{e9}",
        "Content-Length",
        "connection",
        "TRANSFER-ENCODING",
    ] {
        expect_refused(is_field, move |request| request.respond().header(name, "1").send(""));
    }
}

#[test]
fn a_status_that_is_none_is_refused() {
    for bad in [
        "",
        " ",
        "OK",
        "20",
        "2000",
        "200OK",
        " 200 OK",
        "+20 OK",
        "+200 OK",
        "0200 OK",
        "-20 OK",
        "0x2 OK",
        "099 Low",
        "\u{662}\u{660}\u{660} OK",
        "200\tOK",
        "200\r\n",
        "200 a\rb",
        "200 a\nb",
        "200 a\0b",
        "200 OK\r\nX-A: b",
        "200 OK\r\n\r\n",
    ] {
        expect_refused(is_status, move |request| request.respond().custom_status(bad).send(""));
        expect_refused(is_status, move |request| request.respond().send_custom_err(bad, "text"));
    }
    // An interim status is no answer, and an answer is nothing interim.
    for code in [100, 101, 102, 103, 199] {
        let status = Status::new(code).unwrap();
        expect_refused(is_status, move |request| request.respond().status(status).send(""));
        expect_refused(is_status, move |request| {
            request.respond().status(status).chunked().map(drop)
        });
    }
    for code in [101, 200, 204, 304, 404, 999] {
        let status = Status::new(code).unwrap();
        expect_refused(is_status, move |request| request.respond().status(status).interim());
    }
}

#[test]
fn a_redirect_that_is_none_is_refused() {
    for bad in INJECTIONS.into_iter().chain(["", "/a b", "/\u{e9}", "\\\\host", "/%0", "/<script>"])
    {
        expect_refused(is_field, move |request| request.respond().redirect(Status::FOUND, bad));
    }
    for code in [100, 200, 201, 300, 304, 305, 306, 309, 404, 500] {
        let status = Status::new(code).unwrap();
        expect_refused(is_status, move |request| request.respond().redirect(status, "/"));
    }
}

/// CVE-2026-21428 and CVE-2026-45372 (cpp-httplib): decoding gives what the URI could not have.
#[test]
fn what_a_client_has_encoded_is_checked_behind_the_decoding() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/to", |request: &mut Request| -> Result {
            let to = request.query_param("u")?.unwrap_or_default().into_owned();
            request.respond().redirect(Status::FOUND, &to)
        })
    });
    for target in
        ["/to?u=%0d%0aSet-Cookie:%20a=b", "/to?u=/%0A", "/to?u=/%00", "/to?u=a+b", "/to?u="]
    {
        let client = engine.connect();
        client.send([get(target), get("/to?u=/")].concat());
        client.expect_last("500 Internal Server Error");
    }
    let client = engine.connect();
    client.send(get("/to?u=%2Fa%2520b"));
    assert!(client.text().contains("\r\nLocation: /a%20b\r\n"));
}

#[test]
fn a_trailer_that_must_not_be_one_cuts_the_response_off() {
    let names = ["Content-Length", "transfer-encoding", "Host", "Set-Cookie", "Trailer", "", "a b"];
    for (name, value) in
        names.map(|name| (name, "1")).into_iter().chain(INJECTIONS.map(|bad| ("X", bad)))
    {
        let cut_off = seen(move |request| {
            let mut chunks = request.respond().chunked()?;
            chunks.send("body")?;
            let error = chunks.finish_with_trailers([("X-Good", "1"), (name, value)]).unwrap_err();
            assert!(is_field(&error), "{error}");
            Ok(())
        });
        assert_eq!(cut_off, Seen::CutOff, "{name:?}: {value:?}");
    }
}

#[test]
fn the_first_mistake_is_the_one_that_is_told() {
    let told = seen(|request| {
        let response = request.respond().header("X-First", "\r").custom_status("none");
        let error = response.header("X-Third", "\n").content_type("\0").send("").unwrap_err();
        request.respond().send(error.to_string())
    });
    let text = "the field \"X-First\" can't be sent: its name or its value is not allowed";
    assert_eq!(told, Seen::Both(ok(text)));
}
