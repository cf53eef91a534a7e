//! What happens to a session while a thread has its connection.

use super::*;
use crate::{Error, NetError, RxBuf, SessionId, SessionSocket, SessionTransport, TxBuf};

/// Passes everything on.
pub(super) struct Plain;

impl SessionTransport for Plain {
    fn recv(&mut self, socket: &mut dyn SessionSocket, rx: &mut RxBuf) -> Result<usize, NetError> {
        socket.recv(rx)
    }

    fn send(&mut self, socket: &mut dyn SessionSocket, tx: &mut TxBuf) -> Result<usize, NetError> {
        socket.send(tx)
    }
}

/// Notes its end.
struct Ctx(Log);

impl Drop for Ctx {
    fn drop(&mut self) {
        self.0.note("drop");
    }
}

/// Every session has a context, and both their ends are noted.
fn noted(log: &Log) -> (Engine, Parked) {
    let (ctx, closed) = (log.clone(), log.clone());
    engine_with(HttpConfig::default(), |server| {
        server
            .on_open(move |session: &mut crate::OpenSession| -> Result {
                session.set_session_ctx(Ctx(ctx.clone()));
                Ok(())
            })
            .on_close(move |_| closed.note("close"))
    })
}

/// Has a work function do something.
fn work<R: Send + 'static>(
    engine: &Engine,
    work: impl FnOnce(&mut crate::ServerContext<'_>) -> R + Send + 'static,
) -> R {
    let (result, results) = std::sync::mpsc::channel();
    engine.handle().queue_work(move |context| drop(result.send(work(context)))).unwrap();
    engine.run();
    results.try_recv().unwrap()
}

fn push(engine: &Engine, session: SessionId, bytes: &'static str) {
    work(engine, move |context| context.send(session, bytes)).unwrap();
}

#[test]
fn what_was_written_leaves_while_the_thread_is_busy() {
    let (engine, parked) = engine(HttpConfig::default());
    for layered in [false, true] {
        let client = engine.connect_as(Peer { window: 100, layered, ..Peer::default() });
        let job = detach(&engine, &parked, &client, get("/away"));
        job.begin(with(|request| request.respond().sized(60_000)?.send("x".repeat(50_000))));
        job.begin(with(|request| request.sleep(millis(0))));
        engine.advance(millis(1));
        assert_eq!((engine.awaited(), client.received().len()), (0, 100));
        client.take(20_000);
        assert_eq!(client.received().len(), 20_000);
        client.take(usize::MAX);
        let rest = client.text();
        assert!(rest.ends_with('x') && rest.len() > 29_000);
        drop(job);
    }
}

#[test]
fn a_client_that_does_not_read_is_closed_while_the_thread_is_busy() {
    let (engine, parked) = engine(HttpConfig::default());
    for layered in [false, true] {
        let client = engine.connect_as(Peer { window: 100, layered, ..Peer::default() });
        let job = detach(&engine, &parked, &client, get("/away"));
        job.begin(with(|request| request.respond().sized(60_000)?.send("x".repeat(50_000))));
        job.begin(with(|request| request.sleep(millis(0))));
        engine.advance(secs(5));
        client.expect_closed();
        assert_eq!(job.said().as_deref(), Some("Ok(())"));
        assert_eq!(job.does(with(path)), "Err(the session is closed)");
    }
}

#[test]
fn no_more_is_held_for_a_busy_thread_than_the_sessions_buffers() {
    let config =
        HttpConfig { recv_buffer_len: 4096, send_buffer_len: 4096, ..HttpConfig::default() };
    let (engine, parked) = engine(config);
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    let body = "y".repeat(100_000);
    let job = detach(&engine, &parked, &client, post("/away", &body));
    job.begin(with(|request| request.respond().sized(50_000)?.send("x".repeat(50_000))));
    engine.advance(secs(4));
    assert_eq!(engine.awaited(), 1);
    assert!(client.unread() > 100_000 - 2 * 4096, "{}", client.unread());
    let (receiving, sending) = client.buffers();
    assert!(receiving <= 4096 && sending <= 4096 + 1024 + 256, "{receiving} {sending}");
    assert!(engine.held() <= 4 * 5400, "{}", engine.held());
    client.take(usize::MAX);
    engine.advance(millis(1));
    // All but the last, with which the thread has not parted yet.
    assert!(client.received().len() > 50_000 - (4096 + 1024));
    drop(job);
}

#[test]
fn a_thread_that_writes_and_writes_is_held_up_by_its_reader() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    let job = detach(&engine, &parked, &client, get("/away"));
    // Bytes that the thread has parted with count.
    job.begin(with(|request| -> Result {
        let mut body = request.respond().chunked()?;
        loop {
            body.send("x".repeat(10_000))?;
            body.flush()?;
        }
    }));
    engine.advance(secs(4));
    assert_eq!(engine.awaited(), 1);
    client.take(usize::MAX / 2);
    engine.advance(millis(1));
    assert!(client.received().len() >= 60_000);
    client.reset();
    assert_eq!(job.said().as_deref(), Some("Err(the session is closed)"));
}

#[test]
fn bytes_from_elsewhere_go_behind_what_the_thread_has_written() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let session = client.session();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.does(with(|request| request.respond().send("answer")));
    push(&engine, session, "one ");
    push(&engine, session, "two");
    client.expect_nothing();
    job.completes();
    client.expect(ok("answer") + "one two");
    // While the thread waits they go behind what is there.
    let job = detach(&engine, &parked, &client, get("/away"));
    job.begin(with(|request| {
        request.sleep(secs(1))?;
        request.respond().send("answer")
    }));
    push(&engine, session, "three");
    client.expect("three");
    engine.advance(secs(1));
    job.completes();
    client.expect(ok("answer"));
}

#[test]
fn bytes_from_elsewhere_are_bounded() {
    let config = HttpConfig { ws_queue_len: 10, ..HttpConfig::default() };
    let (engine, parked) = engine(config);
    let client = engine.connect();
    let session = client.session();
    let job = detach(&engine, &parked, &client, get("/away"));
    push(&engine, session, "a long one always fits");
    client.expect_open();
    push(&engine, session, "x");
    client.expect_closed();
    assert_eq!(job.does(with(path)), "Err(the session is closed)");

    let client = engine.connect();
    let session = client.session();
    let job = detach(&engine, &parked, &client, get("/away"));
    push(&engine, session, "12345");
    push(&engine, session, "67890");
    client.expect_open();
    job.does(with(path));
    job.completes();
    client.expect(ok("/away") + "1234567890");
}

#[test]
fn the_thread_has_the_context_and_work_functions_are_told_so() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect_as(Peer { layered: true, ..Peer::default() });
    let session = client.session();
    work(&engine, move |context| context.set_session_ctx(session, 7_u32)).unwrap();
    let job = detach(&engine, &parked, &client, get("/away"));
    work(&engine, move |context| {
        assert_eq!(context.session_ctx::<u32>(session), None);
        assert!(matches!(context.set_session_ctx(session, 8_u32), Err(Error::Detached)));
        // That is everybody's.
        assert_eq!(context.transport_ctx::<Layer>(session), Some(&Layer(0)));
    });
    assert_eq!(job.does(with(|request| Ok(request.session_ctx::<u32>().copied()))), "Ok(Some(7))");
    job.begin(with(|request| request.sleep(secs(1))));
    work(&engine, move |context| {
        *context.session_ctx::<u32>(session).unwrap() += 1;
    });
    engine.advance(secs(1));
    assert_eq!(job.does(with(|request| Ok(request.session_ctx::<u32>().copied()))), "Ok(Some(8))");
}

#[test]
fn a_sessions_transport_works_on() {
    let (engine, parked) = engine_with(HttpConfig::default(), |server| {
        server.on_open(|session: &mut crate::OpenSession| -> Result {
            session.set_transport(Box::new(Plain));
            Ok(())
        })
    });
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    client.finish();
    assert_eq!(job.does(|request| request.peer()), "Finished");
    job.does(with(path));
    job.completes();
    client.expect(ok("/away"));
}

#[test]
fn a_transport_that_comes_while_the_connection_is_away_is_not_lost() {
    /// Notes what it sees.
    struct Noting(Log, &'static str);

    impl SessionTransport for Noting {
        fn recv(
            &mut self,
            socket: &mut dyn SessionSocket,
            rx: &mut RxBuf,
        ) -> Result<usize, NetError> {
            socket.recv(rx)
        }

        fn send(
            &mut self,
            socket: &mut dyn SessionSocket,
            tx: &mut TxBuf,
        ) -> Result<usize, NetError> {
            self.0.note(self.1);
            socket.send(tx)
        }
    }

    impl Drop for Noting {
        fn drop(&mut self) {
            self.0.note(format!("drop {}", self.1));
        }
    }

    let (engine, parked) = engine(HttpConfig::default());
    let log = Log::default();
    let client = engine.connect();
    let session = client.session();
    let give = |name: &'static str| {
        let transport = Noting(log.clone(), name);
        work(&engine, move |context| context.set_transport(session, Box::new(transport))).unwrap();
    };
    let job = detach(&engine, &parked, &client, get("/away"));
    give("a");
    job.does(with(path));
    job.completes();
    client.expect(ok("/away"));
    assert_eq!(log.take(), ["a"]);
    // The thread's own is for what it writes.
    let job = detach(&engine, &parked, &client, get("/away"));
    let threads = Noting(log.clone(), "thread's");
    job.does(with(move |request| {
        request.set_transport(Box::new(threads))?;
        path(request)
    }));
    give("b");
    job.completes();
    assert_eq!(log.take(), ["drop a", "drop b", "thread's"]);
    client.finish();
    assert_eq!(log.take(), ["drop thread's"]);
}

#[test]
fn a_session_that_somebody_closes_is_closed_at_once_and_the_thread_finds_out() {
    let log = Log::default();
    let (engine, parked) = noted(&log);
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.does(with(begin));
    engine.handle().close(client.session()).unwrap();
    engine.run();
    client.expect_closed();
    assert_eq!((engine.open(), engine.handle().clients().len()), (0, 0));
    // The thread has the context until it parts with its request.
    assert_eq!(log.take(), ["close"]);
    let next = engine.connect();
    let session = next.session();
    assert_eq!(job.does(|request| request.peer()), "Gone");
    assert_eq!(job.does(with(path)), "Err(the session is closed)");
    job.ends(drop);
    assert_eq!(log.take(), ["drop"]);
    // The place in the table is another's, who sees nothing of it.
    next.expect_nothing();
    next.send(get("/next"));
    next.expect(ok("/next"));
    assert_eq!(next.session(), session);
}

#[test]
fn a_session_that_somebody_closes_while_the_thread_waits_wakes_it() {
    let log = Log::default();
    let (engine, parked) = noted(&log);
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    job.begin(with(|request| {
        let end = request.sleep(secs(60));
        // It can look at its request still, and wait no more.
        assert_eq!((request.path(), request.peer()), ("/away", crate::Peer::Gone));
        assert!(matches!(request.sleep(secs(60)), Err(Error::Closed)));
        end
    }));
    engine.handle().close(client.session()).unwrap();
    engine.run();
    client.expect_closed();
    assert_eq!(job.said().as_deref(), Some("Err(the session is closed)"));
    assert_eq!(log.take(), ["close"]);
    job.ends(drop);
    assert_eq!(log.take(), ["drop"]);
}

#[test]
fn a_wait_that_begins_behind_the_end_is_woken_too() {
    let (engine, parked) = engine(HttpConfig::default());
    let client = engine.connect();
    let job = detach(&engine, &parked, &client, get("/away"));
    let session = client.session();
    let said = job.does(move |request| {
        let server = request.server();
        let mut request = request.request().unwrap();
        // The server has it before the connection.
        server.close(session).unwrap();
        request.sleep(secs(60))
    });
    assert_eq!(said, "Err(the session is closed)");
    client.expect_closed();
}

#[test]
fn a_connection_that_nobody_has_claimed_goes_with_its_session() {
    let log = Log::default();
    let (engine, parked) = noted(&log);
    let client = engine.connect();
    client.send(get("/away"));
    client.reset();
    assert_eq!(log.take(), ["close", "drop"]);
    let job = engine.elsewhere(parked.take().unwrap());
    assert_eq!(job.does(with(path)), "Err(the session is closed)");
}

#[test]
fn a_detached_request_in_its_own_sessions_context_ends_with_the_session() {
    let log = Log::default();
    let ctx = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", move |request: &mut Request| -> Result {
            let detached = request.detach()?;
            request.set_session_ctx((detached, Ctx(ctx.clone())));
            Ok(())
        })
    });
    let client = engine.connect();
    client.send(get("/"));
    assert!(log.take().is_empty());
    client.reset();
    assert_eq!(log.take(), ["drop"]);
    assert_eq!(engine.open(), 0);
}
