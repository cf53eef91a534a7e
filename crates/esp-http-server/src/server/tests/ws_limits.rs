//! How many fragments a message may have, and how many pings and pongs a second.

use super::support::*;
use super::ws::{PING, PONG, TEXT, expect_close, expect_frame, frame, frames, upgrade};
use crate::server::HttpConfig;
use crate::{KeepAlive, Result, WsRequest};

const TEXT_BEGINS: u8 = 0x01;
const GOES_ON: u8 = 0x00;
const ENDS: u8 = 0x80;

fn connected(config: HttpConfig) -> (Engine, Client) {
    let engine = Engine::new(config, |server| {
        server
            .ws("/ws", |ws: &mut WsRequest| -> Result {
                let message = ws.message(1000)?;
                ws.send(message)
            })
            .ws("/pinging", |ws: &mut WsRequest| -> Result {
                ws.message(1000)?;
                (0..10).try_for_each(|_| ws.ping(b""))
            })
            .ws_keep_alive(KeepAlive { ping_every: secs(600), close_after: secs(600) })
    });
    let client = engine.connect();
    upgrade(&client, "/ws");
    (engine, client)
}

#[test]
fn fragments_of_a_message() {
    let config = HttpConfig { max_ws_fragments: 4, ..HttpConfig::default() };
    for count in [3, 4, 5] {
        let (_, client) = connected(config.clone());
        let inner = frame(GOES_ON, b"b").repeat(count - 2);
        client.send([frame(TEXT_BEGINS, b"a"), inner, frame(ENDS, b"c")].concat());
        match count <= 4 {
            true => expect_frame(&client, TEXT, "a".to_owned() + &"b".repeat(count - 2) + "c"),
            false => expect_close(&client, 1009),
        }
    }
    // They are those of a message, not of a connection.
    let (_, client) = connected(config);
    for _ in 0..10 {
        client.send([frame(TEXT_BEGINS, b"a"), frame(ENDS, b"b")].concat());
        expect_frame(&client, TEXT, "ab");
    }
}

fn three_a_second() -> HttpConfig {
    HttpConfig { ws_control_frames_per_sec: 3, ..HttpConfig::default() }
}

#[test]
fn pings_at_once() {
    for count in [2, 3, 4] {
        let (_, client) = connected(three_a_second());
        client.send(frame(PING, b"").repeat(count));
        let answers = frames(&client.received());
        let pongs = answers.iter().filter(|(first, _)| *first == PONG).count();
        assert_eq!(pongs, count.min(3));
        assert_eq!(answers.last().unwrap().1 == 1008_u16.to_be_bytes(), count > 3);
    }
}

#[test]
fn pongs_nobody_has_asked_for_and_pings_inside_a_message_count() {
    let (_, client) = connected(three_a_second());
    client.send(frame(PONG, b"").repeat(3));
    client.send(frame(TEXT_BEGINS, b"a"));
    client.expect_nothing();
    client.send(frame(PING, b""));
    expect_close(&client, 1008);
}

#[test]
fn pings_one_by_one() {
    let (engine, client) = connected(three_a_second());
    client.send(frame(PING, b"").repeat(3));
    client.received();
    // One comes back every third of a second, to the millisecond.
    for _ in 0..30 {
        engine.advance(millis(334));
        client.send(frame(PING, b""));
        expect_frame(&client, PONG, "");
    }
    engine.advance(millis(332));
    client.send(frame(PING, b""));
    expect_close(&client, 1008);
}

#[test]
fn more_than_a_second_without_a_ping_is_not_saved_up() {
    let (engine, client) = connected(three_a_second());
    engine.advance(secs(500));
    client.send(frame(PING, b"").repeat(3));
    client.received();
    engine.advance(millis(1001));
    client.send(frame(PING, b"").repeat(4));
    let answers = frames(&client.received());
    assert_eq!(answers.len(), 4);
    assert_eq!(answers[3].1, 1008_u16.to_be_bytes());
}

#[test]
fn answers_to_pings_of_this_side_do_not_count() {
    let (engine, _) = connected(three_a_second());
    let client = engine.connect();
    upgrade(&client, "/pinging");
    client.send(frame(TEXT, b"ping me"));
    assert_eq!(frames(&client.received()).len(), 10);
    client.send(frame(PONG, b"").repeat(10));
    client.send(frame(PING, b"").repeat(3));
    assert_eq!(frames(&client.received()).len(), 3);
    client.expect_open();
}

#[test]
fn without_a_limit_there_is_none() {
    let (_, client) =
        connected(HttpConfig { ws_control_frames_per_sec: usize::MAX, ..HttpConfig::default() });
    client.send(frame(PING, b"").repeat(5000));
    assert_eq!(frames(&client.received()).len(), 5000);
    let (_, client) =
        connected(HttpConfig { ws_control_frames_per_sec: 0, ..HttpConfig::default() });
    client.send(frame(TEXT, b"a"));
    expect_frame(&client, TEXT, "a");
    client.send(frame(PING, b""));
    expect_close(&client, 1008);
}
