//! What is agreed on before a session is a WebSocket: origins, subprotocols, the application's hooks.

use super::support::*;
use super::ws::{CLOSE, TEXT, UPGRADE, expect_close, expect_frame, frame, frames, upgrade};
use crate::server::HttpConfig;
use crate::{
    Error, ErrorCode, OriginPolicy, Request, Result, ServerBuilder, Status, UriHandler, WsRequest,
};

/// An upgrade with more header fields.
fn upgrade_with(fields: &str) -> String {
    UPGRADE.replace("Host: a\r\n", &format!("Host: a\r\n{fields}"))
}

/// The status of the answer, and its head without the status line.
#[track_caller]
fn answer(client: &Client) -> (u16, String) {
    let text = client.text();
    let (head, _) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head[9..12].parse().unwrap(), head.to_owned())
}

/// Answers with the subprotocol that was agreed on.
fn tell_subprotocol(ws: &mut WsRequest) -> Result {
    ws.message(100)?;
    let name = ws.subprotocol().unwrap_or("none").to_owned();
    ws.send(name)
}

fn echo(ws: &mut WsRequest) -> Result {
    let message = ws.message(1000)?;
    ws.send(message)
}

#[test]
fn the_servers_order_chooses_the_subprotocol_and_the_handler_knows_it() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.uri_handler(UriHandler::ws("/ws", tell_subprotocol).subprotocols(["v2", "v1"]))
    });
    for (offered, chosen) in [
        ("Sec-WebSocket-Protocol: v1, v2\r\n", Some("v2")),
        ("Sec-WebSocket-Protocol: v0\r\nSec-WebSocket-Protocol: v1\r\n", Some("v1")),
        ("Sec-WebSocket-Protocol: V1, v3\r\n", None),
        ("", None),
    ] {
        let client = engine.connect();
        client.send(upgrade_with(offered));
        let (status, head) = answer(&client);
        assert_eq!(status, 101, "{head}");
        let said = head.split_once("Sec-WebSocket-Protocol: ").map(|(_, name)| name);
        assert_eq!(said, chosen, "{offered}");
        client.send(frame(TEXT, b"which?"));
        expect_frame(&client, TEXT, chosen.unwrap_or("none"));
    }
}

#[test]
fn a_subprotocol_that_is_no_token_is_refused_at_registration() {
    let handler = UriHandler::ws("/ws", echo).subprotocols(["fine", "not fine"]);
    let built = ServerBuilder::new(HttpConfig::default()).uri_handler(handler);
    let error = built.share(1).err().unwrap();
    assert!(matches!(&error, Error::Config(why) if why.contains("not fine")), "{error}");
}

#[test]
fn pages_of_other_hosts_are_refused_unless_the_policy_says_otherwise() {
    let list = OriginPolicy::List(vec!["https://app.example".parse().unwrap()]);
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .ws("/ws", echo)
            .uri_handler(UriHandler::ws("/list", echo).origin(list))
            .uri_handler(UriHandler::ws("/any", echo).origin(OriginPolicy::Any))
            .get("/page", path)
    });
    for (path, origin, status) in [
        ("/ws", None, 101),
        ("/ws", Some("http://a"), 101),
        ("/ws", Some("https://a"), 403),
        ("/ws", Some("http://b"), 403),
        ("/ws", Some("null"), 403),
        ("/list", Some("https://app.example"), 101),
        ("/list", Some("http://a"), 403),
        ("/any", Some("null"), 101),
    ] {
        let client = engine.connect();
        let field = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
        client.send(upgrade_with(&field).replace("/ws", path));
        assert_eq!(answer(&client).0, status, "{path} from {origin:?}");
        if status != 101 {
            client.send(get("/page"));
            client.expect(ok("/page"));
        }
    }
}

/// Lets in who has a cookie, and answers some by itself.
fn guard(request: &mut Request) -> Result {
    match request.cookie("name") {
        Some("impatient") => request.respond().redirect(Status::SEE_OTHER, "/login"),
        Some("slow") => {
            request.sleep(secs(3))?;
            Err(Error::Refused(Status::TOO_MANY_REQUESTS, "wait a little".into()))
        }
        Some("broken") => panic!("on purpose"),
        Some(name) => {
            let name = name.to_owned();
            request.set_session_ctx(name);
            Ok(())
        }
        None => Err(Error::Refused(Status::UNAUTHORIZED, "who are you?".into())),
    }
}

fn guarded() -> Engine {
    Engine::new(HttpConfig::default(), |server| {
        server
            .uri_handler(
                UriHandler::ws("/ws", |ws: &mut WsRequest| -> Result {
                    ws.message(10)?;
                    let name = ws.session_ctx::<String>().cloned().unwrap_or_default();
                    ws.send(name)
                })
                .ws_pre_handshake(guard),
            )
            .any("/page", path)
            .get("/silent", |_: &mut Request| -> Result { Ok(()) })
    })
}

#[test]
fn a_hook_lets_a_client_in_and_what_it_knows_is_there_for_the_handler() {
    let client = guarded().connect();
    client.send(upgrade_with("Cookie: name=Ada\r\n"));
    assert_eq!(answer(&client).0, 101);
    client.send(frame(TEXT, b"me?"));
    expect_frame(&client, TEXT, "Ada");
}

#[test]
fn a_hook_refuses_with_any_status() {
    let client = guarded().connect();
    client.send(UPGRADE);
    assert_eq!(client.expect_last("401 Unauthorized"), "who are you?\n");
}

#[test]
fn a_hook_that_answers_by_itself_leaves_the_session_to_http() {
    let client = guarded().connect();
    client.send(upgrade_with("Cookie: name=impatient\r\n"));
    assert_eq!(answer(&client).0, 303);
    client.send(get("/page"));
    client.expect(ok("/page"));
    // What was asked once is not agreed on for ever.
    client.send(get("/silent"));
    client.expect_last("500 Internal Server Error");
}

#[test]
fn a_hook_may_wait_while_others_are_served() {
    let engine = guarded();
    let (slow, other) = (engine.connect(), engine.connect());
    slow.send(upgrade_with("Cookie: name=slow\r\n"));
    slow.expect_nothing();
    other.send(get("/page"));
    other.expect(ok("/page"));
    engine.advance(secs(3));
    assert_eq!(answer(&slow).0, 429);
}

#[test]
fn a_hook_that_panics_is_500() {
    let client = guarded().connect();
    client.send(upgrade_with("Cookie: name=broken\r\n"));
    assert_eq!(
        client.expect_last("500 Internal Server Error"),
        "The server failed while handling this request"
    );
}

#[test]
fn an_error_handler_says_no_in_the_place_of_a_hook() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.uri_handler(UriHandler::ws("/ws", echo).ws_pre_handshake(guard)).err_handler(
            ErrorCode::Unauthorized,
            |request: &mut Request, code: ErrorCode| {
                request.respond().status(code.status()).send("no entry")
            },
        )
    });
    let client = engine.connect();
    client.send(UPGRADE);
    assert!(client.text().ends_with("\r\n\r\nno entry"));
}

#[test]
fn a_hook_is_asked_only_about_handshakes_that_are_in_order() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.uri_handler(UriHandler::ws("/ws", echo).ws_pre_handshake(
            move |_: &mut Request| -> Result {
                noted.note("asked");
                Ok(())
            },
        ))
    });
    for (request, status) in [
        (get("/ws"), 426),
        (UPGRADE.replace("13", "12"), 426),
        (upgrade_with("Origin: http://b\r\n"), 403),
        (upgrade_with("Sec-WebSocket-Extensions: ;\r\n"), 400),
        (UPGRADE.into(), 101),
    ] {
        let client = engine.connect();
        client.send(&request);
        assert_eq!(answer(&client).0, status, "{request}");
    }
    assert_eq!(log.take(), ["asked"]);
}

#[test]
fn a_hook_greets_once_behind_the_handshake_and_before_the_first_message() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.uri_handler(
            UriHandler::ws("/ws", echo).ws_post_handshake(|ws: &mut WsRequest| ws.send("welcome")),
        )
    });
    let client = engine.connect();
    client.send([UPGRADE.as_bytes(), &frame(TEXT, b"early")].concat());
    let received = client.received();
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let both = [(TEXT, b"welcome".to_vec()), (TEXT, b"early".to_vec())];
    assert_eq!(frames(&received[end..]), both);
    client.send(frame(TEXT, b"again"));
    expect_frame(&client, TEXT, "again");
    assert_eq!(engine.lent(), 0);
}

#[test]
fn a_greeting_that_fails_closes_with_1011() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.uri_handler(
            UriHandler::ws("/ws", echo)
                .ws_post_handshake(|_: &mut WsRequest| -> Result { Err(Error::NoSession) }),
        )
    });
    let client = engine.connect();
    client.send(UPGRADE);
    let received = client.received();
    assert!(received.ends_with(&[CLOSE, 2, 0x03, 0xf3]), "{received:?}");
}

#[test]
fn in_serial_mode_hooks_wait_for_their_turn_and_are_503_without_one() {
    let config = HttpConfig { handler_mode: crate::HandlerMode::Serial, ..HttpConfig::default() };
    let engine = Engine::new(config, |server| {
        server
            .uri_handler(UriHandler::ws("/ws", echo).ws_pre_handshake(guard))
            .get("/sleep", |request: &mut Request| -> Result {
                request.sleep(secs(40))?;
                request.respond().send("")
            })
            .get("/silent", |_: &mut Request| -> Result { Ok(()) })
    });
    let (busy, client) = (engine.connect(), engine.connect());
    busy.send(get("/sleep"));
    client.send(upgrade_with("Cookie: name=Ada\r\n"));
    engine.advance(secs(30));
    client.expect_last("503 Service Unavailable");
}

#[test]
fn a_server_that_stops_closes_with_1001_behind_the_handshake() {
    let engine = guarded();
    let client = engine.connect();
    upgrade_as(&client, "Ada");
    engine.handle().stop();
    engine.run();
    expect_close(&client, 1001);
}

#[track_caller]
fn upgrade_as(client: &Client, name: &str) {
    client.send(upgrade_with(&format!("Cookie: name={name}\r\n")));
    assert_eq!(answer(client).0, 101);
}

#[test]
fn handlers_without_options_need_none() {
    let engine = Engine::new(HttpConfig::default(), |server| server.ws("/ws", echo));
    let client = engine.connect();
    upgrade(&client, "/ws");
}
