//! Places in the session table, turns and stacks: what a detached request takes, and what not.

use std::sync::atomic::Ordering;

use super::*;
use crate::{Error, HandlerMode};

#[test]
fn a_detached_request_holds_no_stack() {
    let parked = Parked::default();
    let handler = parked.handler();
    let (engine, stacks) = Engine::with_stacks(HttpConfig::default(), 1, |server| {
        server.get("/away", handler).get("/*", path)
    });
    let clients = [(); 3].map(|()| engine.connect());
    let jobs = clients.each_ref().map(|client| detach(&engine, &parked, client, get("/away")));
    jobs[0].begin(with(|request| request.sleep(secs(1))));
    assert_eq!(stacks.load(Ordering::Relaxed), 0);
    let other = engine.connect();
    other.send(get("/a"));
    other.expect(ok("/a"));
}

#[test]
fn in_serial_mode_it_holds_up_nobody() {
    let config = HttpConfig { handler_mode: HandlerMode::Serial, ..HttpConfig::default() };
    let (engine, parked) = engine(config);
    let (client, other) = (engine.connect(), engine.connect());
    let job = detach(&engine, &parked, &client, get("/away"));
    other.send(get("/a"));
    other.expect(ok("/a"));
    job.begin(with(|request| request.sleep(secs(1))));
    other.send(get("/b"));
    other.expect(ok("/b"));
    engine.advance(secs(1));
    job.does(with(path));
    job.completes();
    client.expect(ok("/away"));
}

#[test]
fn many_are_detached_at_once_and_answered_in_any_order() {
    let (engine, parked) = engine(HttpConfig::default());
    let clients = [(); 20].map(|()| engine.connect());
    let jobs = clients.each_ref().map(|client| detach(&engine, &parked, client, get("/away")));
    for job in &jobs {
        job.begin(with(|request| request.recv(&mut [0; 1])));
        job.begin(with(|request| request.sleep(secs(1))));
    }
    assert_eq!(engine.awaited(), 20);
    engine.advance(secs(1));
    for (number, job) in jobs.iter().enumerate().rev() {
        job.does(with(move |request| request.respond().send(number.to_string())));
    }
    for (number, (job, client)) in jobs.iter().zip(&clients).enumerate() {
        job.completes();
        client.expect(ok(&number.to_string()));
    }
}

#[test]
fn it_is_never_closed_to_make_room_and_a_full_table_waits() {
    let config = HttpConfig { max_open_sockets: 2, ..HttpConfig::default() };
    let (engine, parked) = engine(config);
    let clients = [(); 2].map(|()| engine.connect());
    let jobs = clients.each_ref().map(|client| detach(&engine, &parked, client, get("/away")));
    jobs[0].begin(with(|request| request.sleep(secs(60))));
    let third = engine.connect();
    // Neither does the engine ask for a turn before there is something to do.
    assert_eq!((engine.backlog(), engine.waits()), (1, Some(secs(60))));
    engine.advance(secs(60));
    assert_eq!((engine.backlog(), engine.waits()), (1, None));
    clients.iter().for_each(Client::expect_open);
    engine.handle().touch(clients[0].session()).unwrap();
    engine.run();
    assert_eq!(engine.backlog(), 1);
    // One that is back in service may go.
    jobs[1].does(with(path));
    jobs[1].completes();
    clients[1].expect(ok("/away"));
    clients[1].expect_closed();
    third.send(get("/third"));
    third.expect(ok("/third"));
    clients[0].expect_open();
}

#[test]
fn it_has_no_timeout_but_those_of_its_waits() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    engine.advance(secs(100_000));
    client.expect_open();
    job.does(with(path));
    job.completes();
    client.expect(ok("/away"));
    engine.advance(secs(60));
    client.expect_closed();
}

#[test]
fn on_a_servers_own_thread_it_does_what_need_not_wait() {
    let log = Log::default();
    let (noted, parked) = (log.clone(), Parked::default());
    let park = parked.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.post("/away", move |request: &mut Request| -> Result {
            let mut detached = request.detach()?;
            noted.note(format!("{:?}", detached.request().map(drop)));
            park.park(detached)
        })
    });
    let would_block = "Err(this would block a thread that drives a server)";
    let client = engine.connect();
    client.send(&post("/away", "body")[..post("/away", "body").len() - 2]);
    assert_eq!(log.take(), [would_block]);
    // In a work function.
    let noted = log.clone();
    engine
        .handle()
        .queue_work(move |_| {
            let mut detached = parked.take().unwrap();
            let mut request = detached.request().unwrap();
            noted.note(format!("{:?}", request.recv(&mut [0; 9])));
            noted.note(format!("{:?}", request.recv(&mut [0; 9])));
            noted.note(format!("{:?}", request.sleep(secs(1))));
            request.respond().send("done").unwrap();
            detached.complete().unwrap();
        })
        .unwrap();
    engine.run();
    assert_eq!(log.take(), ["Ok(2)", would_block, would_block]);
    client.expect(ok("done"));
}

#[test]
fn what_did_not_fit_there_can_only_be_cut_off() {
    const LEN: usize = 100_000;
    type Answer = fn(&mut Request<'_>) -> Result;
    let answers: [Answer; 3] = [
        |request| {
            let mut body = request.respond().sized(LEN as u64)?;
            assert!(matches!(body.send([b'x'; LEN]), Err(Error::WouldBlockWorker)));
            body.finish()
        },
        |request| {
            let mut body = request.respond().chunked()?;
            assert!(matches!(body.send([b'x'; LEN]), Err(Error::WouldBlockWorker)));
            body.finish()
        },
        |request| {
            let mut raw = request.raw_response()?;
            raw.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n"))?;
            assert!(matches!(raw.send([b'x'; LEN]), Err(Error::WouldBlockWorker)));
            raw.finish()
        },
    ];
    for answer in answers {
        let (engine, parked) = engine(HttpConfig::default());
        let client = engine.connect();
        client.send([get("/away"), get("/next")].concat());
        let work = move |_: &mut crate::ServerContext<'_>| {
            let _ = parked.take().unwrap().run(answer);
        };
        engine.handle().queue_work(work).unwrap();
        engine.run();
        let text = client.text();
        assert!(text.contains("xxx") && text.len() < LEN);
        assert!(!text.contains("/next"));
        client.expect_lingering();
    }
}

#[test]
fn it_may_be_dropped_anywhere() {
    type Drops = fn(&Engine, DetachedRequest);
    let drops: [Drops; 4] = [
        |_, request| drop(request),
        // In a work function.
        |engine, request| engine.handle().queue_work(move |_| drop(request)).unwrap(),
        // With a work function that is refused.
        |engine, request| {
            while engine.handle().queue_work(|_| ()).is_ok() {}
            assert!(engine.handle().queue_work(move |_| drop(request)).is_err());
        },
        // With a session.
        |engine, request| {
            let other = engine.connect();
            let session = other.session();
            let set = move |context: &mut crate::ServerContext<'_>| {
                context.set_session_ctx(session, request).unwrap();
            };
            engine.handle().queue_work(set).unwrap();
            engine.run();
            other.reset();
        },
    ];
    for end in drops {
        let (engine, parked) = engine(HttpConfig { work_queue_len: 2, ..HttpConfig::default() });
        let client = engine.connect();
        client.send(get("/away"));
        end(&engine, parked.take().unwrap());
        engine.run();
        client.expect_last("500 Internal Server Error");
    }
}

#[test]
fn it_may_be_dropped_by_a_hook_or_by_another_handler() {
    let parked = Parked::default();
    let (opening, closing, handling) = (parked.clone(), parked.clone(), parked.clone());
    let park = parked.handler();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .get("/away", park)
            .get("/drop", move |request: &mut Request| -> Result {
                drop(handling.take());
                path(request)
            })
            .on_open(move |_: &mut crate::OpenSession| -> Result {
                drop(opening.take());
                Ok(())
            })
            .on_close(move |_| drop(closing.take()))
    });
    let (other, bystander) = (engine.connect(), engine.connect());
    let [one, two, three] = [(); 3].map(|()| engine.connect());
    one.send(get("/away"));
    other.send(get("/drop"));
    one.expect_last("500 Internal Server Error");
    two.send(get("/away"));
    other.reset();
    two.expect_last("500 Internal Server Error");
    three.send(get("/away"));
    let _next = engine.connect();
    three.expect_last("500 Internal Server Error");
    bystander.expect_open();
}
