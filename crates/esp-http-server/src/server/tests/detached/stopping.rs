//! A server that stops or is dropped while requests are detached.

use std::sync::mpsc::channel;
use std::thread;

use super::*;
use crate::Error;

const CLOSED: &str = "Err(the session is closed)";

fn stop(engine: &Engine) {
    engine.handle().stop();
    engine.run();
}

#[track_caller]
fn expect_stopped(engine: &Engine) {
    assert!(engine.is_stopped());
    assert_eq!((engine.open(), engine.lent(), engine.waits()), (0, 0, None));
    assert!(engine.handle().clients().is_empty());
}

#[test]
fn stop_waits_for_a_thread_that_is_busy() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.does(with(path));
    stop(&engine);
    assert!(!engine.is_stopped());
    assert_eq!(engine.waits(), Some(secs(5)));
    engine.advance(secs(4));
    job.completes();
    client.expect(ok("/away"));
    client.expect_closed();
    expect_stopped(&engine);
}

#[test]
fn stop_waits_for_a_thread_that_waits() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.begin(with(|request| {
        request.sleep(secs(3))?;
        path(request)
    }));
    stop(&engine);
    engine.advance(secs(3));
    job.completes();
    // It knew that it was the last one.
    assert_eq!(client.expect_last("200 OK"), "/away");
    expect_stopped(&engine);
}

#[test]
fn after_stop_timeout_all_are_cut_off_and_may_outlive_the_server() {
    let (engine, parked) = engine(HttpConfig::default());
    let clients = [(); 3].map(|()| engine.connect());
    let jobs = clients.each_ref().map(|client| detach(&engine, &parked, client, get("/away")));
    jobs[0].begin(with(begin));
    jobs[1].begin(with(|request| request.recv(&mut [0; 1])));
    jobs[1].begin(with(|request| request.sleep(secs(60))));
    stop(&engine);
    engine.advance(millis(4999));
    assert_eq!((engine.is_stopped(), engine.awaited()), (false, 1));
    engine.advance(millis(1));
    expect_stopped(&engine);
    clients.iter().for_each(Client::expect_closed);
    assert_eq!(jobs[1].said().as_deref(), Some("Ok(0)"));
    assert_eq!(jobs[1].said().as_deref(), Some(CLOSED));
    for job in &jobs {
        assert_eq!(job.does(|request| request.peer()), "Gone");
        assert_eq!(job.does(with(path)), CLOSED);
        assert_eq!(job.ends(DetachedRequest::complete).as_deref(), Some(CLOSED));
    }
    expect_stopped(&engine);
}

#[test]
fn a_request_may_be_detached_while_the_server_stops() {
    let parked = Parked::default();
    let park = parked.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/away", move |request: &mut Request| -> Result {
            request.sleep(secs(1))?;
            park.park(request.detach()?)
        })
    });
    let client = engine.connect();
    client.send(get("/away"));
    stop(&engine);
    engine.advance(secs(1));
    let job = engine.elsewhere(parked.take().unwrap());
    job.does(with(path));
    job.completes();
    assert_eq!(client.expect_last("200 OK"), "/away");
    expect_stopped(&engine);
}

#[test]
fn work_is_refused_by_a_server_that_stops_but_no_connection_is() {
    let config = HttpConfig { work_queue_len: 1, ..HttpConfig::default() };
    let (engine, parked) = engine(config);
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    stop(&engine);
    assert!(matches!(engine.handle().queue_work(|_| ()), Err(Error::Stopping)));
    job.does(with(path));
    job.completes();
    client.expect(ok("/away"));
    expect_stopped(&engine);
}

#[test]
fn a_server_that_is_dropped_wakes_the_threads_that_wait() {
    let log = Log::default();
    let closed = log.clone();
    let (engine, parked) =
        engine_with(HttpConfig::default(), |server| server.on_close(move |_| closed.note("close")));
    let client = engine.connect();
    client.send(get("/away"));
    let mut request = parked.take().unwrap();
    let thread = thread::spawn(move || {
        let end = with(|request| request.sleep(secs(60)))(&mut request);
        format!("{end:?} {:?} {:?}", request.peer(), request.complete())
    });
    while engine.awaited() == 0 {
        thread::yield_now();
        engine.run();
    }
    drop((client, engine));
    assert_eq!(thread.join().unwrap(), format!("{CLOSED} Gone {CLOSED}"));
    assert_eq!(log.take(), ["close"]);
}

#[test]
fn a_server_that_is_dropped_leaves_busy_threads_alone() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    client.send(get("/away"));
    let mut request = parked.take().unwrap();
    let ((answered, has_answered), (drop_it, dropped)) = (channel(), channel::<()>());
    let thread = thread::spawn(move || {
        answered.send(with(path)(&mut request)).unwrap();
        let _ = dropped.recv();
        let end = with(|request| request.sleep(secs(60)))(&mut request);
        format!("{end:?} {:?} {:?}", request.peer(), request.complete())
    });
    assert!(has_answered.recv().unwrap().is_ok());
    drop((client, engine));
    drop(drop_it);
    assert_eq!(thread.join().unwrap(), format!("{CLOSED} Gone {CLOSED}"));
}

#[test]
fn a_connection_that_comes_back_to_a_server_that_is_gone_is_dropped() {
    let log = Log::default();
    let (ctx, closed) = (log.clone(), log.clone());
    let (engine, parked) = engine_with(HttpConfig::default(), |server| {
        server
            .on_open(move |session: &mut crate::OpenSession| -> Result {
                session.set_session_ctx(Noting(ctx.clone()));
                Ok(())
            })
            .on_close(move |_| closed.note("close"))
    });
    let clients = [(); 2].map(|()| engine.connect());
    clients.iter().for_each(|client| client.send(get("/away")));
    let [mut one, mut two] = [(); 2].map(|()| parked.take().unwrap());
    // This thread may take what is there, though it must not wait.
    assert!(one.request().is_ok() && two.request().is_ok());
    // One is on its way already.
    drop(one);
    drop((clients, engine));
    assert_eq!(log.take(), ["close", "close", "drop"]);
    drop(two);
    assert_eq!(log.take(), ["drop"]);
}

/// Notes its end.
struct Noting(Log);

impl Drop for Noting {
    fn drop(&mut self) {
        self.0.note("drop");
    }
}

/// A thread that waits for the handler, which has detached its request and sleeps; and what it says
/// in the end.
fn waiting_for_the_handler() -> (Engine, Client, thread::JoinHandle<String>) {
    let parked = Parked::default();
    let park = parked.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", move |request: &mut Request| -> Result {
            park.park(request.detach()?)?;
            request.sleep(secs(1))
        })
    });
    let client = engine.connect();
    client.send(get("/"));
    let mut request = parked.take().unwrap();
    let thread = thread::spawn(move || format!("{:?}", request.request().map(drop)));
    (engine, client, thread)
}

#[test]
fn a_thread_that_waits_for_the_handler_goes_on_when_that_ends() {
    let (engine, client, thread) = waiting_for_the_handler();
    engine.advance(secs(1));
    assert_eq!(thread.join().unwrap(), "Ok(())");
    engine.run();
    client.expect_last("500 Internal Server Error");

    let (engine, client, thread) = waiting_for_the_handler();
    client.reset();
    assert_eq!(thread.join().unwrap(), CLOSED);
    assert_eq!(engine.open(), 0);

    let (engine, client, thread) = waiting_for_the_handler();
    drop((client, engine));
    assert_eq!(thread.join().unwrap(), CLOSED);
}
