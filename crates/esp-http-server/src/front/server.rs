//! A server that runs: its workers, each a thread with its own event loop and listeners.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::clock::wall_time;
use super::{Clock, EpollNet, Listener, StackPool, listen};
use crate::error::{Error, Result};
use crate::net::Net;
use crate::server::{
    HttpConfig, Lifetime, ListenAddr, Server, ServerBuilder, ServerHandle, Transport,
    is_worker_thread,
};

/// A running HTTP server; made by [`HttpServer::builder`].
///
/// It dereferences to its [`ServerHandle`], so `server.ws_clients()` and `server.stop()` are there.
/// Dropping it stops the server and waits for its end, as [`stop_and_join`](Self::stop_and_join)
/// does; in a handler, a hook or a work function, which can't wait for themselves, it only stops it.
#[must_use = "a server stops when it is dropped; `join` waits for its end"]
pub struct HttpServer {
    handle: ServerHandle,
    addrs: Box<[SocketAddr]>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

/// Sockets per worker below which another worker is not worth its threads.
const SOCKETS_PER_WORKER: usize = 64;
/// Stacks that a worker keeps for the next handlers.
const STACKS_KEPT: usize = 64;

impl HttpServer {
    /// Begins to put a plain HTTP server together.
    pub fn builder(config: HttpConfig) -> ServerBuilder<HttpConfig> {
        ServerBuilder::new(config)
    }

    /// The address it listens on, with the real port where 0 was asked for; the first one, if there
    /// are several.
    pub fn local_addr(&self) -> SocketAddr {
        self.addrs[0]
    }

    /// All addresses it listens on, in the order of [`HttpConfig::listen`]. That of an interface is
    /// `[::]` with its port, or `0.0.0.0` on a machine without IPv6.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// How to reach the server from elsewhere.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Waits until the server has stopped, which somebody else must ask for
    /// ([`ServerHandle::stop`]).
    ///
    /// # Errors
    ///
    /// [`Error::WorkerPanicked`] if a worker did not get to its end. [`Error::WouldBlockWorker`] in a
    /// handler, a hook or a work function, which would wait for themselves: then the server stops, and
    /// nobody waits for it.
    pub fn join(self) -> Result {
        self.join_workers()
    }

    /// Stops the server (upstream's `httpd_stop`) and waits until requests that are under way have
    /// finished, or `stop_timeout` is over and they were cut off.
    ///
    /// # Errors
    ///
    /// Those of [`join`](Self::join).
    pub fn stop_and_join(self) -> Result {
        self.handle.stop();
        self.join()
    }

    fn join_workers(&self) -> Result {
        if is_worker_thread() {
            return Err(Error::WouldBlockWorker);
        }
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let panicked = workers.drain(..).filter_map(|worker| worker.join().err()).count();
        if panicked > 0 { Err(Error::WorkerPanicked) } else { Ok(()) }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.handle.stop();
        match self.join_workers() {
            Ok(()) | Err(Error::WouldBlockWorker) => {}
            Err(error) => log::error!("server on {}: {error}", self.local_addr()),
        }
    }
}

impl Deref for HttpServer {
    type Target = ServerHandle;

    fn deref(&self) -> &ServerHandle {
        &self.handle
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpServer").field(&self.addrs).finish()
    }
}

impl<T: Transport> ServerBuilder<T> {
    /// Starts the server (upstream's `httpd_start`): it listens when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if an address can't be listened on, with a [`ListenError`](super::ListenError) in it that says what
    /// to do, or a thread can't be started;
    /// [`Error::HandlerExists`], [`Error::HandlersFull`] and [`Error::Config`] for what was wrong
    /// with the handlers or the configuration.
    pub fn start(self) -> Result<HttpServer> {
        let workers = worker_count(self.transport().http());
        let events = self.events.clone();
        let (transport, shared) = self.wall_clock_or(wall_time).share(workers)?;
        let listeners = listen_everywhere(&transport, workers)?;
        let addrs = listeners[0].iter().map(Listener::local_addr).collect();
        let transport = Arc::new(transport);
        let clock = Clock::start();
        let handle = ServerHandle::new(shared.reach.clone());
        let mut server =
            HttpServer { handle: handle.clone(), addrs, workers: Mutex::new(Vec::new()) };
        let lifetime = Lifetime::begin(transport.observer(events.clone()), shared.clone());

        for (number, listeners) in listeners.into_iter().enumerate() {
            let net = epoll_net(listeners, clock)?;
            let waker = net.waker();
            let (shared, transport) = (shared.clone(), transport.clone());
            let (handle, events, lifetime) = (handle.clone(), events.clone(), lifetime.clone());
            let worker = thread::Builder::new()
                .name(format!("httpd-{number}"))
                .spawn(move || {
                    let _guard = PanicGuard { handle, number };
                    let stacks = StackPool::new(shared.config.stack_size, STACKS_KEPT);
                    let observer = transport.observer(events);
                    let server = Server::new(shared, number as u16, stacks, observer, lifetime);
                    server.set_waker(move || waker.wake());
                    run(server, transport.layer(net), clock);
                })
                .map_err(|error| Error::Io("can't start a worker thread".into(), error))?;
            let workers = server.workers.get_mut().unwrap_or_else(PoisonError::into_inner);
            workers.push(worker);
        }
        Ok(server)
    }
}

/// The whole front of a worker.
fn run(mut server: Server<StackPool>, mut net: impl Net, clock: Clock) {
    let mut ready = Vec::new();
    let mut deadline = server.poll(clock.now(), &mut net, &ready);
    while !server.is_stopped() {
        ready.clear();
        net.wait(deadline, &mut ready);
        deadline = server.poll(clock.now(), &mut net, &ready);
    }
}

/// Stops the whole server when its worker panics, which is a bug of ours: a server without one of its
/// workers would go on answering only some of its clients, and nobody would know.
struct PanicGuard {
    handle: ServerHandle,
    number: usize,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            log::error!("worker {} panicked; stopping the server", self.number);
            self.handle.stop();
        }
    }
}

/// Listens where the configuration says, or on all addresses: for each worker on all of them.
fn listen_everywhere(transport: &impl Transport, workers: usize) -> Result<Vec<Vec<Listener>>> {
    let config = transport.http();
    let all = [ListenAddr::Any(transport.port())];
    let addrs = if config.listen.is_empty() { &all[..] } else { &config.listen };
    listen(addrs, config, workers).map_err(|error| {
        let error = io::Error::new(error.kind(), error);
        Error::Io("the server can't start".into(), error)
    })
}

fn epoll_net(listeners: Vec<Listener>, clock: Clock) -> Result<EpollNet> {
    EpollNet::new(listeners, clock)
        .map_err(|error| Error::Io("can't set up a worker's event loop".into(), error))
}

/// `workers`, or one per core as far as each has enough sockets to serve.
fn worker_count(config: &HttpConfig) -> usize {
    match config.workers {
        0 => {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            cores.min(config.max_open_sockets / SOCKETS_PER_WORKER).max(1)
        }
        workers => workers,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;
    use crate::server::{Events, Notice, Observer};

    #[test]
    fn a_small_server_has_one_worker() {
        let config = |max_open_sockets, workers| HttpConfig {
            max_open_sockets,
            workers,
            ..HttpConfig::default()
        };
        assert_eq!(worker_count(&config(7, 0)), 1);
        assert_eq!(worker_count(&config(63, 0)), 1);
        assert_eq!(worker_count(&config(7, 3)), 3);
        let cores = thread::available_parallelism().unwrap().get();
        assert_eq!(worker_count(&config(1 << 20, 0)), cores);
    }

    /// Plain HTTP, and an observer with a bug.
    struct Faulty(HttpConfig);

    struct Bug;

    impl Observer for Bug {
        fn notice(&mut self, notice: Notice<'_>) {
            assert!(!matches!(notice, Notice::OnHeader(_)), "the bug");
        }
    }

    impl Transport for Faulty {
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
            Box::new(Bug)
        }
    }

    #[test]
    fn a_worker_that_panics_stops_the_server_and_join_tells() {
        let config = HttpConfig { workers: 2, ..HttpConfig::default() };
        let server = ServerBuilder::new(Faulty(config)).start().unwrap();
        let mut client =
            TcpStream::connect((Ipv4Addr::LOCALHOST, server.local_addr().port())).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let handle = server.handle();
        assert!(matches!(server.join(), Err(Error::WorkerPanicked)));
        assert_eq!(handle.clients(), []);
    }
}
