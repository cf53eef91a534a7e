//! URI handlers that are registered and removed while the server runs.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

use super::*;
use crate::ServerHandle;
use crate::server::HandlerMode;

/// A context that notes when it is dropped, and does something then.
struct Ctx {
    name: &'static str,
    log: Log,
    at_end: Box<dyn Fn() + Send + Sync>,
}

impl Ctx {
    fn new(name: &'static str, log: &Log) -> Self {
        Self::with_end(name, log, || {})
    }

    fn with_end(name: &'static str, log: &Log, at_end: impl Fn() + Send + Sync + 'static) -> Self {
        Self { name, log: log.clone(), at_end: Box::new(at_end) }
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        self.log.note(format!("drop {}", self.name));
        (self.at_end)();
    }
}

fn panic_quietly() {
    std::panic::resume_unwind(Box::new("on purpose"))
}

/// A handler for GET that answers with its context's name.
fn name_of_ctx(uri: &str, ctx: Ctx) -> UriHandler {
    let answer = |request: &mut Request| -> Result {
        let name = request.user_ctx::<Ctx>().unwrap().name;
        request.respond().send(name)
    };
    UriHandler::new(Method::Get, uri, answer).user_ctx(ctx)
}

fn empty() -> Engine {
    Engine::new(HttpConfig::default(), |server| server)
}

#[track_caller]
fn expect_answers<const N: usize>(client: &Client, answers: [(&str, Option<&str>); N]) {
    for (target, answer) in answers {
        client.send(get(target));
        match answer {
            Some(answer) => client.expect(ok(answer)),
            None => expect_status(client, "404 Not Found"),
        }
    }
}

#[test]
fn handlers_come_and_go_between_requests() {
    let engine = empty();
    let (client, handle) = (engine.connect(), engine.handle());
    expect_answers(&client, [("/a", None)]);
    for uri in ["/*", "/a", "/{x}/b"] {
        handle
            .register_uri_handler(UriHandler::new(Method::Get, uri, move |request| {
                request.respond().send(uri)
            }))
            .unwrap();
    }
    handle.register_uri_handler(UriHandler::any("/a", named("any"))).unwrap();
    expect_answers(&client, [("/a", Some("/a")), ("/b", Some("/*")), ("/a/b", Some("/{x}/b"))]);
    handle.unregister_uri_handler(Method::Get, "/a").unwrap();
    handle.unregister_uri_handler(Method::Get, "/{other}/b").unwrap();
    expect_answers(&client, [("/a", Some("any")), ("/b", Some("/*")), ("/a/b", Some("/*"))]);
    handle.unregister_uri_handler(None, "/a").unwrap();
    expect_answers(&client, [("/a", Some("/*"))]);
    handle.unregister_uri("/*").unwrap();
    expect_answers(&client, [("/a", None), ("/b", None)]);
}

#[test]
fn all_methods_of_a_uri_go_at_once() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/a", path).post("/a", path).any("/a", path).get("/{x}", named("x"))
    });
    let client = engine.connect();
    engine.handle().unregister_uri("/a").unwrap();
    expect_answers(&client, [("/a", Some("x"))]);
    client.send(request("PUT", "/a"));
    expect_status(&client, "405 Method Not Allowed");
}

#[test]
fn what_is_not_there_can_not_be_removed() {
    let engine =
        Engine::new(HttpConfig::default(), |server| server.get("/a", path).any("/b", path));
    let handle = engine.handle();
    for (result, text) in [
        (handle.unregister_uri_handler(Method::Post, "/a"), "there is no handler for POST /a"),
        (handle.unregister_uri_handler(None, "/a"), "there is no handler for any method of /a"),
        (handle.unregister_uri_handler(Method::Get, "/b"), "there is no handler for GET /b"),
        (handle.unregister_uri("/c"), "there is no handler for any method of /c"),
        (handle.unregister_uri("no template"), "there is no handler for any method of no template"),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::NoHandler { .. }));
        assert_eq!(error.to_string(), text);
    }
    handle.unregister_uri("/a").unwrap();
    assert!(matches!(handle.unregister_uri("/a"), Err(Error::NoHandler { method: None, .. })));
}

#[test]
fn the_rules_of_registration_hold_while_the_server_runs() {
    let config = HttpConfig { max_uri_handlers: 2, ..HttpConfig::default() };
    let engine = Engine::new(config, |server| server.get("/a/{x}", path));
    let handle = engine.handle();
    let register = |uri| handle.register_uri_handler(UriHandler::new(Method::Get, uri, path));
    assert!(matches!(register("/a/{y}"), Err(Error::HandlerExists { .. })));
    assert!(matches!(register("/a/{"), Err(Error::Config(_))));
    register("/a/b").unwrap();
    assert!(matches!(register("/c"), Err(Error::HandlersFull { limit: 2 })));
    handle.unregister_uri("/a/b").unwrap();
    register("/c").unwrap();
    assert!(matches!(register("/d"), Err(Error::HandlersFull { limit: 2 })));
}

#[test]
fn a_handler_registers_another_one_for_the_very_next_request() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.post("/{x}", |request: &mut Request| -> Result {
            let uri = request.path().to_owned();
            let handler = UriHandler::new(Method::Get, &uri, path);
            request.server().register_uri_handler(handler)?;
            request.respond().send("")
        })
    });
    let client = engine.connect();
    client.send([post("/new", ""), get("/new")].concat());
    client.expect([ok(""), ok("/new")].concat());
    client.send(post("/new", ""));
    client.expect_last("500 Internal Server Error");
}

#[test]
fn a_handler_that_removes_itself_runs_to_its_end() {
    let log = Log::default();
    let engine = empty();
    let once = |request: &mut Request| -> Result {
        request.server().unregister_uri_handler(Method::Get, "/once")?;
        request.sleep(secs(1))?;
        let name = request.user_ctx::<Ctx>().unwrap().name;
        request.respond().send(name)
    };
    let handler = UriHandler::new(Method::Get, "/once", once).user_ctx(Ctx::new("ctx", &log));
    engine.handle().register_uri_handler(handler).unwrap();
    let (client, other) = (engine.connect(), engine.connect());
    client.send([get("/once"), get("/once")].concat());
    client.expect_nothing();
    expect_answers(&other, [("/once", None)]);
    assert!(log.take().is_empty(), "it is still under way");
    engine.advance(secs(1));
    assert_eq!(log.take(), ["drop ctx"]);
    let text = client.text();
    assert!(text.starts_with(&ok("ctx")) && text.contains("404 Not Found"), "{text}");
}

#[test]
fn requests_that_wait_for_their_turn_keep_the_handler_that_they_went_to() {
    let config = HttpConfig { handler_mode: HandlerMode::Serial, ..HttpConfig::default() };
    let engine = Engine::new(config, |server| {
        server.get("/slow", |request: &mut Request| -> Result {
            request.sleep(secs(1))?;
            request.respond().send("slow")
        })
    });
    let (log, handle) = (Log::default(), engine.handle());
    handle.register_uri_handler(name_of_ctx("/a", Ctx::new("old", &log))).unwrap();
    let (slow, waiting) = (engine.connect(), engine.connect());
    slow.send(get("/slow"));
    waiting.send([get("/a"), get("/a")].concat());
    handle.unregister_uri("/a").unwrap();
    handle.register_uri_handler(name_of_ctx("/a", Ctx::new("new", &log))).unwrap();
    engine.run();
    assert!(log.take().is_empty());
    engine.advance(secs(1));
    slow.expect(ok("slow"));
    waiting.expect([ok("old"), ok("new")].concat());
    assert_eq!(log.take(), ["drop old"]);
}

#[test]
fn a_worker_that_has_nothing_to_do_is_woken_to_let_go_of_what_was_removed() {
    let (engine, log) = (empty(), Log::default());
    let (client, handle) = (engine.connect(), engine.handle());
    let wakes = Arc::new(AtomicUsize::new(0));
    let bell = wakes.clone();
    engine.set_waker(move || {
        bell.fetch_add(1, Ordering::Relaxed);
    });
    handle.register_uri_handler(name_of_ctx("/a", Ctx::new("a", &log))).unwrap();
    expect_answers(&client, [("/a", Some("a"))]);
    handle.unregister_uri("/a").unwrap();
    assert!(log.take().is_empty(), "the worker has it");
    assert!(wakes.load(Ordering::Relaxed) > 0);
    engine.poll_once();
    assert_eq!(log.take(), ["drop a"]);
}

#[test]
fn a_handler_that_takes_long_keeps_nothing_but_itself() {
    let (engine, log) = (empty(), Log::default());
    let (client, other, handle) = (engine.connect(), engine.connect(), engine.handle());
    let long = |request: &mut Request| -> Result {
        request.sleep(secs(1000))?;
        request.respond().send("")
    };
    handle.register_uri_handler(UriHandler::new(Method::Get, "/long", long)).unwrap();
    handle.register_uri_handler(name_of_ctx("/a", Ctx::new("a", &log))).unwrap();
    client.send(get("/long"));
    expect_answers(&other, [("/a", Some("a"))]);
    handle.unregister_uri("/a").unwrap();
    engine.run();
    assert_eq!(log.take(), ["drop a"]);
}

#[test]
fn a_websocket_keeps_its_handler_when_that_is_removed() {
    let (engine, log) = (empty(), Log::default());
    let (client, handle) = (engine.connect(), engine.handle());
    let talk = |ws: &mut WsRequest| -> Result {
        let message = ws.message(100)?;
        assert!(ws.user_ctx::<Ctx>().is_some());
        ws.send(message)
    };
    let handler = UriHandler::ws("/ws", talk).user_ctx(Ctx::new("ws", &log));
    handle.register_uri_handler(handler).unwrap();
    upgrade(&client, "/ws");
    handle.unregister_uri_handler(Method::Get, "/ws").unwrap();
    engine.run();
    for _ in 0..2 {
        client.send(frame(TEXT, b"still there"));
        expect_frame(&client, TEXT, "still there");
    }
    let late = engine.connect();
    late.send(super::super::ws::UPGRADE);
    expect_status(&late, "404 Not Found");
    // One that is registered in its place is for those who come later.
    let handler = UriHandler::ws("/ws", |ws: &mut WsRequest| -> Result {
        ws.message(100)?;
        ws.send("new")
    });
    handle.register_uri_handler(handler).unwrap();
    let new = engine.connect();
    upgrade(&new, "/ws");
    for (client, answer) in [(&new, "new"), (&client, "hello")] {
        client.send(frame(TEXT, b"hello"));
        expect_frame(client, TEXT, answer);
    }
    assert!(log.take().is_empty());
    client.finish();
    assert_eq!(log.take(), ["drop ws"]);
}

#[test]
fn what_a_removed_handler_held_may_use_the_server_when_it_is_dropped() {
    let (engine, log) = (empty(), Log::default());
    let (client, handle) = (engine.connect(), engine.handle());
    let again = |at: &'static str| {
        let (handle, log) = (handle.clone(), log.clone());
        move || {
            handle.register_uri_handler(name_of_ctx(at, Ctx::new("next", &log))).unwrap();
            assert_eq!(handle.clients().len(), 1);
        }
    };
    for (uri, is_used, next) in [("/used", true, "/1"), ("/unused", false, "/2")] {
        let ctx = Ctx::with_end("ctx", &log, again(next));
        handle.register_uri_handler(name_of_ctx(uri, ctx)).unwrap();
        if is_used {
            expect_answers(&client, [(uri, Some("ctx"))]);
        }
        handle.unregister_uri(uri).unwrap();
        engine.run();
        assert_eq!(log.take(), ["drop ctx"], "{uri}");
        expect_answers(&client, [(next, Some("next")), (uri, None)]);
    }
}

#[test]
fn what_a_removed_handler_held_may_panic_when_it_is_dropped() {
    let (engine, log) = (empty(), Log::default());
    let (client, handle) = (engine.connect(), engine.handle());
    let sleepy = |ctx| {
        let sleep = |request: &mut Request| -> Result {
            request.sleep(secs(1))?;
            let name = request.user_ctx::<Ctx>().unwrap().name;
            request.respond().send(name)
        };
        UriHandler::new(Method::Get, "/sleepy", sleep).user_ctx(ctx)
    };
    // While a worker has it, and nobody runs it.
    let ctx = Ctx::with_end("idle", &log, panic_quietly);
    handle.register_uri_handler(name_of_ctx("/idle", ctx)).unwrap();
    expect_answers(&client, [("/idle", Some("idle"))]);
    handle.unregister_uri("/idle").unwrap();
    engine.run();
    assert_eq!(log.take(), ["drop idle"]);
    // Behind its last run.
    handle.register_uri_handler(sleepy(Ctx::with_end("running", &log, panic_quietly))).unwrap();
    client.send(get("/sleepy"));
    handle.unregister_uri("/sleepy").unwrap();
    engine.advance(secs(1));
    client.expect(ok("running"));
    assert_eq!(log.take(), ["drop running"]);
    // Behind its last WebSocket.
    let ws = UriHandler::ws("/ws", |_: &mut WsRequest| -> Result { Ok(()) })
        .user_ctx(Ctx::with_end("ws", &log, panic_quietly));
    handle.register_uri_handler(ws).unwrap();
    let socket = engine.connect();
    upgrade(&socket, "/ws");
    handle.unregister_uri("/ws").unwrap();
    engine.run();
    socket.reset();
    assert_eq!(log.take(), ["drop ws"]);
    // Nothing of that was the client's or the server's business.
    expect_answers(&client, [("/idle", None)]);
    client.expect_open();
}

#[test]
fn a_registration_that_is_refused_may_use_the_server_when_it_is_dropped() {
    let (engine, log) = (empty(), Log::default());
    let handle = engine.handle();
    let again = handle.clone();
    let ctx = Ctx::with_end("refused", &log, move || {
        again.register_uri_handler(UriHandler::new(Method::Get, "/b", named("b"))).unwrap();
    });
    handle.register_uri_handler(UriHandler::new(Method::Get, "/a", named("a"))).unwrap();
    assert!(handle.register_uri_handler(name_of_ctx("/a", ctx)).is_err());
    assert_eq!(log.take(), ["drop refused"]);
    expect_answers(&engine.connect(), [("/a", Some("a")), ("/b", Some("b"))]);
}

#[test]
fn a_match_function_may_use_the_server() {
    let server: Arc<OnceLock<ServerHandle>> = Arc::default();
    let known = server.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .uri_match(move |uri, path| {
                if let Some(server) = known.get() {
                    server.unregister_uri("/gone").ok();
                }
                uri == path
            })
            .get("/gone", path)
            .get("/a", path)
    });
    server.set(engine.handle()).unwrap();
    engine.handle().register_uri_handler(UriHandler::new(Method::Get, "/b", path)).unwrap();
    expect_answers(&engine.connect(), [("/gone", None), ("/a", Some("/a")), ("/b", Some("/b"))]);
}

#[test]
fn a_server_that_is_dropped_drops_its_handlers_once() {
    let log = Log::default();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.uri_handler(name_of_ctx("/a", Ctx::new("a", &log)))
    });
    engine.handle().register_uri_handler(name_of_ctx("/b/{x}", Ctx::new("b", &log))).unwrap();
    let client = engine.connect();
    expect_answers(&client, [("/a", Some("a")), ("/b/c", Some("b"))]);
    drop((client, engine));
    let mut dropped = log.take();
    dropped.sort();
    assert_eq!(dropped, ["drop a", "drop b"]);
}

/// Threads change routes while requests run: every answer is from one handler or the other, those
/// that nobody changes are always there, and in the end all is as it should be.
#[test]
fn threads_change_routes_while_requests_run() {
    const THREADS: usize = 3;
    const ROUNDS: usize = 200;
    let (log, engine) = (
        Log::default(),
        Engine::new(HttpConfig::default(), |server| {
            server.get("/always/{x}", named("always")).get("/*", named("rest"))
        }),
    );
    let client = engine.connect();
    let is_over = AtomicBool::new(false);
    let (handle, log) = (engine.handle(), &log);
    let change = |thread: usize| {
        for round in 0..ROUNDS {
            let own = format!("/own/{thread}/{{x}}");
            handle.register_uri_handler(name_of_ctx(&own, Ctx::new("own", log))).unwrap();
            // Everybody wants this one.
            let shared = name_of_ctx("/shared", Ctx::new("shared", log));
            let has_it = handle.register_uri_handler(shared).is_ok();
            handle.register_uri_handler(UriHandler::any(&own, named("any"))).unwrap();
            if has_it {
                handle.unregister_uri_handler(Method::Get, "/shared").unwrap();
            }
            if round + 1 < ROUNDS {
                handle.unregister_uri(&own).unwrap();
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || change(thread))).collect();
        let watcher = scope.spawn(|| {
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            is_over.store(true, Ordering::Release);
        });
        while !is_over.load(Ordering::Acquire) {
            for (target, answers) in [
                ("/always/7", &["always"][..]),
                ("/own/0/7", &["own", "rest"]),
                ("/own/1/7", &["own", "rest"]),
                ("/shared", &["shared", "rest"]),
            ] {
                client.send(get(target));
                let text = client.text();
                assert!(answers.iter().any(|answer| text == ok(answer)), "{target}: {text}");
            }
        }
        watcher.join().unwrap();
    });
    let registered = THREADS * ROUNDS;
    expect_answers(&client, [("/own/0/7", Some("own")), ("/shared", Some("rest"))]);
    engine.run();
    let dropped = log.take();
    let own = dropped.iter().filter(|line| *line == "drop own").count();
    let shared = dropped.iter().filter(|line| *line == "drop shared").count();
    assert_eq!((own, shared), (registered - THREADS, registered));
}
