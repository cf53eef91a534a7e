//! The server as its clients and its program see it, with real TLS on the loopback.

#![cfg(all(feature = "std", target_os = "linux"))]

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;

use esp_https_server::*;

mod support;

use support::{Authority, PATIENCE, loopback};

const GET: &str = "GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What there is to say of a TLS session.
fn describe(tls: Option<&TlsInfo>) -> String {
    let Some(tls) = tls else { return "no TLS.".into() };
    let name = tls.server_name().unwrap_or("no name");
    let alpn = String::from_utf8_lossy(tls.alpn_protocol().unwrap_or_default()).into_owned();
    let known = tls.peer_certificates().len();
    format!("{} {} {alpn} for {name}, {known} certificates.", tls.version(), tls.cipher_suite())
}

fn routes<T: Transport>(server: ServerBuilder<T>) -> ServerBuilder<T> {
    server
        .get("/who", |req: &mut Request| -> Result {
            let text = describe(req.tls());
            req.respond().send(text)
        })
        .ws("/ws", |ws: &mut WsRequest| -> Result {
            let _ = ws.message(100)?;
            ws.send(describe(ws.tls()).as_str())
        })
}

#[test]
fn handlers_and_hooks_know_the_tls_session_and_the_client() {
    let authority = Authority::new();
    let (told, opened) = mpsc::channel();
    let server = routes(HttpsServer::builder(authority.server()))
        .on_open(move |session: &mut OpenSession| {
            told.send(describe(session.tls()))?;
            Ok::<_, mpsc::SendError<String>>(())
        })
        .start()
        .unwrap();
    let addr = server.local_addr();
    for (mut client, certificates) in [(authority.stranger(addr), 0), (authority.member(addr), 1)] {
        let expected = format!(
            "TLS 1.3 TLS_AES_128_GCM_SHA256 http/1.1 for localhost, {certificates} certificates."
        );
        client.send(GET);
        client.expect(&format!("\r\n\r\n{expected}"));
        assert_eq!(opened.recv_timeout(PATIENCE).unwrap(), expected);
        client.send(
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        client.expect("\r\n\r\n");
        client.send(b"\x81\x80\0\0\0\0");
        client.expect(&expected);
    }
}

#[test]
fn a_hook_can_refuse_clients_without_a_certificate() {
    let authority = Authority::new();
    let members_only = |session: &mut OpenSession| -> Result {
        match session.tls() {
            Some(tls) if tls.peer_certificates().len() > 0 => Ok(()),
            _ => Err(Error::Refused(Status::FORBIDDEN, "members only".into())),
        }
    };
    let server =
        routes(HttpsServer::builder(authority.server())).on_open(members_only).start().unwrap();
    let mut stranger = authority.stranger(server.local_addr());
    stranger.send(GET);
    assert_eq!(stranger.expect_end(), b"");
    let mut member = authority.member(server.local_addr());
    member.send(GET);
    member.expect("1 certificates.");
}

#[test]
fn a_work_function_knows_the_tls_session_too() {
    let authority = Authority::new();
    let server = routes(HttpsServer::builder(authority.server())).start().unwrap();
    let mut member = authority.member(server.local_addr());
    member.send(GET);
    member.expect("1 certificates.");
    let session = server.clients()[0];
    let (told, heard) = mpsc::channel();
    server
        .queue_work_for(session, move |context| {
            told.send(describe(context.transport_ctx(session))).unwrap();
        })
        .unwrap();
    assert!(heard.recv_timeout(PATIENCE).unwrap().ends_with("1 certificates."));
}

#[test]
fn without_tls_there_is_none_to_ask() {
    let mut config = HttpsConfig::insecure();
    config.httpd.listen = vec![loopback()];
    let server = routes(HttpsServer::builder(config)).start().unwrap();
    let mut client = TcpStream::connect(server.local_addr()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let text = std::io::read_to_string(client).unwrap();
    assert!(text.ends_with("no TLS."), "{text}");
}

#[test]
fn all_entries_of_listen_speak_tls_and_the_port_is_not_used() {
    let authority = Authority::new();
    let mut config = HttpsConfig { port: 1, ..authority.server() };
    config.httpd.listen.push(loopback());
    let server = routes(HttpsServer::builder(config)).start().unwrap();
    assert_eq!(server.local_addrs().len(), 2);
    for addr in server.local_addrs() {
        assert_ne!(addr.port(), 1);
        let mut client = authority.stranger(*addr);
        client.send(GET);
        client.expect("0 certificates.");
    }
}

#[test]
fn with_so_linger_a_last_answer_arrives_whole_and_ends_with_a_close_notify() {
    let authority = Authority::new();
    let mut config = authority.server();
    config.httpd.enable_so_linger = true;
    let server = routes(HttpsServer::builder(config)).start().unwrap();
    for _ in 0..5 {
        let mut client = authority.stranger(server.local_addr());
        client.send(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        assert!(client.expect_end().ends_with(b"0 certificates."));
    }
}

#[test]
fn without_a_list_the_port_is_the_one_of_https() {
    let authority = Authority::new();
    let mut config = HttpsConfig { port: 0, ..authority.server() };
    // Not used, or the start would fail: it is taken.
    let taken = std::net::TcpListener::bind("[::]:0").unwrap();
    config.httpd.server_port = taken.local_addr().unwrap().port();
    config.httpd.listen.clear();
    let server = routes(HttpsServer::builder(config)).start().unwrap();
    assert!(server.local_addr().ip().is_unspecified());
    let mut client = authority.stranger(([127, 0, 0, 1], server.local_addr().port()).into());
    client.send(GET);
    client.expect("0 certificates.");
}

#[test]
fn a_session_and_a_failed_handshake_are_told_event_by_event() {
    let authority = Authority::new();
    let event_loop = EventLoop::new(64);
    let (told, heard) = mpsc::channel();
    let _subscription = event_loop.on(move |event: &HttpsEvent| told.send(event.clone()).unwrap());
    // One worker: two tell their events as they come.
    let mut config = authority.server();
    config.httpd.workers = 1;
    let server = routes(HttpsServer::builder(config)).events(event_loop.clone()).start().unwrap();

    let mut client = authority.stranger(server.local_addr());
    client.send(GET);
    let answer_len = client.expect("0 certificates.").len();
    let session = server.clients()[0];
    let mut plain = TcpStream::connect(server.local_addr()).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(GET.as_bytes()).unwrap();
    let complaint = std::io::read_to_string(&plain).unwrap();
    assert!(complaint.starts_with("HTTP/1.1 400 "), "{complaint}");
    server.stop_and_join().unwrap();

    event_loop.run_pending().unwrap();
    let mut events = heard.try_iter();
    let mut next = || events.next().unwrap();
    assert!(matches!(next(), HttpsEvent::Start));
    assert!(matches!(next(), HttpsEvent::Connected(of) if of == session));
    assert!(matches!(next(), HttpsEvent::Data(of, len) if (of, len) == (session, GET.len())));
    assert!(matches!(next(), HttpsEvent::SentData(of, len) if (of, len) == (session, answer_len)));
    let HttpsEvent::Error(error) = next() else { panic!("no error") };
    assert_eq!(error.peer, Some(plain.local_addr().unwrap()));
    assert!(matches!(error.cause, Cause::Handshake(HandshakeError::PlainHttp)), "{error}");
    assert!(matches!(next(), HttpsEvent::Disconnected(of) if of == session));
    assert!(matches!(next(), HttpsEvent::Stop));
    assert!(events.next().is_none());
}
