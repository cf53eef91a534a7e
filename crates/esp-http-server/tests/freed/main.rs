//! When a server has ended nothing is left of what the application has given it, although that holds
//! the server's own handle, and uses it while it is dropped.
//!
//! This file is the engine driven by hand, also without `std`; `front.rs` has real servers.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use corosensei::stack::DefaultStack;
use esp_http_server::{
    Error, ErrorCode, HttpConfig, Instant, Method, Net, NetError, NetId, OpenSession, Request,
    Result, RxBuf, Server, ServerBuilder, ServerHandle, Stacks, Transport, TxBuf, UriHandler,
    WsRequest,
};

#[cfg(all(feature = "std", target_os = "linux"))]
mod front;

/// What the holders of one server have in common.
#[derive(Default)]
struct Scene {
    handle: OnceLock<ServerHandle>,
    /// Who was dropped, in order, and what the server had answered it.
    dropped: Mutex<Vec<Dropped>>,
    panics: bool,
}

struct Dropped {
    name: &'static str,
    queued: Result,
    registered: Result,
}

impl Scene {
    fn names(&self) -> Vec<&'static str> {
        self.dropped.lock().unwrap().iter().map(|dropped| dropped.name).collect()
    }
}

/// Something of the application's that holds a handle of the server that holds it.
struct Holder {
    name: &'static str,
    scene: Arc<Scene>,
}

impl Holder {
    /// Has whatever closure calls this own the holder, and not only a part of it.
    fn is_there(&self) -> bool {
        self.scene.handle.get().is_some()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let Some(handle) = self.scene.handle.get() else { return };
        // It asks for all that there is: nothing hangs, and nothing is held anew.
        let scene = self.scene.clone();
        let more = move || scene.handle.get().is_some();
        let (work, page, err_page) = (more.clone(), more.clone(), more);
        handle.stop();
        handle.unregister_err_handler(ErrorCode::NotFound);
        handle.register_err_handler(ErrorCode::NotFound, move |_: &mut Request, _| -> Result {
            assert!(err_page());
            Ok(())
        });
        let late = UriHandler::new(Method::Get, "/late", move |_: &mut Request| -> Result {
            assert!(page());
            Ok(())
        });
        let dropped = Dropped {
            name: self.name,
            queued: handle.queue_work(move |_| assert!(work())),
            registered: handle.register_uri_handler(late),
        };
        self.scene.dropped.lock().unwrap().push(dropped);
        if self.scene.panics {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }
}

/// A way to give a holder to a server before it starts.
type Way<T> = (&'static str, fn(ServerBuilder<T>, Holder) -> ServerBuilder<T>);

fn ways<T: Transport>() -> [Way<T>; 10] {
    [
        ("match function", |server, holder| {
            server.uri_match(move |uri, path| holder.is_there() && uri == path)
        }),
        ("URI handler", |server, holder| {
            server.get("/", move |request: &mut Request| -> Result {
                assert!(holder.is_there());
                request.respond().send("hello")
            })
        }),
        ("WebSocket handler", |server, holder| {
            server.ws("/ws", move |_: &mut WsRequest| -> Result {
                assert!(holder.is_there());
                Ok(())
            })
        }),
        ("context of a handler", |server, holder| {
            let page = UriHandler::new(Method::Get, "/ctx", |_: &mut Request| -> Result { Ok(()) });
            server.uri_handler(page.user_ctx(holder))
        }),
        ("error handler", |server, holder| {
            server.err_handler(ErrorCode::NotFound, move |request: &mut Request, code| -> Result {
                assert!(holder.is_there());
                request.handle_err(code, None)
            })
        }),
        ("on_open", |server, holder| {
            server.on_open(move |_: &mut OpenSession| -> Result {
                // The first client may be earlier than whoever starts the server.
                holder.is_there();
                Ok(())
            })
        }),
        ("on_close", |server, holder| server.on_close(move |_| assert!(holder.is_there()))),
        ("on_ws_close", |server, holder| {
            server.on_ws_close(move |_, _| assert!(holder.is_there()))
        }),
        ("wall clock", |server, holder| {
            server.wall_clock(move || holder.is_there().then_some(Duration::ZERO))
        }),
        ("context of the server", |server, holder| server.global_user_ctx(holder)),
    ]
}

/// A way to give a holder to a server that runs.
type LaterWay = (&'static str, fn(&ServerHandle, Holder));

const LATER: [LaterWay; 3] = [
    ("later URI handler", |handle, holder| {
        let page = UriHandler::new(Method::Get, "/later", move |_: &mut Request| -> Result {
            assert!(holder.is_there());
            Ok(())
        });
        handle.register_uri_handler(page).unwrap();
    }),
    ("later error handler", |handle, holder| {
        handle.register_err_handler(ErrorCode::Forbidden, move |_: &mut Request, _| -> Result {
            assert!(holder.is_there());
            Ok(())
        });
    }),
    ("queued work", |handle, holder| {
        handle.queue_work(move |_| assert!(holder.is_there())).unwrap();
    }),
];

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Stopped,
    Dropped,
}

#[track_caller]
fn expect_gone(handle: &ServerHandle, at: &dyn std::fmt::Debug) {
    assert!(handle.is_stopping(), "{at:?}");
    assert_eq!(handle.clients(), [], "{at:?}");
    assert!(handle.global_user_ctx::<Holder>().is_none(), "{at:?}");
    assert!(matches!(handle.queue_work(|_| ()), Err(Error::Stopping)), "{at:?}");
    assert!(matches!(handle.ws_broadcast("hello"), Err(Error::Stopping)), "{at:?}");
    let page = UriHandler::new(Method::Get, "/late", |_: &mut Request| -> Result { Ok(()) });
    assert!(matches!(handle.register_uri_handler(page), Err(Error::Stopping)), "{at:?}");
    assert!(matches!(handle.unregister_uri("/"), Err(Error::NoHandler { .. })), "{at:?}");
}

/// A connection that asks for a page, and then for one that isn't there.
#[derive(Default)]
struct Wire {
    accepted: bool,
    asked: bool,
    answer: Vec<u8>,
}

impl Net for Wire {
    fn accept(&mut self) -> Option<NetId> {
        (!std::mem::replace(&mut self.accepted, true)).then_some(NetId(0))
    }

    fn recv(&mut self, _: NetId, rx: &mut RxBuf) -> Result<usize, NetError> {
        if std::mem::replace(&mut self.asked, true) {
            return Err(NetError::WouldBlock);
        }
        let requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n";
        rx.storage().extend_from_slice(requests);
        Ok(requests.len())
    }

    fn send(&mut self, _: NetId, tx: &mut TxBuf) -> Result<usize, NetError> {
        self.answer.extend_from_slice(tx.as_slice());
        let len = tx.len();
        tx.advance(len);
        Ok(len)
    }

    fn shutdown(&mut self, _: NetId) {}

    fn close(&mut self, _: NetId) {}

    fn stop_listening(&mut self) {}

    fn wait(&mut self, _: Option<Instant>, _: &mut Vec<NetId>) {}
}

struct NewStacks;

impl Stacks for NewStacks {
    type Stack = DefaultStack;

    fn take(&mut self) -> Option<DefaultStack> {
        DefaultStack::new(64 * 1024).ok()
    }

    fn give(&mut self, _: DefaultStack) {}
}

/// Serves the client, and ends.
fn serve_and_end(mut server: Server<NewStacks>, mut net: Wire, end: End) -> Vec<u8> {
    let mut now = Instant::from_millis(1000);
    for _ in 0..10 {
        server.poll(now, &mut net, &[]);
    }
    if end == End::Stopped {
        server.handle().stop();
        while !server.is_stopped() {
            now = now + Duration::from_secs(1);
            server.poll(now, &mut net, &[]);
        }
    }
    drop(server);
    net.answer
}

fn start(
    scene: &Arc<Scene>,
    give: impl FnOnce(ServerBuilder<HttpConfig>) -> ServerBuilder<HttpConfig>,
) -> (Server<NewStacks>, Wire) {
    let builder = ServerBuilder::new(HttpConfig::default());
    let (server, net) = give(builder).engine(NewStacks, Wire::default()).unwrap();
    assert!(scene.handle.set(server.handle()).is_ok());
    (server, net)
}

#[test]
fn whatever_holds_the_handle_of_an_engine_is_freed_with_it() {
    for end in [End::Stopped, End::Dropped] {
        for (name, give) in ways() {
            let scene = Arc::new(Scene::default());
            let holder = Holder { name, scene: scene.clone() };
            let (server, net) = start(&scene, |server| give(server, holder));
            let handle = server.handle();
            let answer = serve_and_end(server, net, end);
            assert!(answer.starts_with(b"HTTP/1.1 "), "{name}");
            assert_eq!(scene.names(), [name], "{end:?}");
            expect_gone(&handle, &(name, end));
        }
    }
}

#[test]
fn what_came_to_a_running_engine_is_freed_with_it() {
    for end in [End::Stopped, End::Dropped] {
        for (name, give) in LATER {
            let scene = Arc::new(Scene::default());
            let (server, net) = start(&scene, |server| server);
            give(&server.handle(), Holder { name, scene: scene.clone() });
            let handle = server.handle();
            serve_and_end(server, net, end);
            assert_eq!(scene.names(), [name], "{end:?}");
            expect_gone(&handle, &(name, end));
        }
    }
}

#[test]
fn work_that_an_engine_has_never_come_to_is_dropped_with_it() {
    let scene = Arc::new(Scene::default());
    let (server, _net) = start(&scene, |server| server);
    let (_, queue) = LATER[2];
    queue(&server.handle(), Holder { name: "work", scene: scene.clone() });
    drop(server);
    assert_eq!(scene.names(), ["work"]);
}

#[test]
fn a_waker_that_holds_the_handle_is_freed() {
    let scene = Arc::new(Scene::default());
    let (server, net) = start(&scene, |server| server);
    let holder = Holder { name: "waker", scene: scene.clone() };
    server.set_waker(move || assert!(holder.is_there()));
    serve_and_end(server, net, End::Stopped);
    assert_eq!(scene.names(), ["waker"]);
}

#[test]
fn a_session_context_that_holds_the_handle_is_freed() {
    for end in [End::Stopped, End::Dropped] {
        let scene = Arc::new(Scene::default());
        let opening = scene.clone();
        let (server, net) = start(&scene, |server| {
            server.on_open(move |session: &mut OpenSession| -> Result {
                let scene = opening.clone();
                session.set_session_ctx(Holder { name: "context of a session", scene });
                Ok(())
            })
        });
        serve_and_end(server, net, end);
        assert_eq!(scene.names(), ["context of a session"], "{end:?}");
    }
}

/// Gives a server all holders there are.
fn give_all<T: Transport>(mut server: ServerBuilder<T>, scene: &Arc<Scene>) -> ServerBuilder<T> {
    for (name, give) in ways() {
        server = give(server, Holder { name, scene: scene.clone() });
    }
    server
}

#[test]
fn handlers_are_dropped_first_then_hooks_then_the_servers_context() {
    let scene = Arc::new(Scene::default());
    let (server, net) = start(&scene, |server| give_all(server, &scene));
    serve_and_end(server, net, End::Stopped);
    assert_eq!(scene.names(), ways::<HttpConfig>().map(|(name, _)| name));
}

#[test]
fn what_uses_its_server_while_it_is_dropped_is_refused() {
    let scene = Arc::new(Scene::default());
    let (server, net) = start(&scene, |server| give_all(server, &scene));
    serve_and_end(server, net, End::Dropped);
    for Dropped { name, queued, registered } in &*scene.dropped.lock().unwrap() {
        assert!(matches!(queued, Err(Error::Stopping)), "{name}: {queued:?}");
        assert!(matches!(registered, Err(Error::Stopping)), "{name}: {registered:?}");
    }
}

#[test]
fn whoever_has_the_servers_context_keeps_it() {
    let (server, net) = ServerBuilder::new(HttpConfig::default())
        .global_user_ctx(7_u32)
        .engine(NewStacks, Wire::default())
        .unwrap();
    let handle = server.handle();
    let ctx = handle.global_user_ctx::<u32>().unwrap();
    serve_and_end(server, net, End::Stopped);
    assert_eq!((*ctx, handle.global_user_ctx::<u32>().as_deref()), (7, Some(&7)));
    drop(ctx);
    assert!(handle.global_user_ctx::<u32>().is_none());
}

#[test]
#[cfg(feature = "std")]
fn holders_that_panic_when_they_are_dropped_take_nobody_along() {
    let scene = Arc::new(Scene { panics: true, ..Scene::default() });
    let (server, net) = start(&scene, |server| give_all(server, &scene));
    for (name, give) in LATER {
        give(&server.handle(), Holder { name, scene: scene.clone() });
    }
    serve_and_end(server, net, End::Stopped);
    assert_eq!(scene.names().len(), ways::<HttpConfig>().len() + LATER.len());
}
