//! Sending: fragments from a handler, queues and their policies, what became of a message, broadcasts.

use super::support::*;
use super::ws::{
    BINARY, CLOSE, PING, PONG, TEXT, expect_close, expect_frame, frame, frames, upgrade,
};
use crate::handler::ws::encodes;
use crate::server::HttpConfig;
use crate::{Error, Result, WsQueuePolicy, WsRequest};

/// Sends a message in three fragments, with a moment between them, or does not end it.
fn fragments(ws: &mut WsRequest) -> Result {
    let ends = ws.message(100)?.payload() != b"torso";
    let mut message = ws.text_fragments()?;
    message.send("one ")?;
    message.flush()?;
    message.send("")?;
    message.send("two ")?;
    if !ends {
        return Ok(());
    }
    message.finish()
}

fn engine(policy: WsQueuePolicy, ws_queue_len: usize) -> Engine {
    let config = HttpConfig { ws_queue_policy: policy, ws_queue_len, ..HttpConfig::default() };
    Engine::new(config, |server| {
        server.ws("/ws", fragments).ws("/other", fragments).ws(
            "/slow",
            |ws: &mut WsRequest| -> Result {
                ws.message(100)?;
                let mut message = ws.binary_fragments()?;
                message.send(b"begin")?;
                message.sleep(secs(1))?;
                message.send(b"end")?;
                message.finish()
            },
        )
    })
}

fn connected(policy: WsQueuePolicy, ws_queue_len: usize, path: &str) -> (Engine, Client) {
    let engine = engine(policy, ws_queue_len);
    let client = engine.connect();
    upgrade(&client, path);
    (engine, client)
}

#[test]
fn a_handler_sends_a_message_in_fragments() {
    let (engine, client) = connected(WsQueuePolicy::Close, 1000, "/ws");
    client.send(frame(TEXT, b"go"));
    expect_frame(&client, 0x01, "one ");
    engine.advance(millis(1));
    let expected = [(0x00, b"two ".to_vec()), (0x80, vec![])];
    assert_eq!(frames(&client.received()), expected);
}

#[test]
fn a_message_that_its_handler_does_not_end_closes_the_session() {
    let (engine, client) = connected(WsQueuePolicy::Close, 1000, "/ws");
    client.send(frame(TEXT, b"torso"));
    engine.advance(millis(1));
    let received = frames(&client.received());
    assert_eq!(received[..2], [(0x01, b"one ".to_vec()), (0x00, b"two ".to_vec())]);
    assert_eq!(received[2..], [(CLOSE, b"\x03\xf3".to_vec())]);
}

#[test]
fn between_fragments_only_control_frames_pass() {
    let (engine, client) = connected(WsQueuePolicy::Close, 1000, "/slow");
    let other = engine.handle().ws_client(client.session());
    client.send(frame(TEXT, b"go"));
    expect_frame(&client, 0x02, "begin");
    other.send("from elsewhere").unwrap();
    engine.handle().ws_broadcast("to all").unwrap();
    engine.run();
    client.expect_nothing();
    client.send(frame(PING, b"p"));
    expect_frame(&client, PONG, "p");
    engine.advance(secs(1));
    let expected = [
        (0x00, b"end".to_vec()),
        (0x80, vec![]),
        (TEXT, b"from elsewhere".to_vec()),
        (TEXT, b"to all".to_vec()),
    ];
    assert_eq!(frames(&client.received()), expected);
}

#[test]
fn a_close_from_elsewhere_passes_between_fragments_and_ends_the_message() {
    let (engine, client) = connected(WsQueuePolicy::Close, 1000, "/slow");
    let other = engine.handle().ws_client(client.session());
    client.send(frame(TEXT, b"go"));
    expect_frame(&client, 0x02, "begin");
    other.send("too late").unwrap();
    other.close_with(crate::CloseCode::NORMAL, "").unwrap();
    engine.run();
    expect_close(&client, 1000);
    engine.advance(secs(1));
    client.expect_nothing();
}

/// Notes what became of each message by its name.
fn send(
    log: &Log,
    client: &crate::WsClient,
    name: &'static str,
    message: impl Into<crate::Message>,
) {
    let log = log.clone();
    client.send_with(message, move |result| log.note(format!("{name}: {result:?}")));
}

const FULL: &str = "the client does not take what it is sent (ws_queue_len = 1000)";

#[test]
fn what_became_of_a_message_is_told_when_the_network_has_all_of_it() {
    let (engine, client) = connected(WsQueuePolicy::Close, 100_000, "/ws");
    let (log, other) = (Log::default(), engine.handle().ws_client(client.session()));
    send(&log, &other, "fast", "hello");
    assert!(log.take().is_empty());
    engine.run();
    assert_eq!(log.take(), ["fast: Ok(())"]);
    client.fill();
    send(&log, &other, "slow", vec![0; 996]);
    send(&log, &other, "slower", vec![0; 20_000]);
    send(&log, &other, "last", "x");
    engine.run();
    client.take(999);
    assert!(log.take().is_empty());
    client.take(1);
    assert_eq!(log.take(), ["slow: Ok(())"]);
    client.take(20_004);
    assert_eq!(log.take(), ["slower: Ok(())"]);
    client.take(3);
    assert_eq!(log.take(), ["last: Ok(())"]);
}

#[test]
fn a_message_that_never_leaves_is_told_so_once() {
    let (engine, client) = connected(WsQueuePolicy::Close, 100_000, "/ws");
    let (log, other) = (Log::default(), engine.handle().ws_client(client.session()));
    client.fill();
    send(&log, &other, "being sent", "x");
    send(&log, &other, "waits", vec![0; 20_000]);
    engine.run();
    send(&log, &other, "posted", "z");
    client.reset();
    engine.run();
    let mut told = log.take();
    told.sort();
    let left = "Err(no such session; its client has left)";
    let expected = ["being sent", "posted", "waits"].map(|name| format!("{name}: {left}"));
    assert_eq!(told, expected);
    send(&log, &other, "after", "x");
    assert_eq!(log.take(), [format!("after: {left}")]);
}

#[test]
fn who_can_not_even_queue_is_told_why() {
    let config = HttpConfig { work_queue_len: 1, ..HttpConfig::default() };
    let engine = Engine::new(config, |server| server.ws("/ws", fragments).get("/page", path));
    let (client, page) = (engine.connect(), engine.connect());
    upgrade(&client, "/ws");
    page.send(get("/page"));
    let log = Log::default();
    let handle = engine.handle();
    let other = handle.ws_client(client.session());
    send(&log, &handle.ws_client(page.session()), "page", "x");
    assert_eq!(log.take(), ["page: Err(the session is no WebSocket)"]);
    other.send("fits").unwrap();
    send(&log, &other, "full", "x");
    assert_eq!(log.take(), ["full: Err(the work queue is full (work_queue_len = 1))"]);
    handle.stop();
    send(&log, &other, "stopping", "x");
    assert_eq!(log.take(), ["stopping: Err(the server is stopping)"]);
}

#[test]
fn a_full_queue_refuses_at_once_and_takes_more_when_there_is_room() {
    let (engine, client) = connected(WsQueuePolicy::Refuse, 1000, "/ws");
    let (log, other) = (Log::default(), engine.handle().ws_client(client.session()));
    client.fill();
    // What the worker has not seen yet counts as well.
    other.send(vec![0; 596]).unwrap();
    assert!(matches!(other.send(vec![0; 397]), Err(Error::WsQueueFull { limit: 1000 })));
    engine.run();
    assert!(matches!(other.send(vec![0; 397]), Err(Error::WsQueueFull { .. })));
    other.send(vec![0; 396]).unwrap();
    send(&log, &other, "refused", "x");
    assert_eq!(log.take(), [format!("refused: Err({FULL})")]);
    let session = client.session();
    let refused = log.clone();
    let work = move |server: &mut crate::ServerContext<'_>| {
        refused.note(format!("work: {:?}", server.ws_send(session, "x")));
    };
    engine.handle().queue_work(work).unwrap();
    // Nobody is told of a client that a broadcast passes over.
    engine.handle().ws_broadcast("x").unwrap();
    engine.run();
    assert_eq!(log.take(), [format!("work: Err({FULL})")]);
    client.expect_open();
    client.take(600);
    other.send(vec![1; 590]).unwrap();
    client.take(usize::MAX);
    let lens: Vec<_> = frames(&client.received()).iter().map(|(_, it)| it.len()).collect();
    assert_eq!(lens, [596, 396, 590]);
    // All is as at the beginning: one above the limit fits.
    other.send(vec![0; 5000]).unwrap();
    engine.run();
    expect_frame(&client, BINARY, vec![0; 5000]);
    other.send("and another").unwrap();
}

#[test]
fn a_full_queue_drops_the_oldest_that_wait_and_tells_who_asked() {
    let (engine, client) = connected(WsQueuePolicy::DropOldest, 1000, "/ws");
    let (log, other) = (Log::default(), engine.handle().ws_client(client.session()));
    client.fill();
    for (name, byte) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        send(&log, &other, name, vec![byte; 368]);
        engine.run();
    }
    // The first is being sent, two wait beside it, 500 bytes each with what it takes to keep them, and
    // the fourth has taken the place of one.
    assert_eq!(log.take(), [format!("b: Err({FULL})")]);
    engine.handle().ws_broadcast(vec![5; 2000]).unwrap();
    engine.run();
    assert_eq!(log.take(), [format!("c: Err({FULL})"), format!("d: Err({FULL})")]);
    client.expect_open();
    client.take(usize::MAX);
    let received = frames(&client.received());
    assert_eq!(received, [(BINARY, vec![1; 368]), (BINARY, vec![5; 2000])]);
    assert_eq!(log.take(), ["a: Ok(())"]);
}

#[test]
fn a_broadcast_to_a_thousand_is_encoded_once_and_written_once_to_each() {
    let engine = engine(WsQueuePolicy::Close, 1000);
    let clients: Vec<_> = (0..1000).map(|_| engine.connect()).collect();
    for client in &clients {
        upgrade(client, "/ws");
    }
    let sends = |client: &Client| client.sends().len();
    let before: Vec<_> = clients.iter().map(sends).collect();
    encodes::take();
    engine.handle().ws_broadcast("news").unwrap();
    engine.run();
    assert_eq!(encodes::take(), 1);
    for (client, before) in clients.iter().zip(before) {
        assert_eq!(sends(client), before + 1);
        expect_frame(client, TEXT, "news");
    }
    assert_eq!(engine.lent(), 0);
}

#[test]
fn a_broadcast_to_a_uri_reaches_those_who_came_to_it() {
    let engine = engine(WsQueuePolicy::Close, 1000);
    let clients = ["/ws", "/other", "/ws"].map(|path| {
        let client = engine.connect();
        upgrade(&client, path);
        client
    });
    engine.handle().ws_broadcast_to("/ws", "for some").unwrap();
    engine.handle().ws_broadcast_to("/nobody", "for nobody").unwrap();
    engine.run();
    expect_frame(&clients[0], TEXT, "for some");
    clients[1].expect_nothing();
    expect_frame(&clients[2], TEXT, "for some");
}

#[test]
fn many_small_pushes_leave_in_few_writes() {
    let (engine, client) = connected(WsQueuePolicy::Close, 100_000, "/ws");
    let other = engine.handle().ws_client(client.session());
    let before = client.sends().len();
    for number in 0..100 {
        other.send(number.to_string()).unwrap();
    }
    engine.run();
    assert_eq!(frames(&client.received()).len(), 100);
    assert_eq!(client.sends().len(), before + 1);
}

#[test]
fn who_drives_a_server_can_not_wait_for_it() {
    let (engine, client) = connected(WsQueuePolicy::Close, 1000, "/ws");
    let other = engine.handle().ws_client(client.session());
    let waited = other.send_wait("x", secs(100));
    assert!(matches!(waited, Err(Error::WouldBlockWorker)));
    engine.run();
    client.expect_nothing();
}

#[test]
fn another_thread_waits_until_the_network_has_the_message() {
    let (engine, client) = connected(WsQueuePolicy::Close, 1000, "/ws");
    let other = engine.handle().ws_client(client.session());
    let (wake, woken) = std::sync::mpsc::channel();
    engine.set_waker(move || wake.send(()).unwrap());
    client.fill();
    let waits = std::thread::spawn(move || other.send_wait("hello", secs(100)));
    woken.recv().unwrap();
    engine.run();
    assert!(!waits.is_finished(), "the client has taken nothing");
    client.take(100);
    assert!(matches!(waits.join().unwrap(), Ok(())));
    expect_frame(&client, TEXT, "hello");

    let other = engine.handle().ws_client(client.session());
    client.fill();
    assert!(matches!(
        std::thread::spawn(move || other.send_wait("late", millis(0))).join().unwrap(),
        Err(Error::TimedOut)
    ));
    client.take(100);
    expect_frame(&client, TEXT, "late");
}

#[test]
fn a_handler_receives_while_it_sends_in_fragments_and_sends_nothing_else() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.ws("/ws", move |ws: &mut WsRequest| -> Result {
            let mut message = ws.binary_fragments()?;
            let mut part = [0; 10];
            noted.note(format!("{:?}", message.ws().frame_head()?.len));
            loop {
                match message.ws().recv(&mut part)? {
                    0 => break,
                    len => message.send(&part[..len])?,
                }
            }
            noted.note(format!("{:?}", message.ws().send("in between")));
            message.finish()
        })
    });
    let client = engine.connect();
    upgrade(&client, "/ws");
    client.send(&frame(BINARY, b"0123456789abc")[..10]);
    client.send(&frame(BINARY, b"0123456789abc")[10..]);
    let expected = [(0x02, b"0123".to_vec()), (0x00, b"456789abc".to_vec()), (0x80, vec![])];
    assert_eq!(frames(&client.received()), expected);
    assert_eq!(log.take(), ["13", "Err(a message in fragments is not finished)"]);
}

#[test]
fn fragments_that_are_begun_inside_others_do_not_mix_with_them() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.ws("/ws", move |ws: &mut WsRequest| -> Result {
            let ends = ws.message(10)?.payload() == b"end";
            let mut outer = ws.text_fragments()?;
            let mut inner = outer.ws().binary_fragments()?;
            inner.send(b"inner")?;
            if ends {
                inner.finish()?;
            }
            let sent = outer.send("outer");
            noted.note(format!("{sent:?}"));
            sent?;
            outer.finish()
        })
    });
    let client = engine.connect();
    upgrade(&client, "/ws");
    client.send(frame(TEXT, b"end"));
    let both = [(0x02, "inner"), (0x80, ""), (0x01, "outer"), (0x80, "")];
    assert_eq!(frames(&client.received()), both.map(|(first, it)| (first, it.into())));
    client.send(frame(TEXT, b"torso"));
    let end = [(0x02, b"inner".to_vec()), (CLOSE, b"\x03\xf3".to_vec())];
    assert_eq!(frames(&client.received()), end);
    assert_eq!(log.take(), ["Ok(())", "Err(a message in fragments is not finished)"]);
}
