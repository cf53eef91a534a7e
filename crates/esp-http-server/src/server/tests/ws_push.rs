//! Frames from elsewhere: from queued work and other threads to one WebSocket client or all.

use super::support::*;
use super::ws::{BINARY, PONG, TEXT, expect_frame, frame, frames, upgrade};
use crate::server::HttpConfig;
use crate::{Result, WsRequest};

const BIG: usize = 300_000;

fn engine(ws_queue_len: usize) -> Engine {
    let config = HttpConfig { ws_queue_len, ..HttpConfig::default() };
    Engine::new(config, |server| {
        server.ws("/ws", |ws: &mut WsRequest| -> Result {
            ws.message(100)?;
            ws.send(vec![7; BIG])
        })
    })
}

#[test]
fn a_push_reaches_an_idle_client_at_once_and_leaves_no_buffers_behind() {
    let engine = engine(1000);
    let client = engine.connect();
    upgrade(&client, "/ws");
    engine.handle().ws_client(client.session()).send("hello").unwrap();
    engine.run();
    expect_frame(&client, TEXT, "hello");
    assert_eq!(engine.lent(), 0);
}

#[test]
fn a_broadcast_reaches_all_websockets_and_nobody_else() {
    let engine = engine(1000);
    let clients = [(); 5].map(|()| engine.connect());
    clients[..4].iter().for_each(|client| upgrade(client, "/ws"));
    clients[1].finish();
    engine.handle().ws_broadcast("all").unwrap();
    engine.run();
    for index in [0, 2, 3] {
        expect_frame(&clients[index], TEXT, "all");
    }
    clients[1].expect_nothing();
    clients[4].expect_nothing();
}

#[test]
fn pushes_do_not_get_into_a_frame_that_a_handler_is_sending() {
    let engine = engine(2000);
    let client = engine.connect_as(Peer { window: 0, send_len: 5000, ..Peer::default() });
    client.take(200);
    upgrade(&client, "/ws");
    client.take(1000);
    client.send(frame(TEXT, b"go"));
    let pushed = engine.handle().ws_client(client.session());
    let mut received = Vec::new();
    for number in 0..40 {
        if number < 10 {
            pushed.send(format!("push {number}").as_str()).unwrap();
        }
        client.take(10_000);
        received.extend(client.received());
    }
    client.expect_open();
    let frames = frames(&received);
    assert_eq!(frames[0], (BINARY, vec![7; BIG]));
    let pushes: Vec<_> = (0..10).map(|number| (TEXT, format!("push {number}").into())).collect();
    assert_eq!(frames[1..], pushes);
}

#[test]
fn a_ping_while_a_handler_sends_is_answered_behind_its_frame() {
    let engine = engine(1000);
    let client = engine.connect_as(Peer { window: 1000, ..Peer::default() });
    upgrade(&client, "/ws");
    client.send(frame(TEXT, b"go"));
    client.send(frame(0x89, b"p"));
    client.take(1_000_000);
    let frames = frames(&client.received());
    assert_eq!(frames, [(BINARY, vec![7; BIG]), (PONG, b"p".to_vec())]);
}

#[test]
fn a_client_that_does_not_read_is_closed_at_ws_queue_len() {
    let engine = engine(1000);
    let client = engine.connect_as(Peer { window: 200, ..Peer::default() });
    upgrade(&client, "/ws");
    let _ = client.received();
    client.fill();
    let other = engine.connect();
    upgrade(&other, "/ws");
    // 100 bytes each with its head: ten fit exactly, the next one does not.
    for number in 1..=10 {
        engine.handle().ws_broadcast(vec![number; 98]).unwrap();
        engine.run();
        client.expect_open();
    }
    engine.handle().ws_broadcast("").unwrap();
    engine.run();
    client.expect_closed();
    other.expect_open();
    assert_eq!(frames(&other.received()).len(), 11);
}

#[test]
fn ws_queue_len_holds_to_the_byte() {
    for (last_len, is_open) in [(97, true), (98, true), (99, false)] {
        let engine = engine(1000);
        let client = engine.connect_as(Peer { window: 200, ..Peer::default() });
        upgrade(&client, "/ws");
        let _ = client.received();
        client.fill();
        for len in [98; 9].into_iter().chain([last_len]) {
            engine.handle().ws_broadcast(vec![1; len]).unwrap();
            engine.run();
        }
        assert_eq!(!client.is_closed(), is_open, "{last_len}");
    }
}

/// Of messages of a byte, and of none, so many wait as they cost memory, not as they have bytes.
#[test]
fn small_messages_that_wait_count_for_what_they_cost() {
    for len in [0, 1] {
        let engine = engine(10_000);
        let client = engine.connect_as(Peer { window: 1000, ..Peer::default() });
        upgrade(&client, "/ws");
        client.send(frame(TEXT, b"go"));
        // Its handler is in the middle of a frame, so that all others wait.
        let most = 10_000 / (128 + 2 + len);
        for _ in 0..most {
            engine.handle().ws_broadcast(vec![1; len]).unwrap();
            engine.run();
        }
        client.expect_open();
        engine.handle().ws_broadcast(vec![1; len]).unwrap();
        engine.run();
        client.expect_closed();
    }
}

/// Those who want to be told what became of a message are kept until it has left.
#[test]
fn who_waits_for_the_end_of_a_message_counts_also_when_it_is_being_sent() {
    let engine = engine(1000);
    let client = engine.connect_as(Peer { window: 200, ..Peer::default() });
    upgrade(&client, "/ws");
    client.fill();
    let other = engine.handle().ws_client(client.session());
    for _ in 0..1000 / 131 {
        other.send_with("x", |_| {});
        engine.run();
    }
    client.expect_open();
    other.send_with(vec![1; 100], |_| {});
    engine.run();
    client.expect_closed();
}

#[test]
fn what_a_handler_sends_does_not_count_as_queued_by_others() {
    let engine = engine(1000);
    let client = engine.connect_as(Peer { window: 1000, ..Peer::default() });
    upgrade(&client, "/ws");
    client.send(frame(TEXT, b"go"));
    // The handler waits for a client that takes its time, and then has returned.
    for _ in 0..2 {
        engine.handle().ws_broadcast("push").unwrap();
        engine.run();
        client.expect_open();
        client.take(BIG - 30_000);
    }
    client.take(1_000_000);
    assert_eq!(frames(&client.received()).len(), 3);
}

#[test]
fn one_frame_above_the_limit_goes_to_a_client_that_reads() {
    let engine = engine(100);
    let client = engine.connect();
    upgrade(&client, "/ws");
    for _ in 0..2 {
        engine.handle().ws_broadcast(vec![1; 500]).unwrap();
        engine.run();
        expect_frame(&client, BINARY, [1; 500]);
    }
}

#[test]
fn a_client_is_closed_from_outside() {
    let engine = engine(100);
    let client = engine.connect();
    upgrade(&client, "/ws");
    engine.handle().ws_client(client.session()).close().unwrap();
    engine.run();
    super::ws::expect_close(&client, 1001);
    client.expect_closed();
}
