//! All nine events of the HTTP server, in a real exchange on the loopback.

#![cfg(all(feature = "std", target_os = "linux"))]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use esp_event::{Event, Filter};
use esp_http_server::{
    Error, EventLoop, HTTP_SERVER_EVENT, HttpConfig, HttpEvent, HttpServer, ListenAddr, Request,
    Result, ServerBuilder, SessionId, Status,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a subscriber has heard, in order.
type Heard = Arc<Mutex<Vec<HttpEvent>>>;

/// Hears everything that is posted to a loop.
fn listen(event_loop: &EventLoop) -> (Heard, esp_http_server::Subscription) {
    let heard = Heard::default();
    let noted = heard.clone();
    let subscription = event_loop.on(move |event: &HttpEvent| noted.lock().unwrap().push(*event));
    (heard, subscription)
}

fn builder(session: &Arc<Mutex<Option<SessionId>>>) -> ServerBuilder<HttpConfig> {
    let session = session.clone();
    let loopback = ListenAddr::Only(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    HttpServer::builder(HttpConfig { listen: vec![loopback], ..HttpConfig::default() })
        .post("/echo", move |req: &mut Request| -> Result {
            *session.lock().unwrap() = Some(req.session());
            let body = req.recv_all(100)?;
            req.respond().send(body)
        })
        .get("/bad", |_: &mut Request| -> Result {
            Err(Error::Refused(Status::FORBIDDEN, "not for you".into()))
        })
}

fn connect(addr: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Sends a request and reads the whole answer to it, which ends with `end`.
fn exchange(client: &mut TcpStream, request: &str, end: &str) -> usize {
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = vec![0; 4096];
    let mut len = 0;
    while !answer[..len].ends_with(end.as_bytes()) {
        let more = client.read(&mut answer[len..]).unwrap();
        assert!(more > 0, "{}", String::from_utf8_lossy(&answer[..len]));
        len += more;
    }
    len
}

#[test]
fn an_exchange_is_told_event_by_event_on_the_loop_that_was_chosen() {
    let event_loop = EventLoop::new(64);
    let (heard, _subscription) = listen(&event_loop);
    let session = Arc::default();
    let server = builder(&session).events(event_loop.clone()).start().unwrap();

    let mut client = connect(server.local_addr());
    let post = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let echo_len = exchange(&mut client, post, "\r\n\r\nhello");
    let get = "GET /bad HTTP/1.1\r\nHost: a\r\n\r\n";
    let refused_len = exchange(&mut client, get, "not for you\n");
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0);
    server.stop_and_join().unwrap();

    event_loop.run_pending().unwrap();
    let session = session.lock().unwrap().unwrap();
    let heard = heard.lock().unwrap();
    assert_eq!(
        *heard,
        [
            HttpEvent::Start,
            HttpEvent::OnConnected(session),
            HttpEvent::OnData(session, post.len()),
            HttpEvent::OnHeader(session),
            HttpEvent::HeadersSent(session),
            HttpEvent::SentData(session, echo_len),
            HttpEvent::OnData(session, get.len()),
            HttpEvent::OnHeader(session),
            HttpEvent::Error(session, Status::FORBIDDEN),
            HttpEvent::HeadersSent(session),
            HttpEvent::SentData(session, refused_len),
            HttpEvent::Disconnected(session),
            HttpEvent::Stop,
        ]
    );
    let mut ids: Vec<_> = heard.iter().map(|event| event.id().0).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, [0, 1, 2, 3, 4, 5, 6, 7, 8], "all of upstream's numbers");
}

#[test]
fn who_begins_to_listen_while_a_session_is_open_hears_its_next_request() {
    let event_loop = EventLoop::new(64);
    let session = Arc::default();
    let server = builder(&session).events(event_loop.clone()).start().unwrap();
    let mut client = connect(server.local_addr());
    let post = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    exchange(&mut client, post, "\r\n\r\nhello");

    let (heard, _subscription) = listen(&event_loop);
    let echo_len = exchange(&mut client, post, "\r\n\r\nhello");
    server.stop_and_join().unwrap();
    event_loop.run_pending().unwrap();
    let session = session.lock().unwrap().unwrap();
    let heard = heard.lock().unwrap();
    let begin = heard.iter().rposition(|event| *event == HttpEvent::OnData(session, post.len()));
    assert_eq!(
        heard[begin.unwrap()..],
        [
            HttpEvent::OnData(session, post.len()),
            HttpEvent::OnHeader(session),
            HttpEvent::HeadersSent(session),
            HttpEvent::SentData(session, echo_len),
            HttpEvent::Disconnected(session),
            HttpEvent::Stop,
        ]
    );
}

#[test]
fn every_worker_tells_its_events_and_start_and_stop_come_once() {
    let event_loop = EventLoop::new(100);
    let (heard, _subscription) = listen(&event_loop);
    let loopback = ListenAddr::Only(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let config = HttpConfig { listen: vec![loopback], workers: 3, ..HttpConfig::default() };
    let server = HttpServer::builder(config).events(event_loop.clone()).start().unwrap();
    let mut clients: Vec<_> = (0..9).map(|_| connect(server.local_addr())).collect();
    clients.iter_mut().for_each(|client| {
        exchange(client, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "by this URI");
    });
    server.stop_and_join().unwrap();

    event_loop.run_pending().unwrap();
    let heard = heard.lock().unwrap();
    let count = |id| heard.iter().filter(|event| event.id().0 == id).count();
    assert_eq!([0, 1, 2, 7, 8].map(count), [9, 1, 9, 9, 1], "{heard:?}");
    assert_eq!((heard.first(), heard.last()), (Some(&HttpEvent::Start), Some(&HttpEvent::Stop)));
}

#[test]
fn without_a_choice_events_go_to_the_default_loop() {
    let (told, heard) = std::sync::mpsc::channel();
    let id = Filter::Id(&HTTP_SERVER_EVENT, HttpEvent::Start.id());
    // Other tests of this program post to loops of their own.
    let _subscription = EventLoop::default_loop().register(id, move |event| {
        told.send(*event.data::<HttpEvent>().unwrap()).unwrap();
    });
    let server = builder(&Arc::default()).start().unwrap();
    let event = heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!(event, HttpEvent::Start);
    server.stop_and_join().unwrap();
}
