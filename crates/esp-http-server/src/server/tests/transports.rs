//! Sessions with a transport of their own, kind and unkind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::support::*;
use super::ws::{BINARY, frame, frames, upgrade};
use crate::net::{NetError, RxBuf, TxBuf};
use crate::server::HttpConfig;
use crate::{
    OpenSession, Request, Result, ServerBuilder, SessionSocket, SessionTransport, WsRequest,
};

type Moved = Result<usize, NetError>;

fn routes(server: ServerBuilder<Recorded>) -> ServerBuilder<Recorded> {
    server
        .get("/*", path)
        .post("/echo", echo)
        .get("/big", |request: &mut Request| -> Result {
            request.respond().send("x".repeat(200_000))
        })
        .get("/sleep", |request: &mut Request| -> Result {
            request.sleep(secs(1))?;
            path(request)
        })
        .ws("/ws", |ws: &mut WsRequest| -> Result {
            let message = ws.message(1 << 20)?;
            ws.send(message)
        })
}

/// An engine whose sessions have what `make` makes; none if that is none.
fn engine_with<T>(make: impl Fn() -> Option<T> + Send + Sync + 'static) -> Engine
where
    T: SessionTransport + 'static,
{
    Engine::new(HttpConfig::default(), |server| {
        routes(server).on_open(move |session: &mut OpenSession| -> Result {
            if let Some(transport) = make() {
                session.set_transport(Box::new(transport));
            }
            Ok(())
        })
    })
}

fn flip(bytes: &mut [u8]) {
    bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
}

fn flipped(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = text.as_ref().to_vec();
    flip(&mut bytes);
    bytes
}

/// Turns bits around in both directions, and holds what it is given: of what it has received it
/// hands out so many bytes at once.
#[derive(Default)]
struct Flip {
    received: RxBuf,
    handed_out_len: usize,
    unsent: TxBuf,
}

impl Flip {
    fn handing_out(handed_out_len: usize) -> Self {
        Self { handed_out_len, ..Self::default() }
    }
}

impl SessionTransport for Flip {
    fn recv(&mut self, socket: &mut dyn SessionSocket, rx: &mut RxBuf) -> Moved {
        if self.received.is_empty() && socket.recv(&mut self.received)? == 0 {
            return Ok(0);
        }
        let len = self.received.len().min(self.handed_out_len);
        let start = rx.storage().len();
        rx.storage().extend_from_slice(&self.received.as_slice()[..len]);
        flip(&mut rx.storage()[start..]);
        self.received.consume(len);
        Ok(len)
    }

    fn send(&mut self, socket: &mut dyn SessionSocket, tx: &mut TxBuf) -> Moved {
        let len = if self.unsent.is_empty() { tx.len() } else { 0 };
        self.unsent.storage().extend(flipped(&tx.as_slice()[..len]));
        tx.advance(len);
        match socket.send(&mut self.unsent) {
            Err(NetError::WouldBlock) if len > 0 => Ok(len),
            Err(error) => Err(error),
            Ok(_) => Ok(len),
        }
    }

    fn pending(&self) -> usize {
        self.received.len()
    }

    fn unsent(&self) -> usize {
        self.unsent.len()
    }
}

#[test]
fn everything_passes_through_a_transport_at_any_size_of_reads_and_writes() {
    let body: String = (0..5_000).map(|number| format!("{number:05}")).collect();
    for handed_out_len in [1, 1000, usize::MAX] {
        for (recv_len, send_len) in [(7, 13), (1000, usize::MAX), (usize::MAX, 1000)] {
            for layered in [false, true] {
                let engine = engine_with(move || Some(Flip::handing_out(handed_out_len)));
                let peer = Peer { recv_len, send_len, window: 0, layered, ..Peer::default() };
                let client = engine.connect_as(peer);
                client.send(flipped([post("/echo", &body), get("/next")].concat()));
                let mut answer = Vec::new();
                for _ in 0..40 {
                    client.take(1000);
                    answer.extend(client.received());
                }
                let expected = [ok(&body), ok("/next")].concat();
                assert!(answer == flipped(expected), "{handed_out_len} {recv_len} {send_len}");
                client.expect_open();
                assert_eq!(engine.lent(), 0);
            }
        }
    }
}

#[test]
fn websocket_messages_pass_through_a_transport() {
    let engine = engine_with(|| None::<Flip>);
    let client = engine.connect();
    upgrade(&client, "/ws");
    let session = client.session();
    engine
        .handle()
        .queue_work(move |context| {
            context.set_transport(session, Box::new(Flip::handing_out(100))).unwrap();
        })
        .unwrap();
    engine.run();
    let message: Vec<_> = (0..50_000_u32).map(|number| number as u8).collect();
    client.send(flipped(frame(BINARY, &message)));
    assert!(frames(&flipped(client.received())) == [(BINARY, message)]);
}

#[test]
fn pending_bytes_are_received_without_another_report_and_without_spinning() {
    let engine = engine_with(|| Some(Flip::handing_out(1)));
    let client = engine.connect();
    client.send(flipped(get("/a").repeat(3) + "GET /b"));
    assert_eq!(client.received(), flipped(ok("/a").repeat(3)));
    assert!(engine.waits().is_some_and(|time| time > secs(1)), "it waits for the rest of the head");
    client.send(flipped(" HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(client.received(), flipped(ok("/b")));
    // While a handler sleeps, what comes is left inside.
    client.send(flipped(get("/sleep") + &get(&"/x".repeat(500)).repeat(40)));
    client.expect_nothing();
    assert_eq!(engine.waits(), Some(secs(1)));
    engine.advance(secs(1));
    let answers = flipped(client.received());
    assert_eq!(String::from_utf8(answers).unwrap().matches("200 OK").count(), 41);
}

#[test]
fn what_a_transport_holds_when_it_is_set_is_received_though_the_network_is_silent() {
    let with_request = || {
        let mut transport = Flip::handing_out(10);
        transport.received.storage().extend(flipped(get("/held")));
        transport
    };
    let engine = engine_with(move || Some(with_request()));
    let client = engine.connect();
    assert_eq!(client.received(), flipped(ok("/held")));

    let engine = engine_with(|| None::<Flip>);
    let client = engine.connect();
    client.send(get("/plain"));
    client.expect(ok("/plain"));
    let session = client.session();
    let work = move |context: &mut crate::ServerContext<'_>| {
        context.set_transport(session, Box::new(with_request())).unwrap();
        assert!(matches!(context.close(session), Ok(())), "in this order");
    };
    engine.handle().queue_work(work).unwrap();
    engine.run();
    assert_eq!(client.received(), flipped(ok("/held")));
    client.expect_closed();
}

#[test]
fn a_handler_that_sets_a_transport_has_said_everything_before_without_it() {
    let engine = Engine::new(HttpConfig::default(), |server| {
        routes(server).get("/switch", |request: &mut Request| -> Result {
            request.set_transport(Box::new(Flip::handing_out(100)))?;
            path(request)
        })
    });
    let client = engine.connect_as(Peer { window: 100, ..Peer::default() });
    client.send(get("/big") + &get("/switch"));
    let mut plain = String::new();
    for _ in 0..30 {
        client.take(10_000);
        plain += &String::from_utf8_lossy(&client.received());
    }
    let switched = flipped(ok("/switch"));
    let expected = ok(&"x".repeat(200_000)) + &String::from_utf8_lossy(&switched);
    assert!(plain == expected);
    client.send(flipped(get("/next")));
    assert_eq!(client.received(), flipped(ok("/next")));
}

#[test]
fn a_handler_does_not_wait_for_ever_to_set_a_transport() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        routes(server).get("/switch", move |request: &mut Request| -> Result {
            let result = request.set_transport(Box::new(Flip::handing_out(100)));
            noted.note(format!("{result:?}"));
            result
        })
    });
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    client.send(get("/a") + &get("/switch"));
    engine.advance(secs(5));
    client.expect_closed();
    assert_eq!(log.take(), ["Err(the peer was silent for too long)"]);
}

#[test]
fn a_peer_that_does_not_read_what_is_inside_a_transport_is_closed() {
    let engine = engine_with(|| Some(Flip::handing_out(100)));
    let client = engine.connect_as(Peer { window: 10, ..Peer::default() });
    client.send(flipped(get("/a")));
    engine.advance(secs(4));
    // It is worth 7.8 ms, at the least rate.
    client.take(1);
    engine.advance(millis(1007));
    client.expect_open();
    engine.advance(millis(1));
    client.expect_closed();
}

/// Receives pieces that each end with a line feed, and hands on a piece only as a whole. Never asks
/// the socket twice in one call.
#[derive(Default)]
struct Lines(RxBuf);

impl SessionTransport for Lines {
    fn recv(&mut self, socket: &mut dyn SessionSocket, rx: &mut RxBuf) -> Moved {
        let len = self.0.as_slice().iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if len == 0 {
            return match socket.recv(&mut self.0)? {
                0 => Ok(0),
                _ => Err(NetError::WouldBlock),
            };
        }
        rx.storage().extend_from_slice(&self.0.as_slice()[..len]);
        self.0.consume(len);
        Ok(len)
    }

    fn send(&mut self, socket: &mut dyn SessionSocket, tx: &mut TxBuf) -> Moved {
        socket.send(tx)
    }

    fn pending(&self) -> usize {
        self.0.as_slice().iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
    }
}

#[test]
fn a_transport_that_says_not_now_although_the_network_did_not_is_asked_again() {
    for recv_len in [1, 5, 100] {
        let engine = engine_with(|| Some(Lines::default()));
        let client = engine.connect_as(Peer { recv_len, ..Peer::default() });
        client.send(get("/a").repeat(5));
        client.expect(ok("/a").repeat(5));
        client.send("GET /b HTTP/1.1\r\nHost: a\r\n\r");
        client.expect_nothing();
        client.send("\n");
        client.expect(ok("/b"));
        client.finish();
        client.expect_closed();
    }
}

#[test]
fn a_peer_that_dribbles_into_a_transport_does_not_keep_others_from_being_served() {
    let engine = engine_with(|| Some(Lines::default()));
    let dribbling = engine.connect_as(Peer { recv_len: 1, ..Peer::default() });
    let other = engine.connect();
    dribbling.put("x".repeat(1000));
    other.put(get("/a"));
    engine.poll_once();
    other.expect(ok("/a"));
    assert!(dribbling.unread() > 900, "{}", dribbling.unread());
    assert_eq!(engine.waits(), Some(secs(0)), "there is more");
    engine.run();
    assert_eq!(dribbling.unread(), 0);
}

/// What a transport does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nothing,
    NeverReceives,
    NeverSends,
    SaysItSends,
    HasPending,
    HasUnsent,
    ReceivesNothing,
    TakesBack,
    TearsReceived,
    TearsSent,
    PanicsInRecv,
    PanicsInSend,
    PanicsInPending,
    PanicsInUnsent,
    PanicsInDrop,
}

struct Unkind {
    wrong: Wrong,
    calls: Arc<AtomicUsize>,
}

impl Unkind {
    fn panic_if(&self, wrong: Wrong) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.wrong == wrong {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }
}

impl Drop for Unkind {
    fn drop(&mut self) {
        self.panic_if(Wrong::PanicsInDrop);
    }
}

impl SessionTransport for Unkind {
    fn recv(&mut self, socket: &mut dyn SessionSocket, rx: &mut RxBuf) -> Moved {
        self.panic_if(Wrong::PanicsInRecv);
        match self.wrong {
            Wrong::NeverReceives | Wrong::HasPending => return Err(NetError::WouldBlock),
            Wrong::ReceivesNothing => return Ok(7),
            _ => {}
        }
        let len = socket.recv(rx)?;
        match self.wrong {
            Wrong::TakesBack => rx.consume(rx.len()),
            Wrong::TearsReceived => {
                rx.consume(len / 2);
                rx.storage().clear();
            }
            _ => {}
        }
        Ok(len)
    }

    fn send(&mut self, socket: &mut dyn SessionSocket, tx: &mut TxBuf) -> Moved {
        self.panic_if(Wrong::PanicsInSend);
        match self.wrong {
            Wrong::NeverSends => return Err(NetError::WouldBlock),
            Wrong::SaysItSends => return Ok(tx.len()),
            Wrong::TearsSent => {
                tx.advance(1);
                tx.storage().clear();
            }
            _ => {}
        }
        socket.send(tx)
    }

    fn pending(&self) -> usize {
        self.panic_if(Wrong::PanicsInPending);
        usize::from(self.wrong == Wrong::HasPending)
    }

    fn unsent(&self) -> usize {
        self.panic_if(Wrong::PanicsInUnsent);
        usize::from(self.wrong == Wrong::HasUnsent)
    }
}

/// What a session with such a transport receives of the answer to a request, and for how many seconds
/// it stays open. Another session is served meanwhile, and the worker does not spin: `Engine::run`
/// sees to that.
fn outcome(wrong: Wrong) -> (String, u64) {
    let calls = Arc::new(AtomicUsize::new(0));
    let transport = Mutex::new(Some(Unkind { wrong, calls: calls.clone() }));
    let engine = engine_with(move || transport.lock().unwrap().take());
    let client = engine.connect();
    let other = engine.connect();
    client.send(get("/a"));
    let mut time = 0;
    while !client.is_closed() && time < 100 {
        other.send(get("/b"));
        other.expect(ok("/b"));
        client.put("");
        engine.advance(secs(1));
        time += 1;
    }
    other.expect_open();
    assert!(calls.load(Ordering::Relaxed) < 1000, "{wrong:?}: {calls:?}");
    (client.text(), time)
}

#[test]
fn a_transport_that_does_wrong_harms_its_own_session_only() {
    let config = HttpConfig::default();
    let idle = config.idle_timeout.as_secs();
    let send_wait = config.send_wait_timeout.as_secs();
    let served = ok("/a");
    for (wrong, answer, time) in [
        (Wrong::Nothing, served.as_str(), idle),
        (Wrong::NeverReceives, "", idle),
        (Wrong::NeverSends, "", send_wait),
        (Wrong::SaysItSends, "", send_wait),
        (Wrong::HasPending, "", idle),
        (Wrong::HasUnsent, &served, send_wait),
        (Wrong::ReceivesNothing, "", 0),
        (Wrong::TakesBack, "", 0),
        (Wrong::TearsReceived, "", 0),
        (Wrong::TearsSent, "", 0),
        (Wrong::PanicsInRecv, "", 0),
        (Wrong::PanicsInSend, "", 0),
        (Wrong::PanicsInPending, "", 0),
        (Wrong::PanicsInUnsent, "", 0),
        (Wrong::PanicsInDrop, &served, idle),
    ] {
        assert_eq!(outcome(wrong), (answer.to_owned(), time), "{wrong:?}");
    }
}
