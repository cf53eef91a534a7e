//! Clients that behave badly: what a server must not let good ones feel.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ClientConnection;

use crate::connection::Connection;
use crate::engine::pin;
use crate::tls::{self, Resumption};
use crate::{Target, http};

/// Bad clients at work, a quarter of each kind. Dropping it ends them.
///
/// | kind | |
/// |---|---|
/// | silent | connects and sends nothing |
/// | dripping hello | sends its ClientHello, or head, a byte at a time |
/// | dripping request | has finished its handshake, and sends a head a byte at a time |
/// | never reading | asks for 8 MB and reads none of it |
///
/// They are not replaced when the server throws them out, so they last as long as its timeouts.
pub struct BadClients {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The time between two bytes of those that drip.
const DRIP: Duration = Duration::from_secs(1);
/// How long a server may take for the handshake of a bad client.
const TIMEOUT: Duration = Duration::from_secs(10);

impl BadClients {
    /// Opens so many on the calling thread, and lets them drip on another, on that core.
    ///
    /// # Errors
    ///
    /// If one can't connect or finish its handshake.
    pub fn start(target: Target, count: usize, core: usize) -> io::Result<Self> {
        let mut clients = (0..count)
            .map(|index| match index % 4 {
                0 => Client::silent(target),
                1 => Client::dripping_hello(target),
                2 => Client::dripping_request(target),
                _ => Client::never_reading(target),
            })
            .collect::<io::Result<Vec<_>>>()?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            pin(core);
            while stopped.recv_timeout(DRIP) == Err(RecvTimeoutError::Timeout) {
                clients.iter_mut().for_each(Client::drip);
            }
        });
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for BadClients {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

enum Client {
    /// Only its connection matters.
    Resting { _socket: TcpStream },
    /// The same, with TLS.
    Deaf { _connection: Connection },
    /// Sends raw bytes one by one.
    Raw { socket: TcpStream, bytes: Vec<u8>, at: usize },
    /// Sends the bytes of a request one by one.
    Slow { connection: Connection, bytes: Vec<u8>, at: usize },
}

impl Client {
    fn silent(target: Target) -> io::Result<Self> {
        Ok(Self::Resting { _socket: TcpStream::connect(target.addr)? })
    }

    fn dripping_hello(target: Target) -> io::Result<Self> {
        let bytes = match target.tls {
            Some(version) => {
                let config = tls::config(version, Resumption::Off);
                let mut client =
                    ClientConnection::new(config, tls::server_name()).map_err(io::Error::other)?;
                let mut hello = Vec::new();
                client.write_tls(&mut hello)?;
                hello
            }
            None => http::request("/"),
        };
        let socket = TcpStream::connect(target.addr)?;
        socket.set_nodelay(true)?;
        Ok(Self::Raw { socket, bytes, at: 0 })
    }

    fn dripping_request(target: Target) -> io::Result<Self> {
        let connection = opened(target)?;
        Ok(Self::Slow { connection, bytes: http::request("/"), at: 0 })
    }

    fn never_reading(target: Target) -> io::Result<Self> {
        let mut connection = opened(target)?;
        connection.send(&http::request("/1m").repeat(8))?;
        Ok(Self::Deaf { _connection: connection })
    }

    /// Sends the next byte, if there is one. That the server has closed is no error here.
    fn drip(&mut self) {
        match self {
            Self::Resting { .. } | Self::Deaf { .. } => {}
            Self::Raw { socket, bytes, at } => {
                socket.write_all(next_byte(bytes, at)).ok();
            }
            Self::Slow { connection, bytes, at } => {
                connection.send(next_byte(bytes, at)).ok();
            }
        }
    }
}

fn opened(target: Target) -> io::Result<Connection> {
    let config = target.tls.map(|version| Arc::clone(&tls::config(version, Resumption::Off)));
    let mut connection = Connection::open(target.addr, config.as_ref())?;
    connection.finish_handshake(TIMEOUT)?;
    Ok(connection)
}

/// The byte at `at`, which moves on; nothing behind the last but one, so that nothing is ever whole.
fn next_byte<'a>(bytes: &'a [u8], at: &mut usize) -> &'a [u8] {
    let next = bytes[..bytes.len() - 1].get(*at..*at + 1).unwrap_or_default();
    *at += next.len();
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drips_never_becomes_whole() {
        let mut at = 0;
        let sent: Vec<u8> = (0..10).flat_map(|_| next_byte(b"abc", &mut at)).copied().collect();
        assert_eq!(sent, b"ab");
    }
}
