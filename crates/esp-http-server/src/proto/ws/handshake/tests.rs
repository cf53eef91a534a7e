//! Tests of the opening handshake.

use alloc::format;
use alloc::string::String;

use super::*;
use crate::proto::head::{Limits, Parsed};

const VALID: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn head(line: &str, fields: &str) -> Head {
    let mut head = Head::new();
    let input = format!("{line}\r\nHost: h\r\n{fields}\r\n");
    let limits = Limits { head_len: 1 << 16, uri_len: 100, field_count: 100 };
    assert_eq!(head.parse(input.as_bytes(), &limits), Ok(Parsed::Complete { len: input.len() }));
    head
}

fn get(fields: &str) -> Head {
    head("GET /ws HTTP/1.1", fields)
}

/// The valid handshake with one field replaced.
fn with(field: &str, lines: &str) -> Head {
    let kept = VALID.split_inclusive('\n').filter(|line| !line.starts_with(field));
    get(&format!("{}{lines}", kept.collect::<String>()))
}

#[test]
fn the_example_of_the_rfc_is_accepted() {
    let accepted = accept(&get(VALID)).unwrap();
    assert_eq!(accepted.as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn tokens_may_stand_in_lists_and_in_any_case() {
    let connection = with("Connection", "connection: keep-alive, UPGRADE\r\n");
    assert!(accept(&connection).is_ok());
    assert!(accept(&with("Upgrade", "upgrade: h2c, WebSocket\r\n")).is_ok());
    assert!(accept(&get(&format!("{VALID}Content-Length: 0\r\n"))).is_ok());
}

#[test]
fn a_request_for_something_else_is_told_to_upgrade() {
    for request in [
        get(""),
        head("GET /ws HTTP/1.0", VALID),
        with("Upgrade", ""),
        with("Upgrade", "Upgrade: h2c\r\n"),
        with("Connection", ""),
        with("Connection", "Connection: keep-alive\r\n"),
    ] {
        let error = accept(&request).unwrap_err();
        assert_eq!(error, HandshakeError::NotAnUpgrade);
        assert_eq!(error.status(), Status::UPGRADE_REQUIRED);
        assert!(error.fields().contains(&("Upgrade", "websocket")));
    }
}

#[test]
fn only_get_opens_a_websocket() {
    let error = accept(&head("POST /ws HTTP/1.1", VALID)).unwrap_err();
    assert_eq!((error, error.status().code()), (HandshakeError::Method, 405));
    assert_eq!(error.fields(), [("Allow", "GET")]);
}

#[test]
fn a_handshake_with_a_body_is_refused() {
    for body in ["Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n"] {
        let error = accept(&get(&format!("{VALID}{body}"))).unwrap_err();
        assert_eq!((error, error.status().code()), (HandshakeError::Body, 400));
    }
}

#[test]
fn another_version_is_told_the_right_one() {
    for lines in [
        "",
        "Sec-WebSocket-Version:\r\n",
        "Sec-WebSocket-Version: 8\r\n",
        "Sec-WebSocket-Version: 013\r\n",
        "Sec-WebSocket-Version: 13, 8\r\n",
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n",
    ] {
        let error = accept(&with("Sec-WebSocket-Version", lines)).unwrap_err();
        assert_eq!((error, error.status().code()), (HandshakeError::WebSocketVersion, 426));
        assert!(error.fields().contains(&("Sec-WebSocket-Version", "13")), "{lines:?}");
    }
}

#[test]
fn a_key_is_sixteen_bytes_in_base64_and_stands_once() {
    let long = format!("Sec-WebSocket-Key: {}\r\n", "A".repeat(10_000));
    for lines in [
        "",
        "Sec-WebSocket-Key:\r\n",
        "Sec-WebSocket-Key: ,\r\n",
        "Sec-WebSocket-Key: ,,,,\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEx\r\n",
        "Sec-WebSocket-Key: dGhl IHNhbXBsZSBub25jZQ==\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\u{e9}==\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n", // bits that no encoder sets
        "Sec-WebSocket-Key: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        &long,
    ] {
        let error = accept(&with("Sec-WebSocket-Key", lines)).unwrap_err();
        assert_eq!((error, error.status().code()), (HandshakeError::Key, 400), "{lines:?}");
    }
}

#[test]
fn the_clients_first_choice_that_the_server_supports_is_spoken() {
    let ours = ["mqtt", "chat"];
    let offered = |fields: &str| choose_subprotocol(&get(fields), &ours);
    assert_eq!(offered("Sec-WebSocket-Protocol: chat, mqtt\r\n"), Some("chat"));
    assert_eq!(
        offered("Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: mqtt\r\n"),
        Some("mqtt")
    );
    assert_eq!(choose_subprotocol(&get("Sec-WebSocket-Protocol: chat\r\n"), &[]), None);
    // CVE-2026-45541: each of these once ended in a crash somewhere.
    let long = format!("Sec-WebSocket-Protocol: {}\r\n", "chat".repeat(2_500));
    for none in [
        "",
        "Sec-WebSocket-Protocol:\r\n",
        "Sec-WebSocket-Protocol: ,\r\n",
        "Sec-WebSocket-Protocol: ,,, ,\t,\r\n",
        "Sec-WebSocket-Protocol: Chat, chats, cha\r\n",
        "Sec-WebSocket-Protocol: ch\u{e4}t\r\n",
        "Sec-WebSocket-Protocol: \"chat\"\r\n",
        &long,
    ] {
        assert_eq!(offered(none), None, "{none:?}");
    }
}

#[test]
fn the_response_switches_protocols() {
    let accepted = accept(&get(VALID)).unwrap();
    let mut out = Vec::new();
    encode_response(&mut out, &accepted, Some("chat")).unwrap();
    assert_eq!(
        out,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n"
    );
    out.clear();
    encode_response(&mut out, &accepted, None).unwrap();
    assert!(out.ends_with(b"xOo=\r\n"));
}

#[test]
fn no_subprotocol_injects_a_field() {
    let accepted = accept(&get(VALID)).unwrap();
    let mut out = Vec::new();
    for name in ["", "a b", "a,b", "a\r\nX: y"] {
        let result = encode_response(&mut out, &accepted, Some(name));
        assert_eq!(result, Err(FieldError::InvalidValue), "{name:?}");
    }
    assert_eq!(out, b"");
}
