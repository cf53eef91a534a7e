//! Whatever clients, the application and time do to a whole server, in whatever order: it asks for no
//! turns without end, forgets no session and no handler, and leaves nothing behind when it stops.
#![no_main]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arbitrary::{Arbitrary, Result as Arbitrarily, Unstructured};
use corosensei::stack::DefaultStack;
use esp_http_server::{
    ErrorCode, Events, HandlerMode, HttpConfig, Instant, KeepAlive, Message, Net, NetId, Notice,
    Observer, Request, Result, Server, ServerBuilder, Stacks, Transport, WsRequest,
};
use fuzz::net::{Handshake, MemoryNet, Peer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: Input| {
    let mut engine = Engine::new(&input.setup);
    for action in &input.actions {
        engine.act(action);
    }
    match input.setup.end {
        End::Stop => engine.stop(),
        End::Silence => engine.fall_silent(),
    }
});

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    setup: Setup,
    actions: Vec<Action<'a>>,
}

#[derive(Arbitrary, Debug)]
struct Setup {
    sockets: u8,
    stacks: u8,
    purges: bool,
    is_serial: bool,
    end: End,
}

/// How it ends.
#[derive(Arbitrary, Debug, PartialEq, Eq)]
enum End {
    /// The server is told to stop.
    Stop,
    /// All clients read what there is and go. No timer comes to the rescue.
    Silence,
}

/// Something that happens. Clients are named by numbers, of which each means one.
#[derive(Arbitrary, Debug)]
enum Action<'a> {
    Connect(Peer),
    Say(u8, Words),
    SayRaw(u8, &'a [u8]),
    Take(u8, u16),
    ShakeHands(u8, Handshake),
    Finish(u8),
    Reset(u8),
    Advance(u16),
    Broadcast(u8),
    Work(Work),
    CloseSession(u8),
    TouchSession(u8),
    ReportEverything,
}

/// What the application queues.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Work {
    Nothing,
    MoreWork,
    CloseAll,
    SendToAll,
}

/// Words that mean something, so that the fuzzer needs not find them byte by byte.
#[derive(Debug)]
struct Words(Vec<u8>);

impl<'a> Arbitrary<'a> for Words {
    fn arbitrary(source: &mut Unstructured<'a>) -> Arbitrarily<Words> {
        let len = usize::from(u8::arbitrary(source)?) * 8;
        let mut words = words(source.int_in_range(0..=19)?, len);
        // Some are cut off, and go on with whatever comes next.
        if bool::arbitrary(source)? {
            words.truncate(usize::from(u8::arbitrary(source)?));
        }
        Ok(Words(words))
    }
}

fn words(number: u8, len: usize) -> Vec<u8> {
    let body = vec![b'x'; len];
    match number {
        0 => get("/big"),
        1 => get("/sleep"),
        2 => get("/panic"),
        3 => post("/echo", &body),
        4 => post("/stream", &body),
        5 => post("/unread", &body),
        6 => chunked("/stream", b"3\r\nabc\r\n0\r\n\r\n"),
        7 => chunked("/echo", b"3\r\nabc\r\n0\r\na: b\r\n\r\n"),
        8 => chunked("/unread", &b"1\r\nx\r\n".repeat(len)),
        9 | 10 => UPGRADE.to_vec(),
        11 => frame(0x81, b"big"),
        12 => frame(0x81, b"panic"),
        13 => frame(0x01, &body),
        14 => frame(0x80, &body),
        15 => frame(0x89, b"ping"),
        16 => frame(0x88, b"\x03\xe8"),
        17 => get("/many").repeat(len / 8),
        18 => post("/nowhere", &body),
        _ => get("/"),
    }
}

const UPGRADE: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into()
}

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn chunked(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// A client's frame; its mask is zero.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len => frame.extend([0x80 | 126, (len >> 8) as u8, len as u8]),
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Handlers that are under way: each one that starts must end.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

struct Running;

impl Running {
    fn begin() -> Running {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Without the hook for panics, which would end the fuzzer.
fn panic_on_purpose() -> Result {
    std::panic::resume_unwind(Box::new("on purpose"))
}

fn path(request: &mut Request) -> Result {
    let _running = Running::begin();
    let path = request.path().to_owned();
    request.respond().send(path)
}

fn big(request: &mut Request) -> Result {
    let _running = Running::begin();
    request.respond().send("x".repeat(100_000))
}

fn sleep(request: &mut Request) -> Result {
    let _running = Running::begin();
    request.sleep(Duration::from_secs(2))?;
    request.respond().send("awake")
}

fn echo(request: &mut Request) -> Result {
    let _running = Running::begin();
    let body = request.recv_all(1000)?;
    request.respond().send(body)
}

fn stream(request: &mut Request) -> Result {
    let _running = Running::begin();
    let mut piece = [0; 100];
    let mut body = request.respond().chunked()?;
    loop {
        match body.request().recv(&mut piece)? {
            0 => return body.finish(),
            len => body.send(&piece[..len])?,
        }
    }
}

fn ws_echo(ws: &mut WsRequest) -> Result {
    let _running = Running::begin();
    match ws.message(2000)? {
        Message::Text(text) if text == "big" => ws.send(vec![1; 100_000]),
        Message::Text(text) if text == "panic" => panic_on_purpose(),
        message => ws.send(message),
    }
}

fn routes<T: Transport>(builder: ServerBuilder<T>) -> ServerBuilder<T> {
    builder
        .get("/*", path)
        .get("/big", big)
        .get("/sleep", sleep)
        .get("/panic", |_: &mut Request| panic_on_purpose())
        .post("/echo", echo)
        .post("/stream", stream)
        .post("/unread", |request: &mut Request| -> Result { request.respond().send("") })
        .ws("/ws", ws_echo)
        .err_handler(ErrorCode::MethodNotAllowed, |request: &mut Request, _| echo(request))
        .err_handler(ErrorCode::BadRequest, |request: &mut Request, _| sleep(request))
        .err_handler(ErrorCode::InternalServerError, |request: &mut Request, _| {
            request.sleep(Duration::from_secs(1))?;
            panic_on_purpose()
        })
        .ws_keep_alive(KeepAlive {
            ping_every: Duration::from_secs(3),
            close_after: Duration::from_secs(3),
        })
}

/// Plain HTTP without events, which would be a thread's.
struct Quiet(HttpConfig);

struct Nobody;

impl Observer for Nobody {
    fn notice(&mut self, _: Notice<'_>) {}
}

impl Transport for Quiet {
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
        Box::new(Nobody)
    }
}

/// Stacks that are counted, and of which there are few.
struct FewStacks {
    idle: Vec<DefaultStack>,
    used: Arc<AtomicUsize>,
    most: usize,
}

impl Stacks for FewStacks {
    type Stack = DefaultStack;

    fn take(&mut self) -> Option<DefaultStack> {
        if self.used.load(Ordering::Relaxed) == self.most {
            return None;
        }
        let stack = self.idle.pop().or_else(|| DefaultStack::new(256 * 1024).ok())?;
        self.used.fetch_add(1, Ordering::Relaxed);
        Some(stack)
    }

    fn give(&mut self, stack: DefaultStack) {
        self.used.fetch_sub(1, Ordering::Relaxed);
        self.idle.push(stack);
    }
}

/// A server with its network, its clock, and who looks after both.
struct Engine {
    server: Server<FewStacks>,
    net: MemoryNet,
    stacks: Arc<AtomicUsize>,
    now: Instant,
    deadline: Option<Instant>,
}

impl Engine {
    fn new(setup: &Setup) -> Engine {
        let used = Arc::new(AtomicUsize::new(0));
        let most = 1 + usize::from(setup.stacks % 4);
        let stacks = FewStacks { idle: Vec::new(), used: used.clone(), most };
        let builder = ServerBuilder::new(Quiet(config(setup)));
        let (server, net) =
            routes(builder).engine(stacks, MemoryNet::default()).expect("good routes");
        Engine { server, net, stacks: used, now: Instant::from_millis(1000), deadline: None }
    }

    fn act(&mut self, action: &Action) {
        // With fewer clients than that everything is found that more would find, and sooner.
        let client = |number: u8| usize::from(number % 8);
        match action {
            Action::Connect(peer) if self.net.pipes.len() < 30 => self.net.connect(*peer),
            Action::Connect(_) => {}
            Action::Say(number, Words(words)) => self.net.put(client(*number), words),
            Action::SayRaw(number, bytes) => self.net.put(client(*number), bytes),
            Action::Take(number, len) => self.net.take(client(*number), (*len).into()),
            Action::ShakeHands(number, outcome) => {
                self.net.shake_hands(client(*number), *outcome);
            }
            Action::Finish(number) => self.net.finish(client(*number)),
            Action::Reset(number) => self.net.reset(client(*number)),
            Action::Advance(millis) => self.advance(Duration::from_millis((*millis).into())),
            Action::Broadcast(len) => {
                // A full queue is an answer, too; so for the others.
                let _ = self.server.handle().ws_broadcast(vec![2; usize::from(*len) * 10]);
            }
            Action::Work(work) => self.queue(*work),
            Action::CloseSession(number) => {
                let handle = self.server.handle();
                if let Some(session) = handle.clients().get(usize::from(*number)) {
                    let _ = handle.close(*session);
                }
            }
            Action::TouchSession(number) => {
                let handle = self.server.handle();
                if let Some(session) = handle.clients().get(usize::from(*number)) {
                    let _ = handle.touch(*session);
                }
            }
            Action::ReportEverything => self.net.report_everything(),
        }
        self.run();
    }

    fn queue(&self, work: Work) {
        let _ = self.server.handle().queue_work(move |context| {
            let handle = context.server().clone();
            match work {
                Work::Nothing => {}
                Work::MoreWork => {
                    let _ = handle.queue_work(|_| {});
                }
                Work::CloseAll => {
                    for session in handle.clients() {
                        let _ = context.close(session);
                    }
                }
                Work::SendToAll => {
                    for session in handle.clients() {
                        let _ = context.ws_send(session, "to all");
                    }
                }
            }
        });
    }

    /// Lets the engine do what there is to do now.
    fn run(&mut self) {
        let mut ready: Vec<NetId> = Vec::new();
        for _ in 0..20_000 {
            ready.clear();
            ready.append(&mut self.net.ready);
            self.deadline = self.server.poll(self.now, &mut self.net, &ready);
            if self.net.ready.is_empty() && self.deadline.is_none_or(|at| at > self.now) {
                return;
            }
        }
        panic!("the engine asks for turns without end");
    }

    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.deadline.filter(|&at| at <= end) {
            self.now = at;
            self.run();
        }
        self.now = end;
    }

    fn stop(&mut self) {
        self.server.handle().stop();
        self.run();
        self.advance(HttpConfig::default().stop_timeout);
        assert!(self.server.is_stopped());
        self.leaves_nothing();
    }

    fn fall_silent(&mut self) {
        for client in 0..self.net.pipes.len() {
            self.net.shake_hands(client, Handshake::Done);
            self.net.take(client, usize::MAX);
            self.net.finish(client);
            self.run();
        }
        // Handlers sleep in turn, one at a time in the worst case.
        for _ in 0..10_000 {
            if self.net.open() + self.net.waiting() > 0 {
                self.advance(Duration::from_secs(2));
            }
        }
        assert_eq!((self.net.open(), self.net.waiting()), (0, 0), "a session is forgotten");
        self.leaves_nothing();
    }

    fn leaves_nothing(&mut self) {
        // What nobody needs any more is given back after five seconds, in two steps.
        self.advance(Duration::from_secs(10));
        assert_eq!(self.net.open(), 0);
        assert_eq!(self.stacks.load(Ordering::Relaxed), 0);
        assert_eq!(RUNNING.load(Ordering::Relaxed), 0);
        assert_eq!(self.server.handle().clients(), []);
        assert_eq!(self.deadline, None);
    }
}

fn config(setup: &Setup) -> HttpConfig {
    let config = HttpConfig {
        max_open_sockets: 1 + usize::from(setup.sockets % 6),
        lru_purge_enable: setup.purges,
        handler_mode: if setup.is_serial { HandlerMode::Serial } else { HandlerMode::Concurrent },
        purge_len: 1000,
        ws_queue_len: 2000,
        work_queue_len: 5,
        ..HttpConfig::default()
    };
    if setup.end == End::Stop {
        return config;
    }
    let patience = Duration::from_secs(100_000);
    HttpConfig {
        handshake_timeout: patience,
        head_timeout: patience,
        queue_timeout: patience,
        recv_wait_timeout: patience,
        purge_timeout: patience,
        send_wait_timeout: patience,
        idle_timeout: patience,
        linger_timeout: patience,
        ..config
    }
}
