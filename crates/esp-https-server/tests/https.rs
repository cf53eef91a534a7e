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
fn a_detached_request_streams_over_tls() {
    let authority = Authority::new();
    let (jobs, next) = mpsc::channel::<DetachedRequest>();
    let server = HttpsServer::builder(authority.server())
        .post("/echo", move |req: &mut Request| Ok::<_, Error>(jobs.send(req.detach()?)?))
        .start()
        .unwrap();
    let thread = std::thread::spawn(move || {
        next.recv_timeout(PATIENCE).unwrap().run(|req| {
            let text = describe(req.tls());
            let mut piece = [0; 4096];
            let mut body = req.respond().chunked()?;
            loop {
                match body.request().recv(&mut piece)? {
                    0 => break,
                    len => body.send(&piece[..len])?,
                }
                body.flush()?;
            }
            body.send(text)?;
            body.finish()
        })
    });
    let mut client = authority.member(server.local_addr());
    client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\n");
    client.expect("\r\n\r\n");
    client.send("abc");
    client.expect("3\r\nabc\r\n");
    client.send("def");
    // Nothing more is needed from here on, so the rest may come in one piece.
    let rest = client.expect("1 certificates.\r\n0\r\n\r\n");
    assert!(rest.starts_with(b"3\r\ndef\r\n"));
    thread.join().unwrap().unwrap();
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

/// What a callback hears, in a line.
fn line(event: UserCallbackEvent<'_>) -> String {
    match event {
        UserCallbackEvent::SessionCreate(session) => {
            let identity = session.tls.and_then(|tls| tls.identity());
            let who = identity.map_or("a stranger".into(), |identity| identity.subject.clone());
            assert!(session.peer.is_some());
            format!("create {} by {who}", session.session)
        }
        UserCallbackEvent::SessionClose(session) => {
            let known = session.tls.is_some_and(|tls| tls.identity().is_some());
            format!("close {}, known: {known}", session.session)
        }
        UserCallbackEvent::SessionError(error) => format!("error {}", what_failed(error)),
        other => format!("{other:?}"),
    }
}

fn what_failed(error: &LastError) -> String {
    format!("{:?} {:?} {} {:#x}", error.stage, error.peer, error.kind(), error.esp_code())
}

/// A server whose callback and events are heard in one queue.
fn heard(config: HttpsConfig) -> (HttpServer, mpsc::Receiver<String>, Subscription) {
    let (told, heard) = mpsc::channel();
    let event_loop = EventLoop::spawn(esp_event::EventLoopArgs::default()).unwrap();
    let events = told.clone();
    let subscription = event_loop.on(move |event: &HttpsEvent| {
        let text = match event {
            HttpsEvent::Connected(session) => format!("Connected {session}"),
            HttpsEvent::Disconnected(session) => format!("Disconnected {session}"),
            HttpsEvent::Error(error) => format!("Error {}", what_failed(error)),
            _ => return,
        };
        events.send(text).ok();
    });
    let user_cb = UserCallback::new(move |event| {
        told.send(line(event)).ok();
    });
    let config = HttpsConfig { user_cb: Some(user_cb), ..config };
    let server = routes(HttpsServer::builder(config)).events(event_loop).start().unwrap();
    (server, heard, subscription)
}

#[test]
fn the_callback_hears_of_a_session_before_its_events_and_who_the_client_is() {
    let authority = Authority::new();
    let (server, heard, _subscription) = heard(authority.server());
    let next = || heard.recv_timeout(PATIENCE).unwrap();
    let mut member = authority.member(server.local_addr());
    member.send(GET);
    member.expect("1 certificates.");
    let session = server.clients()[0];
    assert!(next().starts_with(&format!("create {session} by CN=")));
    assert_eq!(next(), format!("Connected {session}"));
    drop(member);
    assert_eq!(next(), format!("close {session}, known: true"));
    assert_eq!(next(), format!("Disconnected {session}"));
}

#[test]
fn callback_and_event_see_the_same_of_a_handshake_that_failed() {
    let authority = Authority::new();
    let mut config = authority.server();
    config.httpd.handshake_timeout = std::time::Duration::from_millis(50);
    let (server, heard, _subscription) = heard(config);
    let next = || heard.recv_timeout(PATIENCE).unwrap();
    for (bytes, stage, kind) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "ClientHello", "plain_http 0x801a"),
        (b"\x80\0\0\0\0", "ClientHello", "not_tls 0x801a"),
        (b"\x16\x03\x01\x01\0\x01", "ClientHello", "timed_out 0x8009"),
        (b"", "Accepted", "timed_out 0x8009"),
    ] {
        let mut client = TcpStream::connect(server.local_addr()).unwrap();
        client.write_all(bytes).unwrap();
        let peer = client.local_addr().unwrap();
        assert_eq!(next(), format!("error {stage} {:?} {kind}", Some(peer)));
        assert_eq!(next(), format!("Error {stage} {:?} {kind}", Some(peer)));
    }
    let stats = server.tls_stats().unwrap();
    assert_eq!((stats.full, stats.all_failed()), (0, 4));
    assert_eq!(stats.failed(FailureKind::TimedOut), 2);
}

#[test]
fn a_revoked_client_is_refused_and_callback_and_event_say_so() {
    const REVOKED: u64 = 4711;
    let authority = Authority::new();
    let config = authority.server();
    let TransportMode::Secure(tls) = config.transport_mode.clone() else { unreachable!() };
    let (server, heard, _subscription) = heard(config);
    let next = || heard.recv_timeout(PATIENCE).unwrap();
    let addr = server.local_addr();
    let mut member = authority.member_with_serial(REVOKED, addr);
    member.send(GET);
    member.expect("1 certificates.");
    assert!(next().starts_with("create "));
    assert!(next().starts_with("Connected "));

    let list = tls.clone().with_client_ca(authority.revoking(REVOKED)).unwrap();
    tls.reload(list).unwrap();
    let error = authority.member_with_serial(REVOKED, addr).try_send(GET).unwrap_err();
    assert!(error.to_string().contains("CertificateRevoked"), "{error}");
    for who in ["error", "Error"] {
        let said = next();
        assert!(said.starts_with(&format!("{who} Answered Some(127.0.0.1:")), "{said}");
        assert!(said.ends_with(" certificate_revoked 0x801a"), "{said}");
    }
    let revoked = FailureKind::Tls(FailureClass::CertificateRevoked);
    assert_eq!(server.tls_stats().unwrap().failed(revoked), 1);

    // Who isn't on the list is served, and who was there before stays.
    let mut other = authority.member_with_serial(REVOKED + 1, addr);
    for client in [&mut other, &mut member] {
        client.send(GET);
        client.expect("1 certificates.");
    }
}

#[test]
fn a_callback_that_panics_costs_nobody_anything() {
    let authority = Authority::new();
    let user_cb = UserCallback::new(|_| std::panic::resume_unwind(Box::new("as it likes")));
    let config = HttpsConfig { user_cb: Some(user_cb), ..authority.server() };
    let server = routes(HttpsServer::builder(config)).start().unwrap();
    for _ in 0..2 {
        let mut client = authority.stranger(server.local_addr());
        client.send(GET);
        client.expect("0 certificates.");
    }
}

#[test]
fn one_who_was_refused_is_neither_created_nor_closed() {
    let authority = Authority::new();
    let (told, heard) = mpsc::channel();
    let user_cb = UserCallback::new(move |event| told.send(line(event)).unwrap());
    let config = HttpsConfig { user_cb: Some(user_cb), ..authority.server() };
    let refuse =
        |_: &mut OpenSession| -> Result { Err(Error::Refused(Status::FORBIDDEN, "nobody".into())) };
    let server = routes(HttpsServer::builder(config)).on_open(refuse).start().unwrap();
    let mut client = authority.stranger(server.local_addr());
    client.send(GET);
    assert_eq!(client.expect_end(), b"");
    assert_eq!(server.tls_stats().unwrap().full, 1);
    server.stop_and_join().unwrap();
    assert!(heard.recv().is_err());
}

#[test]
fn a_selector_serves_without_a_certificate_of_the_servers_own() {
    let authority = Authority::new();
    let names = SniTable::new().entry("localhost", authority.certified("localhost")).unwrap();
    let tls = TlsConfig::from_selector(names, SystemClock).unwrap();
    let mut config = HttpsConfig::new(tls);
    config.httpd.listen = vec![loopback()];
    let (server, heard, _subscription) = heard(config);
    let mut client = authority.stranger(server.local_addr());
    client.send(GET);
    client.expect("for localhost, 0 certificates.");
    drop(client);
    let mut other = authority.stranger_for("other.local", server.local_addr());
    assert!(other.try_send(GET).is_err());
    let lost = |text: &String| text.starts_with("Error ClientHello") && text.contains(" refused ");
    assert!(heard.iter().any(|text| lost(&text)));
}

#[test]
fn a_reload_is_for_new_handshakes_and_drops_nobody() {
    let authority = Authority::new();
    let config = authority.server();
    let TransportMode::Secure(tls) = config.transport_mode.clone() else { unreachable!() };
    let server = routes(HttpsServer::builder(config)).start().unwrap();
    let mut before = authority.stranger(server.local_addr());
    before.send(GET);
    before.expect("0 certificates.");
    let first = before.server_certificate();
    let renewed = authority.certified("localhost");
    tls.reload(tls.clone().certified_key(renewed).unwrap()).unwrap();
    let mut after = authority.stranger(server.local_addr());
    for client in [&mut before, &mut after] {
        client.send(GET);
        client.expect("0 certificates.");
    }
    assert_ne!(after.server_certificate(), first);
}

#[test]
fn hsts_is_in_every_response_over_tls_and_in_none_without() {
    let authority = Authority::new();
    let hsts = Some(std::time::Duration::from_secs(300));
    let config = HttpsConfig { hsts, ..authority.server() };
    let server = routes(HttpsServer::builder(config)).start().unwrap();
    let mut client = authority.stranger(server.local_addr());
    for path in ["/who", "/nothing-here", "/who?again"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let answer = client.expect_response();
        let fields = answer.matches("Strict-Transport-Security: max-age=300\r\n").count();
        assert_eq!(fields, 1, "{answer}");
    }
    let mut config = HttpsConfig { hsts, ..HttpsConfig::insecure() };
    config.httpd.listen = vec![loopback()];
    let server = routes(HttpsServer::builder(config)).start().unwrap();
    assert!(!plain(server.local_addr(), "GET /who", "localhost").contains("Strict-"));
    assert_eq!(server.tls_stats(), None);
}

/// One plain request and everything that is answered.
fn plain(addr: std::net::SocketAddr, request: &str, host: &str) -> String {
    let mut client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    std::io::read_to_string(client).unwrap()
}

#[test]
fn plain_requests_are_sent_to_https_with_path_and_query() {
    let mut redirect = Redirect { https_port: 8443, ..Redirect::default() };
    redirect.httpd.listen = vec![loopback()];
    let server = HttpsServer::redirect(redirect)
        .get("/.well-known/acme-challenge/{token}", |req: &mut Request| {
            let token = req.param("token")?.into_owned();
            req.respond().send(token)
        })
        .start()
        .unwrap();
    let addr = server.local_addr();
    for (request, host, location) in [
        ("GET /", "gateway.local", "https://gateway.local:8443/"),
        ("POST /a/b%20c?d=e&f", "gateway.local:80", "https://gateway.local:8443/a/b%20c?d=e&f"),
        ("GET //evil.example/..", "[::1]:80", "https://[::1]:8443//evil.example/.."),
        ("DELETE http://other.local/x?", "ignored", "https://other.local:8443/x?"),
        ("OPTIONS *", "gateway.local", "https://gateway.local:8443/"),
    ] {
        let answer = plain(addr, request, host);
        assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
        assert!(answer.contains(&format!("\r\nLocation: {location}\r\n")), "{answer}");
    }
    for host in ["a@evil.example", "a/b", "a b", "", "a%40b", "a\\b"] {
        let answer = plain(addr, "GET /", host);
        assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("Location"), "{answer}");
    }
    let answer = plain(addr, "GET /.well-known/acme-challenge/abc", "gateway.local");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("abc"), "{answer}");
}

#[test]
fn a_flood_of_handshakes_that_never_end_keeps_nobody_out() {
    let authority = Authority::new();
    let mut config = HttpsConfig { max_handshakes: 8, ..authority.server() };
    config.httpd.workers = 1;
    let (server, heard, _subscription) = heard(config);
    let flood: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stuck = TcpStream::connect(server.local_addr()).unwrap();
            stuck.write_all(b"\x16\x03\x01\x01\0\x01").unwrap();
            stuck
        })
        .collect();
    let gave_way = || server.tls_stats().unwrap().failed(FailureKind::GaveWay);
    while gave_way() < flood.len() - 8 {
        std::thread::yield_now();
    }
    assert_eq!(server.tls_stats().unwrap().under_way, 8);
    let said = heard.recv_timeout(PATIENCE).unwrap();
    assert!(said.starts_with("error ClientHello") && said.contains(" gave_way "), "{said}");

    let mut client = authority.stranger(server.local_addr());
    client.send(GET);
    client.expect("0 certificates.");
    assert_eq!(gave_way(), flood.len() - 7);
    assert_eq!(server.tls_stats().unwrap().under_way, 7);
}
