//! One client's TCP connection, with TLS or without.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::Target;
use crate::http::{self, Answer, AnswerReader};
use crate::tls::{self, Resumption};

/// Connects, requests `path`, and waits for the answer.
///
/// # Errors
///
/// If the server can't be reached, says nothing for `timeout`, or answers with something else than
/// 200 and a body of known length.
pub fn one_request(target: Target, path: &str, timeout: Duration) -> io::Result<()> {
    let config = target.tls.map(|version| tls::config(version, Resumption::Off));
    let mut connection = Connection::open(target.addr, config.as_ref())?;
    connection.socket.set_read_timeout(Some(timeout))?;
    connection.send(&http::request(path))?;
    let mut scratch = vec![0; SCRATCH_LEN];
    let mut reader = AnswerReader::new(200);
    let mut answer = Answer::Partial;
    while answer == Answer::Partial {
        connection.recv(&mut scratch, &mut |bytes| {
            (_, answer) = reader.take(bytes)?;
            Ok(())
        })?;
    }
    Ok(())
}

/// How much is read at once. Large, so that a large body costs this side few system calls.
pub(crate) const SCRATCH_LEN: usize = 256 << 10;

/// A connection, and TLS if the server speaks it.
pub(crate) struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Connection {
    /// Connects, and sends the ClientHello.
    pub(crate) fn open(addr: SocketAddr, config: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let socket = TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        let tls = config
            .map(|config| ClientConnection::new(Arc::clone(config), tls::server_name()))
            .transpose()
            .map_err(io::Error::other)?
            .map(Box::new);
        Ok(Self { socket, tls })
    }

    /// From now on `recv` answers `WouldBlock` instead of waiting.
    pub(crate) fn do_not_wait(&self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }

    /// Waits for the end of the TLS handshake.
    pub(crate) fn finish_handshake(&mut self, timeout: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(timeout))?;
        if let Some(tls) = &mut self.tls {
            while tls.is_handshaking() {
                tls.complete_io(&mut self.socket)?;
            }
        }
        Ok(())
    }

    /// Sends bytes, in TLS as soon as the handshake allows.
    ///
    /// What the socket does not take at once is an error: whoever sends has read all answers.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write_all(bytes);
        };
        tls.writer().write_all(bytes)?;
        flush(tls, &mut self.socket)
    }

    /// Reads once from the socket and gives what comes of it to `sink`, in pieces.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, `UnexpectedEof` if the server has closed, errors of the socket, of TLS, and of
    /// `sink`.
    pub(crate) fn recv(
        &mut self,
        scratch: &mut [u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> io::Result<()> {
        let len = self.socket.read(scratch)?;
        if len == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server has closed"));
        }
        let Some(tls) = &mut self.tls else {
            return sink(&scratch[..len]).map_err(io::Error::other);
        };
        let mut records = &scratch[..len];
        while !records.is_empty() {
            tls.read_tls(&mut records)?;
            tls.process_new_packets().map_err(io::Error::other)?;
            drain(tls, sink)?;
        }
        flush(tls, &mut self.socket)
    }

    /// How the handshake went, once it is over.
    pub(crate) fn handshake(&self) -> Option<HandshakeKind> {
        self.tls.as_ref().and_then(|tls| tls.handshake_kind())
    }

    /// Closes with a reset, so that no port stays in TIME_WAIT: at thousands of connections a second
    /// they would run out.
    pub(crate) fn abort(self) {
        let at_once = linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&self.socket, sockopt::Linger, &at_once).ok();
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Gives what is decrypted to `sink`.
fn drain(
    tls: &mut ClientConnection,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), String>,
) -> io::Result<()> {
    let mut reader = tls.reader();
    loop {
        let len = match reader.fill_buf() {
            Ok([]) => {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server has closed"));
            }
            Ok(bytes) => {
                sink(bytes).map_err(io::Error::other)?;
                bytes.len()
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        reader.consume(len);
    }
}

fn flush(tls: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(socket)?;
    }
    Ok(())
}
