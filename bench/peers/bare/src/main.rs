//! The ceiling: one thread, an epoll loop over rustls, and answers that are made in advance.
//!
//! It is no web server. It knows three pages by their first letters, takes every other line that
//! ends a head for a request of the first, and has no timeouts and no limits. What a server that
//! does those things reaches of it is what they cost.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustls::ServerConfig;

mod layer;
mod pages;
mod tls_config;

use layer::{Layer, Unread};
use pages::Pages;

/// An epoll loop over rustls that only answers
#[derive(Parser)]
struct Args {
    /// Serve plain HTTP on this port
    #[arg(long, value_name = "PORT")]
    http: Option<u16>,
    /// Serve HTTPS on this port
    #[arg(long, value_name = "PORT")]
    https: Option<u16>,
    /// Certificate chain, PEM
    #[arg(long, value_name = "PEM")]
    cert: PathBuf,
    /// Its private key, PEM
    #[arg(long, value_name = "PEM")]
    key: PathBuf,
    /// Let clients resume their TLS sessions
    #[arg(long)]
    session_tickets: bool,
    /// Which of rustls' two interfaces to use
    #[arg(long, value_enum, default_value = "unbuffered")]
    tls: Interface,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Interface {
    Buffered,
    Unbuffered,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let mut server = Server::new(args.tls)?;
    if let Some(port) = args.http {
        server.listen(port, None)?;
    }
    if let Some(port) = args.https {
        let config = tls_config::load(&args.cert, &args.key, args.session_tickets)?;
        server.listen(port, Some(Arc::new(config)))?;
    }
    server.run()
}

/// Longer than the largest record, so that one read takes what a small request sends.
const READ_LEN: usize = 32 << 10;

struct Server {
    epoll: Epoll,
    listeners: HashMap<RawFd, (TcpListener, Option<Arc<ServerConfig>>)>,
    /// By socket number.
    sessions: Vec<Option<Session>>,
    interface: Interface,
    pages: Pages,
    /// What one read brings.
    input: Vec<u8>,
    /// What one write sends.
    output: Vec<u8>,
}

struct Session {
    socket: TcpStream,
    layer: Layer,
    unread: Unread,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

/// Whether a session goes on.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    Close,
}

impl Server {
    fn new(interface: Interface) -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            listeners: HashMap::new(),
            sessions: Vec::new(),
            interface,
            pages: Pages::new(),
            input: vec![0; READ_LEN],
            output: Vec::new(),
        })
    }

    fn listen(&mut self, port: u16, config: Option<Arc<ServerConfig>>) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let fd = listener.as_raw_fd();
        self.epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, fd as u64))?;
        self.listeners.insert(fd, (listener, config));
        Ok(())
    }

    fn run(mut self) -> Result<(), Failure> {
        let mut events = vec![EpollEvent::empty(); 256];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Err(nix::Error::EINTR) => continue,
                result => result?,
            };
            for event in &events[..count] {
                let fd = event.data() as RawFd;
                if self.listeners.contains_key(&fd) {
                    self.accept(fd)?;
                } else if self.serve(fd as usize).unwrap_or(Go::Close) == Go::Close {
                    self.sessions[fd as usize] = None;
                }
            }
        }
    }

    fn accept(&mut self, fd: RawFd) -> io::Result<()> {
        let (listener, config) = &self.listeners[&fd];
        loop {
            let socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let index = socket.as_raw_fd() as usize;
            let news = EpollFlags::EPOLLIN
                | EpollFlags::EPOLLOUT
                | EpollFlags::EPOLLRDHUP
                | EpollFlags::EPOLLET;
            self.epoll.add(&socket, EpollEvent::new(news, index as u64))?;
            let layer = Layer::new(config.as_ref(), self.interface);
            let session = Session { socket, layer, unread: Unread::default(), unsent: Vec::new() };
            if self.sessions.len() <= index {
                self.sessions.resize_with(index + 1, || None);
            }
            self.sessions[index] = Some(session);
        }
    }

    /// Sends what waits, then reads and answers until there is nothing more, or the socket is full.
    fn serve(&mut self, index: usize) -> Result<Go, Failure> {
        let Some(Some(session)) = self.sessions.get_mut(index) else { return Ok(Go::On) };
        if !session.unsent.is_empty() {
            let unsent = std::mem::take(&mut session.unsent);
            session.send(&unsent)?;
        }
        while session.unsent.is_empty() {
            let len = match session.socket.read(&mut self.input) {
                Ok(0) => return Ok(Go::Close),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Go::On),
                Err(error) => return Err(error.into()),
            };
            self.output.clear();
            let Session { layer, unread, .. } = session;
            layer.recv(&mut self.input[..len], &mut self.output, &mut |plain| {
                unread.requests(plain, &self.pages)
            })?;
            if !self.output.is_empty() {
                session.send(&self.output)?;
            }
            // Less than there was room for: the socket is empty, and what comes will be told.
            if len < READ_LEN {
                return Ok(Go::On);
            }
        }
        Ok(Go::On)
    }
}

impl Session {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut sent_len = 0;
        while sent_len < bytes.len() {
            match self.socket.write(&bytes[sent_len..]) {
                Ok(len) => sent_len += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.unsent.extend_from_slice(&bytes[sent_len..]);
        Ok(())
    }
}
