//! Nobody waits for himself: whatever is asked of a server, from wherever, it stops in the end.
//!
//! Upstream's `httpd_stop` hangs when a handler calls it, and `httpd_queue_work` could.

#![cfg(all(feature = "std", target_os = "linux"))]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use esp_http_server::{
    DetachedRequest, Error, ErrorCode, EventLoop, HandlerMode, HttpConfig, HttpEvent, HttpServer,
    ListenAddr, OpenSession, Request, Result, ServerHandle, SessionId,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where something is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Handler,
    ErrHandler,
    OnOpen,
    OnClose,
    Work,
    /// The drop of a session's context.
    Context,
    Detached,
    /// A handler that has detached its request and not yet returned.
    Detaching,
    Event,
    Thread,
}

impl Place {
    const ALL: [Self; 10] = [
        Self::Handler,
        Self::ErrHandler,
        Self::OnOpen,
        Self::OnClose,
        Self::Work,
        Self::Context,
        Self::Detached,
        Self::Detaching,
        Self::Event,
        Self::Thread,
    ];

    fn is_workers_own(self) -> bool {
        !matches!(self, Self::Detached | Self::Event | Self::Thread)
    }
}

/// What is asked.
type Act = fn(&Scene, Option<SessionId>);

/// A server, and what is asked of it once at one place.
struct Scene {
    place: Place,
    act: Act,
    /// Told when it has been done.
    done: Mutex<Option<Sender<()>>>,
    server: Mutex<Option<HttpServer>>,
    handle: OnceLock<ServerHandle>,
    /// Detached requests that nobody answers.
    parked: Mutex<Vec<DetachedRequest>>,
}

impl Scene {
    fn at(&self, place: Place, session: Option<SessionId>) {
        if place != self.place {
            return;
        }
        let Some(done) = self.done.lock().unwrap().take() else { return };
        (self.act)(self, session);
        done.send(()).unwrap();
    }

    fn handle(&self) -> &ServerHandle {
        self.handle.get().expect("the server runs")
    }

    fn take_server(&self) -> Option<HttpServer> {
        self.server.lock().unwrap().take()
    }

    fn park(&self, request: DetachedRequest) {
        self.parked.lock().unwrap().push(request);
    }
}

/// Acts when a session drops it.
struct Context(Arc<Scene>, SessionId);

impl Drop for Context {
    fn drop(&mut self) {
        self.0.at(Place::Context, Some(self.1));
    }
}

fn handler(scene: &Arc<Scene>, request: &mut Request<'_>) -> Result {
    let session = request.session();
    request.set_session_ctx(Context(scene.clone(), session));
    match request.path() {
        "/detached" => {
            let (scene, request) = (scene.clone(), request.detach()?);
            thread::spawn(move || {
                scene.at(Place::Detached, Some(session));
                drop(request);
            });
            Ok(())
        }
        "/detaching" => {
            scene.park(request.detach()?);
            scene.at(Place::Detaching, Some(session));
            Ok(())
        }
        "/parked" => {
            scene.park(request.detach()?);
            Ok(())
        }
        _ => {
            scene.at(Place::Handler, Some(session));
            request.respond().send("hello")
        }
    }
}

fn start(scene: &Arc<Scene>, event_loop: &EventLoop, handler_mode: HandlerMode) -> SocketAddr {
    let loopback = ListenAddr::Only(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let config = HttpConfig {
        listen: vec![loopback],
        workers: 2,
        work_queue_len: 3,
        handler_mode,
        stop_timeout: Duration::from_millis(50),
        ..HttpConfig::default()
    };
    let [handling, failing, opening, closing] = [(); 4].map(|()| scene.clone());
    let server = HttpServer::builder(config)
        .get("/", move |request: &mut Request| handler(&handling, request))
        .events(event_loop.clone())
        .err_handler(ErrorCode::NotFound, move |request: &mut Request, _| -> Result {
            failing.at(Place::ErrHandler, Some(request.session()));
            request.handle_err(ErrorCode::NotFound, None)
        })
        .on_open(move |session: &mut OpenSession| -> Result {
            // It may open before the server has been told to its owner.
            opening.handle.wait();
            opening.at(Place::OnOpen, Some(session.session()));
            Ok(())
        })
        .on_close(move |session| closing.at(Place::OnClose, Some(session)));
    let [one, two, three] = [(); 3].map(|()| scene.clone());
    let server = server
        .get("/detached", move |request: &mut Request| handler(&one, request))
        .get("/detaching", move |request: &mut Request| handler(&two, request))
        .get("/parked", move |request: &mut Request| handler(&three, request))
        .start()
        .unwrap();
    let addr = server.local_addr();
    let handle = server.handle();
    *scene.server.lock().unwrap() = Some(server);
    assert!(scene.handle.set(handle).is_ok());
    addr
}

/// A client that asks for something and does not care what comes of it; none if another one has had
/// the server stop already.
fn get(addr: SocketAddr, path: &str) -> Option<TcpStream> {
    let mut client = TcpStream::connect(addr).ok()?;
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    Some(client)
}

/// Brings about that the place is reached. What it gives is kept until the act is done.
fn reach(scene: &Arc<Scene>, addr: SocketAddr) -> Option<TcpStream> {
    match scene.place {
        Place::Handler | Place::OnOpen | Place::Event => get(addr, "/"),
        Place::ErrHandler => get(addr, "/nowhere"),
        Place::Detached => get(addr, "/detached"),
        Place::Detaching => get(addr, "/detaching"),
        Place::OnClose | Place::Context => {
            // An answer means that it is open and has its context.
            let _ = get(addr, "/").map(|mut client| client.read(&mut [0; 100]));
            None
        }
        Place::Work => {
            let working = scene.clone();
            scene.handle().queue_work(move |_| working.at(Place::Work, None)).unwrap();
            None
        }
        Place::Thread => {
            let scene = scene.clone();
            thread::spawn(move || scene.at(Place::Thread, None));
            None
        }
    }
}

/// Lets `act` happen at `place`, and then stops the server, if it has not stopped yet.
fn play(place: Place, act: Act, handler_mode: HandlerMode) {
    let (done, is_done) = channel();
    let scene = Arc::new(Scene {
        place,
        act,
        done: Mutex::new(Some(done)),
        server: Mutex::new(None),
        handle: OnceLock::new(),
        parked: Mutex::new(Vec::new()),
    });
    let event_loop = EventLoop::new(1000);
    let (hearing, running) = (scene.clone(), event_loop.clone());
    let _subscription = event_loop.on(move |event: &HttpEvent| {
        if let HttpEvent::OnConnected(session) = event {
            hearing.at(Place::Event, Some(*session));
        }
    });
    let (ended, has_ended) = channel::<()>();
    thread::spawn(move || {
        while has_ended.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let _ = running.run(Duration::from_millis(1));
        }
    });
    let addr = start(&scene, &event_loop, handler_mode);
    // Others are there, too: one idle, one whose request is detached.
    let _others = [get(addr, "/x"), get(addr, "/parked")];
    let _client = reach(&scene, addr);
    is_done.recv_timeout(PATIENCE).expect("what was asked is done");
    if let Some(server) = scene.take_server() {
        server.stop_and_join().unwrap();
    }
    while !scene.handle().clients().is_empty() {
        // A worker whose server was dropped by one of its own ends by itself.
        thread::yield_now();
    }
    drop(ended);
}

#[track_caller]
fn play_everywhere(act: Act) {
    let (ended, has_ended) = channel();
    thread::spawn(move || {
        for place in Place::ALL {
            for handler_mode in [HandlerMode::Concurrent, HandlerMode::Serial] {
                let _ = ended.send(Some((place, handler_mode)));
                play(place, act, handler_mode);
            }
        }
        let _ = ended.send(None);
    });
    let mut at = None;
    loop {
        match has_ended.recv_timeout(PATIENCE) {
            Ok(None) => return,
            Ok(now) => at = now,
            Err(error) => panic!("at {at:?}: {error}"),
        }
    }
}

#[test]
fn stop_may_be_called_anywhere() {
    play_everywhere(|scene, _| scene.handle().stop());
}

#[test]
fn a_session_may_be_closed_anywhere() {
    play_everywhere(|scene, session| {
        for session in session.into_iter().chain(scene.handle().clients()) {
            let closed = scene.handle().close(session);
            let known = [Error::NoSession, Error::WorkQueueFull { limit: 3 }, Error::Stopping];
            if let Err(error) = closed {
                assert!(known.iter().any(|known| known.to_string() == error.to_string()));
            }
        }
    });
}

#[test]
fn a_server_may_be_joined_anywhere_and_its_own_threads_are_told_that_they_cannot() {
    play_everywhere(|scene, _| {
        let Some(server) = scene.take_server() else { return };
        let joined = server.stop_and_join();
        match scene.place.is_workers_own() {
            true => assert!(matches!(joined, Err(Error::WouldBlockWorker)), "{joined:?}"),
            false => joined.unwrap(),
        }
    });
}

#[test]
fn a_server_may_be_dropped_anywhere() {
    play_everywhere(|scene, _| drop(scene.take_server()));
}

#[test]
fn work_may_be_queued_anywhere_until_it_is_refused() {
    play_everywhere(|scene, _| {
        let handle = scene.handle().clone();
        for _ in 0..100 {
            let more = handle.clone();
            // It queues more, and stops the server, in the server.
            let queued = handle.queue_work(move |context| {
                let _ = more.queue_work(|_| ());
                context.server().stop();
            });
            if queued.is_err() {
                break;
            }
        }
        let _ = handle.ws_broadcast("hello");
    });
}

#[test]
fn handlers_may_be_registered_and_unregistered_anywhere() {
    play_everywhere(|scene, _| {
        let handle = scene.handle();
        handle.unregister_uri("/parked").unwrap();
        handle.unregister_err_handler(ErrorCode::NotFound);
        handle.register_err_handler(ErrorCode::NotFound, |request: &mut Request, code| {
            request.handle_err(code, None)
        });
    });
}

#[test]
fn a_detached_request_may_be_waited_for_and_dropped_anywhere() {
    play_everywhere(|scene, _| {
        let parked = loop {
            let parked = scene.parked.lock().unwrap().pop();
            // The other client's comes in time, unless its worker is this very thread.
            match parked {
                Some(parked) => break Some(parked),
                None if scene.place.is_workers_own() => break None,
                None => thread::yield_now(),
            }
        };
        let Some(mut parked) = parked else { return };
        let slept =
            parked.request().and_then(|mut request| request.sleep(Duration::from_millis(1)));
        match scene.place.is_workers_own() {
            true => assert!(matches!(slept, Err(Error::WouldBlockWorker)), "{slept:?}"),
            false => slept.unwrap(),
        }
        drop(parked);
    });
}

#[test]
fn a_detached_request_may_wait_for_its_own_server_to_stop() {
    play_everywhere(|scene, _| {
        // As long as it likes, which is longer than the server waits.
        if scene.place == Place::Detached {
            scene.handle().stop();
            while !scene.handle().clients().is_empty() {
                thread::yield_now();
            }
        }
    });
}
