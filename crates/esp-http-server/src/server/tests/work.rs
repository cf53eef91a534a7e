//! The work queue, and what work functions can do.

use std::sync::{Arc, Mutex};

use super::support::*;
use super::ws::{BINARY, TEXT, frame, frames, upgrade};
use crate::server::{HttpConfig, ServerContext, ServerHandle};
use crate::{Error, Request, Result, ServerBuilder, WsRequest};

fn routes(server: ServerBuilder<Recorded>) -> ServerBuilder<Recorded> {
    server
        .get("/*", path)
        .get("/sleep", |request: &mut Request| -> Result {
            request.sleep(secs(5))?;
            path(request)
        })
        .get("/big", |request: &mut Request| -> Result {
            request.respond().send("Z".repeat(200_000))
        })
        .ws("/ws", |ws: &mut WsRequest| -> Result {
            let message = ws.message(100)?;
            ws.send(vec![b'x'; message.payload().len() * 100_000])
        })
}

fn engine() -> Engine {
    Engine::new(HttpConfig::default(), routes)
}

#[test]
fn the_queue_is_full_with_as_many_items_as_its_length() {
    for limit in [1, 2, 7] {
        let log = Log::default();
        let config = HttpConfig { work_queue_len: limit, ..HttpConfig::default() };
        let engine = Engine::new(config, routes);
        let queue = |number: usize| {
            let noted = log.clone();
            engine.handle().queue_work(move |_| noted.note(number.to_string()))
        };
        for number in 0..limit {
            queue(number).unwrap();
        }
        let refused = queue(limit).unwrap_err();
        assert!(matches!(refused, Error::WorkQueueFull { limit: of } if of == limit));
        assert!(log.take().is_empty(), "not in the caller's thread");
        engine.run();
        let all: Vec<_> = (0..limit).map(|number| number.to_string()).collect();
        assert_eq!(log.take(), all);
        queue(limit).unwrap();
        engine.run();
        assert_eq!(log.take(), [limit.to_string()]);
    }
}

#[test]
fn work_that_panics_is_forgotten_and_what_it_asked_for_is_done() {
    let log = Log::default();
    let engine = engine();
    let client = engine.connect();
    let session = client.session();
    let (first, last) = (log.clone(), log.clone());
    let handle = engine.handle();
    handle.queue_work(move |_| first.note("first")).unwrap();
    handle
        .queue_work(move |context| {
            context.send(session, "sent").unwrap();
            std::panic::resume_unwind(Box::new("on purpose"))
        })
        .unwrap();
    handle.queue_work(move |_| last.note("last")).unwrap();
    engine.run();
    assert_eq!(log.take(), ["first", "last"]);
    client.expect("sent");
}

/// Queues itself again, for ever.
fn again(
    handle: ServerHandle,
    count: Arc<Mutex<usize>>,
) -> impl FnOnce(&mut ServerContext<'_>) + Send {
    move |_| {
        *count.lock().unwrap() += 1;
        let next = again(handle.clone(), count);
        // A boxed type breaks the recursion of the closure's type.
        let next: Box<dyn FnOnce(&mut ServerContext<'_>) + Send> = Box::new(next);
        handle.queue_work(next).unwrap();
    }
}

#[test]
fn work_that_queues_work_lets_sessions_be_served() {
    let engine = engine();
    let count = Arc::new(Mutex::new(0));
    engine.handle().queue_work(again(engine.handle(), count.clone())).unwrap();
    let client = engine.connect_quietly();
    client.put(get("/a"));
    engine.poll_once();
    client.expect(ok("/a"));
    assert_eq!(*count.lock().unwrap(), 1);
    assert_eq!(engine.waits(), Some(secs(0)), "more is queued");
    engine.poll_once();
    assert_eq!(*count.lock().unwrap(), 2);
    // The handler of nobody's session: let it end.
    engine.handle().stop();
}

#[test]
fn work_can_close_and_send() {
    let engine = engine();
    let (http, ws) = (engine.connect(), engine.connect());
    upgrade(&ws, "/ws");
    let (http_id, ws_id) = (http.session(), ws.session());
    engine
        .handle()
        .queue_work_for(ws_id, move |context| {
            context.ws_send(ws_id, "one").unwrap();
            context.close(http_id).unwrap();
            context.ws_send(ws_id, "two").unwrap();
            assert!(matches!(context.ws_send(http_id, "x"), Err(Error::NotWebSocket)));
            assert!(context.now().as_micros() > 0);
            assert_eq!(context.server().clients().len(), 2, "done when it returns");
        })
        .unwrap();
    engine.run();
    assert_eq!(ws.received(), b"\x81\x03one\x81\x03two");
    http.expect_closed();
}

#[test]
fn what_work_sends_leaves_in_the_same_turn_and_in_order() {
    let engine = engine();
    let client = engine.connect();
    let ws = engine.connect();
    upgrade(&ws, "/ws");
    let (http_id, ws_id) = (client.session(), ws.session());
    engine
        .handle()
        .queue_work(move |context| {
            context.send(http_id, "one ").unwrap();
            context.ws_send(ws_id, "one").unwrap();
            context.send(http_id, b"two ").unwrap();
            context.send(ws_id, b"\x89\0").unwrap();
            context.send(http_id, String::from("three")).unwrap();
            context.ws_send(ws_id, b"two".to_vec()).unwrap();
        })
        .unwrap();
    engine.poll_once();
    client.expect("one two three");
    assert_eq!(client.sends(), [13], "in one piece");
    assert_eq!(ws.received(), b"\x81\x03one\x89\0\x82\x03two");
    client.send(get("/a"));
    client.expect(ok("/a"));
    assert_eq!(engine.lent(), 0);
}

#[test]
fn what_work_asks_for_is_done_in_order_also_when_it_closes() {
    let engine = engine();
    let [before, behind] = [(); 2].map(|()| engine.connect());
    let (first, second) = (before.session(), behind.session());
    engine
        .handle()
        .queue_work(move |context| {
            context.send(first, "sent").unwrap();
            context.close(first).unwrap();
            context.close(second).unwrap();
            context.send(second, "too late").unwrap();
        })
        .unwrap();
    engine.run();
    before.expect("sent");
    before.expect_closed();
    behind.expect_nothing();
    behind.expect_closed();
}

#[test]
fn bytes_go_behind_what_a_handler_has_written_and_never_into_a_frame() {
    let engine = engine();
    let slow = Peer { window: 1000, ..Peer::default() };
    let (http, ws) = (engine.connect_as(slow.clone()), engine.connect_as(slow));
    upgrade(&ws, "/ws");
    http.send(get("/big"));
    ws.send(frame(TEXT, b"12"));
    let sessions = [http.session(), ws.session()];
    engine
        .handle()
        .queue_work(move |context| {
            sessions.iter().for_each(|id| context.send(*id, b"\x82\x01!").unwrap());
        })
        .unwrap();
    engine.run();
    let (mut response, mut messages) = (String::new(), Vec::new());
    for _ in 0..20 {
        http.take(50_000);
        ws.take(50_000);
        response += &String::from_utf8_lossy(&http.received());
        messages.extend(ws.received());
    }
    // The response waits in parts: the bytes are where the handler was when they came.
    assert_eq!(response.matches('!').count(), 1);
    assert_eq!(response.matches('Z').count(), 200_000);
    let messages = frames(&messages);
    assert_eq!(messages[0], (BINARY, vec![b'x'; 200_000]));
    assert_eq!(messages[1..], [(BINARY, b"!".to_vec())]);
}

#[test]
fn a_client_that_does_not_take_what_work_sends_is_closed() {
    let config = HttpConfig { ws_queue_len: 1000, ..HttpConfig::default() };
    let engine = Engine::new(config, routes);
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    let session = client.session();
    let send = |len: usize| {
        let send = move |context: &mut ServerContext<'_>| {
            context.send(session, vec![b'x'; len]).unwrap();
        };
        engine.handle().queue_work(send).unwrap();
        engine.run();
    };
    send(3000); // Alone it fits always.
    client.expect_open();
    client.take(3000);
    send(999);
    send(1);
    client.expect_open();
    client.take(1000);
    assert_eq!(client.received().len(), 4000);
    send(999);
    send(2);
    client.expect_closed();
}

#[test]
fn work_reaches_no_session_that_has_ended_or_is_ending() {
    let engine = engine();
    let (gone, closing) = (engine.connect(), engine.connect());
    let sessions = [gone.session(), closing.session()];
    gone.finish();
    closing.send("bad\r\n");
    closing.expect_lingering();
    closing.received();
    let told = Log::default();
    let noted = told.clone();
    engine
        .handle()
        .queue_work(move |context| {
            for session in sessions {
                noted.note(format!("{:?}", context.send(session, "late")));
                noted.note(format!("{:?}", context.touch(session)));
                noted.note(format!("{:?}", context.ws_send(session, "late")));
            }
        })
        .unwrap();
    engine.run();
    let no_session = "Err(no such session; its client has left)";
    let results = [no_session; 3].into_iter();
    let results = results.chain(["Ok(())", "Ok(())", "Err(the session is no WebSocket)"]);
    assert_eq!(told.take(), results.collect::<Vec<_>>());
    closing.expect_nothing();
    closing.expect_lingering();
}

#[test]
fn a_session_that_is_touched_is_not_the_next_to_go() {
    let config = HttpConfig { max_open_sockets: 3, ..HttpConfig::default() };
    let engine = Engine::new(config, routes);
    let [a, b, c] = [(); 3].map(|()| engine.connect());
    engine.handle().touch(a.session()).unwrap();
    engine.run();
    let session = b.session();
    engine.handle().queue_work(move |context| context.touch(session).unwrap()).unwrap();
    engine.run();
    let d = engine.connect();
    c.expect_closed();
    let e = engine.connect();
    a.expect_closed();
    [&b, &d, &e].iter().for_each(|client| client.expect_open());
    assert!(matches!(engine.handle().touch(session), Ok(())));
    b.finish();
    assert!(matches!(engine.handle().touch(session), Err(Error::NoSession)));
    // The item that was queued finds nobody, and the slot's next client is another.
    let next = engine.connect();
    engine.run();
    next.expect_open();
}

#[test]
fn touching_does_not_keep_an_idle_session_open() {
    let engine = engine();
    let client = engine.connect();
    for _ in 0..6 {
        client.expect_open();
        engine.handle().touch(client.session()).unwrap();
        engine.run();
        engine.advance(secs(10));
    }
    client.expect_closed();
}

#[test]
fn work_that_was_queued_before_the_stop_is_done_before_anybody_has_to_leave() {
    let log = Log::default();
    let engine = engine();
    let ws = engine.connect();
    upgrade(&ws, "/ws");
    let session = ws.session();
    for number in 0..3 {
        let noted = log.clone();
        let work = move |context: &mut ServerContext<'_>| {
            noted.note(format!("{number} {}", context.server().clients().len()));
            let refused = context.server().queue_work(|_| unreachable!());
            assert!(matches!(refused, Err(Error::Stopping)));
            context.ws_send(session, number.to_string()).unwrap();
        };
        engine.handle().queue_work(work).unwrap();
    }
    engine.handle().stop();
    assert!(matches!(engine.handle().queue_work(|_| unreachable!()), Err(Error::Stopping)));
    assert!(matches!(engine.handle().touch(session), Err(Error::Stopping)));
    engine.run();
    assert_eq!(log.take(), ["0 1", "1 1", "2 1"]);
    assert_eq!(ws.received(), b"\x81\x010\x81\x011\x81\x012\x88\x02\x03\xe9");
}

#[test]
fn work_that_stops_the_server_does_not_keep_the_items_behind_it_from_running() {
    let log = Log::default();
    let engine = engine();
    let (stopper, behind) = (log.clone(), log.clone());
    engine
        .handle()
        .queue_work(move |context| {
            stopper.note("stop");
            context.server().stop();
        })
        .unwrap();
    engine.handle().queue_work(move |_| behind.note("behind")).unwrap();
    engine.run();
    assert_eq!(log.take(), ["stop", "behind"]);
    assert!(engine.is_stopped());
}

/// Notes that it was dropped, and queues work then.
struct Restless(ServerHandle, Log);

impl Drop for Restless {
    fn drop(&mut self) {
        self.1.note(match self.0.queue_work(|_| unreachable!()) {
            Ok(()) => "queued".into(),
            Err(error) => error.to_string(),
        });
    }
}

#[test]
fn work_that_is_refused_or_left_over_may_use_the_server_while_it_is_dropped() {
    let log = Log::default();
    let engine = Engine::new(HttpConfig { work_queue_len: 1, ..HttpConfig::default() }, routes);
    let handle = engine.handle();
    let queue = || {
        let restless = Restless(handle.clone(), log.clone());
        handle.queue_work(move |_| drop(restless))
    };
    queue().unwrap();
    assert!(matches!(queue(), Err(Error::WorkQueueFull { limit: 1 })));
    assert_eq!(log.take(), ["the work queue is full (work_queue_len = 1)"]);
    drop(engine);
    assert_eq!(log.take(), ["the server is stopping"]);
    assert!(matches!(queue(), Err(Error::Stopping)));
    assert_eq!(log.take(), ["the server is stopping"]);
}

#[test]
fn work_that_panics_when_it_is_dropped_does_not_keep_others_from_being_dropped() {
    struct Panics(Log);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.note("dropped");
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }
    let log = Log::default();
    let engine = engine();
    for _ in 0..3 {
        let panics = Panics(log.clone());
        engine.handle().queue_work(move |_| drop(panics)).unwrap();
    }
    drop(engine);
    assert_eq!(log.take(), ["dropped"; 3]);
}
