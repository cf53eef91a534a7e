//! What sessions keep for the application, and the hook that may refuse a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::support::*;
use super::ws::{TEXT, expect_frame, frame, upgrade};
use crate::server::HttpConfig;
use crate::{Error, OpenSession, Request, Result, ServerBuilder, SessionId, WsRequest};

/// A context that notes when it is dropped, and may panic then.
struct Ctx {
    name: String,
    log: Log,
    panics: bool,
}

impl Ctx {
    fn new(name: impl ToString, log: &Log) -> Self {
        Self { name: name.to_string(), log: log.clone(), panics: false }
    }

    fn panicking(log: &Log) -> Self {
        Self { name: "it".into(), log: log.clone(), panics: true }
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        self.log.note(format!("drop {}", self.name));
        if self.panics {
            panic_quietly();
        }
    }
}

fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("on purpose"))
}

/// Counts the requests of its session.
fn count(request: &mut Request) -> Result {
    let count = request.session_ctx_or_insert_with(|| 0_u32);
    *count += 1;
    let text = count.to_string();
    request.respond().send(text)
}

/// Every session gets a context with its own name, and its end is noted.
fn named(builder: ServerBuilder<Recorded>, log: &Log) -> ServerBuilder<Recorded> {
    let (ctx, closed) = (log.clone(), log.clone());
    builder
        .on_open(move |session: &mut OpenSession| -> Result {
            session.set_session_ctx(Ctx::new(session.session(), &ctx));
            Ok(())
        })
        .on_close(move |session| closed.note(format!("close {session}")))
}

/// What is noted at the end of a session.
fn end_of(session: SessionId) -> [String; 2] {
    [format!("close {session}"), format!("drop {session}")]
}

#[test]
fn a_context_lasts_from_request_to_request_and_is_its_sessions_own() {
    let engine = Engine::new(HttpConfig::default(), |server| server.get("/", count));
    let (a, b) = (engine.connect(), engine.connect());
    a.send(get("/"));
    a.expect(ok("1"));
    a.send(get("/").repeat(2));
    a.expect([ok("2"), ok("3")].concat());
    b.send(get("/"));
    b.expect(ok("1"));
    a.finish();
    let next = engine.connect();
    next.send(get("/"));
    next.expect(ok("1"));
}

#[test]
fn a_context_is_found_by_its_type_and_one_takes_the_place_of_the_other() {
    let log = Log::default();
    let ctx = log.clone();
    let engine = Engine::new(HttpConfig::default(), move |server| {
        server
            .get("/set", move |request: &mut Request| -> Result {
                let name = request.query().unwrap_or_default().to_owned();
                request.set_session_ctx(Ctx::new(name, &ctx));
                request.respond().send("")
            })
            .get("/name", |request: &mut Request| -> Result {
                assert!(request.session_ctx::<String>().is_none());
                let name = request.session_ctx::<Ctx>().map(|ctx| ctx.name.clone());
                request.respond().send(name.unwrap_or_default())
            })
            .get("/count", count)
            .get("/unset", |request: &mut Request| -> Result {
                request.set_session_ctx(());
                request.respond().send("")
            })
    });
    let client = engine.connect();
    for (path, answer, noted) in [
        ("/name", "", ""),
        ("/set?a", "", ""),
        ("/name", "a", ""),
        ("/set?b", "", "drop a"),
        ("/name", "b", ""),
        ("/count", "1", "drop b"),
        ("/name", "", ""),
        ("/count", "2", ""),
        ("/set?c", "", ""),
        ("/unset", "", "drop c"),
        ("/name", "", ""),
    ] {
        client.send(get(path));
        client.expect(ok(answer));
        assert_eq!(log.take().concat(), noted, "{path}");
    }
}

#[test]
fn a_websocket_keeps_the_context_that_its_session_had() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", count).ws("/ws", |ws: &mut WsRequest| -> Result {
            ws.message(100)?;
            *ws.session_ctx_or_insert_with(|| 0_u32) += 10;
            let count = ws.session_ctx::<u32>().map_or(0, |count| *count);
            assert_eq!(ws.local_addr(), Some(LOCAL_ADDR));
            ws.send(count.to_string())
        })
    });
    let client = engine.connect();
    client.send(get("/"));
    client.expect(ok("1"));
    upgrade(&client, "/ws");
    for count in ["11", "21"] {
        client.send(frame(TEXT, b""));
        expect_frame(&client, TEXT, count);
    }
}

#[test]
fn a_context_is_dropped_once_and_after_on_close_however_the_session_ends() {
    type End = fn(&Engine, &Client);
    let ends: [(&str, End); 9] = [
        ("the client closes", |_, client| client.finish()),
        ("the client is lost", |_, client| client.reset()),
        ("it is idle", |engine, _| engine.advance(secs(100))),
        ("it is closed", |engine, client| {
            engine.handle().close(client.session()).unwrap();
            engine.run();
        }),
        ("a new one needs the place", |engine, _| drop(engine.connect_quietly())),
        ("its request is bad", |_, client| {
            client.send("bad\r\n");
            client.finish();
        }),
        ("its handler is cut off", |engine, client| {
            client.send(get("/sleep"));
            engine.handle().close(client.session()).unwrap();
            engine.run();
        }),
        ("the server stops", |engine, _| {
            engine.handle().stop();
            engine.run();
        }),
        ("the server stops, and its handler does not", |engine, client| {
            client.send(get("/sleep"));
            engine.handle().stop();
            engine.advance(secs(100));
        }),
    ];
    for (how, end) in ends {
        let log = Log::default();
        let config = HttpConfig { max_open_sockets: 1, ..HttpConfig::default() };
        let (engine, notices) = Engine::recorded(config, |server| {
            named(server, &log)
                .get("/sleep", |request: &mut Request| -> Result { request.sleep(secs(1000)) })
        });
        let client = engine.connect();
        let session = client.session();
        assert!(log.take().is_empty(), "{how}");
        end(&engine, &client);
        engine.run();
        let mut noted = log.take();
        noted.truncate(2); // A new one may have followed.
        assert_eq!(noted, end_of(session), "{how}");
        let told = notices.take();
        assert!(told.contains(&format!("Disconnected({session})")), "{how}: {told:?}");
    }
}

#[test]
fn the_sessions_of_a_server_that_is_dropped_end_as_all_do() {
    let log = Log::default();
    let engine = Engine::new(HttpConfig::default(), |server| {
        let told = log.clone();
        named(server, &log).get("/sleep", move |request: &mut Request| -> Result {
            let result = request.sleep(secs(1000));
            told.note(format!("{result:?}"));
            assert!(request.session_ctx::<Ctx>().is_some());
            result
        })
    });
    let (idle, waiting) = (engine.connect(), engine.connect());
    waiting.send(get("/sleep"));
    let (first, second) = (idle.session(), waiting.session());
    let handle = engine.handle();
    drop((idle, waiting, engine));
    let mut expected = end_of(first).to_vec();
    expected.push("Err(the session is closed)".into());
    expected.extend(end_of(second));
    assert_eq!(log.take(), expected);
    assert!(handle.clients().is_empty());
    assert!(matches!(handle.queue_work(|_| ()), Err(Error::Stopping)));
}

#[test]
fn a_context_that_panics_when_it_is_dropped_harms_nobody() {
    let log = Log::default();
    let (opened, replaced) = (log.clone(), log.clone());
    let engine = Engine::new(HttpConfig::default(), |server| {
        server
            .get("/*", path)
            .on_open(move |session: &mut OpenSession| -> Result {
                session.set_session_ctx(Ctx::panicking(&opened));
                Ok(())
            })
            .get("/replace", move |request: &mut Request| -> Result {
                request.set_session_ctx(Ctx::new("next", &replaced));
                unreachable!("the one before has panicked")
            })
    });
    let other = engine.connect();
    let gone = engine.connect();
    gone.finish();
    gone.expect_closed();
    assert_eq!(log.take(), ["drop it"]);
    let client = engine.connect();
    client.send(get("/replace"));
    client.expect_last("500 Internal Server Error");
    client.expect_closed();
    assert_eq!(log.take(), ["drop it", "drop next"]);
    other.send(get("/a"));
    other.expect(ok("/a"));
    let session = other.session();
    engine
        .handle()
        .queue_work(move |context| context.set_session_ctx(session, ()).unwrap())
        .unwrap();
    engine.run();
    assert_eq!(log.take(), ["drop it"]);
    other.send(get("/a"));
    other.expect(ok("/a"));
    let last = engine.connect();
    drop((other, gone, client, last, engine));
    assert_eq!(log.take(), ["drop it"]);
}

#[test]
fn what_is_thrown_may_panic_itself_when_it_is_dropped() {
    let log = Log::default();
    let thrown = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/a", path).get("/", move |_: &mut Request| -> Result {
            std::panic::resume_unwind(Box::new(Ctx::panicking(&thrown)))
        })
    });
    let client = engine.connect();
    client.send(get("/"));
    client.expect_last("500 Internal Server Error");
    assert_eq!(log.take(), ["drop it"]);
    let next = engine.connect();
    next.send(get("/a"));
    next.expect(ok("/a"));
}

#[test]
fn a_hook_that_refuses_a_session_leaves_nothing_of_it() {
    for refusal in ["error", "panic", "error that panics when it is shown"] {
        let log = Log::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let (ctx, closed, hook_asked) = (log.clone(), log.clone(), asked.clone());
        let (engine, notices) = Engine::recorded(HttpConfig::default(), move |server| {
            server
                .get("/", path)
                .on_open(move |session: &mut OpenSession| -> Result {
                    if hook_asked.fetch_add(1, Ordering::Relaxed) > 0 {
                        return Ok(());
                    }
                    session.set_session_ctx(Ctx::new("ctx", &ctx));
                    match refusal {
                        "error" => Err(Error::NoSession),
                        "panic" => panic_quietly(),
                        _ => Err(Unspeakable)?,
                    }
                })
                .on_close(move |_| closed.note("close"))
        });
        let refused = engine.connect_quietly();
        refused.put(get("/"));
        engine.run();
        refused.expect_closed();
        refused.expect_nothing();
        assert_eq!(log.take(), ["drop ctx"], "{refusal}");
        assert!(notices.take().is_empty(), "{refusal}");
        assert!(engine.handle().clients().is_empty());
        assert_eq!((engine.open(), engine.lent(), engine.waits()), (0, 0, None), "{refusal}");
        let next = engine.connect();
        next.send(get("/"));
        next.expect(ok("/"));
        assert_eq!(asked.load(Ordering::Relaxed), 2, "once for each");
    }
}

/// An error whose words are a panic.
#[derive(Debug)]
struct Unspeakable;

impl core::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        panic_quietly()
    }
}

impl core::error::Error for Unspeakable {}

#[test]
fn the_hook_sees_who_has_connected_and_can_use_the_sessions_name_at_once() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), move |server| {
        server.get("/", path).on_open(move |session: &mut OpenSession| -> Result {
            noted.note(format!("{:?}", session.transport_ctx::<Layer>()));
            assert_eq!(session.local_addr(), Some(LOCAL_ADDR));
            assert_eq!(session.peer_addr(), None);
            let (server, id) = (session.server(), session.session());
            assert_eq!(server.clients(), [id]);
            let worked = noted.clone();
            session.set_session_ctx(7_u8);
            server.queue_work(move |context| {
                worked.note(format!("{:?}", context.session_ctx::<u8>(id)));
                context.close(id).unwrap();
            })
        })
    });
    let layered = engine.connect_as(Peer { layered: true, ..Peer::default() });
    assert_eq!(log.take(), ["Some(Layer(0))", "Some(7)"]);
    layered.expect_closed();
    let plain = engine.connect();
    assert_eq!(log.take(), ["None", "Some(7)"]);
    plain.expect_closed();
}

#[test]
fn a_session_is_opened_when_its_handshake_is_done() {
    let log = Log::default();
    let engine = Engine::new(HttpConfig::default(), |server| named(server, &log));
    let client = engine.connect_as(Peer { handshake: Handshake::UnderWay, ..Peer::default() });
    engine.handle().stop();
    engine.run();
    client.expect_closed();
    assert!(log.take().is_empty(), "it never was a session");
}

#[test]
fn handlers_and_work_see_what_the_transport_layer_says_of_the_session() {
    fn layer(request: &mut Request) -> Result {
        assert!(request.transport_ctx::<String>().is_none());
        assert_eq!(request.local_addr(), Some(LOCAL_ADDR));
        let layer = format!("{:?}", request.transport_ctx::<Layer>());
        request.respond().send(layer)
    }
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", layer).ws("/ws", |ws: &mut WsRequest| -> Result {
            ws.message(100)?;
            ws.send(format!("{:?}", ws.transport_ctx::<Layer>()))
        })
    });
    let plain = engine.connect();
    plain.send(get("/"));
    plain.expect(ok("None"));
    let layered = engine.connect_as(Peer { layered: true, ..Peer::default() });
    layered.send(get("/"));
    layered.expect(ok("Some(Layer(1))"));
    let session = layered.session();
    engine
        .handle()
        .queue_work(move |context| {
            assert_eq!(context.transport_ctx::<Layer>(session), Some(&Layer(1)));
            assert!(context.transport_ctx::<u8>(session).is_none());
        })
        .unwrap();
    engine.run();
    upgrade(&layered, "/ws");
    layered.send(frame(TEXT, b""));
    expect_frame(&layered, TEXT, "Some(Layer(1))");
}

#[test]
fn work_reads_and_changes_the_context_of_any_session_that_is_there() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", count).get("/sleep", |request: &mut Request| -> Result {
            request.set_session_ctx(5_u32);
            request.sleep(secs(1))?;
            count(request)
        })
    });
    let (idle, waiting, gone) = (engine.connect(), engine.connect(), engine.connect());
    idle.send(get("/"));
    idle.expect(ok("1"));
    waiting.send(get("/sleep"));
    let sessions = [idle.session(), waiting.session(), gone.session()];
    gone.finish();
    engine
        .handle()
        .queue_work(move |context| {
            for session in sessions {
                noted.note(match context.session_ctx::<u32>(session) {
                    Some(count) => std::mem::replace(count, 41).to_string(),
                    None => format!("{:?}", context.set_session_ctx(session, 41_u32)),
                });
            }
        })
        .unwrap();
    engine.run();
    assert_eq!(log.take(), ["1", "5", "Err(no such session; its client has left)"]);
    idle.send(get("/"));
    idle.expect(ok("42"));
    engine.advance(secs(1));
    waiting.expect(ok("42"));
}
