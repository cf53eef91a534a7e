//! What a thread can do with a detached request: all that a handler can.

use std::io::{Read, Write};

use super::*;
use crate::{BodyLen, Error, ErrorCode, Method, Status, UriHandler};

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn another_thread_answers_and_the_session_goes_on() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    client.expect_nothing();
    assert_eq!(job.does(with(path)), "Ok(())");
    job.completes();
    client.expect(ok("/away"));
    client.send(get("/next"));
    client.expect(ok("/next"));
    assert_eq!(engine.lent(), 0);
}

#[test]
fn the_head_is_there_on_both_sides() {
    let (seen, parked) = (Log::default(), Parked::default());
    let (noted, park) = (seen.clone(), parked.clone());
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.any("/away", move |request: &mut Request| -> Result {
            park.park(request.detach()?)?;
            noted.note(format!("{} {}", request.method(), request.uri()));
            Ok(())
        })
    });
    let client = engine.connect();
    let job =
        detach(&engine, &parked, &client, "PUT /away?x=1 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");
    assert_eq!(seen.take(), ["PUT /away?x=1"]);
    let session = client.session();
    job.does(move |request| {
        assert_eq!(request.session(), session);
        let request = request.request().unwrap();
        assert_eq!((request.method(), request.uri()), (Method::Put, "/away?x=1"));
        assert_eq!((request.query(), request.header("x")), (Some("x=1"), Some("y")));
        assert_eq!((request.body_len(), request.session()), (BodyLen::None, session));
        assert_eq!(request.local_addr(), Some(LOCAL_ADDR));
    });
}

#[test]
fn the_uri_handlers_context_and_parameters_go_along() {
    fn user(request: &mut Request) -> Result {
        let text = format!("{} {:?}", request.param("id")?, request.user_ctx::<u32>());
        request.respond().send(text)
    }
    let parked = Parked::default();
    let handler = parked.handler();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .uri_handler(UriHandler::new(Method::Get, "/users/{id}", handler).user_ctx(7_u32))
            .err_handler(ErrorCode::InternalServerError, |request: &mut Request, _| user(request))
    });
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/users/me"));
    // Also of one that is removed meanwhile.
    engine.handle().unregister_uri("/users/{id}").unwrap();
    assert_eq!(job.does(with(user)), "Ok(())");
    job.completes();
    client.expect(ok("me Some(7)"));
    // An error handler that answers for it has them, too.
    let handler = UriHandler::new(Method::Get, "/users/{id}", parked.handler()).user_ctx(8_u32);
    engine.handle().register_uri_handler(handler).unwrap();
    let job = detach(&engine, &parked, &client, get("/users/you"));
    job.ends(drop);
    assert_eq!(client.expect_last("200 OK"), "you Some(8)");
}

#[test]
fn a_handler_that_a_thread_is_the_last_to_have_is_dropped_with_its_request() {
    /// Notes its end, and panics then.
    struct Ctx(Log);

    impl Drop for Ctx {
        fn drop(&mut self) {
            self.0.note("drop");
            panic_on_purpose();
        }
    }

    let (parked, log) = (Parked::default(), Log::default());
    let handler = UriHandler::any("/away", parked.handler()).user_ctx(Ctx(log.clone()));
    let engine = Engine::new(HttpConfig::default(), |server| server.uri_handler(handler));
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    engine.handle().unregister_uri("/away").unwrap();
    engine.run();
    job.does(with(path));
    assert!(log.take().is_empty());
    job.completes();
    assert_eq!(log.take(), ["drop"]);
    client.expect(ok("/away"));
}

#[test]
fn a_response_tells_the_date_when_it_is_written() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    let time = Arc::new(AtomicU64::new(0));
    let clock = time.clone();
    let (engine, parked) = engine_with(HttpConfig::default(), |server| {
        server.wall_clock(move || Some(secs(clock.load(Ordering::Relaxed))))
    });
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.does(with(move |request| {
        // It has taken its time.
        time.store(61, Ordering::Relaxed);
        request.respond().send("")
    }));
    job.completes();
    assert!(client.text().contains("Date: Thu, 01 Jan 1970 00:01:01 GMT\r\n"));
}

#[test]
fn a_body_is_read_as_it_comes() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let request = post("/away", "0123456789");
    let (first, rest) = request.split_at(request.len() - 8);
    let job = detach(&engine, &parked, &client, first);
    job.begin(with(|request| {
        let mut start = [0; 4];
        request.recv_exact(&mut start)?;
        let mut rest = String::new();
        request.read_to_string(&mut rest)?;
        request.respond().send([start.as_slice(), rest.as_bytes()].concat())
    }));
    assert_eq!((job.said(), engine.awaited()), (None, 1));
    client.send(&rest[..5]);
    assert_eq!(job.said(), None);
    client.send(&rest[5..]);
    assert_eq!(job.said().as_deref(), Some("Ok(())"));
    job.completes();
    client.expect(ok("0123456789"));
}

#[test]
fn a_response_streams_in_both_directions_at_once() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(
        &engine,
        &parked,
        &client,
        "POST /away HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    job.begin(with(|request| {
        let mut piece = [0; 100];
        let mut body = request.respond().chunked()?;
        body.flush()?;
        loop {
            match body.request().recv(&mut piece)? {
                0 => return body.finish(),
                len => body.write_all(&piece[..len])?,
            }
            Write::flush(&mut body)?;
        }
    }));
    engine.advance(millis(1));
    client.expect(CHUNKED);
    for part in ["3\r\nabc\r\n", "1\r\nd\r\n"] {
        client.send(part);
        engine.advance(millis(1));
        client.expect(part);
    }
    client.send("0\r\n\r\n");
    assert_eq!(job.said().as_deref(), Some("Ok(())"));
    client.expect_nothing();
    job.completes();
    client.expect("0\r\n\r\n");
    client.send(get("/next"));
    client.expect(ok("/next"));
}

#[test]
fn a_large_response_waits_for_its_reader() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect_as(Peer { window: 1000, ..Peer::default() });
    let job = detach(&engine, &parked, &client, get("/away"));
    job.begin(with(|request| request.respond().send("x".repeat(300_000))));
    let mut received = client.received();
    while engine.awaited() > 0 {
        engine.advance(secs(4));
        client.take(7000);
        received.extend(client.received());
    }
    assert_eq!(job.said().as_deref(), Some("Ok(())"));
    job.completes();
    client.take(usize::MAX);
    received.extend(client.received());
    assert_eq!(received, ok(&"x".repeat(300_000)).into_bytes());
}

#[test]
fn waiting_has_the_timeouts_of_a_handler() {
    let (engine, parked) = engine(HttpConfig::default());
    let silent = engine.connect();
    let head = &post("/away", "body");
    let job = detach(&engine, &parked, &silent, &head[..head.len() - 4]);
    job.begin(with(|request| request.recv(&mut [0; 10])));
    assert_eq!(engine.waits(), Some(secs(5)));
    engine.advance(millis(4999));
    assert_eq!(job.said(), None);
    engine.advance(millis(1));
    assert_eq!(job.said().as_deref(), Some("Err(the peer was silent for too long)"));
    // It has lost nothing but time.
    silent.send("body");
    assert_eq!(job.does(with(echo)), "Ok(())");
    job.completes();
    silent.expect(ok("body"));

    let full = engine.connect_as(Peer { window: 0, ..Peer::default() });
    let job = detach(&engine, &parked, &full, get("/away"));
    job.begin(with(|request| request.respond().send("x".repeat(100_000))));
    engine.advance(secs(5));
    assert_eq!(job.said().as_deref(), Some("Err(the peer was silent for too long)"));
    full.expect_closed();
    assert_eq!(job.does(with(path)), "Err(the session is closed)");
}

#[test]
fn a_thread_can_have_the_server_tell_the_time() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.begin(with(|request| request.sleep(secs(3))));
    assert_eq!(engine.waits(), Some(secs(3)));
    engine.advance(secs(3));
    assert_eq!(job.said().as_deref(), Some("Ok(())"));
    assert_eq!(engine.waits(), None);
}

#[test]
fn the_client_is_told_to_go_on_when_its_body_is_wanted() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let head =
        "POST /away HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let job = detach(&engine, &parked, &client, head);
    client.expect_nothing();
    job.begin(with(echo));
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ab");
    job.completes();
    client.expect(ok("ab"));
}

#[test]
fn the_sessions_context_goes_along() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    for count in 1..4 {
        let job = detach(&engine, &parked, &client, get("/away"));
        job.does(with(|request| {
            let count = request.session_ctx_or_insert_with(|| 0_u32);
            *count += 1;
            let text = count.to_string();
            request.respond().send(text)
        }));
        job.completes();
        client.expect(ok(&count.to_string()));
    }
}

#[test]
fn a_handler_runs_on_the_thread_as_it_would_in_the_server() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    assert_eq!(job.ends(|request| request.run(path)).as_deref(), Some("Ok(())"));
    client.expect(ok("/away"));

    let job = detach(&engine, &parked, &client, get("/away"));
    let refused = job.ends(|request| {
        request.run(|_| -> Result { Err(Error::Refused(Status::GONE, "no more".into())) })
    });
    assert_eq!(refused.as_deref(), Some("Err(no more)"));
    assert_eq!(client.expect_last("410 Gone"), "no more\n");
}

#[test]
fn what_a_handler_on_the_thread_ends_with_goes_to_an_error_handler() {
    let (engine, parked) = engine_with(HttpConfig::default(), |server| {
        server.err_handler(ErrorCode::NotFound, |request: &mut Request, _| -> Result {
            let text = request.err_text().unwrap_or_default().to_owned();
            request.respond().status(Status::NOT_FOUND).send(text)
        })
    });
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.ends(|request| {
        request.run(|_| -> Result { Err(Error::Refused(Status::NOT_FOUND, "not here".into())) })
    });
    assert!(client.text().ends_with("\r\n\r\nnot here"));
    // A refusal leaves the session open, as it does in the server.
    client.send(get("/next"));
    client.expect(ok("/next"));

    let job = detach(&engine, &parked, &client, get("/away"));
    job.does(with(|request| request.handle_err(ErrorCode::NotFound, Some("not there"))));
    job.completes();
    assert!(client.text().ends_with("\r\n\r\nnot there"));
}

#[test]
fn an_error_that_says_the_client_has_left_is_not_answered() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.ends(|request| request.run(|_| -> Result { Err(Error::Closed) }));
    client.expect_nothing();
    client.expect_closed();
}

#[test]
fn a_new_transport_carries_what_follows() {
    /// Says everything in capitals.
    struct Loud;

    impl crate::SessionTransport for Loud {
        fn recv(
            &mut self,
            socket: &mut dyn crate::SessionSocket,
            rx: &mut crate::RxBuf,
        ) -> Result<usize, crate::NetError> {
            socket.recv(rx)
        }

        fn send(
            &mut self,
            socket: &mut dyn crate::SessionSocket,
            tx: &mut crate::TxBuf,
        ) -> Result<usize, crate::NetError> {
            tx.storage().make_ascii_uppercase();
            socket.send(tx)
        }
    }

    let (engine, parked) = engine(HttpConfig::default());
    // What the session has said before has not left when the connection goes away.
    let client = engine.connect_as(Peer { window: 20, ..Peer::default() });
    let job = detach(&engine, &parked, &client, get("/a") + &get("/away"));
    job.begin(with(|request| request.set_transport(Box::new(Loud))));
    assert_eq!(job.said(), None);
    client.take(usize::MAX);
    assert_eq!(job.said().as_deref(), Some("Ok(())"));
    client.expect(ok("/a"));
    job.does(with(|request| request.respond().send("loud")));
    job.completes();
    client.expect(ok("loud").to_uppercase());
    client.send(get("/b"));
    client.expect(ok("/b").to_uppercase());
}

#[test]
fn the_session_is_told_of_as_with_any_handler() {
    let parked = Parked::default();
    let handler = parked.handler();
    let (engine, notices) =
        Engine::recorded(HttpConfig::default(), |server| server.any("/away", handler));
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    notices.take();
    job.does(with(|request| request.respond().status(Status::GONE).send("")));
    assert!(notices.take().is_empty());
    job.completes();
    let len = client.text().len();
    assert_eq!(notices.take(), ["Error(410)", "HeadersSent", &format!("SentData({len})")]);
    // With the head and the rest apart.
    let job = detach(&engine, &parked, &client, get("/away"));
    notices.take();
    job.begin(with(begin));
    job.begin(with(|request| request.sleep(secs(1))));
    assert_eq!(notices.take()[0], "HeadersSent");
    engine.advance(secs(1));
    drop(job);
    engine.run();
    assert!(!notices.take().contains(&"HeadersSent".to_owned()));
}
