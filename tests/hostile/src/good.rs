//! Good clients: four of them, each of which wants the page every 50 ms and looks at the clock. Beside
//! attacks under which nothing new is served, two others go on with a request that is being served.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::Problem;
use crate::testbed::Ports;
use crate::tls;

/// How often each good client asks.
const EVERY: Duration = Duration::from_millis(50);
/// An answer that takes longer is none.
const TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const PAGE: &[u8] = b"<h1>Hello Secure World!</h1>";

/// The four ways to ask.
pub(crate) const KINDS: [Kind; 4] = [
    Kind { scheme: Scheme::Http, connection: Connection::Kept },
    Kind { scheme: Scheme::Http, connection: Connection::New },
    Kind { scheme: Scheme::Https, connection: Connection::Kept },
    Kind { scheme: Scheme::Https, connection: Connection::New },
];

/// Those who have a request that does not end.
pub(crate) const SERVED: [Kind; 2] = [
    Kind { scheme: Scheme::Http, connection: Connection::Served },
    Kind { scheme: Scheme::Https, connection: Connection::Served },
];

/// What such a client says every time, and has echoed: enough for the least rate.
const PIECE: [u8; 1024] = [b'p'; 1024];
const ENDLESS_REQUEST: &[u8] =
    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9223372036854775807\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) scheme: Scheme,
    connection: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    /// One for all requests.
    Kept,
    /// One per request; its time counts.
    New,
    /// One, with one request: what counts is how long a piece of its body takes there and back.
    Served,
}

impl Kind {
    /// As the table says it.
    pub(crate) fn name(self) -> &'static str {
        match (self.scheme, self.connection) {
            (Scheme::Http, Connection::Kept) => "http, kept",
            (Scheme::Http, Connection::New) => "http, new",
            (Scheme::Https, Connection::Kept) => "https, kept",
            (Scheme::Https, Connection::New) => "https, new",
            (Scheme::Http, Connection::Served) => "http, served",
            (Scheme::Https, Connection::Served) => "https, served",
        }
    }
}

/// The good clients at work, until this is dropped.
pub(crate) struct GoodClients {
    kinds: &'static [Kind],
    records: Arc<[Mutex<Record>]>,
    leaving: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What one of them has seen.
#[derive(Default)]
struct Record {
    /// When it asked, and how long it took.
    answers: Vec<(Instant, Duration)>,
    failures: Vec<(Instant, Problem)>,
}

impl GoodClients {
    pub(crate) fn start(ports: Ports, kinds: &'static [Kind]) -> GoodClients {
        let records: Arc<[_]> = kinds.iter().map(|_| Mutex::default()).collect();
        let leaving = Arc::new(AtomicBool::new(false));
        let threads = kinds
            .iter()
            .enumerate()
            .map(|(number, &kind)| {
                let (records, leaving) = (records.clone(), leaving.clone());
                thread::spawn(move || {
                    Client::new(kind, ports).ask_on(&records[number], &leaving);
                })
            })
            .collect();
        GoodClients { kinds, records, leaving, threads }
    }

    /// What kinds there are.
    pub(crate) fn kinds(&self) -> &'static [Kind] {
        self.kinds
    }

    /// How long the answers took that one kind asked for in that time.
    pub(crate) fn answers(&self, kind: usize, when: &Range<Instant>) -> Vec<Duration> {
        self.with(kind, |record| {
            let asked_then = record.answers.iter().filter(|(at, _)| when.contains(at));
            asked_then.map(|(_, took)| *took).collect()
        })
    }

    /// What failed in that time, the first of each kind.
    pub(crate) fn failures(&self, when: &Range<Instant>) -> Vec<Problem> {
        let first = |kind: usize| {
            self.with(kind, |record| {
                let mut then = record.failures.iter().filter(|(at, _)| when.contains(at));
                let (_, first) = then.next()?;
                let count = 1 + then.count();
                let name = self.kinds[kind].name();
                Some(format!("{count} requests of a good client ({name}) failed: {first}"))
            })
        };
        (0..self.kinds.len()).filter_map(first).collect()
    }

    fn with<R>(&self, kind: usize, look: impl FnOnce(&Record) -> R) -> R {
        look(&self.records[kind].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for GoodClients {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

struct Client {
    kind: Kind,
    addr: SocketAddr,
    tls: Arc<ClientConfig>,
    kept: Option<Stream>,
    /// Whether that has a request under way.
    has_begun: bool,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    fn new(kind: Kind, ports: Ports) -> Client {
        let addr = match kind.scheme {
            Scheme::Http => ports.http,
            Scheme::Https => ports.https,
        };
        Client { kind, addr, tls: tls::config(tls::Versions::Any), kept: None, has_begun: false }
    }

    fn ask_on(&mut self, record: &Mutex<Record>, leaving: &AtomicBool) {
        let mut next = Instant::now();
        while !leaving.load(Ordering::Relaxed) {
            let asked = Instant::now();
            let answer = self.ask();
            let took = asked.elapsed();
            {
                let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
                match answer {
                    Ok(()) => record.answers.push((asked, took)),
                    Err(problem) => record.failures.push((asked, problem)),
                }
            }
            // The next one on its beat, also after one that took longer.
            next = (next + EVERY).max(Instant::now());
            thread::sleep(next - Instant::now());
        }
    }

    fn ask(&mut self) -> Result<(), Problem> {
        let mut stream = match self.kept.take() {
            Some(stream) => stream,
            None => {
                self.has_begun = false;
                self.connect()?
            }
        };
        match self.kind.connection {
            Connection::Kept | Connection::New => {
                stream.exchange(REQUEST, Expected::Response(PAGE))?
            }
            Connection::Served if self.has_begun => {
                stream.exchange(&PIECE, Expected::Bytes(&PIECE))?
            }
            Connection::Served => {
                let begin = [ENDLESS_REQUEST, &PIECE].concat();
                stream.exchange(&begin, Expected::Response(&PIECE))?;
                self.has_begun = true;
            }
        }
        match self.kind.connection {
            Connection::Kept | Connection::Served => self.kept = Some(stream),
            Connection::New => stream.leave(),
        }
        Ok(())
    }

    fn connect(&self) -> Result<Stream, Problem> {
        let failed = |error: std::io::Error| format!("connecting: {error}");
        let socket = TcpStream::connect_timeout(&self.addr, TIMEOUT).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        socket.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
        socket.set_write_timeout(Some(TIMEOUT)).map_err(failed)?;
        if self.kind.scheme == Scheme::Http {
            return Ok(Stream::Plain(socket));
        }
        let name = ServerName::try_from("localhost").expect("a host name");
        let connection = ClientConnection::new(self.tls.clone(), name)
            .map_err(|error| format!("connecting: {error}"))?;
        Ok(Stream::Tls(Box::new(StreamOwned::new(connection, socket))))
    }
}

impl Stream {
    /// Says something, and reads exactly what is expected.
    fn exchange(&mut self, said: &[u8], expected: Expected) -> Result<(), Problem> {
        match self {
            Stream::Plain(socket) => exchange(socket, said, expected),
            Stream::Tls(stream) => exchange(&mut **stream, said, expected),
        }
    }

    /// Says goodbye, as good clients do.
    fn leave(self) {
        if let Stream::Tls(mut stream) = self {
            stream.conn.send_close_notify();
            drop(stream.flush());
        }
    }
}

/// What is to come.
#[derive(Clone, Copy)]
enum Expected<'b> {
    /// The head of a 200, and behind it this.
    Response(&'b [u8]),
    /// This.
    Bytes(&'b [u8]),
}

fn exchange(
    stream: &mut (impl Read + Write),
    said: &[u8],
    expected: Expected,
) -> Result<(), Problem> {
    let sent = stream.write_all(said).and_then(|()| stream.flush());
    sent.map_err(|error| format!("sending: {error}"))?;
    let mut received = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let len = stream.read(&mut piece).map_err(|error| format!("receiving: {error}"))?;
        if len == 0 {
            return Err(format!("closed after {} bytes of the response", received.len()));
        }
        received.extend_from_slice(&piece[..len]);
        let (head_len, body) = match expected {
            Expected::Bytes(bytes) => (Some(0), bytes),
            Expected::Response(body) => {
                let end = received.windows(4).position(|end| end == b"\r\n\r\n");
                (end.map(|at| at + 4), body)
            }
        };
        let Some(head_len) = head_len.filter(|len| received.len() >= len + body.len()) else {
            continue;
        };
        if (head_len == 0 || received.starts_with(b"HTTP/1.1 200 "))
            && &received[head_len..] == body
        {
            return Ok(());
        }
        let line = received.split(|&byte| byte == b'\r').next().unwrap_or_default();
        return Err(format!("the answer was {:?}", String::from_utf8_lossy(line)));
    }
}

/// The time that 99 of 100 answers did not exceed; of fewer than a hundred, the longest.
pub(crate) fn p99(answers: &[Duration]) -> Option<Duration> {
    let mut sorted = answers.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * 99).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}
