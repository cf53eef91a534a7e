//! URI handlers that come and go while a server with several workers runs.

#![cfg(all(feature = "std", target_os = "linux"))]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use esp_http_server::{Error, HttpConfig, HttpServer, Method, Request, Result, UriHandler};

const PATIENCE: Duration = Duration::from_secs(20);

/// Tells when it is dropped.
struct Ctx(Sender<()>);

impl Drop for Ctx {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}

struct Client(TcpStream);

impl Client {
    fn connect(server: &HttpServer) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.local_addr().port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// The status of a request on this connection, which stays open.
    fn status(&mut self, path: &str) -> u16 {
        self.0.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let head = String::from_utf8(answer).unwrap();
        let (_, body_len) = head.split_once("Content-Length: ").unwrap();
        let (body_len, _) = body_len.split_once("\r\n").unwrap();
        self.0.read_exact(&mut vec![0; body_len.parse().unwrap()]).unwrap();
        head["HTTP/1.1 ".len()..][..3].parse().unwrap()
    }
}

fn page(request: &mut Request) -> Result {
    request.respond().send("page")
}

#[test]
fn every_worker_sees_a_change_at_once_and_lets_go_of_what_was_removed() {
    let config = HttpConfig { server_port: 0, workers: 3, ..HttpConfig::default() };
    let server = HttpServer::builder(config).get("/", page).start().unwrap();
    let mut clients: Vec<_> = (0..30).map(|_| Client::connect(&server)).collect();
    let mut statuses = |path| -> Vec<u16> {
        let mut statuses: Vec<_> = clients.iter_mut().map(|client| client.status(path)).collect();
        statuses.dedup();
        statuses
    };
    assert_eq!(statuses("/a/1"), [404]);
    for _ in 0..5 {
        let (dropped, drops) = channel();
        let handler = UriHandler::new(Method::Get, "/a/{x}", page).user_ctx(Ctx(dropped));
        server.register_uri_handler(handler).unwrap();
        assert_eq!(statuses("/a/1"), [200]);
        server.unregister_uri("/a/{x}").unwrap();
        assert!(matches!(server.unregister_uri("/a/{x}"), Err(Error::NoHandler { .. })));
        // No client has anything to say meanwhile: the workers are woken for this.
        drops.recv_timeout(PATIENCE).expect("nobody uses it any more");
        assert_eq!(statuses("/a/1"), [404]);
    }
    drop(clients);
    server.stop_and_join().unwrap();
}
