//! What a thread learns of its client, and how.

use super::*;

const CLOSED: &str = "Err(the session is closed)";

fn peer(job: &Elsewhere) -> String {
    job.does(|request| request.peer())
}

#[test]
fn a_client_that_has_finished_sending_is_told_from_one_that_has_left() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    assert_eq!(peer(&job), "Sending");
    client.finish();
    assert_eq!(peer(&job), "Finished");
    assert_eq!(job.does(with(|request| Ok(request.peer()))), "Ok(Finished)");
    // It waits for its answer.
    job.does(with(path));
    job.completes();
    client.expect(ok("/away"));
    client.expect_closed();

    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.does(with(path));
    client.reset();
    client.expect_closed();
    assert_eq!(engine.open(), 0);
    assert_eq!(peer(&job), "Gone");
    assert_eq!(job.does(with(path)), CLOSED);
    assert_eq!(job.ends(DetachedRequest::complete).as_deref(), Some(CLOSED));
}

#[test]
fn what_was_known_before_the_request_was_detached_is_known_to_the_thread() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    client.put(get("/away"));
    client.finish();
    let job = engine.elsewhere(parked.take().unwrap());
    assert_eq!(peer(&job), "Finished");
    let end = "Err(the peer closed before the end of the body)";
    let client = engine.connect();
    let head = post("/away", "body");
    client.put(&head[..head.len() - 4]);
    client.finish();
    let job = engine.elsewhere(parked.take().unwrap());
    assert_eq!(job.does(with(|request| request.recv(&mut [0; 9]))), end);
}

#[test]
fn a_thread_can_wait_for_its_client_to_leave() {
    let (engine, parked) = engine(HttpConfig::default());
    let clients = [(); 3].map(|()| engine.connect());
    let jobs = clients.each_ref().map(|client| detach(&engine, &parked, client, get("/away")));
    for job in &jobs {
        job.begin(with(|request| request.wait_peer(secs(10))));
    }
    assert_eq!((engine.awaited(), engine.waits()), (3, Some(secs(10))));
    clients[0].finish();
    assert_eq!(jobs[0].said().as_deref(), Some("Ok(Finished)"));
    clients[1].reset();
    assert_eq!(jobs[1].said().as_deref(), Some(CLOSED));
    clients[2].send("not the end");
    engine.advance(millis(9999));
    assert_eq!(jobs[2].said(), None);
    engine.advance(millis(1));
    assert_eq!(jobs[2].said().as_deref(), Some("Ok(Sending)"));
    // What is known already is not waited for.
    assert_eq!(jobs[0].does(with(|request| request.wait_peer(secs(10)))), "Ok(Finished)");
    assert_eq!(jobs[1].does(with(|request| request.wait_peer(secs(10)))), CLOSED);
}

#[test]
fn a_handler_can_wait_for_its_client_to_leave_too() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", move |request: &mut Request| -> Result {
            noted.note(format!("{:?} {:?}", request.peer(), request.wait_peer(secs(10))));
            noted.note(format!("{:?}", request.peer()));
            path(request)
        })
    });
    let (leaving, gone, staying) = (engine.connect(), engine.connect(), engine.connect());
    [&leaving, &gone, &staying].iter().for_each(|client| client.send(get("/")));
    leaving.finish();
    assert_eq!(log.take(), ["Sending Ok(Finished)", "Finished"]);
    leaving.expect(ok("/"));
    gone.reset();
    assert_eq!(log.take(), [format!("Sending {CLOSED}"), "Gone".into()]);
    engine.advance(secs(10));
    assert_eq!(log.take(), ["Sending Ok(Sending)", "Sending"]);
    staying.expect(ok("/"));
}

#[test]
fn a_client_that_takes_nothing_has_left() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", move |request: &mut Request| -> Result {
            let sent = request.respond().send("x".repeat(100_000));
            noted.note(format!("{sent:?} {:?}", request.peer()));
            noted.note(format!("{:?}", request.wait_peer(secs(10))));
            sent
        })
    });
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    client.send(get("/"));
    engine.advance(secs(5));
    let silent = "Err(the peer was silent for too long)";
    assert_eq!(log.take(), [format!("{silent} Gone"), CLOSED.into()]);
    client.expect_closed();
}

#[test]
fn a_call_that_waits_ends_when_the_client_leaves() {
    type Call = fn(&mut Request) -> Result;
    let calls: [Call; 4] = [
        |request| request.recv(&mut [0; 10]).map(drop),
        |request| request.respond().send("x".repeat(200_000)),
        |request| request.sleep(secs(60)),
        |request| request.set_transport(Box::new(super::away::Plain)),
    ];
    for call in calls {
        let (engine, parked) = engine(HttpConfig::default());
        let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
        client.put(get("/a"));
        let head = post("/away", "body");
        let job = detach(&engine, &parked, &client, &head[..head.len() - 4]);
        job.begin(with(call));
        assert_eq!(engine.awaited(), 1);
        client.reset();
        assert_eq!(job.said().as_deref(), Some(CLOSED));
        assert_eq!((engine.open(), engine.waits()), (0, None));
    }
}

#[test]
fn a_busy_thread_is_read_ahead_for_a_little_and_not_more() {
    const LEN: usize = 1_000_000;
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, post("/away", &"x".repeat(LEN)));
    let unread = client.unread();
    assert!((LEN - 100_000..LEN).contains(&unread), "{unread}");
    // However often it calls for something else.
    for _ in 0..20 {
        job.begin(with(|request| request.sleep(millis(1))));
        engine.advance(millis(1));
        assert_eq!(job.said().as_deref(), Some("Ok(())"));
    }
    assert_eq!(client.unread(), unread);
    let read = job.does(with(|request| Ok(request.recv_all(LEN)?.len())));
    assert_eq!(read, format!("Ok({LEN})"));
}
