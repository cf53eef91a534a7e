//! [`EpollNet`] against real clients on the loopback. Nothing sleeps: whoever expects something
//! waits for it, and a wait that is never answered fails after [`PATIENCE`].

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use rustix::net::sockopt;

use super::{ENDED, EpollNet};
use crate::front::{Clock, Listener, Waker, listen};
use crate::net::{Net, NetError, NetId, RxBuf, TxBuf};
use crate::server::{HttpConfig, ListenAddr};
use crate::time::Instant;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOPBACK: ListenAddr = ListenAddr::Only(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));

mod discard;
mod echo;
mod numbers;
mod options;
mod several;
mod shortage;
mod slow;

/// A net with its addresses.
struct Bench {
    net: EpollNet,
    clock: Clock,
    addrs: Vec<SocketAddr>,
    /// The first of them.
    addr: SocketAddr,
    ready: Vec<NetId>,
}

impl Bench {
    fn new() -> Self {
        Self::at(&[LOOPBACK], 1).remove(0)
    }

    fn at(addrs: &[ListenAddr], workers: usize) -> Vec<Self> {
        Self::with(addrs, &HttpConfig::default(), workers)
    }

    fn with(addrs: &[ListenAddr], config: &HttpConfig, workers: usize) -> Vec<Self> {
        let clock = Clock::start();
        let bench = |listeners: Vec<Listener>| {
            let addrs: Vec<_> = listeners.iter().map(Listener::local_addr).collect();
            let net = EpollNet::new(listeners, clock).unwrap();
            Self { net, clock, addr: addrs[0], addrs, ready: Vec::new() }
        };
        listen(addrs, config, workers).unwrap().into_iter().map(bench).collect()
    }

    fn connect(&self) -> TcpStream {
        connect(self.addr)
    }

    /// Waits until `done` has an answer.
    fn until<T>(&mut self, mut done: impl FnMut(&mut EpollNet) -> Option<T>) -> T {
        let deadline = self.clock.now() + PATIENCE;
        loop {
            if let Some(answer) = done(&mut self.net) {
                return answer;
            }
            assert!(self.clock.now() < deadline, "nothing happened for {PATIENCE:?}");
            self.ready.clear();
            self.net.wait(Some(deadline), &mut self.ready);
        }
    }

    fn accept(&mut self) -> NetId {
        self.until(|net| net.accept())
    }

    /// A client and the connection it got.
    fn pair(&mut self) -> (TcpStream, NetId) {
        let client = self.connect();
        (client, self.accept())
    }

    /// What `recv` says once it says something.
    fn recv(&mut self, id: NetId, rx: &mut RxBuf) -> Result<usize, NetError> {
        self.until(|net| unblocked(net.recv(id, rx)))
    }

    fn recv_exactly(&mut self, id: NetId, len: usize) -> Vec<u8> {
        let mut rx = RxBuf::new();
        while rx.len() < len {
            assert_ne!(self.recv(id, &mut rx).unwrap(), 0, "the peer finished early");
        }
        rx.as_slice().to_vec()
    }

    /// Waits until the kernel has reported `id`, without a call that the report may allow.
    fn reported(&mut self, id: NetId) {
        self.ready.clear();
        while !self.ready.contains(&id) {
            let deadline = self.clock.now() + PATIENCE;
            self.net.wait(Some(deadline), &mut self.ready);
            assert!(self.clock.now() < deadline, "{id:?} was not reported");
        }
    }

    /// A wait that nothing may end but its deadline, in so much time.
    fn wait_to_the_end(&mut self, len: Duration) {
        let deadline = self.clock.now() + len;
        self.ready.clear();
        self.net.wait(Some(deadline), &mut self.ready);
        assert!(self.clock.now() >= deadline, "ended early");
        assert_eq!(self.ready, []);
    }

    /// A wait that somebody ends, without anything being ready.
    fn woken(&mut self) {
        let deadline = self.clock.now() + PATIENCE;
        self.ready.clear();
        self.net.wait(Some(deadline), &mut self.ready);
        assert!(self.clock.now() < deadline, "nobody woke it");
        assert_eq!(self.ready, []);
    }

    /// What is ready without waiting.
    fn ready_now(&mut self) -> &[NetId] {
        self.ready.clear();
        self.net.wait(Some(Instant::START), &mut self.ready);
        &self.ready
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client
}

fn unblocked<T>(answer: Result<T, NetError>) -> Option<Result<T, NetError>> {
    if would_block(&answer) { None } else { Some(answer) }
}

fn would_block<T>(answer: &Result<T, NetError>) -> bool {
    matches!(answer, Err(NetError::WouldBlock))
}

fn tx(bytes: &[u8]) -> TxBuf {
    let mut tx = TxBuf::new();
    tx.storage().extend_from_slice(bytes);
    tx
}

fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

// ---- recv and send ----

#[test]
fn bytes_go_both_ways_and_the_peers_end_is_zero() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(bench.recv_exactly(id, 18), b"GET / HTTP/1.1\r\n\r\n");

    let mut answer = tx(b"HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(bench.net.send(id, &mut answer).unwrap(), 19);
    assert!(answer.is_empty());
    bench.net.shutdown(id);
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "HTTP/1.1 200 OK\r\n\r\n");

    // We are done sending, the client is not.
    client.write_all(b"bye").unwrap();
    assert_eq!(bench.recv_exactly(id, 3), b"bye");
    drop(client);
    let mut rx = RxBuf::new();
    assert_eq!(bench.recv(id, &mut rx).unwrap(), 0);
    assert_eq!(bench.recv(id, &mut rx).unwrap(), 0, "the end stays the end");
    bench.net.close(id);
}

#[test]
fn received_bytes_are_appended_within_the_spare_capacity() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    let mut rx = RxBuf::new();
    rx.reserve(10);
    rx.storage().extend_from_slice(b"there");
    let room = rx.capacity() - rx.len();
    client.write_all(&[b'x'; 100]).unwrap();
    assert_eq!(bench.recv(id, &mut rx).unwrap(), room);
    assert_eq!(&rx.as_slice()[..6], b"therex");
    assert_eq!(rx.len(), rx.capacity());
}

#[test]
fn a_short_read_says_that_the_socket_is_empty_and_a_full_one_does_not() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    client.write_all(&[b'a'; 100]).unwrap();
    bench.reported(id);
    let mut rx = RxBuf::new();
    rx.reserve(60);
    assert_eq!(bench.net.recv(id, &mut rx).unwrap(), rx.capacity(), "a full read");
    rx.consume(rx.len());
    rx.reserve(60);
    assert_eq!(bench.net.recv(id, &mut rx).unwrap(), 100 - rx.capacity(), "a short read");

    // More is there now, but unreported: the net must not have asked the socket.
    client.write_all(b"more").unwrap();
    let mut probe = [0; 4];
    let socket = &bench.net.sockets.of(id).fd;
    while rustix::net::recv(socket, &mut probe, rustix::net::RecvFlags::PEEK).is_err() {
        thread::yield_now();
    }
    assert!(would_block(&bench.net.recv(id, &mut rx)));
    bench.reported(id);
    assert_eq!(bench.net.recv(id, &mut rx).unwrap(), 4);
}

#[test]
fn bytes_and_the_end_reported_together_are_both_received() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    client.write_all(b"last words").unwrap();
    drop(client);
    // Until the end is known too, whatever came before it.
    bench.until(|net| net.sockets.of(id).ready.intersects(ENDED).then_some(()));
    let mut rx = RxBuf::new();
    rx.reserve(1000);
    assert_eq!(bench.net.recv(id, &mut rx).unwrap(), 10, "a short read");
    assert_eq!(bench.net.recv(id, &mut rx).unwrap(), 0, "no second report is due for the end");
}

#[test]
fn a_buffer_without_room_gets_some_and_is_not_mistaken_for_the_end() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    client.write_all(b"hello").unwrap();
    assert_eq!(bench.recv(id, &mut RxBuf::new()).unwrap(), 5);
}

#[test]
fn a_reset_is_closed_for_recv_and_send() {
    for first in ["recv", "send"] {
        let mut bench = Bench::new();
        let (client, id) = bench.pair();
        sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
        drop(client);
        bench.until(|net| net.sockets.of(id).ready.intersects(ENDED).then_some(()));
        let answer = match first {
            "recv" => bench.net.recv(id, &mut RxBuf::new()),
            _ => bench.net.send(id, &mut tx(b"too late")),
        };
        assert!(matches!(answer, Err(NetError::Closed)), "{first}: {answer:?}");
        bench.net.close(id);
    }
}

#[test]
fn a_peer_that_does_not_read_blocks_send_until_it_does() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    assert_eq!(bench.net.send(id, &mut tx(b"all of it has room")).unwrap(), 18);
    assert!(!bench.net.sockets.of(id).is_watched, "room is no news to who has had it always");
    let mut pending = tx(&vec![7; 32 << 20]);
    let mut sent = 18;
    while let Ok(len) = bench.net.send(id, &mut pending) {
        sent += len;
    }
    assert!(sent > 18 && !pending.is_empty());
    assert!(bench.net.sockets.of(id).is_watched);
    assert_eq!(bench.net.send(id, &mut TxBuf::new()).unwrap(), 0, "nothing is nothing to wait for");

    let reader = thread::spawn(move || {
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).unwrap();
        heard.len()
    });
    while !pending.is_empty() {
        bench.until(|net| unblocked(net.send(id, &mut pending))).unwrap();
    }
    bench.net.close(id);
    assert_eq!(reader.join().unwrap(), 18 + (32 << 20));
}

#[test]
fn small_answers_are_not_held_back() {
    let mut bench = Bench::new();
    let (_client, id) = bench.pair();
    assert!(sockopt::tcp_nodelay(&bench.net.sockets.of(id).fd).unwrap());
}

// ---- reports ----

#[test]
fn a_connection_is_reported_once_per_change() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    assert_eq!(bench.ready_now(), [], "that it can be written is no news");
    client.write_all(b"one").unwrap();
    bench.reported(id);
    client.write_all(b"two").unwrap();
    assert_eq!(bench.ready_now(), [], "it was not read since");
    drop(client);
    bench.reported(id);
}

#[test]
fn what_was_not_read_is_still_there_without_a_second_report() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    client.write_all(b"early").unwrap();
    bench.reported(id);
    assert_eq!(bench.ready_now(), []);
    assert_eq!(bench.net.recv(id, &mut RxBuf::new()).unwrap(), 5);
}

// ---- accept ----

#[test]
fn connections_left_in_the_backlog_are_accepted_without_a_second_report() {
    let mut bench = Bench::new();
    assert_eq!(bench.net.accept(), None);
    let _client = bench.connect();
    bench.until(|net| net.backlogs.waits(0).then_some(()));
    // The engine's table is full, so it does not accept; nothing more is reported.
    bench.wait_to_the_end(Duration::from_millis(5));
    assert_eq!(bench.net.accept(), Some(NetId(0)));
    assert_eq!(bench.net.accept(), None);
    let _another = bench.connect();
    assert_eq!(bench.net.accept(), None, "not reported: not asked for");
    assert_eq!(bench.accept(), NetId(1));
}

#[test]
fn the_lowest_free_number_is_given() {
    let mut bench = Bench::new();
    let mut clients: Vec<_> = (0..5).map(|_| bench.pair().0).collect();
    for number in [3, 1, 4] {
        bench.net.close(NetId(number));
    }
    for expected in [1, 3, 4, 5] {
        let (client, id) = bench.pair();
        assert_eq!(id, NetId(expected));
        clients.push(client);
    }
}

#[test]
fn a_number_given_again_knows_nothing_of_its_former_connection() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    client.write_all(b"for the first").unwrap();
    bench.reported(id);
    let before = bench.net.peer_addr(id);
    bench.net.close(id);
    assert_eq!(bench.net.peer_addr(id), None);
    let (_client, again) = bench.pair();
    assert_eq!(again, id);
    assert_ne!(bench.net.peer_addr(again), before);
    assert!(would_block(&bench.net.recv(again, &mut RxBuf::new())));
}

#[test]
fn closing_tells_the_peer() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    bench.net.close(id);
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
#[should_panic(expected = "connection 0 is used, but is not open")]
fn using_a_closed_connection_is_the_engines_mistake() {
    let mut bench = Bench::new();
    let (_client, id) = bench.pair();
    bench.net.close(id);
    let _ = bench.net.recv(id, &mut RxBuf::new());
}

#[test]
fn after_stop_listening_nobody_gets_in_and_connections_live_on() {
    let mut bench = Bench::new();
    let (mut client, id) = bench.pair();
    bench.net.stop_listening();
    assert!(TcpStream::connect(bench.addr).is_err());
    assert_eq!(bench.net.accept(), None);
    client.write_all(b"still here").unwrap();
    assert_eq!(bench.recv_exactly(id, 10), b"still here");
}

#[test]
fn all_workers_of_a_port_get_clients() {
    let mut workers = Bench::at(&[LOOPBACK], 2);
    let addr = workers[0].addr;
    let mut clients = Vec::new();
    let mut accepted = [0; 2];
    // The kernel spreads by a hash of the addresses: 1 in 2^64 that 64 go to the same.
    while accepted.contains(&0) && clients.len() < 64 {
        clients.push(connect(addr));
        let deadline = workers[0].clock.now() + PATIENCE;
        while accepted[0] + accepted[1] < clients.len() {
            for (worker, count) in workers.iter_mut().zip(&mut accepted) {
                worker.ready_now();
                *count += usize::from(worker.net.accept().is_some());
            }
            assert!(workers[0].clock.now() < deadline, "no worker got client {}", clients.len());
        }
    }
    assert!(!accepted.contains(&0), "{accepted:?}");
}

// ---- addresses ----

#[test]
fn both_families_come_in_by_one_listener_under_their_own_addresses() {
    let mut bench = Bench::at(&[ListenAddr::Any(0)], 1).remove(0);
    let port = bench.addr.port();
    let hosts: &[&str] = if has_ipv6() { &["127.0.0.1", "::1"] } else { &["127.0.0.1"] };
    for host in hosts {
        let client = connect(SocketAddr::new(host.parse().unwrap(), port));
        let id = bench.accept();
        assert_eq!(bench.net.peer_addr(id), Some(client.local_addr().unwrap()));
        assert_eq!(bench.net.local_addr(id), Some(client.peer_addr().unwrap()));
    }
}

// ---- wait ----

#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    let mut bench = Bench::new();
    for micros in [0, 1, 999, 1000, 1001, 20_500] {
        bench.wait_to_the_end(Duration::from_micros(micros));
    }
    bench.net.wait(Some(Instant::START), &mut bench.ready);
    assert_eq!(bench.ready, []);
}

#[test]
fn a_deadline_that_never_comes_is_understood_by_the_kernel() {
    let mut bench = Bench::new();
    let _client = bench.connect();
    bench.net.wait(Some(Instant::from_micros(u64::MAX)), &mut bench.ready);
    assert!(bench.net.accept().is_some());
}

#[test]
fn a_waker_ends_the_wait_that_runs_or_the_next_one_and_no_other() {
    let mut bench = Bench::new();
    let waker = bench.net.waker();
    waker.wake();
    bench.woken(); // The next one.

    // It can't be seen from here whether the other thread is in its wait already, so often enough
    // that it is.
    for _ in 0..200 {
        let remote: Waker = waker.clone();
        let ringer = thread::spawn(move || remote.wake());
        bench.woken();
        ringer.join().unwrap();
    }
    // No wake that was used up ends another wait.
    bench.wait_to_the_end(Duration::from_millis(5));
}

#[test]
fn wakes_from_many_threads_lose_nothing() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static MAIL: AtomicUsize = AtomicUsize::new(0);
    const SENDERS: usize = 4;
    const EACH: usize = 5_000;

    let mut bench = Bench::new();
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let waker = bench.net.waker();
            thread::spawn(move || {
                for _ in 0..EACH {
                    MAIL.fetch_add(1, Ordering::Relaxed);
                    waker.wake();
                }
            })
        })
        .collect();
    // A lost wake leaves mail behind and the wait without an end.
    bench.until(|_| (MAIL.load(Ordering::Relaxed) == SENDERS * EACH).then_some(()));
    for sender in senders {
        sender.join().unwrap();
    }
}
