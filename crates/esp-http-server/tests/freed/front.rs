//! Real servers, with threads.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use esp_http_server::{DetachedRequest, EventLoop, HttpEvent, HttpServer, ListenAddr};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn config(workers: usize) -> HttpConfig {
    HttpConfig {
        listen: vec![ListenAddr::Only(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))],
        workers,
        stop_timeout: Duration::from_millis(20),
        ..HttpConfig::default()
    }
}

/// A client that has had an answer, and stays.
fn client(server: &HttpServer, path: &str) -> TcpStream {
    let client = ask(server, path);
    assert!((&client).read(&mut [0; 1000]).unwrap() > 0);
    client
}

/// A client that has asked for something.
fn ask(server: &HttpServer, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(server.local_addr()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
    client
}

/// Ends the server in both ways there are.
fn end(server: HttpServer, end: End) {
    match end {
        End::Stopped => server.stop_and_join().unwrap(),
        End::Dropped => drop(server),
    }
}

#[test]
fn whatever_holds_the_handle_of_a_server_is_freed_with_its_last_worker() {
    for (workers, how) in [(1, End::Stopped), (3, End::Stopped), (3, End::Dropped)] {
        for (name, give) in ways() {
            let scene = Arc::new(Scene::default());
            let builder = HttpServer::builder(config(workers));
            let holder = Holder { name, scene: scene.clone() };
            let server = give(builder, holder).start().unwrap();
            let handle = server.handle();
            assert!(scene.handle.set(handle.clone()).is_ok());
            let _clients: Vec<_> = (0..2 * workers).map(|_| client(&server, "/")).collect();
            end(server, how);
            assert_eq!(scene.names(), [name], "{workers} {how:?}");
            expect_gone(&handle, &(name, workers));
        }
    }
}

#[test]
fn what_came_to_a_running_server_is_freed_with_its_last_worker() {
    for (name, give) in LATER {
        let scene = Arc::new(Scene::default());
        let server = HttpServer::builder(config(3)).start().unwrap();
        let handle = server.handle();
        assert!(scene.handle.set(handle.clone()).is_ok());
        let _clients: Vec<_> = (0..6).map(|_| client(&server, "/")).collect();
        give(&handle, Holder { name, scene: scene.clone() });
        server.stop_and_join().unwrap();
        assert_eq!(scene.names(), [name]);
        expect_gone(&handle, &name);
    }
}

#[test]
fn a_subscription_to_its_own_events_that_a_handler_keeps_ends_with_the_server() {
    let event_loop = EventLoop::new(100);
    let scene = Arc::new(Scene::default());
    let holder = Holder { name: "subscription", scene: scene.clone() };
    let subscription = event_loop.on(move |_: &HttpEvent| assert!(holder.is_there()));
    let server = HttpServer::builder(config(2))
        .events(event_loop.clone())
        .get("/", move |request: &mut Request| -> Result {
            let _kept = &subscription;
            request.respond().send("hello")
        })
        .start()
        .unwrap();
    assert!(scene.handle.set(server.handle()).is_ok());
    let _client = client(&server, "/");
    server.stop_and_join().unwrap();
    assert_eq!(scene.names(), ["subscription"]);
    assert_eq!(event_loop.statistics().handlers, 0);
}

/// Requests that wait for something, and a holder.
struct Waiting {
    requests: Mutex<Vec<DetachedRequest>>,
    _holder: Holder,
}

impl Waiting {
    fn new(scene: &Arc<Scene>) -> Self {
        let holder = Holder { name: "waiting requests", scene: scene.clone() };
        Self { requests: Mutex::new(Vec::new()), _holder: holder }
    }

    fn add(&self, request: &mut Request<'_>) -> Result {
        self.requests.lock().unwrap().push(request.detach()?);
        Ok(())
    }
}

#[test]
fn requests_that_their_own_handler_or_its_server_has_parked_keep_neither() {
    let of_handler: fn(_, Waiting) -> _ = |server: ServerBuilder<HttpConfig>, waiting| {
        server.get("/", move |request: &mut Request| waiting.add(request))
    };
    let of_server: fn(_, Waiting) -> _ = |server: ServerBuilder<HttpConfig>, waiting| {
        server.global_user_ctx(Arc::new(waiting)).get("/", |request: &mut Request| -> Result {
            let waiting = request.global_user_ctx::<Arc<Waiting>>().unwrap().clone();
            waiting.add(request)
        })
    };
    for park in [of_handler, of_server] {
        let scene = Arc::new(Scene::default());
        let builder = HttpServer::builder(config(2));
        let server = park(builder, Waiting::new(&scene)).start().unwrap();
        assert!(scene.handle.set(server.handle()).is_ok());
        let _clients: Vec<_> = (0..4).map(|_| ask(&server, "/")).collect();
        while server.clients().len() < 4 {
            std::thread::yield_now();
        }
        server.stop_and_join().unwrap();
        assert_eq!(scene.names(), ["waiting requests"]);
    }
}

#[test]
fn a_server_that_its_own_handler_holds_ends_when_it_is_told_to() {
    let scene = Arc::new(Scene::default());
    let kept = Arc::new(Mutex::new(None::<HttpServer>));
    let (holder, of_handler) = (Holder { name: "server", scene: scene.clone() }, kept.clone());
    let server = HttpServer::builder(config(2))
        .get("/", move |_: &mut Request| -> Result {
            assert!(holder.is_there() && of_handler.lock().unwrap().is_some());
            Ok(())
        })
        .start()
        .unwrap();
    let handle = server.handle();
    assert!(scene.handle.set(handle.clone()).is_ok());
    *kept.lock().unwrap() = Some(server);
    drop(kept);
    handle.stop();
    while scene.names().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(scene.names(), ["server"]);
}
