//! Sessions from outside: their names, closing, what an observer is told, the hooks.

use super::support::*;
use super::ws::upgrade;
use crate::server::{HttpConfig, SessionKind};
use crate::{Error, OpenSession, Request, Result, WsRequest};

fn routes(server: crate::ServerBuilder<Recorded>) -> crate::ServerBuilder<Recorded> {
    server
        .get("/*", path)
        .post("/echo", echo)
        .get("/sleep", |request: &mut Request| -> Result {
            request.sleep(secs(5))?;
            path(request)
        })
        .ws("/ws", |ws: &mut WsRequest| -> Result { ws.send(ws.session().to_string().as_str()) })
}

fn engine() -> Engine {
    Engine::new(HttpConfig::default(), routes)
}

#[test]
fn sessions_are_listed_while_they_are_open() {
    let engine = engine();
    let handle = engine.handle();
    let shaking = engine.connect_as(Peer { handshake: Handshake::UnderWay, ..Peer::default() });
    assert!(handle.clients().is_empty(), "not before the handshake is done");
    let (one, two) = (engine.connect(), engine.connect());
    assert_eq!(handle.clients(), [one.session(), two.session()]);
    upgrade(&two, "/ws");
    let ws = two.session();
    assert_eq!(handle.session_kind(one.session()), Some(SessionKind::Http));
    assert_eq!(handle.session_kind(ws), Some(SessionKind::WebSocket));
    assert_eq!(handle.ws_clients().map(|client| client.session()).collect::<Vec<_>>(), [ws]);
    shaking.shake_hands(Handshake::Done);
    assert_eq!(handle.clients().len(), 3);
    two.finish();
    assert_eq!(handle.session_kind(ws), None);
    assert_eq!(handle.ws_clients().count(), 0);
    assert!(matches!(handle.ws_client(ws).send("x"), Err(Error::NoSession)));
    let client = handle.ws_client(one.session());
    assert!(matches!(client.send("x"), Err(Error::NotWebSocket)));
}

#[test]
fn a_session_is_closed_whatever_it_is_doing() {
    let engine = engine();
    for start in [
        "",
        "GET / HT",
        &get("/sleep"),
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1",
    ] {
        let client = engine.connect();
        client.send(start);
        let session = client.session();
        engine.handle().close(session).unwrap();
        client.expect_open();
        engine.run();
        client.expect_closed();
        assert!(matches!(engine.handle().close(session), Err(Error::NoSession)));
    }
    assert_eq!((engine.open(), engine.lent()), (0, 0));
}

#[test]
fn a_late_close_or_message_does_not_hit_the_slots_next_client() {
    let engine = engine();
    let handle = engine.handle();
    let first = engine.connect();
    upgrade(&first, "/ws");
    let (session, ws) = (first.session(), handle.ws_client(first.session()));
    // Queued while it is connected, and done when it has left and another has its slot.
    handle.close(session).unwrap();
    ws.send("late").unwrap();
    let (next_handle, kept) = (handle.clone(), ws.clone());
    first.put_end();
    let second = engine.connect();
    upgrade(&second, "/ws");
    assert_eq!(second.session().slot(), session.slot());
    assert_ne!(second.session(), session);
    assert!(matches!(next_handle.close(session), Err(Error::NoSession)));
    assert!(matches!(kept.close(), Err(Error::NoSession)));
    handle
        .queue_work(move |context| {
            assert!(matches!(context.close(session), Err(Error::NoSession)));
            assert!(matches!(context.ws_send(session, "x"), Err(Error::NoSession)));
        })
        .unwrap();
    engine.run();
    second.expect_nothing();
    second.expect_open();
}

#[test]
fn work_that_is_already_queued_for_a_session_dies_with_it() {
    let engine = engine();
    let old = engine.connect();
    upgrade(&old, "/ws");
    let (session, client) = (old.session(), engine.handle().ws_client(old.session()));
    // The first item closes it; the others, queued while it was there, find nobody.
    engine.handle().close(session).unwrap();
    client.send("one").unwrap();
    client.close().unwrap();
    engine.run();
    assert_eq!(old.received(), [0x88, 2, 0x03, 0xe9], "going away, and nothing behind it");
    old.expect_closed();
}

#[test]
fn an_observer_is_told_in_upstreams_order() {
    let (engine, notices) = Engine::recorded(HttpConfig::default(), routes);
    let client = engine.connect();
    let id = client.session();
    assert_eq!(notices.take(), [format!("Connected({id})")]);
    client.send(get("/a"));
    let len = ok("/a").len();
    assert_eq!(
        notices.take(),
        [
            format!("OnData({})", get("/a").len()),
            "OnHeader".into(),
            "HeadersSent".into(),
            format!("SentData({len})"),
        ]
    );
    client.send("bad\r\n");
    let error = notices.take();
    assert_eq!(error[..3], ["OnData(5)", "Error(400)", "HeadersSent"]);
    client.finish();
    assert_eq!(notices.take(), [format!("Disconnected({id})")]);
}

#[test]
fn a_connection_that_does_not_open_is_told_once_and_nothing_else() {
    let config = HttpConfig { handshake_timeout: secs(1), ..HttpConfig::default() };
    let (engine, notices) = Engine::recorded(config, routes);
    let failed = engine.connect_as(Peer { handshake: Handshake::Failed, ..Peer::default() });
    // What the layer told the peer must get there before the connection goes.
    failed.expect_lingering();
    failed.finish();
    failed.expect_closed();
    assert_eq!(notices.take(), ["OpenFailed(0.0.1, no cipher suite in common)"]);
    let late = engine.connect_as(Peer { handshake: Handshake::UnderWay, ..Peer::default() });
    engine.advance(secs(1));
    late.expect_closed();
    assert_eq!(notices.take(), ["OpenFailed(0.0.2, the handshake was not done in time)"]);
    // A port scanner, a browser's preconnection.
    let gone = engine.connect_as(Peer { handshake: Handshake::UnderWay, ..Peer::default() });
    gone.finish();
    gone.expect_closed();
    assert!(notices.take().is_empty());
    assert_eq!((engine.open(), engine.waits()), (0, None));
}

#[test]
fn the_head_of_a_long_response_is_told_before_what_is_sent_of_it() {
    let (engine, notices) = Engine::recorded(HttpConfig::default(), |server| {
        server.get("/", |request: &mut Request| -> Result {
            request.respond().send("x".repeat(200_000))
        })
    });
    let client = engine.connect();
    client.send(get("/"));
    let lines = notices.take();
    let headers: Vec<_> = (0..lines.len()).filter(|&at| lines[at] == "HeadersSent").collect();
    let sent = lines.iter().position(|line| line.starts_with("SentData")).unwrap();
    assert!(headers.len() == 1 && headers[0] < sent, "{lines:?}");
}

#[test]
fn hooks_are_called_for_every_session_and_never_for_a_connection_that_did_not_open() {
    let log = Log::default();
    let (opened, closed) = (log.clone(), log.clone());
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .on_open(move |session: &mut OpenSession<'_>| -> Result {
                opened.note(format!("open {}", session.session()));
                Ok(())
            })
            .on_close(move |session| closed.note(format!("close {session}")))
    });
    engine.connect_as(Peer { handshake: Handshake::Failed, ..Peer::default() });
    let client = engine.connect();
    let id = client.session();
    client.reset();
    assert_eq!(log.take(), [format!("open {id}"), format!("close {id}")]);
}
