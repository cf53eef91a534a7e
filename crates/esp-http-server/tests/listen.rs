//! Where a server listens, and what its sockets are like, on the loopback.

#![cfg(all(feature = "std", target_os = "linux"))]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use esp_http_server::{HttpConfig, HttpServer, ListenAddr, Request, Result};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn loopback() -> ListenAddr {
    ListenAddr::Only(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

fn start(config: HttpConfig) -> Result<HttpServer> {
    HttpServer::builder(config)
        .get("/", |req: &mut Request| -> Result {
            let addr = req.local_addr().map(|addr| addr.to_string());
            req.respond().send(addr.unwrap_or_default())
        })
        .get("/huge", |req: &mut Request| -> Result { req.respond().send(vec![b'x'; 64 << 20]) })
        .start()
}

fn connect(addr: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// The answer to a request for `/` by somebody who asks once.
fn answer(addr: SocketAddr) -> String {
    let mut client = connect(addr);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn one_server_answers_on_several_addresses() {
    for workers in [1, 2] {
        let lo = ListenAddr::Interface { name: "lo".into(), port: 0 };
        let listen = vec![loopback(), lo, loopback()];
        // `server_port` is not used: it would be denied or in use.
        let config = HttpConfig { server_port: 1, listen, workers, ..HttpConfig::default() };
        let server = start(config).unwrap();
        let addrs = server.local_addrs().to_vec();
        assert_eq!(addrs.len(), 3);
        assert_eq!(server.local_addr(), addrs[0]);
        assert!(addrs[1].ip().is_unspecified());
        for addr in addrs {
            let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, addr.port()));
            let text = answer(addr);
            assert!(text.ends_with(&format!("\r\n\r\n{addr}")), "{text}");
        }
        server.stop_and_join().unwrap();
    }
}

#[test]
fn without_a_list_a_server_listens_on_its_port_of_all_addresses() {
    let server = start(HttpConfig { server_port: 0, ..HttpConfig::default() }).unwrap();
    let [addr] = *server.local_addrs() else { panic!("{:?}", server.local_addrs()) };
    assert!(addr.ip().is_unspecified() && addr.port() != 0);
    for ip in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9)] {
        let addr = SocketAddr::from((ip, addr.port()));
        assert!(answer(addr).ends_with(&addr.to_string()));
    }
}

#[test]
fn nobody_gets_in_by_an_address_that_is_not_listed() {
    let server = start(HttpConfig { listen: vec![loopback()], ..HttpConfig::default() }).unwrap();
    let other = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), server.local_addr().port()));
    let refused = TcpStream::connect(other).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_server_that_cannot_listen_says_where_and_what_to_do_and_leaves_nothing_open() {
    let taken = start(HttpConfig { listen: vec![loopback()], ..HttpConfig::default() }).unwrap();
    let addr = taken.local_addr();
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let listen = vec![ListenAddr::Only(free), ListenAddr::Only(addr)];
    let error = start(HttpConfig { listen, ..HttpConfig::default() }).unwrap_err().to_string();
    let port = addr.port();
    assert_eq!(
        error,
        format!(
            "the server can't start: can't listen on {addr}: port {port} is in use; \
             `ss -ltnp 'sport = :{port}'` shows by whom"
        )
    );
    assert!(TcpStream::connect(free).is_err());

    let listen = vec![ListenAddr::Interface { name: "nowhere0".into(), port: 80 }];
    let error = start(HttpConfig { listen, ..HttpConfig::default() }).unwrap_err().to_string();
    assert!(error.contains("nowhere0:80") && error.contains("`ip link`"), "{error}");
}

#[test]
fn with_so_linger_a_last_answer_arrives_whole() {
    let config =
        HttpConfig { listen: vec![loopback()], enable_so_linger: true, ..HttpConfig::default() };
    let server = start(config).unwrap();
    for _ in 0..20 {
        assert!(answer(server.local_addr()).starts_with("HTTP/1.1 200 OK\r\n"));
        // One that says before the answer that it is done.
        let mut client = connect(server.local_addr());
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    }
}

#[test]
fn with_so_linger_a_client_that_stops_reading_is_reset() {
    let config = HttpConfig {
        listen: vec![loopback()],
        enable_so_linger: true,
        send_wait_timeout: Duration::from_millis(20),
        ..HttpConfig::default()
    };
    let server = start(config).unwrap();
    let mut client = connect(server.local_addr());
    client.write_all(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let start = Instant::now();
    // It is told although it never reads.
    let error = loop {
        match client.take_error().unwrap() {
            Some(error) => break error,
            None => assert!(start.elapsed() < PATIENCE, "nobody has reset it"),
        }
        thread::yield_now();
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
