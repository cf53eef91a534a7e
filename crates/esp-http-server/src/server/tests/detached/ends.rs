//! How a detached request ends: completed, dropped, or never begun.

use super::*;
use crate::{Error, ErrorCode, Status};

#[test]
fn one_that_is_dropped_unanswered_is_500() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    assert_eq!(job.ends(drop).as_deref(), Some("()"));
    client.expect_last("500 Internal Server Error");
    client.expect_closed();
    // Also if it was looked at.
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.does(with(|request| {
        Ok(request.respond().header("X", "y").status(Status::GONE).header("", "").send("").is_err())
    }));
    job.ends(drop);
    assert!(!client.expect_last("500 Internal Server Error").contains('y'));
}

#[test]
fn the_500_is_the_error_handlers() {
    let (engine, parked) = engine_with(HttpConfig::default(), |server| {
        server.err_handler(ErrorCode::InternalServerError, |request: &mut Request, _| -> Result {
            request.sleep(secs(1))?;
            request.respond().status(Status::INTERNAL_SERVER_ERROR).send("sorry")
        })
    });
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.ends(drop);
    client.expect_nothing();
    engine.advance(secs(1));
    assert_eq!(client.expect_last("500 Internal Server Error"), "sorry");
}

#[test]
fn one_that_is_dropped_in_the_middle_of_its_answer_is_cut_off() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.does(with(begin));
    job.ends(drop);
    assert!(client.text().ends_with("\r\n\r\nbegun"));
    client.expect_closed();
}

#[test]
fn one_that_is_dropped_behind_its_answer_is_complete() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.does(with(path));
    job.ends(drop);
    client.expect(ok("/away"));
    client.send(get("/next"));
    client.expect(ok("/next"));
}

#[test]
fn a_thread_that_panics_has_not_answered() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    let said = job.ends(|request| request.run(|_| -> Result { panic_on_purpose() }));
    assert_eq!(said.as_deref(), Some("panicked"));
    client.expect_last("500 Internal Server Error");
    // Behind an answer, that stands, but the session has seen its last.
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.ends(|request| {
        request.run(|request| -> Result {
            path(request)?;
            panic_on_purpose()
        })
    });
    client.expect(ok("/away"));
    client.expect_closed();
}

#[test]
fn one_that_is_completed_without_an_answer_is_an_error_on_both_sides() {
    let (engine, parked) = engine(HttpConfig::default());
    let unanswered = "Err(the detached request was not answered in full)";
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    assert_eq!(job.ends(DetachedRequest::complete).as_deref(), Some(unanswered));
    client.expect_last("500 Internal Server Error");
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.does(with(begin));
    assert_eq!(job.ends(DetachedRequest::complete).as_deref(), Some(unanswered));
    client.expect_closed();
}

#[test]
fn the_rest_of_a_body_is_drained_as_after_a_handler() {
    let config = HttpConfig { purge_len: 10, ..HttpConfig::default() };
    let (engine, parked) = engine(config);
    let client = engine.connect();
    let request = post("/away", "0123456789");
    let job = detach(&engine, &parked, &client, &request[..request.len() - 4]);
    job.does(with(path));
    job.completes();
    client.expect(ok("/away"));
    client.send("6789".to_owned() + &get("/next"));
    client.expect(ok("/next"));
    let job = detach(&engine, &parked, &client, post("/away", &"x".repeat(11)));
    job.does(with(path));
    job.completes();
    assert_eq!(client.expect_last("200 OK"), "/away");
}

#[test]
fn the_next_request_waits_until_it_is_complete() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away").repeat(2) + &get("/a"));
    client.send(get("/b"));
    client.expect_nothing();
    assert!(parked.take().is_none());
    job.does(with(path));
    job.completes();
    client.expect(ok("/away"));
    let job = engine.elsewhere(parked.take().unwrap());
    job.does(with(path));
    job.completes();
    client.expect([ok("/away"), ok("/a"), ok("/b")].concat());
}

#[test]
fn the_last_request_of_a_session_may_be_detached() {
    let config = HttpConfig { max_requests_per_session: 1, ..HttpConfig::default() };
    let (engine, parked) = engine(config);
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.does(with(path));
    job.completes();
    assert_eq!(client.expect_last("200 OK"), "/away");
    client.expect_closed();
}

/// What a handler does behind `detach`, and what its detached request says then.
fn after_detaching(end: fn(&mut Request) -> Result) -> (String, String) {
    let parked = Parked::default();
    let park = parked.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.any("/away", move |request: &mut Request| -> Result {
            park.park(request.detach()?)?;
            end(request)
        })
    });
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    let text = client.text();
    let said = job.does(|request| request.request().map(drop));
    assert_eq!(job.does(with(path)), said);
    assert_eq!(job.ends(DetachedRequest::complete).unwrap(), said);
    (text, said)
}

#[test]
fn a_handler_that_answers_after_all_keeps_its_request() {
    let started = "Err(the response to this request has begun already)";
    let (text, said) = after_detaching(path);
    assert_eq!((text, said.as_str()), (ok("/away"), started));
    let (text, said) = after_detaching(begin);
    assert!(text.ends_with("begun"));
    assert_eq!(said, started);
    let (text, said) = after_detaching(|_| Err(Error::Refused(Status::GONE, "gone".into())));
    assert!(text.starts_with("HTTP/1.1 410 Gone"));
    assert_eq!(said, started);
    let (text, said) = after_detaching(|_| panic_on_purpose());
    assert!(text.starts_with("HTTP/1.1 500 Internal Server Error"));
    assert_eq!(said, started);
    let (text, said) = after_detaching(|request| request.handle_err(ErrorCode::NotFound, None));
    assert!(text.starts_with("HTTP/1.1 404 Not Found"));
    assert_eq!(said, started);
}

#[test]
fn a_handler_that_takes_its_request_back_can_answer_it() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .get("/back", |request: &mut Request| -> Result {
                drop(request.detach()?);
                path(request)
            })
            .get("/lost", |request: &mut Request| -> Result {
                drop(request.detach()?);
                Ok(())
            })
            .get("/complete", |request: &mut Request| -> Result {
                assert!(matches!(request.detach()?.complete(), Err(Error::Unanswered)));
                Ok(())
            })
    });
    let client = engine.connect();
    client.send(get("/back"));
    client.expect(ok("/back"));
    client.send(get("/lost"));
    client.expect_last("500 Internal Server Error");
    let client = engine.connect();
    client.send(get("/complete"));
    client.expect_last("500 Internal Server Error");
}

#[test]
fn a_request_is_detached_once_and_before_it_is_answered() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", |request: &mut Request| -> Result {
            let first = request.detach()?;
            assert!(matches!(request.detach(), Err(Error::Detached)));
            drop(first);
            assert!(matches!(request.detach(), Err(Error::Detached)));
            request.respond().send("once")?;
            assert!(matches!(request.detach(), Err(Error::ResponseStarted)));
            Ok(())
        })
    });
    let client = engine.connect();
    client.send(get("/"));
    client.expect(ok("once"));

    let (engine, parked) = super::engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    let again = job.does(with(|request| request.detach().map(drop)));
    assert_eq!(again, "Err(the request is detached; its thread has the session)");
}

#[test]
fn a_handler_that_was_told_to_end_has_nothing_to_detach() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", move |request: &mut Request| -> Result {
            let end = request.sleep(secs(60));
            noted.note(format!("{end:?} {:?}", request.detach().map(drop)));
            end
        })
    });
    let client = engine.connect();
    client.send(get("/"));
    client.reset();
    assert_eq!(log.take(), ["Err(the session is closed) Err(the session is closed)"]);
}

#[test]
fn an_error_handler_may_detach_its_request_too() {
    let parked = Parked::default();
    let park = parked.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .get("/500", |_: &mut Request| -> Result { panic_on_purpose() })
            .err_handler(ErrorCode::NotFound, move |request: &mut Request, _| {
                park.park(request.detach()?)
            })
    });
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/nowhere"));
    job.does(with(|request| request.respond().status(Status::NOT_FOUND).send("nowhere")));
    job.completes();
    assert!(client.text().ends_with("nowhere"));
    // When it fails the server answers, and not the error handler once more.
    let job = detach(&engine, &parked, &client, get("/nowhere"));
    job.ends(drop);
    client.expect_last("500 Internal Server Error");
    assert!(parked.take().is_none());
}
