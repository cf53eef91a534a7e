//! Tests of the opening handshake.

use alloc::format;
use alloc::string::String;

use super::*;
use crate::proto::head::{HeadError, Limits, Parsed};
use crate::proto::random;

const VALID: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn head(line: &str, fields: &str) -> Head {
    head_of(&format!("{line}\r\nHost: h\r\n{fields}\r\n"))
}

fn head_of(input: &str) -> Head {
    let mut head = Head::new();
    let limits = Limits { head_len: 1 << 16, uri_len: 100, field_count: 100 };
    assert_eq!(head.parse(input.as_bytes(), &limits), Ok(Parsed::Complete { len: input.len() }));
    head
}

pub(in crate::proto::ws) fn get(fields: &str) -> Head {
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
fn a_handshake_without_host_is_no_request() {
    let input = format!("GET /ws HTTP/1.1\r\n{VALID}\r\n");
    let limits = Limits { head_len: 1 << 16, uri_len: 100, field_count: 100 };
    assert_eq!(Head::new().parse(input.as_bytes(), &limits), Err(HeadError::MissingHost));
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
    let long = format!("Sec-WebSocket-Key: {}\r\n", "A".repeat(random::many(10_000)));
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
fn the_servers_first_choice_that_the_client_offers_is_spoken() {
    let ours = ["mqtt", "chat"];
    let offered = |fields: &str| choose_subprotocol(&get(fields), &ours);
    assert_eq!(offered("Sec-WebSocket-Protocol: chat, mqtt\r\n"), Some("mqtt"));
    assert_eq!(offered("Sec-WebSocket-Protocol: chat\r\n"), Some("chat"));
    assert_eq!(offered("Sec-WebSocket-Protocol: x, ,chat,chat\r\n"), Some("chat"));
    let fields = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: x,mqtt\r\n";
    assert_eq!(offered(fields), Some("mqtt"));
    assert_eq!(choose_subprotocol(&get("Sec-WebSocket-Protocol: chat\r\n"), &[]), None);
    assert_eq!(offered("Sec-WebSocket-Protocol: Chat, chats, cha\r\n"), None);
}

/// CVE-2026-45541: each of these fields once ended in a crash somewhere.
#[test]
fn strange_subprotocols_are_none_or_refused() {
    let long = format!("Sec-WebSocket-Protocol: {}\r\n", "chat".repeat(random::many(2_500)));
    let many = format!("Sec-WebSocket-Protocol: {}\r\n", "cha,".repeat(random::many(2_500)));
    let repeated = "Sec-WebSocket-Protocol: cha\r\n".repeat(50);
    for none in [
        "",
        "Sec-WebSocket-Protocol:\r\n",
        "Sec-WebSocket-Protocol: ,\r\n",
        "Sec-WebSocket-Protocol: ,,, ,\t,\r\n",
        "Sec-WebSocket-Protocol:\r\nSec-WebSocket-Protocol: ,\r\n",
        &long,
        &many,
        &repeated,
    ] {
        let head = get(&format!("{VALID}{none}"));
        assert!(accept(&head).is_ok(), "{none:?}");
        assert_eq!(choose_subprotocol(&head, &["chat"]), None, "{none:?}");
    }
    let long = format!("Sec-WebSocket-Protocol: {}\r\n", "é".repeat(random::many(5_000)));
    for malformed in [
        "Sec-WebSocket-Protocol: ch\u{e4}t\r\n",
        "Sec-WebSocket-Protocol: chat, \"mqtt\"\r\n",
        "Sec-WebSocket-Protocol: chat mqtt\r\n",
        "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: a/b\r\n",
        &long,
    ] {
        let error = accept(&get(&format!("{VALID}{malformed}"))).unwrap_err();
        assert_eq!((error, error.status().code()), (HandshakeError::Subprotocol, 400));
    }
}

#[test]
fn extensions_may_be_anything_but_malformed() {
    for fields in [
        "Sec-WebSocket-Extensions:\r\n",
        "Sec-WebSocket-Extensions: a; b=c, d\r\nSec-WebSocket-Extensions: e; f=\"g\"\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99\r\n",
    ] {
        assert!(accept(&get(&format!("{VALID}{fields}"))).is_ok(), "{fields:?}");
    }
    for fields in [
        "Sec-WebSocket-Extensions: a b\r\n",
        "Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b;\r\n",
    ] {
        let error = accept(&get(&format!("{VALID}{fields}"))).unwrap_err();
        assert_eq!((error, error.status().code()), (HandshakeError::Extensions, 400));
    }
}

fn check(policy: &OriginPolicy, scheme: Scheme, host: &str, fields: &str) -> bool {
    let head = head_of(&format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    let result = policy.check(&head, scheme);
    if let Err(error) = result {
        assert_eq!((error, error.status().code()), (HandshakeError::Origin, 403));
    }
    result.is_ok()
}

#[test]
fn pages_of_the_same_host_and_port_are_accepted_by_default() {
    let policy = OriginPolicy::default();
    let same = |scheme, host: &str, origin: &str| {
        check(&policy, scheme, host, &format!("Origin: {origin}\r\n"))
    };
    for (host, origin) in [
        ("example.org", "https://example.org"),
        ("example.org", "https://example.org:443"),
        ("example.org:443", "https://example.org"),
        ("example.org:", "https://example.org"),
        ("Example.ORG", "HTTPS://eXample.org"),
        ("example.org:8443", "https://example.org:8443"),
        ("[::1]:8443", "https://[::1]:8443"),
        ("[::1]", "https://[::1]"),
        ("192.168.4.1", "https://192.168.4.1"),
    ] {
        assert!(same(Scheme::Https, host, origin), "{origin} for {host}");
    }
    for (host, origin) in [
        ("example.org", "https://example.com"),
        ("example.org", "https://sub.example.org"),
        ("example.org", "https://example.org.evil.com"),
        ("example.org", "https://example.orgevil.com"),
        ("example.org", "https://example.org:8443"),
        ("example.org:8443", "https://example.org"),
        ("example.org", "http://example.org"),
        ("example.org", "chrome-extension://example.org"),
        ("example.org", "null"),
        ("example.org", ""),
        ("example.org", "example.org"),
        ("example.org", "https://example.org/"),
        ("example.org", "https://user@example.org"),
        ("example.org", "https://example.org https://example.org"),
        ("example.org", "https://"),
        ("example.org", "://example.org"),
        ("example.org", "https://example.org:65536"),
        ("example.org", "https://ex\u{e4}mple.org"),
        ("[::1]", "https://[::2]"),
    ] {
        assert!(!same(Scheme::Https, host, origin), "{origin} for {host}");
    }
    assert!(same(Scheme::Http, "example.org", "http://example.org:80"));
    assert!(!same(Scheme::Http, "example.org", "https://example.org"));
    let absolute = "GET http://a.org/ws HTTP/1.1\r\nHost: b.org\r\nOrigin: http://a.org\r\n\r\n";
    assert_eq!(policy.check(&head_of(absolute), Scheme::Http), Ok(()));
}

#[test]
fn a_list_of_origins_accepts_those_and_no_others() {
    let origins = ["https://app.example.org", "http://localhost:5173", "null"];
    let policy = OriginPolicy::List(origins.map(|origin| origin.parse().unwrap()).to_vec());
    for (origin, is_accepted) in [
        ("https://app.example.org", true),
        ("https://APP.example.org:443", true),
        ("http://localhost:5173", true),
        ("null", true),
        ("http://app.example.org", false),
        ("https://localhost:5173", false),
        ("https://app.example.org:8443", false),
        ("https://h", false), // the host itself isn't in the list
        ("NULL", false),
    ] {
        let fields = format!("Origin: {origin}\r\n");
        assert_eq!(check(&policy, Scheme::Https, "h", &fields), is_accepted, "{origin}");
    }
    for invalid in ["", "example.org", "https://example.org/", "https://", "*", "https://a b"] {
        assert_eq!(invalid.parse::<Origin>(), Err(InvalidOrigin), "{invalid:?}");
    }
}

#[test]
fn clients_that_are_no_browsers_send_no_origin_and_are_accepted() {
    for policy in [OriginPolicy::SameHost, OriginPolicy::List(Vec::new()), OriginPolicy::Any] {
        assert!(check(&policy, Scheme::Https, "h", ""));
    }
}

#[test]
fn two_origins_are_one_too_many() {
    let fields = "Origin: https://h\r\nOrigin: https://h\r\n";
    assert!(!check(&OriginPolicy::SameHost, Scheme::Https, "h", fields));
    let listed = OriginPolicy::List(["https://h".parse().unwrap()].to_vec());
    assert!(!check(&listed, Scheme::Https, "h", fields));
}

#[test]
fn any_page_may_be_accepted() {
    for origin in ["https://example.com", "null", "what\u{e4}ver"] {
        let fields = format!("Origin: {origin}\r\n");
        assert!(check(&OriginPolicy::Any, Scheme::Https, "h", &fields));
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
