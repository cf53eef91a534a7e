//! Detached requests over real sockets, on real threads, in real time.

#![cfg(all(feature = "std", target_os = "linux"))]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use esp_http_server::{
    DetachedRequest, Error, Events, HttpConfig, HttpServer, ListenAddr, Net, Notice, Observer,
    Peer, Request, Result, ServerBuilder, Status, Transport,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn config() -> HttpConfig {
    let loopback = ListenAddr::Only(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    HttpConfig { listen: vec![loopback], workers: 2, ..HttpConfig::default() }
}

/// A server that sends every request to where the receiver is.
fn start(config: HttpConfig) -> (HttpServer, Receiver<DetachedRequest>) {
    let (jobs, next) = channel();
    let server = HttpServer::builder(config)
        .any("/*", move |request: &mut Request| Ok::<_, Error>(jobs.send(request.detach()?)?))
        .start()
        .unwrap();
    (server, next)
}

fn connect(server: &HttpServer) -> TcpStream {
    let client = TcpStream::connect(server.local_addr()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client
}

fn get(client: &mut TcpStream, path: &str) {
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
}

/// Reads a response with a `Content-Length`; gives its body.
fn body_of(client: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let (_, len) = head.split_once("Content-Length: ").expect(&head);
    let mut body = vec![0; len[..len.find('\r').unwrap()].parse().unwrap()];
    client.read_exact(&mut body).unwrap();
    body
}

fn answer(request: &mut Request) -> Result {
    let (path, body) = (request.path().to_owned(), request.recv_all(1 << 20)?);
    request.respond().send([path.as_bytes(), &body].concat())
}

#[test]
fn a_pool_of_threads_serves_many_clients_at_once() {
    const CLIENTS: usize = 20;
    const REQUESTS: usize = 50;
    let (jobs, next) = sync_channel::<DetachedRequest>(4);
    let next = Arc::new(Mutex::new(next));
    let pool: Vec<_> = (0..4)
        .map(|_| {
            let next = next.clone();
            thread::spawn(move || {
                loop {
                    let job = next.lock().unwrap().recv();
                    let Ok(request) = job else { return };
                    request.run(answer).unwrap();
                }
            })
        })
        .collect();
    let server = HttpServer::builder(config())
        .any("/*", move |request: &mut Request| -> Result {
            if jobs.try_send(request.detach()?).is_ok() {
                return Ok(());
            }
            // All are busy: the worker does it itself.
            answer(request)
        })
        .start()
        .unwrap();
    let addr = server.local_addr();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            thread::spawn(move || {
                let mut client = TcpStream::connect(addr).unwrap();
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                for request in 0..REQUESTS {
                    let path = format!("/{number}/{request}");
                    let body = vec![b'x'; (number * request * 37) % 3000];
                    let head = format!(
                        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    // In two pieces, so that threads wait.
                    let (first, rest) = body.split_at(body.len() / 2);
                    client.write_all(&[head.as_bytes(), first].concat()).unwrap();
                    client.write_all(rest).unwrap();
                    assert_eq!(body_of(&mut client), [path.as_bytes(), &body].concat());
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    server.stop_and_join().unwrap();
    // The routes have gone with the server, and the sender with them.
    pool.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn megabytes_stream_in_both_directions_at_once() {
    const LEN: usize = 8 << 20;
    let (server, next) = start(config());
    let mut client = connect(&server);
    let mut writer = client.try_clone().unwrap();
    let echo = thread::spawn(move || {
        next.recv().unwrap().run(|request| {
            let mut piece = vec![0; 50_000];
            let mut body = request.respond().sized(LEN as u64)?;
            loop {
                match body.request().recv(&mut piece)? {
                    0 => return body.finish(),
                    len => body.send(&piece[..len])?,
                }
            }
        })
    });
    let sent = thread::spawn(move || {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LEN}\r\n\r\n");
        writer.write_all(head.as_bytes()).unwrap();
        let bytes: Vec<u8> = (0..LEN).map(|at| (at * 31 / 7) as u8).collect();
        writer.write_all(&bytes).unwrap();
        bytes
    });
    let body = body_of(&mut client);
    assert!(body == sent.join().unwrap());
    echo.join().unwrap().unwrap();
}

/// What a thread does with the next request; it says when it has it.
fn on_a_thread<R: Send + 'static>(
    next: Receiver<DetachedRequest>,
    work: impl FnOnce(DetachedRequest) -> R + Send + 'static,
) -> (JoinHandle<R>, Receiver<()>) {
    let (has_it, had): (Sender<()>, _) = channel();
    let thread = thread::spawn(move || {
        let mut request = next.recv_timeout(PATIENCE).unwrap();
        request.request().unwrap();
        has_it.send(()).unwrap();
        work(request)
    });
    (thread, had)
}

#[test]
fn a_thread_that_waits_is_told_when_its_client_leaves() {
    let (server, next) = start(config());
    let mut client = connect(&server);
    get(&mut client, "/");
    let (thread, had) = on_a_thread(next, |mut request| {
        let finished = request.request()?.wait_peer(PATIENCE)?;
        request.request()?.respond().send("bye")?;
        request.complete().map(|()| finished)
    });
    had.recv_timeout(PATIENCE).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(body_of(&mut client), b"bye");
    assert_eq!(thread.join().unwrap().unwrap(), Peer::Finished);
}

#[test]
fn a_busy_thread_can_ask_whether_its_client_has_left() {
    let (server, next) = start(config());
    let mut client = connect(&server);
    get(&mut client, "/");
    let (thread, had) = on_a_thread(next, |mut request| {
        let start = Instant::now();
        while request.peer() != Peer::Gone && start.elapsed() < PATIENCE {
            thread::yield_now();
        }
        (request.peer(), request.request().err().map(|error| error.to_string()))
    });
    had.recv_timeout(PATIENCE).unwrap();
    // Without a word: the connection is reset.
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(thread.join().unwrap(), (Peer::Gone, Some("the session is closed".into())));
}

#[test]
fn a_client_that_resets_its_connection_has_left() {
    let (server, next) = start(config());
    let mut client = connect(&server);
    get(&mut client, "/");
    let (thread, had) = on_a_thread(next, |mut request| {
        let mut request = request.request()?;
        // It never gets so far: the client does not read, and then it is gone.
        request.respond().send(vec![b'x'; 100 << 20])
    });
    had.recv_timeout(PATIENCE).unwrap();
    client.read_exact(&mut [0; 100]).unwrap();
    drop(client);
    assert!(matches!(thread.join().unwrap(), Err(Error::Closed)));
    server.stop_and_join().unwrap();
}

#[test]
fn a_server_that_stops_wakes_its_threads_and_they_may_outlive_it() {
    let stop_timeout = Duration::from_millis(50);
    let (server, next) = start(HttpConfig { stop_timeout, ..config() });
    let mut client = connect(&server);
    get(&mut client, "/");
    let (thread, had) = on_a_thread(next, |mut request| {
        let end = request.request().and_then(|mut request| request.sleep(PATIENCE));
        (end, request)
    });
    had.recv_timeout(PATIENCE).unwrap();
    server.stop_and_join().unwrap();
    let (end, mut request) = thread.join().unwrap();
    assert!(matches!(end, Err(Error::Closed)));
    assert!(matches!(request.request(), Err(Error::Closed)));
    assert!(matches!(request.complete(), Err(Error::Closed)));
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0);
}

#[test]
fn a_stopping_server_waits_for_a_thread_that_answers_in_time() {
    let (server, next) = start(config());
    let handle = server.handle();
    let mut client = connect(&server);
    get(&mut client, "/last");
    let (thread, had) = on_a_thread(next, move |request| {
        while !handle.is_stopping() {
            thread::yield_now();
        }
        request.run(answer)
    });
    had.recv_timeout(PATIENCE).unwrap();
    server.stop_and_join().unwrap();
    thread.join().unwrap().unwrap();
    assert_eq!(body_of(&mut client), b"/last");
}

#[test]
fn a_request_that_nobody_answers_is_500() {
    let (server, next) = start(config());
    let mut client = connect(&server);
    get(&mut client, "/");
    drop(next.recv_timeout(PATIENCE).unwrap());
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{text}");
    // Nor does a pool that is gone take any more: the sender's error is the handler's.
    drop(next);
    let mut client = connect(&server);
    get(&mut client, "/");
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    let status = Status::INTERNAL_SERVER_ERROR;
    assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{text}");
}

/// Plain HTTP, and an observer with a bug.
struct Faulty(HttpConfig);

struct Bug;

impl Observer for Bug {
    fn notice(&mut self, notice: Notice<'_>) {
        if let Notice::Error(..) = notice {
            std::panic::resume_unwind(Box::new("the bug"));
        }
    }
}

impl Transport for Faulty {
    type Net<N: Net> = N;

    fn http(&self) -> &HttpConfig {
        &self.0
    }

    fn port(&self) -> u16 {
        0
    }

    fn layer<N: Net>(&self, inner: N) -> N {
        inner
    }

    fn observer(&self, _: Events) -> Box<dyn Observer + Send> {
        Box::new(Bug)
    }
}

#[test]
fn a_worker_that_panics_wakes_the_threads_that_wait() {
    let (jobs, next) = channel();
    let server = ServerBuilder::new(Faulty(HttpConfig { workers: 1, ..config() }))
        .get("/", move |request: &mut Request| Ok::<_, Error>(jobs.send(request.detach()?)?))
        .start()
        .unwrap();
    let (mut waiting, mut busy, mut last) = (connect(&server), connect(&server), connect(&server));
    get(&mut waiting, "/");
    let mut request = next.recv_timeout(PATIENCE).unwrap();
    let thread = thread::spawn(move || {
        let end = request.request().and_then(|mut request| request.sleep(PATIENCE));
        (end, request.complete())
    });
    get(&mut busy, "/");
    let mut request = next.recv_timeout(PATIENCE).unwrap();
    request.request().unwrap();
    get(&mut last, "/nowhere");
    assert!(matches!(server.join(), Err(Error::WorkerPanicked)));
    let (end, completed) = thread.join().unwrap();
    assert!(matches!((end, completed), (Err(Error::Closed), Err(Error::Closed))));
    assert!(matches!(request.request(), Err(Error::Closed)));
}
