//! Stopping, in every phase of a session.

use super::support::*;
use super::ws::{TEXT, expect_close, frame, upgrade};
use crate::server::{HandlerMode, HttpConfig};
use crate::{Error, Request, Result, WsRequest};

fn engine(log: &Log) -> Engine {
    engine_with(HttpConfig::default(), log)
}

fn engine_with(config: HttpConfig, log: &Log) -> Engine {
    let (noted, slept) = (log.clone(), log.clone());
    let config = HttpConfig { stop_timeout: secs(3), recv_wait_timeout: secs(60), ..config };
    Engine::new(config, |server| {
        server
            .get("/*", path)
            .post("/echo", move |request: &mut Request| -> Result {
                let body = request.recv_all(1 << 20);
                noted.note(format!("{:?}", body.as_ref().map(Vec::len)));
                request.respond().send(body?)
            })
            .get("/sleep", move |request: &mut Request| -> Result {
                let end = request.sleep(secs(2));
                slept.note(format!("{end:?}"));
                path(request)
            })
            .get("/long", |request: &mut Request| -> Result {
                // It does not take the hint, and still can't wait.
                while request.sleep(secs(60)).is_ok() {}
                path(request)
            })
            .get("/big", |request: &mut Request| -> Result {
                request.respond().send("x".repeat(300_000))
            })
            .get("/medium", |request: &mut Request| -> Result {
                request.respond().send("x".repeat(30_000))
            })
            .post("/unread", |request: &mut Request| -> Result { request.respond().send("") })
            .get("/stop", |request: &mut Request| -> Result {
                request.server().stop();
                path(request)
            })
            .ws("/ws", |ws: &mut WsRequest| -> Result {
                let message = ws.message(100)?;
                ws.send(message)
            })
    })
}

fn stop(engine: &Engine) {
    engine.handle().stop();
    engine.run();
    assert!(!engine.is_listening());
}

#[track_caller]
fn expect_stopped(engine: &Engine) {
    assert!(engine.is_stopped());
    assert_eq!((engine.open(), engine.lent(), engine.waits()), (0, 0, None));
    assert!(engine.handle().clients().is_empty());
}

#[test]
fn a_server_without_sessions_stops_at_once() {
    let engine = engine(&Log::default());
    assert!(!engine.is_stopped());
    stop(&engine);
    expect_stopped(&engine);
    assert!(engine.handle().is_stopping());
    assert!(matches!(engine.handle().queue_work(|_| ()), Err(Error::Stopping)));
    assert!(matches!(engine.handle().ws_broadcast("x"), Err(Error::Stopping)));
}

#[test]
fn what_is_idle_or_not_yet_open_closes_at_once() {
    let engine = engine(&Log::default());
    let shaking = engine.connect_as(Peer { handshake: Handshake::UnderWay, ..Peer::default() });
    let (fresh, idle) = (engine.connect(), engine.connect());
    idle.send(get("/a"));
    stop(&engine);
    [shaking, fresh, idle].iter().for_each(Client::expect_closed);
    expect_stopped(&engine);
}

#[test]
fn a_request_that_has_begun_is_answered_as_the_last_one() {
    let log = Log::default();
    let engine = engine(&log);
    let (head, body, asleep) = (engine.connect(), engine.connect(), engine.connect());
    head.send("GET /a HTTP/1.1\r\nHo");
    body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    asleep.send(get("/sleep"));
    stop(&engine);
    head.send("st: a\r\n\r\n");
    assert_eq!(head.expect_last("200 OK"), "/a");
    head.expect_closed();
    body.send("cd");
    assert_eq!(body.expect_last("200 OK"), "abcd");
    engine.advance(secs(2));
    assert_eq!(asleep.expect_last("200 OK"), "/sleep");
    expect_stopped(&engine);
    assert_eq!(log.take(), ["Ok(4)", "Ok(())"]);
}

#[test]
fn after_stop_timeout_waiting_handlers_are_told_and_everything_closes() {
    let log = Log::default();
    let engine = engine(&log);
    let partial = engine.connect();
    partial.send("GET /a HTTP/1.1\r\nHo");
    let body = engine.connect();
    body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    let long = engine.connect();
    long.send(get("/long"));
    let full = engine.connect_as(Peer { window: 0, ..Peer::default() });
    full.send(get("/big"));
    let reading = engine.connect_as(Peer { window: 0, ..Peer::default() });
    reading.send(get("/medium"));
    let draining = engine.connect();
    draining.send("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    let lingering = engine.connect();
    engine.advance(secs(1));
    lingering.send("bad\r\n");
    stop(&engine);
    assert_eq!(engine.open(), 7);
    engine.advance(millis(2999));
    assert!(!engine.is_stopped());
    engine.advance(millis(1));
    expect_stopped(&engine);
    assert_eq!(log.take(), ["Err(the session is closed)"]);
    // It was written before the time was up.
    assert!(long.text().starts_with("HTTP/1.1 200 OK\r\n"));
    full.expect_closed();
}

#[test]
fn a_response_that_is_still_being_read_is_finished() {
    let engine = engine(&Log::default());
    let reading = engine.connect_as(Peer { window: 0, ..Peer::default() });
    reading.send(get("/medium"));
    stop(&engine);
    assert!(!engine.is_stopped());
    reading.take(100_000);
    reading.expect(ok(&"x".repeat(30_000)));
    reading.expect_closed();
    expect_stopped(&engine);
}

#[test]
fn an_unread_body_is_not_waited_for_longer_than_needed() {
    let engine = engine(&Log::default());
    let draining = engine.connect();
    draining.send("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    stop(&engine);
    draining.expect(ok(""));
    draining.send("cd");
    draining.expect_closed();
    expect_stopped(&engine);
}

#[test]
fn queued_handlers_run_if_there_is_time_and_end_if_not() {
    let log = Log::default();
    let config = HttpConfig { handler_mode: HandlerMode::Serial, ..HttpConfig::default() };
    let engine = engine_with(config, &log);
    let clients = [(); 3].map(|()| engine.connect());
    clients.iter().for_each(|client| client.send(get("/sleep")));
    stop(&engine);
    engine.advance(secs(3));
    expect_stopped(&engine);
    // Two seconds for the first, one for the second, none for the third.
    assert_eq!(log.take(), ["Ok(())", "Err(the session is closed)"]);
    clients[0].expect_last("200 OK");
    clients[2].expect_nothing();
}

#[test]
fn websockets_are_told_that_the_server_goes_away() {
    let engine = engine(&Log::default());
    let (idle, busy, leaving) = (engine.connect(), engine.connect(), engine.connect());
    [&idle, &busy, &leaving].iter().for_each(|client| upgrade(client, "/ws"));
    busy.send(&frame(TEXT, b"hello")[..8]);
    stop(&engine);
    expect_close(&idle, 1001);
    expect_close(&leaving, 1001);
    leaving.send(frame(0x88, &1001_u16.to_be_bytes()));
    leaving.finish();
    leaving.expect_closed();
    // Its message is handled first.
    busy.expect_nothing();
    busy.send(&frame(TEXT, b"hello")[8..]);
    assert_eq!(busy.received(), b"\x81\x05hello\x88\x02\x03\xe9");
    engine.advance(secs(2));
    expect_stopped(&engine);
}

#[test]
fn a_websocket_that_comes_too_late_is_told_so() {
    let engine = engine(&Log::default());
    let client = engine.connect();
    let request = super::ws::UPGRADE;
    client.send(&request[..40]);
    stop(&engine);
    client.send(&request[40..]);
    assert!(client.received().ends_with(b"\r\n\r\n\x88\x02\x03\xe9"));
    client.finish();
    expect_stopped(&engine);
}

#[test]
fn a_handler_can_stop_the_server_it_runs_in() {
    let engine = engine(&Log::default());
    let (client, idle) = (engine.connect(), engine.connect());
    client.send(get("/stop"));
    client.expect(ok("/stop"));
    [client, idle].iter().for_each(Client::expect_closed);
    expect_stopped(&engine);
}

#[test]
fn a_handler_that_had_to_wait_for_its_turn_can_stop_the_server_too() {
    let log = Log::default();
    let config = HttpConfig { handler_mode: HandlerMode::Serial, ..HttpConfig::default() };
    let engine = engine_with(config, &log);
    let (first, second) = (engine.connect(), engine.connect());
    first.send(get("/sleep"));
    second.send(get("/stop"));
    engine.advance(secs(2));
    first.expect(ok("/sleep"));
    second.expect(ok("/stop"));
    expect_stopped(&engine);
}

#[test]
fn a_work_function_can_stop_the_server() {
    let engine = engine(&Log::default());
    let client = engine.connect();
    engine.handle().queue_work(|context| context.server().stop()).unwrap();
    engine.run();
    client.expect_closed();
    expect_stopped(&engine);
}

#[test]
fn a_stopping_server_takes_no_more_connections() {
    let engine = engine(&Log::default());
    let client = engine.connect();
    client.send(get("/sleep"));
    stop(&engine);
    engine.advance(secs(2));
    client.expect_last("200 OK");
    expect_stopped(&engine);
}
