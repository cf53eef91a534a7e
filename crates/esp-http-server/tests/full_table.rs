//! A full table on real sockets: who has no place waits in the backlog, and the worker sleeps meanwhile.

#![cfg(all(feature = "std", target_os = "linux"))]

use std::any::Any;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use esp_http_server::{
    Events, HttpConfig, Instant, ListenAddr, Net, NetError, NetId, Observer, Request, Result,
    RxBuf, ServerBuilder, Transport, TxBuf,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long handlers are busy: a worker that spins waits many thousand times meanwhile.
const BUSY: Duration = Duration::from_millis(200);
/// How often a worker may wait in that time: whenever something comes, and for timers.
const WAITS_MAX: usize = 40;

/// Plain HTTP, with every wait counted.
struct Counted {
    http: HttpConfig,
    waits: Arc<AtomicUsize>,
}

impl Transport for Counted {
    type Net<N: Net> = CountedNet<N>;

    fn http(&self) -> &HttpConfig {
        &self.http
    }

    fn port(&self) -> u16 {
        self.http.server_port
    }

    fn layer<N: Net>(&self, inner: N) -> CountedNet<N> {
        CountedNet { inner, waits: self.waits.clone() }
    }

    fn observer(&self, events: Events) -> Box<dyn Observer + Send> {
        self.http.observer(events)
    }
}

struct CountedNet<N> {
    inner: N,
    waits: Arc<AtomicUsize>,
}

impl<N: Net> Net for CountedNet<N> {
    fn accept(&mut self) -> Option<NetId> {
        self.inner.accept()
    }

    fn recv(&mut self, id: NetId, rx: &mut RxBuf) -> Result<usize, NetError> {
        self.inner.recv(id, rx)
    }

    fn send(&mut self, id: NetId, tx: &mut TxBuf) -> Result<usize, NetError> {
        self.inner.send(id, tx)
    }

    fn shutdown(&mut self, id: NetId) {
        self.inner.shutdown(id);
    }

    fn close(&mut self, id: NetId) {
        self.inner.close(id);
    }

    fn stop_listening(&mut self) {
        self.inner.stop_listening();
    }

    fn peer_addr(&self, id: NetId) -> Option<SocketAddr> {
        self.inner.peer_addr(id)
    }

    fn transport_ctx(&mut self, id: NetId) -> Option<Arc<dyn Any + Send + Sync>> {
        self.inner.transport_ctx(id)
    }

    fn wait(&mut self, until: Option<Instant>, ready: &mut Vec<NetId>) {
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.inner.wait(until, ready);
    }
}

/// A client, its request sent.
fn ask(addr: SocketAddr, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
    client
}

/// Reads until what came ends so.
fn expect(client: &mut TcpStream, end: &str) {
    let mut text = Vec::new();
    let mut piece = [0; 1024];
    while !text.ends_with(end.as_bytes()) {
        let len = client.read(&mut piece).unwrap();
        assert!(len > 0, "closed behind {:?}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..len]);
    }
}

#[test]
fn a_full_table_without_a_victim_leaves_connections_in_the_backlog_and_the_worker_asleep() {
    for lru_purge_enable in [true, false] {
        let waits = Arc::new(AtomicUsize::new(0));
        let http = HttpConfig {
            listen: vec![ListenAddr::Only(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))],
            workers: 1,
            max_open_sockets: 2,
            lru_purge_enable,
            ..HttpConfig::default()
        };
        let (told, begun) = mpsc::channel();
        let server = ServerBuilder::new(Counted { http, waits: waits.clone() })
            .get("/busy", move |req: &mut Request| -> Result {
                told.send(())?;
                req.sleep(BUSY)?;
                req.respond().send("busy")
            })
            .get("/quick", |req: &mut Request| -> Result { req.respond().send("quick") })
            .start()
            .unwrap();
        let addr = server.local_addr();
        let mut busy = [ask(addr, "/busy"), ask(addr, "/busy")];
        (0..2).for_each(|_| begun.recv_timeout(PATIENCE).unwrap());
        let mut waiting: Vec<_> = (0..5).map(|_| ask(addr, "/quick")).collect();

        expect(&mut busy[0], "\r\n\r\nbusy");
        assert!(waits.load(Ordering::Relaxed) <= WAITS_MAX, "{waits:?}: it spins");
        // From now on there is somebody who may go, or who goes by himself.
        if !lru_purge_enable {
            drop(busy);
        }
        for mut client in waiting.drain(..) {
            expect(&mut client, "\r\n\r\nquick");
        }
        assert!(waits.load(Ordering::Relaxed) <= 3 * WAITS_MAX, "{waits:?}: it spins");
        server.stop_and_join().unwrap();
    }
}
