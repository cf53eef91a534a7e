//! The outside world, as the engine sees it.
//!
//! [`Net`] is the whole contract between the engine and sockets. A front implements it for an
//! operating system or a network stack, and a layer implements it around another `Net`: TLS is one,
//! as ESP-IDF's HTTPS server is a set of `open`, `recv`, `send`, `pending` and `close` hooks on its
//! HTTP server; fault injection in tests is another.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;
use core::net::SocketAddr;

use crate::time::Instant;

/// Connections, by small numbers. Only [`wait`](Net::wait) may block.
///
/// # The life of a connection
///
/// [`accept`](Net::accept) names it. [`open`](Net::open) is called whenever the connection is
/// ready, until it answers `Ok`; then [`recv`](Net::recv) and [`send`](Net::send) move bytes.
/// [`shutdown`](Net::shutdown) may say that no more will be sent; what still comes is
/// [discarded](Net::discard). [`close`](Net::close) ends it, at any point, and frees the number.
///
/// # Readiness
///
/// Readiness is edge-triggered: `wait` reports a connection once when it becomes readable, writable
/// or fails, and again only after `recv`, `send`, `discard` or `open` has answered
/// [`NetError::WouldBlock`]. A report without a reason is harmless.
pub trait Net {
    /// The next connection that waits to be accepted, if there is one.
    ///
    /// The engine does not call this while its session table is full, so that connections wait in
    /// the listener's backlog; it calls it again when there is room, without a new report.
    fn accept(&mut self) -> Option<NetId>;

    /// Takes the connection through whatever comes before the first byte of HTTP: a TLS handshake.
    ///
    /// # Errors
    ///
    /// `WouldBlock` while it is under way. Any other error ends the connection.
    fn open(&mut self, _id: NetId) -> Result<(), NetError> {
        Ok(())
    }

    /// Whether the next step of opening this connection may take as long as many requests: the answer to
    /// a ClientHello does, with its signature and its key exchange.
    ///
    /// The engine takes few such steps in a turn, so that nobody waits for all of a crowd.
    fn is_dear_to_open(&self, _id: NetId) -> bool {
        false
    }

    /// What a connection has failed with that was not open within `handshake_timeout`. The engine
    /// closes it then, and tells this.
    fn open_timed_out(&mut self, _id: NetId) -> NetError {
        NetError::TimedOut
    }

    /// Appends received bytes to `rx` and says how many; `Ok(0)` means that the peer has finished
    /// sending.
    ///
    /// A bounded number of reads is made, and none more once there is something. A plain socket fills
    /// the spare capacity of `rx`, of which the engine makes sure that there is some; a layer that
    /// decodes may go beyond it by what that one read held.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there.
    fn recv(&mut self, id: NetId, rx: &mut RxBuf) -> Result<usize, NetError>;

    /// Drops received bytes, as many as one read takes, and says how many; `Ok(0)` means that the peer
    /// has finished sending.
    ///
    /// The engine calls it behind [`shutdown`](Self::shutdown), when what still comes is of no use to
    /// anybody and only the peer's end is awaited: a system may be able to drop without copying, and a
    /// layer need not decode. That end is the network's; a layer's own, such as TLS's close_notify, goes
    /// unread.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there.
    fn discard(&mut self, id: NetId) -> Result<usize, NetError> {
        let mut dropped = RxBuf::new();
        dropped.reserve(DISCARD_LEN);
        self.recv(id, &mut dropped)
    }

    /// Takes bytes from the front of `tx` and says how many. `Ok(0)` means that nothing of `tx` was
    /// taken, but that what was taken before has moved on; an empty `tx` asks for just that.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing could be taken or moved on.
    fn send(&mut self, id: NetId, tx: &mut TxBuf) -> Result<usize, NetError>;

    /// Has the peer told at once that its bytes have come, instead of together with an answer: for when
    /// it may be waiting for that and there is no answer to go with it. Nothing need be done where
    /// acknowledging is never put off.
    fn acknowledge(&mut self, _id: NetId) {}

    /// Has the next `send` try, although it was last told `WouldBlock` and nothing was reported since.
    ///
    /// A system may report room only when there is much of it, which a peer that reads slowly takes
    /// long to make. The engine asks for this before it gives up a connection of which nothing was
    /// reported for `send_wait_timeout`. Nothing need be done where every bit of room is reported, or
    /// where `send` always tries.
    fn look_again(&mut self, _id: NetId) {}

    /// Whether [`settle`](Self::settle) would do something for this connection now.
    fn can_settle(&self, _id: NetId) -> bool {
        false
    }

    /// Has this layer give back what it needed to open the connection, which goes on and is silent.
    ///
    /// The engine calls it a tenth of a second after an answer, if [`can_settle`](Self::can_settle) said so:
    /// what takes time to give back isn't worth it for connections that end before. Should it fail, the
    /// connection is reported, and is [`Closed`](NetError::Closed).
    fn settle(&mut self, _id: NetId) {}

    /// How many received bytes wait inside this layer while the socket may be silent.
    fn pending(&self, _id: NetId) -> usize {
        0
    }

    /// How many bytes `send` has taken that are still inside this layer.
    fn unsent(&self, _id: NetId) -> usize {
        0
    }

    /// How many bytes of memory this layer holds in buffers for a connection.
    fn buffered(&self, _id: NetId) -> usize {
        0
    }

    /// Says to the peer that nothing more will be sent, after all that was taken. What still comes is only
    /// [discarded](Self::discard).
    fn shutdown(&mut self, id: NetId);

    /// Ends the connection. The number may be given to another one from now on.
    fn close(&mut self, id: NetId);

    /// Stops taking new connections, for good: the listener is closed.
    fn stop_listening(&mut self);

    /// Who is at the other end, if that can be told.
    fn peer_addr(&self, _id: NetId) -> Option<SocketAddr> {
        None
    }

    /// The address the peer connected to, if that can be told.
    fn local_addr(&self, _id: NetId) -> Option<SocketAddr> {
        None
    }

    /// What this layer can say of a connection that is open, for handlers that know its type
    /// (upstream's `httpd_sess_set_transport_ctx`): over TLS, what was negotiated and who the peer is.
    ///
    /// The engine asks once, after [`open`](Self::open) has answered `Ok`, and keeps the answer as
    /// long as the session. A layer that gives the same `Arc` to all sessions of which it says the
    /// same saves memory in each.
    fn transport_ctx(&mut self, _id: NetId) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    /// Blocks until something is ready, a waker was used, or `until` has come (`None`: for ever; a
    /// moment in the past: not at all), and appends what is ready to `ready`.
    fn wait(&mut self, until: Option<Instant>, ready: &mut Vec<NetId>);
}

/// Room for what is dropped, in bytes, where a `Net` has no better way.
const DISCARD_LEN: usize = 2 * 1024;

/// A connection of a [`Net`]: a small number, like a file descriptor.
///
/// Implementors give the lowest number that is free, because the engine keeps a table by it. A
/// number comes back as soon as its connection was closed; the engine's
/// [`SessionId`](crate::SessionId) never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetId(pub u32);

impl NetId {
    /// The number as an index into a table.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why a [`Net`] did not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetError {
    /// Not now; `wait` will report the connection when it is worth trying again.
    WouldBlock,
    /// The peer is gone: it reset the connection, or broke it off where more was due.
    Closed,
    /// The connection was not open in time (`handshake_timeout`).
    TimedOut,
    /// The connection can't go on, by its peer's fault or that of the layer which says so.
    Failed(Box<dyn core::error::Error + Send + Sync>),
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("the connection is not ready"),
            Self::Closed => f.write_str("the peer closed the connection"),
            Self::TimedOut => f.write_str("the handshake was not done in time"),
            Self::Failed(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for NetError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(&**error),
            _ => None,
        }
    }
}

/// Received bytes: a [`Net`] appends, the engine consumes from the front.
#[derive(Debug, Default)]
pub struct RxBuf {
    bytes: Vec<u8>,
    start: usize,
}

impl RxBuf {
    /// An empty buffer that owns no memory.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0 }
    }

    /// What was received and not yet consumed.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The same, to be changed in place (WebSocket masks).
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    /// How many bytes wait to be consumed.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether there is nothing to consume.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops the first `len` bytes.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn consume(&mut self, len: usize) {
        assert!(len <= self.len(), "{len} bytes consumed of {}", self.len());
        self.start += len;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Makes room for at least `len` more bytes.
    pub fn reserve(&mut self, len: usize) {
        if self.bytes.capacity() - self.bytes.len() < len {
            self.grow(len);
        }
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.reserve_exact(len);
    }

    /// The storage, for a [`Net`] to append to; what is already in it must stay as it is.
    pub fn storage(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whether somebody has taken more out of the storage than was in it.
    pub(crate) fn is_torn(&self) -> bool {
        self.start > self.bytes.len()
    }

    /// How much memory the buffer holds, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Bytes to be sent: the engine and handlers append, a [`Net`] takes from the front.
#[derive(Debug, Default)]
pub struct TxBuf {
    bytes: Vec<u8>,
    start: usize,
}

impl TxBuf {
    /// An empty buffer that owns no memory.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0 }
    }

    /// What waits to be sent.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// How many bytes wait to be sent.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops the first `len` bytes: they are taken.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub fn advance(&mut self, len: usize) {
        assert!(len <= self.len(), "{len} bytes taken of {}", self.len());
        self.start += len;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Makes room for `len` more bytes. It grows as a vector does, but beyond `most` only by what these
    /// bytes need.
    pub(crate) fn reserve_within(&mut self, len: usize, most: usize) {
        if self.bytes.capacity() - self.bytes.len() >= len {
            return;
        }
        self.bytes.drain(..self.start);
        self.start = 0;
        let (used, needed) = (self.bytes.len(), self.bytes.len() + len);
        if needed > self.bytes.capacity() {
            let capacity = (self.bytes.capacity() * 2).min(most).max(needed);
            self.bytes.reserve_exact(capacity - used);
        }
    }

    /// The storage, to append to; what is already in it must stay as it is.
    pub fn storage(&mut self) -> &mut Vec<u8> {
        if self.start > 0 && self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }

    /// Whether somebody has taken more out of the storage than was in it.
    pub(crate) fn is_torn(&self) -> bool {
        self.start > self.bytes.len()
    }

    /// How much memory the buffer holds, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
