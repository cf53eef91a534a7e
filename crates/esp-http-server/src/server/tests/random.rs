//! Whatever clients, the application and time do in whatever order: nothing panics, nothing spins, and
//! a server that stops leaves nothing behind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::support::*;
use super::ws::{TEXT, UPGRADE, frame};
use crate::server::{HandlerMode, HttpConfig};
use crate::{ErrorCode, KeepAlive, Message, Request, Result, UriHandler, WsRequest};

mod elsewhere;

use elsewhere::Jobs;

/// Numbers that look random and are the same every time (xorshift64).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

fn big(request: &mut Request) -> Result {
    request.respond().send("x".repeat(200_000))
}

fn stream(request: &mut Request) -> Result {
    let mut piece = [0; 300];
    let mut body = request.respond().chunked()?;
    loop {
        match body.request().recv(&mut piece)? {
            0 => return body.finish(),
            len => body.send(&piece[..len])?,
        }
    }
}

fn sleep(request: &mut Request) -> Result {
    request.sleep(secs(2))?;
    path(request)
}

fn ws_echo(ws: &mut WsRequest) -> Result {
    match ws.message(100_000)? {
        Message::Text(text) if text == "big" => ws.send(vec![1; 200_000]),
        Message::Text(text) if text == "panic" => std::panic::resume_unwind(Box::new("on purpose")),
        message => ws.send(message),
    }
}

/// `patience` is every time limit's; none for those of the default configuration.
fn engine(dice: &mut Dice, patience: Option<Duration>) -> (Engine, Arc<AtomicUsize>, Jobs) {
    let mut config = HttpConfig {
        max_open_sockets: 1 + dice.below(6),
        max_sessions_per_addr: dice.one_of(&[1, 2, usize::MAX]),
        lru_purge_enable: dice.below(3) > 0,
        handler_mode: dice.one_of(&[HandlerMode::Concurrent, HandlerMode::Serial]),
        purge_len: 1000,
        ws_queue_len: 2000,
        work_queue_len: 5,
        recv_buffer_len: dice.one_of(&[1024, 65_536]),
        send_buffer_len: dice.one_of(&[1024, 65_536]),
        max_buffer_memory: dice.one_of(&[16_384, 50_000, 0]),
        ..HttpConfig::default()
    };
    if let Some(patience) = patience {
        config = HttpConfig {
            handshake_timeout: patience,
            head_timeout: patience,
            queue_timeout: patience,
            recv_wait_timeout: patience,
            purge_timeout: patience,
            send_wait_timeout: patience,
            idle_timeout: patience,
            linger_timeout: patience,
            ..config
        };
    }
    let jobs = Jobs::default();
    let (engine, stacks) = Engine::with_stacks(config, 1 + dice.below(4), |server| {
        server
            .any("/away", jobs.parked.handler())
            .get("/*", path)
            .get("/big", big)
            .get("/sleep", sleep)
            .get("/panic", |_: &mut Request| -> Result {
                std::panic::resume_unwind(Box::new("on purpose"))
            })
            .post("/echo", echo)
            .post("/stream", stream)
            .post("/unread", |request: &mut Request| -> Result { request.respond().send("") })
            .ws("/ws", ws_echo)
            .err_handler(ErrorCode::MethodNotAllowed, |request: &mut Request, _| echo(request))
            .err_handler(ErrorCode::BadRequest, |request: &mut Request, _| sleep(request))
            .err_handler(ErrorCode::InternalServerError, |request: &mut Request, _| -> Result {
                request.sleep(secs(1))?;
                std::panic::resume_unwind(Box::new("on purpose"))
            })
            .ws_keep_alive(KeepAlive { ping_every: secs(3), close_after: secs(3) })
    });
    (engine, stacks, jobs)
}

fn bytes(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = match dice.below(20) {
        0 => get("/big").into(),
        1 => get("/sleep").into(),
        2 => get("/panic").into(),
        3 => post("/echo", &"x".repeat(dice.below(5000))).into(),
        4 => post("/stream", &"x".repeat(dice.below(5000))).into(),
        5 => post("/unread", &"x".repeat(dice.below(2000))).into(),
        6 => b"POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".into(),
        7 | 8 => UPGRADE.into(),
        9 => frame(TEXT, dice.one_of(&[&b"big"[..], b"panic", b"hello"])),
        10 => frame(dice.one_of(&[0x01, 0x00, 0x80, 0x82]), &vec![b'x'; dice.below(1000)]),
        11 => frame(dice.one_of(&[0x88, 0x89, 0x8a]), b""),
        12 => get("/many").repeat(dice.below(100)).into(),
        13 => b"nonsense".into(),
        14 | 15 => post("/away", &"x".repeat(dice.below(5000))).into(),
        16 => get("/away").into(),
        17 => get("/away").repeat(dice.below(5)).into(),
        18 => post("/a", &"x".repeat(dice.below(2000))).into(),
        _ => get("/a").into(),
    };
    if dice.below(4) == 0 {
        bytes.truncate(dice.below(bytes.len() + 1));
    }
    bytes
}

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, port as u8], port))
}

fn connect(engine: &Engine, dice: &mut Dice) -> Client {
    engine.connect_as(Peer {
        window: dice.one_of(&[0, 500, 10_000, usize::MAX]),
        send_len: dice.one_of(&[1000, usize::MAX]),
        recv_len: dice.one_of(&[5, 700, usize::MAX]),
        handshake: dice.one_of(&[Handshake::Done, Handshake::Done, Handshake::UnderWay]),
        layered: dice.below(2) == 0,
        can_settle: dice.below(2) == 0,
        dear: dice.below(4) == 0,
        addr: dice.one_of(&[None, Some(1), Some(2)]).map(addr),
    })
}

fn act(engine: &Engine, clients: &mut Vec<Client>, jobs: &mut Jobs, dice: &mut Dice) {
    let number = dice.below(clients.len().max(1));
    let what = dice.below(27);
    let Some(client) = clients.get(number).filter(|_| what > 1) else {
        return clients.push(connect(engine, dice));
    };
    match what {
        2..10 => client.send(bytes(dice)),
        10 => client.take(dice.below(100_000)),
        11 => {
            client.shake_hands(dice.one_of(&[Handshake::Done, Handshake::Done, Handshake::Failed]))
        }
        12 => client.finish(),
        13 => client.reset(),
        14 => engine.advance(millis(dice.below(3000) as u64)),
        15 => engine.advance(millis(dice.below(30) as u64)),
        16 => drop(engine.handle().ws_broadcast(vec![2; dice.below(800)])),
        17 => {
            let sessions = engine.handle().clients();
            if let Some(session) = sessions.get(number) {
                let _ = engine.handle().close(*session);
            }
        }
        18 => engine.report_everything(),
        19 => change_routes(engine, dice),
        20..26 => jobs.act(engine, dice),
        _ => drop(clients.swap_remove(number)),
    }
    engine.run();
}

/// Registers or removes what may be under way. Whichever of the two can't be done is refused.
fn change_routes(engine: &Engine, dice: &mut Dice) {
    let (uri, handle) = (dice.one_of(&["/ws", "/sleep", "/many", "/{x}"]), engine.handle());
    let _ = match (dice.below(2), uri) {
        (0, _) => handle.unregister_uri(uri),
        (_, "/ws") => handle.register_uri_handler(UriHandler::ws(uri, ws_echo)),
        _ => handle.register_uri_handler(UriHandler::any(uri, sleep).user_ctx(vec![0; 100])),
    };
}

#[test]
fn whatever_happens_a_server_that_stops_leaves_nothing_behind() {
    for seed in 1..400 {
        let mut dice = Dice::new(seed);
        let (engine, stacks, mut jobs) = engine(&mut dice, None);
        let mut clients = Vec::new();
        for _ in 0..dice.below(150) {
            act(&engine, &mut clients, &mut jobs, &mut dice);
            engine.held();
        }
        engine.handle().stop();
        engine.run();
        for _ in 0..dice.below(10) {
            if !clients.is_empty() {
                act(&engine, &mut clients, &mut jobs, &mut dice);
            }
        }
        engine.advance(HttpConfig::default().stop_timeout);
        assert!(engine.is_stopped(), "seed {seed}");
        assert_eq!((engine.open(), engine.lent(), engine.waits()), (0, 0, None), "seed {seed}");
        assert_eq!(stacks.load(Ordering::Relaxed), 0, "seed {seed}");
        assert_eq!((engine.held_by_sessions(), engine.clients_known()), (0, 0), "seed {seed}");
        assert!(engine.handle().clients().is_empty(), "seed {seed}");
        // They hold the server, whose handler holds them.
        jobs.give_up(&engine);
    }
}

#[test]
fn whatever_happens_no_session_is_forgotten() {
    const PATIENCE: Duration = secs(100_000);
    for seed in 1..400 {
        let mut dice = Dice::new(seed);
        let (engine, stacks, mut jobs) = engine(&mut dice, Some(PATIENCE));
        let mut clients = Vec::new();
        let mut all = Vec::new();
        for _ in 0..dice.below(150) {
            act(&engine, &mut clients, &mut jobs, &mut dice);
            all.extend((all.len()..engine.clients()).map(|number| engine.client(number)));
        }
        // Now everybody reads all there is and has nothing more to say, so that nothing is left to
        // wait for but handlers that sleep. No timer comes to the rescue.
        for client in &all {
            client.shake_hands(Handshake::Done);
            client.take(usize::MAX);
            client.finish();
        }
        for _ in 0..10_000 {
            jobs.give_up(&engine);
            if engine.open() > 0 {
                engine.advance(secs(2));
            }
        }
        assert_eq!((engine.open(), engine.backlog(), engine.lent()), (0, 0, 0), "seed {seed}");
        assert_eq!(stacks.load(Ordering::Relaxed), 0, "seed {seed}");
        assert_eq!(engine.waits(), None, "seed {seed}");
    }
}
