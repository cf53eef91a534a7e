//! A session's own transport: what the application puts between one session and the network.
//!
//! [`Line`] is how the engine sends and receives: straight to the [`Net`], or through the session's
//! [`SessionTransport`]. A transport is the application's code. What it says is therefore checked
//! against what it did, a panic costs its own session only, and nothing it answers makes the engine
//! spin.

use alloc::boxed::Box;

use crate::handler::contain;
use crate::net::{Net, NetError, NetId, RxBuf, TxBuf};

/// What one session's bytes pass through on their way from and to the network (upstream's
/// `httpd_sess_set_recv_override`, `httpd_sess_set_send_override`, `httpd_sess_set_pending_override`).
///
/// It is given to a session by
/// [`OpenSession::set_transport`](crate::OpenSession::set_transport),
/// [`Request::set_transport`](crate::Request::set_transport) or
/// [`ServerContext::set_transport`](crate::ServerContext::set_transport). It runs in the server: it
/// must be quick and must not block. If it panics its session is closed.
///
/// Over TLS it sees plain text.
///
/// ```
/// use esp_http_server::{NetError, RxBuf, SessionSocket, SessionTransport, TxBuf};
///
/// /// Counts what a session receives and sends.
/// #[derive(Default)]
/// struct Meter {
///     received: usize,
///     sent: usize,
/// }
///
/// impl SessionTransport for Meter {
///     fn recv(
///         &mut self,
///         socket: &mut dyn SessionSocket,
///         rx: &mut RxBuf,
///     ) -> Result<usize, NetError> {
///         let len = socket.recv(rx)?;
///         self.received += len;
///         Ok(len)
///     }
///
///     fn send(
///         &mut self,
///         socket: &mut dyn SessionSocket,
///         tx: &mut TxBuf,
///     ) -> Result<usize, NetError> {
///         let len = socket.send(tx)?;
///         self.sent += len;
///         Ok(len)
///     }
/// }
/// ```
pub trait SessionTransport: Send {
    /// Appends received bytes to `rx` and says how many; `Ok(0)` means that the peer has finished
    /// sending (upstream's `httpd_recv_func_t`).
    ///
    /// What the transport still holds comes first, and only then `socket` is asked: for bytes that
    /// are [`pending`](Self::pending) the network has no reason to report the session again.
    ///
    /// # Errors
    ///
    /// [`NetError::WouldBlock`] if nothing is there. Any other error ends the session.
    fn recv(&mut self, socket: &mut dyn SessionSocket, rx: &mut RxBuf) -> Result<usize, NetError>;

    /// Takes bytes from the front of `tx` and says how many (upstream's `httpd_send_func_t`). An
    /// empty `tx` asks for what is [`unsent`](Self::unsent) to move on.
    ///
    /// # Errors
    ///
    /// [`NetError::WouldBlock`] if nothing could be taken or moved on; as long as nothing can be, the
    /// session's `send_wait_timeout` runs. Any other error ends the session.
    fn send(&mut self, socket: &mut dyn SessionSocket, tx: &mut TxBuf) -> Result<usize, NetError>;

    /// How many bytes the next [`recv`](Self::recv) would give without asking the socket (upstream's
    /// `httpd_pending_func_t`).
    fn pending(&self) -> usize {
        0
    }

    /// How many bytes that `send` has taken would leave if the socket took them. Bytes that wait for
    /// others to join them don't count.
    fn unsent(&self) -> usize {
        0
    }
}

/// The network below a [`SessionTransport`]: the session's own connection.
pub trait SessionSocket {
    /// Appends received bytes to `rx` and says how many; `Ok(0)` means that the peer has finished
    /// sending.
    ///
    /// # Errors
    ///
    /// [`NetError::WouldBlock`] if nothing is there; any other error is the connection's end.
    fn recv(&mut self, rx: &mut RxBuf) -> Result<usize, NetError>;

    /// Takes bytes from the front of `tx` and says how many; 0 if only bytes that were taken before
    /// have moved on.
    ///
    /// # Errors
    ///
    /// [`NetError::WouldBlock`] if none; any other error is the connection's end.
    fn send(&mut self, tx: &mut TxBuf) -> Result<usize, NetError>;
}

/// A session's way to the network.
pub(super) struct Line<'a, N> {
    net: &'a mut N,
    id: NetId,
    transport: Option<&'a mut Box<dyn SessionTransport>>,
}

/// Why no byte has moved.
pub(super) enum Still {
    /// The network will report the session when it is worth trying again.
    Blocked,
    /// It is worth trying again, and nobody will report it.
    AskAgain,
    /// The connection has failed.
    Failed(NetError),
}

/// How often a transport is called in a row while it moves bytes below and hands on none, so that a
/// peer who dribbles has its turn like everybody else.
const CALLS_MAX: usize = 16;
/// Room for a transport's own reads that did not make some.
const RECV_LEN: usize = 2 * 1024;

impl<'a, N: Net> Line<'a, N> {
    pub(super) fn new(
        net: &'a mut N,
        id: NetId,
        transport: Option<&'a mut Box<dyn SessionTransport>>,
    ) -> Self {
        Self { net, id, transport }
    }

    /// Reads once: appends to `rx` and says how many bytes, 0 at the peer's end.
    pub(super) fn recv(&mut self, rx: &mut RxBuf) -> Result<usize, Still> {
        let Some(transport) = &mut self.transport else {
            return Ok(self.net.recv(self.id, rx)?);
        };
        for _ in 0..CALLS_MAX {
            let mut socket = Socket::new(self.net, self.id);
            let (had, pending_before) = (rx.len(), pending(transport));
            let received = guarded(transport, |transport| transport.recv(&mut socket, rx));
            let Socket { moved, blocked, ended, .. } = socket;
            if rx.is_torn() || rx.len() < had {
                *rx = RxBuf::new();
                return Err(misuse("has taken back what was received").into());
            }
            match (received, rx.len() - had) {
                (Ok(0), 0) => return Ok(0),
                (Ok(_), 0) => return Err(misuse("has counted bytes that are not there").into()),
                (Ok(_) | Err(NetError::WouldBlock), appended @ 1..) => return Ok(appended),
                (Err(NetError::WouldBlock), 0) => {}
                (Err(error), _) => return Err(error.into()),
            }
            if blocked {
                return Err(Still::Blocked);
            }
            // It may have got further without a word from the network, which then owes no report.
            if !moved && pending(transport) == pending_before {
                // What it waits for never comes if the peer has finished.
                return if ended { Ok(0) } else { Err(Still::Blocked) };
            }
        }
        Err(Still::AskAgain)
    }

    /// Sends from the front of `tx` and says how many bytes were taken, as [`Net::send`] does.
    pub(super) fn send(&mut self, tx: &mut TxBuf) -> Result<usize, Still> {
        let Some(transport) = &mut self.transport else {
            return Ok(self.net.send(self.id, tx)?);
        };
        let (len, unsent_before) = (tx.len(), unsent(transport));
        if len == 0 && unsent_before == 0 {
            return Ok(self.net.send(self.id, tx)?);
        }
        for _ in 0..CALLS_MAX {
            let mut socket = Socket::new(self.net, self.id);
            let sent = guarded(transport, |transport| transport.send(&mut socket, tx));
            let Socket { moved, blocked, .. } = socket;
            if tx.is_torn() || tx.len() > len {
                *tx = TxBuf::new();
                return Err(misuse("has changed what is to be sent").into());
            }
            match sent {
                Ok(_) | Err(NetError::WouldBlock) => {}
                Err(error) => return Err(error.into()),
            }
            // What has left counts, whatever it says.
            match len - tx.len() {
                0 if unsent(transport) < unsent_before => return Ok(0),
                0 if moved && !blocked => {}
                0 => return Err(Still::Blocked),
                taken => return Ok(taken),
            }
        }
        Err(Still::AskAgain)
    }

    /// How many bytes were taken that have not left.
    pub(super) fn unsent(&mut self) -> usize {
        self.net.unsent(self.id) + self.transport.as_mut().map_or(0, |transport| unsent(transport))
    }
}

impl From<NetError> for Still {
    fn from(error: NetError) -> Self {
        match error {
            NetError::WouldBlock => Self::Blocked,
            error => Self::Failed(error),
        }
    }
}

/// The connection below a transport, during one call of it.
struct Socket<'a, N> {
    net: &'a mut N,
    id: NetId,
    /// Whether bytes have moved.
    moved: bool,
    /// Whether the network was found not ready, and so owes a report.
    blocked: bool,
    /// Whether the peer's end was met.
    ended: bool,
}

impl<'a, N: Net> Socket<'a, N> {
    fn new(net: &'a mut N, id: NetId) -> Self {
        Self { net, id, moved: false, blocked: false, ended: false }
    }
}

impl<N: Net> SessionSocket for Socket<'_, N> {
    fn recv(&mut self, rx: &mut RxBuf) -> Result<usize, NetError> {
        let storage = rx.storage();
        // Without room the answer would look like the peer's end.
        if storage.capacity() == storage.len() {
            rx.reserve(RECV_LEN);
        }
        let received = self.net.recv(self.id, rx);
        match received {
            Ok(0) => self.ended = true,
            Ok(_) => self.moved = true,
            Err(NetError::WouldBlock) => self.blocked = true,
            Err(_) => {}
        }
        received
    }

    fn send(&mut self, tx: &mut TxBuf) -> Result<usize, NetError> {
        let unsent = self.net.unsent(self.id);
        let sent = self.net.send(self.id, tx);
        match sent {
            Ok(0) => self.moved |= self.net.unsent(self.id) < unsent,
            Ok(_) => self.moved = true,
            Err(NetError::WouldBlock) => self.blocked = true,
            Err(_) => {}
        }
        sent
    }
}

/// Stands where a transport has panicked: nothing passes any more, least of all around it.
struct Broken;

impl SessionTransport for Broken {
    fn recv(&mut self, _: &mut dyn SessionSocket, _: &mut RxBuf) -> Result<usize, NetError> {
        Err(NetError::Closed)
    }

    fn send(&mut self, _: &mut dyn SessionSocket, _: &mut TxBuf) -> Result<usize, NetError> {
        Err(NetError::Closed)
    }
}

/// Calls a transport; one that panics is never called again.
fn guarded<R>(
    transport: &mut Box<dyn SessionTransport>,
    call: impl FnOnce(&mut dyn SessionTransport) -> Result<R, NetError>,
) -> Result<R, NetError> {
    contain(|| call(&mut **transport)).unwrap_or_else(|| {
        let broken = core::mem::replace(transport, Box::new(Broken));
        contain(|| drop(broken));
        Err(misuse("panicked"))
    })
}

fn pending(transport: &mut Box<dyn SessionTransport>) -> usize {
    guarded(transport, |transport| Ok(transport.pending())).unwrap_or(0)
}

fn unsent(transport: &mut Box<dyn SessionTransport>) -> usize {
    guarded(transport, |transport| Ok(transport.unsent())).unwrap_or(0)
}

/// What a transport has done wrong.
fn misuse(what: &'static str) -> NetError {
    log::error!("a session's transport {what}");
    NetError::Failed(alloc::format!("the session's transport {what}").into())
}
