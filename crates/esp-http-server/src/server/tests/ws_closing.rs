//! The closing handshake, its timeout, and what the application is told of it.

use std::sync::Arc;

use super::support::*;
use super::ws::{
    BINARY, CLOSE, PING, PONG, TEXT, answer_close, expect_close, expect_frame, frame, frames,
    upgrade,
};
use crate::server::{HttpConfig, SessionKind};
use crate::{CloseCode, Error, KeepAlive, Result, WsRequest};

/// An engine that notes how WebSockets end.
fn engine(config: HttpConfig) -> (Engine, Log) {
    let log = Log::default();
    let (noted, also) = (log.clone(), log.clone());
    let engine = Engine::new(config, |server| {
        server
            .ws("/ws", |ws: &mut WsRequest| -> Result {
                match ws.message(100)? {
                    text if text.payload() == b"close" => {
                        ws.close(CloseCode::new(4000).unwrap(), "as you wish");
                        Ok(())
                    }
                    text if text.payload() == b"sleep" => ws.sleep(secs(60)),
                    text if text.payload() == b"close and sleep" => {
                        ws.close(CloseCode::NORMAL, "");
                        ws.sleep(secs(60))
                    }
                    text if text.payload() == b"another's end" => Err(Error::Closed),
                    text if text.payload() == b"fail" => Err(Error::NoSession),
                    text if text.payload() == b"panic" => panic_on_purpose(),
                    text if text.payload() == b"torso" => {
                        ws.text_fragments()?.send("torso")?;
                        Err(Error::Closed)
                    }
                    text if text.payload() == b"tick" => loop {
                        ws.send("tick")?;
                        ws.sleep(secs(10))?;
                    },
                    text if text.payload() == b"big" => ws.send(vec![0; 200_000]),
                    message => ws.send(message),
                }
            })
            .get("/page", path)
            .ws_keep_alive(KeepAlive { ping_every: secs(20), close_after: secs(5) })
            .on_ws_close(move |_, closed| {
                let code = closed.code.map_or(0, CloseCode::code);
                noted.note(format!("{:?} {code} {}", closed.by, closed.reason));
            })
            .on_close(move |_| also.note("closed"))
    });
    (engine, log)
}

fn connected(config: HttpConfig) -> (Engine, Client, Log) {
    let (engine, log) = engine(config);
    let client = engine.connect();
    upgrade(&client, "/ws");
    (engine, client, log)
}

#[test]
fn a_close_by_the_client_is_told_once_with_its_code_and_reason() {
    let (_, client, log) = connected(HttpConfig::default());
    client.send(frame(CLOSE, b"\x03\xe9going home"));
    expect_close(&client, 1001);
    assert!(log.take().is_empty(), "it has not ended yet");
    client.finish();
    assert_eq!(log.take(), ["Client 1001 going home", "closed"]);
}

#[test]
fn a_close_without_a_code_and_an_end_without_a_close_are_told_apart() {
    let (_, client, log) = connected(HttpConfig::default());
    client.send(frame(CLOSE, b""));
    client.finish();
    assert_eq!(log.take(), ["Client 0 ", "closed"]);
    let (_, client, log) = connected(HttpConfig::default());
    client.finish();
    assert_eq!(log.take(), ["Nobody 0 ", "closed"]);
    let (_, client, log) = connected(HttpConfig::default());
    client.reset();
    assert_eq!(log.take(), ["Nobody 0 ", "closed"]);
}

#[test]
fn a_session_that_never_was_a_websocket_has_no_such_end() {
    let (engine, log) = engine(HttpConfig::default());
    let client = engine.connect();
    client.send(get("/page"));
    client.finish();
    assert_eq!(log.take(), ["closed"]);
}

#[test]
fn a_close_by_the_handler_waits_for_its_answer() {
    let (engine, client, log) = connected(HttpConfig::default());
    let session = client.session();
    client.send(frame(TEXT, b"close"));
    expect_frame(&client, CLOSE, b"\x0f\xa0as you wish");
    let handle = engine.handle();
    assert_eq!(handle.session_kind(session), Some(SessionKind::Closing));
    assert_eq!(handle.ws_clients().count(), 0);
    assert!(matches!(handle.ws_client(session).send("x"), Err(Error::Closed)));
    // What was on its way is read and dropped, and pings have lost their meaning.
    client.send([frame(TEXT, b"late"), frame(PING, b"")].concat());
    client.expect_nothing();
    answer_close(&client, 4000);
    client.finish();
    assert_eq!(log.take(), ["Server 4000 as you wish", "closed"]);
}

#[test]
fn an_answer_that_does_not_come_is_waited_for_as_long_as_configured() {
    let config = HttpConfig { ws_close_timeout: secs(7), ..HttpConfig::default() };
    let (engine, client, log) = connected(config);
    client.send(frame(TEXT, b"close"));
    engine.advance(millis(3000));
    client.send(frame(PING, b"no answer, and no delay"));
    engine.advance(millis(3999));
    client.expect_open();
    engine.advance(millis(1));
    client.expect_closed();
    assert_eq!(log.take(), ["Server 4000 as you wish", "closed"]);
}

#[test]
fn a_client_that_answers_no_ping_is_closed_by_nobody() {
    let (engine, client, log) = connected(HttpConfig::default());
    engine.advance(secs(25));
    expect_frame(&client, PING, "");
    client.expect_closed();
    assert_eq!(log.take(), ["Nobody 0 ", "closed"]);
}

#[test]
fn who_breaks_the_protocol_was_closed_by_the_server() {
    let (_, client, log) = connected(HttpConfig::default());
    client.send([0x81, 0x00]);
    expect_close(&client, 1002);
    client.finish();
    assert_eq!(log.take(), ["Server 1002 ", "closed"]);
}

#[test]
fn a_close_from_elsewhere_goes_behind_what_was_sent_before() {
    let (engine, client, log) = connected(HttpConfig::default());
    let other = engine.handle().ws_client(client.session());
    other.send("last words").unwrap();
    other.close_with(CloseCode::NORMAL, "done").unwrap();
    engine.run();
    let expected = [(TEXT, b"last words".to_vec()), (CLOSE, b"\x03\xe8done".to_vec())];
    assert_eq!(frames(&client.received()), expected);
    assert!(matches!(other.close_with(CloseCode::NORMAL, ""), Err(Error::Closed)));
    answer_close(&client, 1000);
    client.finish();
    assert_eq!(log.take(), ["Server 1000 done", "closed"]);
    assert!(matches!(other.close_with(CloseCode::NORMAL, ""), Err(Error::NoSession)));
}

#[test]
fn a_close_from_elsewhere_ends_a_handler_that_sleeps_on_in_time() {
    let (engine, client, log) = connected(HttpConfig::default());
    client.send(frame(TEXT, b"sleep"));
    let other = engine.handle().ws_client(client.session());
    other.close_with(CloseCode::SERVICE_RESTART, "").unwrap();
    engine.run();
    expect_close(&client, 1012);
    engine.advance(secs(2));
    client.expect_closed();
    assert_eq!(log.take(), ["Server 1012 ", "closed"]);
}

#[test]
fn a_client_that_does_not_read_is_told_why_it_was_closed_as_far_as_it_listens() {
    let (engine, client, log) =
        connected(HttpConfig { ws_queue_len: 100, ..HttpConfig::default() });
    client.fill();
    let other = engine.handle().ws_client(client.session());
    for _ in 0..2 {
        other.send(vec![0; 90]).unwrap();
        engine.run();
    }
    client.expect_closed();
    assert_eq!(log.take(), ["Server 1008 ", "closed"]);
}

#[test]
fn a_server_that_is_dropped_tells_how_each_has_ended() {
    let (engine, client, log) = connected(HttpConfig::default());
    client.send(frame(BINARY, b"x"));
    drop((client, engine));
    assert_eq!(log.take(), ["Nobody 0 ", "closed"]);
}

#[test]
fn a_hook_that_panics_stops_nothing() {
    let seen = Arc::new(());
    let kept = seen.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.ws("/ws", |_: &mut WsRequest| -> Result { Ok(()) }).get("/page", path).on_ws_close(
            move |_, _| {
                let _kept = &kept;
                panic!("on purpose");
            },
        )
    });
    let client = engine.connect();
    upgrade(&client, "/ws");
    client.finish();
    client.expect_closed();
    let other = engine.connect();
    other.send(get("/page"));
    other.expect(ok("/page"));
}

/// How a client that has said hello may be lost, and what the application is told of it.
type Ending = (fn(&Engine, &Client), &'static str);

const ENDINGS: [Ending; 15] = [
    (|_, client| client.send(frame(CLOSE, b"\x03\xe8")), "Client 1000 "),
    (|_, client| client.send(frame(TEXT, b"close")), "Server 4000 as you wish"),
    (|_, client| client.send(frame(TEXT, b"close and sleep")), "Server 1000 "),
    (|_, client| client.send(frame(TEXT, b"fail")), "Server 1011 "),
    (|_, client| client.send(frame(TEXT, b"panic")), "Server 1011 "),
    (|_, client| client.send(frame(TEXT, b"\xff")), "Server 1007 "),
    (|_, client| client.send(frame(BINARY, &[0; 101])), "Server 1009 "),
    (|_, client| client.send(frame(0x01, b"half a message")), "Server 1008 "),
    (|_, client| client.finish(), "Nobody 0 "),
    (|_, client| client.reset(), "Nobody 0 "),
    (|engine, _| engine.handle().stop(), "Server 1001 "),
    (|engine, client| engine.handle().ws_client(client.session()).close().unwrap(), "Server 1001 "),
    (|engine, client| engine.handle().close(client.session()).unwrap(), "Server 1001 "),
    (
        |engine, client| {
            client.send(frame(TEXT, b"sleep"));
            engine.handle().stop();
        },
        "Server 1001 ",
    ),
    (
        |_, client| {
            client.fill();
            client.send(frame(TEXT, b"big"));
        },
        "Nobody 0 ",
    ),
];

#[test]
fn every_ending_is_told_once() {
    for (number, (end, told)) in ENDINGS.into_iter().enumerate() {
        let (engine, client, log) = connected(HttpConfig::default());
        client.send(frame(TEXT, b"hello"));
        expect_frame(&client, TEXT, "hello");
        let session = client.session();
        end(&engine, &client);
        engine.run();
        engine.advance(secs(60));
        assert_eq!(log.take(), [told, "closed"], "ending {number}");
        assert_eq!(engine.handle().session_kind(session), None);
    }
}

#[test]
fn a_client_that_makes_room_for_another_is_told_to_come_back() {
    let config = HttpConfig { max_open_sockets: 2, ..HttpConfig::default() };
    let (engine, client, log) = connected(config);
    let others = [(); 2].map(|()| {
        let other = engine.connect();
        upgrade(&other, "/ws");
        other
    });
    expect_close(&client, 1013);
    client.expect_closed();
    others.iter().for_each(|other| other.expect_open());
    assert_eq!(log.take(), ["Server 1013 ", "closed"]);
}

#[test]
fn who_closes_takes_no_more_messages_from_the_first_moment() {
    let ends: [fn(&Client); 4] = [
        |client| client.send(frame(CLOSE, b"\x03\xe8")),
        |client| client.send(frame(TEXT, b"\xff")),
        |client| client.send(frame(TEXT, b"close and sleep")),
        |client| client.send([0x81, 0x00]),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let (engine, client, _) = connected(HttpConfig::default());
        let (handle, session) = (engine.handle(), client.session());
        let other = handle.ws_client(session);
        assert_eq!(handle.session_kind(session), Some(SessionKind::WebSocket));
        end(&client);
        assert_eq!(handle.session_kind(session), Some(SessionKind::Closing), "{number}");
        assert_eq!(handle.ws_clients().count(), 0);
        assert!(matches!(other.send("x"), Err(Error::Closed)), "{number}");
        engine.advance(secs(60));
        assert!(matches!(other.send("x"), Err(Error::NoSession)), "{number}");
    }
    // While its handler sleeps on, too; and what was on its way is told the same.
    let (engine, client, log) = connected(HttpConfig::default());
    client.send(frame(TEXT, b"sleep"));
    let other = engine.handle().ws_client(client.session());
    other.close_with(CloseCode::NORMAL, "").unwrap();
    let noted = log.clone();
    other.send_with("late", move |result| noted.note(format!("{result:?}")));
    engine.run();
    assert!(matches!(other.send("later"), Err(Error::Closed)));
    assert_eq!(log.take(), ["Err(the session is closed)"]);
}

#[test]
fn a_handler_that_sleeps_on_behind_its_close_has_no_more_time_than_the_client() {
    let (engine, client, log) = connected(HttpConfig::default());
    client.send(frame(TEXT, b"close and sleep"));
    expect_close(&client, 1000);
    engine.advance(millis(1999));
    client.expect_open();
    engine.advance(millis(1));
    client.expect_closed();
    assert_eq!(log.take(), ["Server 1000 ", "closed"]);
}

#[test]
fn a_handler_that_fails_with_the_end_of_another_session_is_1011() {
    for (said, before) in [("another's end", None), ("torso", Some((0x01, b"torso".to_vec())))] {
        let (_, client, _) = connected(HttpConfig::default());
        client.send(frame(TEXT, said.as_bytes()));
        let close = Some((CLOSE, b"\x03\xf3".to_vec()));
        let expected: Vec<_> = before.into_iter().chain(close).collect();
        assert_eq!(frames(&client.received()), expected);
    }
}

#[test]
fn pings_are_answered_and_a_close_is_noticed_while_a_handler_sleeps() {
    let config = HttpConfig { ws_control_frames_per_sec: usize::MAX, ..HttpConfig::default() };
    let (engine, client, log) = connected(config);
    client.send(frame(TEXT, b"tick"));
    expect_frame(&client, TEXT, "tick");
    for _ in 0..3 {
        client.send(frame(PING, b"there?"));
        expect_frame(&client, PONG, "there?");
        engine.advance(secs(10));
        expect_frame(&client, TEXT, "tick");
    }
    // More than is read ahead, byte by byte and all at once.
    frame(PING, b"p").iter().for_each(|byte| client.send([*byte]));
    expect_frame(&client, PONG, "p");
    client.send(frame(PING, &[7; 100]).repeat(1000));
    assert_eq!(frames(&client.received()).len(), 1000);
    client.send(frame(CLOSE, b"\x03\xe8"));
    expect_close(&client, 1000);
    client.expect_lingering();
    client.finish();
    assert_eq!(log.take(), ["Client 1000 ", "closed"]);
}

#[test]
fn a_sleeping_handler_keeps_its_message_and_what_follows_that() {
    let (engine, client, log) = connected(HttpConfig::default());
    client.send(frame(TEXT, b"tick"));
    client.send([frame(TEXT, b"for later"), frame(PING, b""), frame(CLOSE, b"")].concat());
    expect_frame(&client, TEXT, "tick");
    engine.advance(secs(10));
    expect_frame(&client, TEXT, "tick");
    client.reset();
    assert_eq!(log.take(), ["Nobody 0 ", "closed"]);
    // What breaks the protocol ends it as a close does.
    let (_, client, _) = connected(HttpConfig::default());
    client.send(frame(TEXT, b"tick"));
    client.send([0x8b, 0x80]);
    let expected = [(TEXT, b"tick".to_vec()), (CLOSE, b"\x03\xea".to_vec())];
    assert_eq!(frames(&client.received()), expected);
}

#[test]
fn a_client_that_answers_no_ping_is_lost_also_to_a_handler_that_sleeps() {
    let (engine, client, log) = connected(HttpConfig::default());
    client.send(frame(TEXT, b"sleep"));
    for _ in 0..2 {
        engine.advance(secs(20));
        expect_frame(&client, PING, "");
        engine.advance(millis(4999));
        client.send(frame(PONG, b""));
    }
    engine.advance(secs(10));
    // It wakes up; from then on pings go on as before.
    engine.advance(millis(9999));
    client.expect_nothing();
    engine.advance(millis(1));
    expect_frame(&client, PING, "");
    client.send(frame(PONG, b""));
    client.send(frame(TEXT, b"sleep"));
    engine.advance(secs(20));
    expect_frame(&client, PING, "");
    engine.advance(millis(4999));
    client.expect_open();
    engine.advance(millis(1));
    client.expect_closed();
    assert_eq!(log.take(), ["Nobody 0 ", "closed"]);
}

#[test]
fn a_client_whose_answer_a_sleeping_handler_would_not_hear_is_not_pinged() {
    let (engine, client, _) = connected(HttpConfig::default());
    client.send(frame(TEXT, b"sleep"));
    engine.advance(secs(20));
    expect_frame(&client, PING, "");
    // The pong comes behind a message that nobody reads yet.
    client.send([frame(TEXT, b"hello"), frame(PONG, b"")].concat());
    engine.advance(secs(39));
    client.expect_nothing();
    engine.advance(secs(1));
    expect_frame(&client, TEXT, "hello");
}
