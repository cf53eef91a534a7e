//! The wire of one bad client: a socket that never blocks, and TLS if it speaks that.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustls::{ClientConfig, ClientConnection};

use crate::script::{How, Wire};
use crate::testbed::Ports;
use crate::tls::{self, HANDSHAKE, Keys, Versions};

/// The bad clients' address, which is not the good ones'.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The system rounds it up to the least it has.
const SMALLEST_BUFFER: usize = 1;

/// TLS configurations, built once.
pub(super) struct Tls {
    any: Arc<ClientConfig>,
    tls12: Arc<ClientConfig>,
    tls13: Arc<ClientConfig>,
}

impl Tls {
    pub(super) fn new() -> Tls {
        Tls {
            any: tls::config(Versions::Any),
            tls12: tls::config(Versions::Tls12),
            tls13: tls::config(Versions::Tls13),
        }
    }
}

/// How large a receive buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buffer {
    Ordinary,
    Smallest,
}

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    Some,
    Blocked,
    /// The server has closed or broken the connection, or TLS has failed.
    Ended,
}

pub(super) struct Line {
    socket: TcpStream,
    wire: Wire,
    layer: Layer,
    /// Bytes on their way, and how many of them the socket has taken.
    out: Vec<u8>,
    taken: usize,
}

enum Layer {
    None,
    Tls(Box<ClientConnection>),
    /// TLS in our own hands.
    Keys(Box<Keys>),
}

impl Line {
    /// Begins to connect; the socket becomes writable when it is done.
    pub(super) fn connect(ports: Ports, wire: Wire, buffer: Buffer, tls: &Tls) -> io::Result<Line> {
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            None,
        )?;
        if buffer == Buffer::Smallest {
            sockopt::set_socket_recv_buffer_size(&socket, SMALLEST_BUFFER)?;
        }
        rustix::net::bind(&socket, &SocketAddr::from((SOURCE, 0)))?;
        let addr = if wire == Wire::Plain { ports.http } else { ports.https };
        match rustix::net::connect(&socket, &addr) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        let config = match wire {
            Wire::Plain | Wire::RawTls => None,
            Wire::Tls | Wire::Tampered => Some(&tls.any),
            Wire::Handshake12 => Some(&tls.tls12),
            Wire::Handshake13 | Wire::NewKeys => Some(&tls.tls13),
        };
        let layer =
            config.map_or(Layer::None, |config| Layer::Tls(Box::new(tls::connection(config))));
        let mut line = Line { socket, wire, layer, out: Vec::new(), taken: 0 };
        line.collect()?;
        Ok(line)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether the script can begin: there is no TLS, or its handshake is done.
    pub(super) fn is_open(&self) -> bool {
        match &self.layer {
            Layer::None | Layer::Keys(_) => true,
            Layer::Tls(tls) => !tls.is_handshaking(),
        }
    }

    /// Whether everything that was said is on its way.
    pub(super) fn is_flushed(&self) -> bool {
        self.out.is_empty()
    }

    /// Says something, in the way of this wire.
    pub(super) fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.take_keys();
        match &mut self.layer {
            Layer::None => self.out.extend_from_slice(bytes),
            Layer::Keys(keys) => self.out.append(&mut keys.encrypt(HANDSHAKE, bytes)),
            Layer::Tls(tls) => {
                if self.wire == Wire::NewKeys {
                    tls.refresh_traffic_keys().map_err(io::Error::other)?;
                }
                tls.writer().write_all(bytes)?;
            }
        }
        self.collect()
    }

    /// Takes TLS into our own hands, if that is what this wire is for.
    fn take_keys(&mut self) {
        let is_ours = matches!(self.wire, Wire::Handshake12 | Wire::Handshake13);
        self.layer = match mem::replace(&mut self.layer, Layer::None) {
            Layer::Tls(tls) if is_ours => {
                Keys::take(*tls).map_or(Layer::None, |keys| Layer::Keys(Box::new(keys)))
            }
            layer => layer,
        };
    }

    /// Hands on as much as the socket takes; whether that was all.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        while self.taken < self.out.len() {
            match self.socket.write(&self.out[self.taken..]) {
                Ok(len) => self.taken += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.taken = 0;
        Ok(true)
    }

    /// Reads once, as much as `scratch` holds; what it says is appended to `plain`.
    pub(super) fn recv(&mut self, scratch: &mut [u8], plain: &mut Vec<u8>) -> Received {
        let len = match self.socket.read(scratch) {
            Ok(0) => return Received::Ended,
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Received::Blocked,
            Err(_) => return Received::Ended,
        };
        let mut bytes = &scratch[..len];
        let Layer::Tls(tls) = &mut self.layer else {
            plain.extend_from_slice(bytes);
            return Received::Some;
        };
        while !bytes.is_empty() {
            let failed = tls.read_tls(&mut bytes).is_err() || tls.process_new_packets().is_err();
            // Says `WouldBlock` behind what there is, and that is no error here.
            let _ = tls.reader().read_to_end(plain);
            if failed {
                // Its alert leaves, as a library would send it.
                let _ = self.collect().and_then(|()| self.flush());
                return Received::Ended;
            }
        }
        match self.collect() {
            Ok(()) => Received::Some,
            Err(_) => Received::Ended,
        }
    }

    /// Takes what TLS has to say over to `out`.
    fn collect(&mut self) -> io::Result<()> {
        let Layer::Tls(tls) = &mut self.layer else { return Ok(()) };
        let is_first =
            self.out.is_empty() && tls.is_handshaking() && tls.protocol_version().is_none();
        let before = self.out.len();
        while tls.wants_write() {
            tls.write_tls(&mut self.out)?;
        }
        if self.wire == Wire::Tampered && !is_first && self.out.len() > before {
            *self.out.last_mut().expect("something was added") ^= 1;
        }
        Ok(())
    }

    /// Goes.
    pub(super) fn leave(self, how: How) {
        if how == How::Reset {
            // Fails only for a socket that is broken already.
            let _ = sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
        }
    }
}
