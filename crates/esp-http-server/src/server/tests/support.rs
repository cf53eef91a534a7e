//! An engine, its clients and the network between them. Time passes only when a test says so.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corosensei::stack::DefaultStack;

use crate::net::{Net, NetId};
use crate::server::{
    Events, HttpConfig, Notice, Observer, Server, ServerBuilder, ServerHandle, SessionId, Transport,
};
use crate::time::Instant;
use crate::{Request, Result, Stacks};

mod net;
mod threads;

pub(super) use net::{Handshake, LOCAL_ADDR, Layer, Peer};
use net::{MemoryNet, Pipe};
use threads::Threads;
pub(super) use threads::{Elsewhere, Parked, panic_on_purpose};

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What [`Response::send`](crate::Response::send) makes of `body`.
pub(super) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(super) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

pub(super) fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Answers with the request's path.
pub(super) fn path(request: &mut Request) -> Result {
    let path = request.path().to_owned();
    request.respond().send(path)
}

/// Reads the whole body and answers with it.
pub(super) fn echo(request: &mut Request) -> Result {
    let body = request.recv_all(1 << 20)?;
    request.respond().send(body)
}

/// What handlers have noted, in order.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(super) fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// What was noted since the last time.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// An engine with one worker. It runs whenever a client has done something.
#[derive(Clone)]
pub(super) struct Engine(Rc<RefCell<Inner>>);

struct Inner {
    server: Server<CountedStacks>,
    net: MemoryNet,
    now: Instant,
    deadline: Option<Instant>,
    threads: Threads,
}

type Builder = ServerBuilder<Recorded>;

impl Engine {
    pub(super) fn new(config: HttpConfig, routes: impl FnOnce(Builder) -> Builder) -> Self {
        Self::with_stacks(config, usize::MAX, routes).0
    }

    /// With so many stacks at most; says how many are in use.
    pub(super) fn with_stacks(
        config: HttpConfig,
        most: usize,
        routes: impl FnOnce(Builder) -> Builder,
    ) -> (Self, Arc<AtomicUsize>) {
        let (engine, used, _) = Self::build(config, most, routes);
        (engine, used)
    }

    /// With what its observer is told.
    pub(super) fn recorded(
        config: HttpConfig,
        routes: impl FnOnce(Builder) -> Builder,
    ) -> (Self, Log) {
        let (engine, _, notices) = Self::build(config, usize::MAX, routes);
        assert_eq!(notices.take(), ["Start"]);
        (engine, notices)
    }

    fn build(
        config: HttpConfig,
        most: usize,
        routes: impl FnOnce(Builder) -> Builder,
    ) -> (Self, Arc<AtomicUsize>, Log) {
        let notices = Log::default();
        let used = Arc::new(AtomicUsize::new(0));
        let builder = ServerBuilder::new(Recorded { config, notices: notices.clone() });
        let stacks = CountedStacks { idle: Vec::new(), used: used.clone(), most };
        let net = MemoryNet { listening: true, ..MemoryNet::default() };
        let (server, net) = routes(builder).engine(stacks, net).unwrap();
        let threads = Threads::default();
        server.set_waker(threads.waker());
        let now = Instant::from_millis(1000);
        let inner = Inner { server, net, now, deadline: None, threads };
        (Self(Rc::new(RefCell::new(inner))), used, notices)
    }

    /// A new client; its connection is in the backlog, or accepted.
    pub(super) fn connect(&self) -> Client {
        self.connect_as(Peer::default())
    }

    pub(super) fn connect_as(&self, peer: Peer) -> Client {
        let client = self.0.borrow_mut().net.connect(peer);
        self.run();
        Client { engine: self.clone(), number: client }
    }

    /// A client that the engine has not looked at yet.
    pub(super) fn connect_quietly(&self) -> Client {
        let number = self.0.borrow_mut().net.connect(Peer::default());
        Client { engine: self.clone(), number }
    }

    /// How many clients there ever were.
    pub(super) fn clients(&self) -> usize {
        self.0.borrow().net.pipes.len()
    }

    /// One of them, by its number from 0.
    pub(super) fn client(&self, number: usize) -> Client {
        Client { engine: self.clone(), number }
    }

    /// Reports all connections as ready, and some numbers that are none.
    pub(super) fn report_everything(&self) {
        self.put_reports();
        self.run();
    }

    /// The same, but the engine does not run yet.
    pub(super) fn put_reports(&self) {
        self.0.borrow_mut().net.ready.extend((0..100).map(NetId));
    }

    /// Lets the engine do what there is to do now, and the threads that have detached requests.
    pub(super) fn run(&self) {
        self.run_alone();
        while self.await_threads() {
            self.run_alone();
        }
    }

    fn run_alone(&self) {
        let Inner { server, net, now, deadline, .. } = &mut *self.0.borrow_mut();
        for _ in 0..10_000 {
            let ready = std::mem::take(&mut net.ready);
            *deadline = server.poll(*now, net, &ready);
            if net.ready.is_empty() && deadline.is_none_or(|at| at > *now) {
                return;
            }
        }
        panic!("the engine asks for turns without end");
    }

    /// One call of `poll`.
    pub(super) fn poll_once(&self) {
        let Inner { server, net, now, deadline, .. } = &mut *self.0.borrow_mut();
        let ready = std::mem::take(&mut net.ready);
        *deadline = server.poll(*now, net, &ready);
    }

    /// How many sessions have more to do and wait for their turn.
    pub(super) fn in_line_for_more(&self) -> usize {
        self.0.borrow().server.worker.in_line.len()
    }

    /// Lets time pass; the engine runs whenever it has asked for it.
    pub(super) fn advance(&self, time: Duration) {
        let end = self.0.borrow().now + time;
        loop {
            let deadline = self.0.borrow().deadline.filter(|&at| at <= end);
            self.0.borrow_mut().now = deadline.unwrap_or(end);
            if deadline.is_none() {
                return;
            }
            self.run();
        }
    }

    /// Lets time pass; the engine does not run yet.
    pub(super) fn pass(&self, time: Duration) {
        let now = self.0.borrow().now;
        self.0.borrow_mut().now = now + time;
    }

    /// Lets time pass in which something else keeps the engine's thread busy.
    pub(super) fn lag(&self, time: Duration) {
        self.pass(time);
        self.run();
    }

    /// How long the engine would wait for its sessions; `None` is for ever.
    pub(super) fn waits(&self) -> Option<Duration> {
        let inner = self.0.borrow();
        let is_for_memory = inner.deadline == Some(inner.server.worker.give_back_at);
        let of_sessions = || inner.server.next_of_sessions();
        let deadline = if is_for_memory { of_sessions() } else { inner.deadline };
        deadline.map(|at| at - inner.now)
    }

    pub(super) fn handle(&self) -> ServerHandle {
        self.0.borrow().server.handle()
    }

    /// Has `waker` called when the engine is to run though no client has done anything.
    pub(super) fn set_waker(&self, waker: impl Fn() + Send + Sync + 'static) {
        self.0.borrow().server.set_waker(waker);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.borrow().server.is_stopped()
    }

    pub(super) fn is_listening(&self) -> bool {
        self.0.borrow().net.listening
    }

    /// Connections that wait to be accepted.
    pub(super) fn backlog(&self) -> usize {
        self.0.borrow().net.backlog.len()
    }

    pub(super) fn open(&self) -> usize {
        self.0.borrow().server.worker.open
    }

    /// Sessions whose handlers wait for their turn.
    pub(super) fn queued(&self) -> usize {
        self.0.borrow().server.worker.queued.len()
    }

    /// Bytes of memory that sessions hold that rest, and buffers that nobody uses.
    pub(super) fn held(&self) -> usize {
        let worker = &self.0.borrow().server.worker;
        let spare: usize = worker.spare.iter().map(|exchange| exchange.kept_len).sum();
        assert_eq!(worker.memory.held(), worker.memory.of_sessions() + spare);
        worker.memory.held()
    }

    /// Clients whose sessions are counted.
    pub(super) fn clients_known(&self) -> usize {
        self.0.borrow().server.worker.clients.as_ref().map_or(0, |clients| clients.len())
    }

    /// Buffers that nobody uses.
    pub(super) fn spare(&self) -> usize {
        self.0.borrow().server.worker.spare.len()
    }

    /// Room for so many rows in the largest of the tables by session.
    pub(super) fn rows(&self) -> usize {
        self.0.borrow().server.slots.capacity()
    }

    /// Whether it wants to look for memory to give back.
    pub(super) fn has_plans(&self) -> bool {
        self.0.borrow().server.worker.give_back_at != Instant::NEVER
    }

    /// What of that sessions hold.
    pub(super) fn held_by_sessions(&self) -> usize {
        self.0.borrow().server.worker.memory.of_sessions()
    }

    /// Sessions that wait for a step of their opening.
    pub(super) fn in_line(&self) -> usize {
        self.0.borrow().server.worker.openings.len()
    }

    /// Sessions that hold buffers.
    pub(super) fn lent(&self) -> usize {
        let inner = self.0.borrow();
        let sessions = inner.server.slots.iter().filter_map(|slot| slot.session.as_ref());
        let conns = sessions.filter_map(|session| session.conn.as_ref());
        conns.filter(|conn| conn.exchange.is_some()).count()
    }
}

/// The other end of one connection.
pub(super) struct Client {
    engine: Engine,
    number: usize,
}

impl Client {
    /// Sends bytes and lets the engine run.
    pub(super) fn send(&self, bytes: impl AsRef<[u8]>) {
        self.put(bytes);
        self.engine.run();
    }

    /// Sends bytes that the engine will see when it runs next.
    pub(super) fn put(&self, bytes: impl AsRef<[u8]>) {
        self.pipe_mut().to_server.extend(bytes.as_ref());
        self.report();
    }

    /// Has nothing more to send.
    pub(super) fn finish(&self) {
        self.put_end();
        self.engine.run();
    }

    /// As [`finish`](Self::finish), but the engine does not run yet.
    pub(super) fn put_end(&self) {
        self.pipe_mut().finished = true;
        self.report();
    }

    /// Takes nothing more.
    pub(super) fn fill(&self) {
        self.pipe_mut().peer.window = 0;
    }

    /// Breaks the connection.
    pub(super) fn reset(&self) {
        self.pipe_mut().reset = true;
        self.report();
        self.engine.run();
    }

    /// Makes room for `len` more bytes.
    pub(super) fn take(&self, len: usize) {
        self.put_room(len);
        self.engine.run();
    }

    /// Makes room for `len` more bytes, so little that nobody reports it.
    pub(super) fn take_unseen(&self, len: usize) {
        self.add_to_window(len);
    }

    fn add_to_window(&self, len: usize) {
        let window = &mut self.pipe_mut().peer.window;
        *window = window.saturating_add(len);
    }

    /// As [`take`](Self::take), but the engine does not run yet.
    pub(super) fn put_room(&self, len: usize) {
        self.add_to_window(len);
        self.report();
    }

    /// Does the last step of the handshake.
    pub(super) fn shake_hands(&self, outcome: Handshake) {
        self.put_handshake(outcome);
        self.engine.run();
    }

    /// As [`shake_hands`](Self::shake_hands), but the engine does not run yet.
    pub(super) fn put_handshake(&self, outcome: Handshake) {
        self.pipe_mut().peer.handshake = outcome;
        self.report();
    }

    /// What has come since the last time.
    pub(super) fn received(&self) -> Vec<u8> {
        std::mem::take(&mut self.pipe_mut().to_client)
    }

    /// As text.
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.received()).unwrap()
    }

    /// Exactly this has come since the last time.
    #[track_caller]
    pub(super) fn expect(&self, text: impl AsRef<str>) {
        assert_eq!(self.text(), text.as_ref());
    }

    #[track_caller]
    pub(super) fn expect_nothing(&self) {
        self.expect("");
    }

    /// A response with this status, which says that it is the last one; gives its body.
    #[track_caller]
    pub(super) fn expect_last(&self, status: &str) -> String {
        let text = self.text();
        assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{text:?}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nConnection: close"), "{text:?}");
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{text:?}");
        body.to_owned()
    }

    #[track_caller]
    pub(super) fn expect_open(&self) {
        assert!(!self.is_closed() && !self.pipe().shut, "{:?}", self.pipe().peer);
    }

    #[track_caller]
    pub(super) fn expect_closed(&self) {
        assert!(self.is_closed());
    }

    /// The server has said that it will send no more, and gives the client a moment.
    #[track_caller]
    pub(super) fn expect_lingering(&self) {
        assert!(self.pipe().shut && !self.is_closed());
    }

    /// Whether the server has said that it will send no more.
    pub(super) fn is_shut(&self) -> bool {
        self.pipe().shut
    }

    /// Whether the transport could give back something, and wasn't told to.
    pub(super) fn can_settle(&self) -> bool {
        self.pipe().peer.can_settle
    }

    pub(super) fn is_closed(&self) -> bool {
        self.pipe().closed
    }

    /// The length of every `send` that took something.
    pub(super) fn sends(&self) -> Vec<usize> {
        self.pipe().sends.clone()
    }

    /// The session, as others can name it.
    pub(super) fn session(&self) -> SessionId {
        let inner = self.engine.0.borrow();
        let slot = inner.net.ids.iter().position(|id| *id == Some(self.number)).unwrap();
        inner.server.slots[slot].session.as_ref().unwrap().id
    }

    /// The memory of its session's buffers for what is received and what is sent, in bytes.
    pub(super) fn buffers(&self) -> (usize, usize) {
        let slot = self.session().slot() as usize;
        let inner = self.engine.0.borrow();
        let conn = inner.server.slots[slot].session.as_ref().unwrap().conn.as_ref().unwrap();
        conn.exchange.as_ref().map_or((0, 0), |io| (io.rx.capacity(), io.tx.capacity()))
    }

    /// Requests of its session that were begun.
    pub(super) fn begun(&self) -> usize {
        let slot = self.session().slot() as usize;
        self.engine.0.borrow().server.slots[slot].session.as_ref().unwrap().requests
    }

    /// Bytes that the engine has not read.
    pub(super) fn unread(&self) -> usize {
        self.pipe().to_server.len()
    }

    fn report(&self) {
        self.engine.0.borrow_mut().net.report(self.number);
    }

    fn pipe(&self) -> Ref<'_, Pipe> {
        Ref::map(self.engine.0.borrow(), |inner| &inner.net.pipes[self.number])
    }

    fn pipe_mut(&self) -> RefMut<'_, Pipe> {
        RefMut::map(self.engine.0.borrow_mut(), |inner| &mut inner.net.pipes[self.number])
    }
}

/// Stacks that are counted, and of which there may be few.
pub(super) struct CountedStacks {
    idle: Vec<DefaultStack>,
    used: Arc<AtomicUsize>,
    most: usize,
}

impl Stacks for CountedStacks {
    type Stack = DefaultStack;

    fn take(&mut self) -> Option<DefaultStack> {
        if self.used.load(Ordering::Relaxed) == self.most {
            return None;
        }
        self.used.fetch_add(1, Ordering::Relaxed);
        Some(self.idle.pop().unwrap_or_else(|| DefaultStack::new(256 * 1024).unwrap()))
    }

    fn give(&mut self, stack: DefaultStack) {
        self.used.fetch_sub(1, Ordering::Relaxed);
        self.idle.push(stack);
    }
}

/// Plain HTTP, with every notice written down.
pub(super) struct Recorded {
    config: HttpConfig,
    notices: Log,
}

impl Transport for Recorded {
    type Net<N: Net> = N;

    fn http(&self) -> &HttpConfig {
        &self.config
    }

    fn port(&self) -> u16 {
        self.config.server_port
    }

    fn layer<N: Net>(&self, inner: N) -> N {
        inner
    }

    fn observer(&self, _: Events) -> Box<dyn Observer + Send> {
        Box::new(Recorder(self.notices.clone()))
    }
}

struct Recorder(Log);

impl Observer for Recorder {
    fn notice(&mut self, notice: Notice<'_>) {
        self.0.note(match notice {
            Notice::OpenFailed { session, error, .. } => format!("OpenFailed({session}, {error})"),
            Notice::Connected(of) => format!("Connected({})", of.session),
            Notice::Disconnected(of) => format!("Disconnected({})", of.session),
            Notice::OnHeader(_) => "OnHeader".into(),
            Notice::HeadersSent(_) => "HeadersSent".into(),
            Notice::OnData(_, len) => format!("OnData({len})"),
            Notice::SentData(_, len) => format!("SentData({len})"),
            Notice::Error(_, status) => format!("Error({})", status.code()),
            other => format!("{other:?}"),
        });
    }
}
