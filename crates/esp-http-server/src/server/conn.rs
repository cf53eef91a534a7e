//! What travels between the engine and a handler: everything that is one client's and nobody else's.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use super::date::DateLine;
use super::entrance::Entrance;
use super::event::SessionNotice;
use super::session::SessionId;
use super::shared::Shared;
use super::transport::SessionTransport;
use super::turn::time_for;
#[cfg(feature = "std")]
use crate::handler::EngineSide;
use crate::handler::ws::WsState;
use crate::handler::{Failure, contain};
use crate::net::{RxBuf, TxBuf};
use crate::proto::body::BodyDecoder;
use crate::proto::head::{BodyLen, Head};
use crate::proto::status::Status;

#[cfg(feature = "std")]
mod stand_in;

/// One client's connection, owned by whoever works on it: the engine, or the handler that runs.
pub(crate) struct Conn {
    pub(crate) id: SessionId,
    pub(crate) peer_addr: Option<SocketAddr>,
    /// Present once the session is open.
    entrance: Option<Arc<Entrance>>,
    pub(crate) shared: Arc<Shared>,
    /// Present while bytes are in flight; an idle session has given it back to its worker's pool.
    pub(crate) exchange: Option<Box<Exchange>>,
    /// Present once the session has become a WebSocket.
    pub(crate) ws: Option<Box<WsState>>,
    /// Present once the application has given the session something.
    attached: Option<Box<Attached>>,
    pub(crate) peer: Peer,
    /// Whether the session stays open after this response.
    pub(crate) keep_alive: bool,
    closing: bool,
    /// Whether a detached request has the real one, and this is what the engine goes on with.
    #[cfg(feature = "std")]
    stands_in: bool,
}

/// What a session keeps for the application. Dropping any of it may run the application's code.
#[derive(Default)]
struct Attached {
    ctx: Option<Box<dyn Any + Send>>,
    transport: Option<Box<dyn SessionTransport>>,
}

/// What the client at the other end of a session still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It may send.
    Sending,
    /// It has finished sending, and may be waiting for an answer.
    Finished,
    /// It is gone, or the session was closed on this side.
    Gone,
}

/// Buffers and state of one request and its response. Reused, so that a request allocates nothing.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) rx: RxBuf,
    pub(crate) tx: TxBuf,
    /// Bytes before those in `tx` that the engine goes on sending while a detached request has this.
    pub(crate) tx_ahead_len: usize,
    pub(crate) head: Head,
    pub(crate) body: BodyDecoder,
    pub(crate) reply: Reply,
    /// The status of the response, once its head was written.
    pub(crate) status: Status,
    /// The error that is being answered.
    pub(crate) failure: Option<Failure>,
    /// Present from when a handler detaches its request to when it returns.
    #[cfg(feature = "std")]
    pub(crate) detached: Option<EngineSide>,
    /// Encoded header fields of the response that is being set.
    pub(crate) fields: Vec<u8>,
    /// The time of day, as far as the server knows it.
    pub(crate) date: Option<DateLine>,
    /// Bytes of `fields` that are the server's own: they stay when a handler sets another response.
    pub(crate) server_fields_len: usize,
    /// Bytes from elsewhere that went behind what waits to be sent since that was empty.
    pushed_len: usize,
    /// How much to read at once; grows while a peer fills it.
    pub(crate) read_len: usize,
    /// What it was weighed at when it was kept for the next session.
    pub(super) kept_len: usize,
    /// What the client has cost in waits for a body or a message and not made good by bytes; see
    /// `turn/rates.rs`.
    pub(crate) recv_spent: Duration,
    /// The client waits for `100 Continue` before it sends its body.
    pub(crate) continue_due: bool,
}

/// How far the response is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Nothing of it was written.
    #[default]
    None,
    /// The head was written, and the body is under way.
    Open,
    /// All of it was written.
    Done,
}

/// How much is read at once at first, and how little at the end of a full buffer.
const READ_MIN: usize = 2 * 1024;
const READ_LEAST: usize = 256;
/// Buffers that grew beyond this for one peer are not kept for the next.
const KEEP_MAX: usize = 80 * 1024;

impl Conn {
    pub(crate) fn new(id: SessionId, peer_addr: Option<SocketAddr>, shared: Arc<Shared>) -> Self {
        Self {
            id,
            peer_addr,
            entrance: None,
            shared,
            exchange: None,
            ws: None,
            attached: None,
            peer: Peer::Sending,
            keep_alive: true,
            closing: false,
            #[cfg(feature = "std")]
            stands_in: false,
        }
    }

    /// The buffers of a session that has bytes in flight.
    pub(crate) fn io(&self) -> &Exchange {
        self.exchange.as_ref().expect("a session being served has its buffers")
    }

    /// The buffers of a session that has bytes in flight.
    pub(crate) fn io_mut(&mut self) -> &mut Exchange {
        self.exchange.as_mut().expect("a session being served has its buffers")
    }

    pub(crate) fn session_ctx<T: Any>(&mut self) -> Option<&mut T> {
        self.attached.as_mut()?.ctx.as_mut()?.downcast_mut()
    }

    pub(crate) fn set_session_ctx<T: Any + Send>(&mut self, ctx: T) {
        let before = self.attached().ctx.replace(Box::new(ctx));
        // Last, because it may panic.
        drop(before);
    }

    pub(crate) fn session_ctx_or_insert_with<T, F>(&mut self, make: F) -> &mut T
    where
        T: Any + Send,
        F: FnOnce() -> T,
    {
        if self.session_ctx::<T>().is_none() {
            self.set_session_ctx(make());
        }
        self.session_ctx().expect("it was just set")
    }

    pub(crate) fn transport_ctx<T: Any>(&self) -> Option<&T> {
        self.entrance.as_ref()?.transport_ctx.as_ref()?.downcast_ref()
    }

    /// The address the client connected to.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.entrance.as_ref()?.local_addr
    }

    /// What observers are told of the session.
    pub(super) fn notice(&self) -> SessionNotice<'_> {
        let transport_ctx = self.entrance.as_ref().and_then(|entrance| entrance.transport_ctx());
        SessionNotice { session: self.id, peer: self.peer_addr, transport_ctx }
    }

    /// How the client came in.
    pub(super) fn entrance(&self) -> Option<Arc<Entrance>> {
        self.entrance.clone()
    }

    pub(super) fn set_entrance(&mut self, entrance: Arc<Entrance>) {
        self.entrance = Some(entrance);
    }

    pub(crate) fn set_transport(&mut self, transport: Box<dyn SessionTransport>) {
        let before = self.attached().transport.replace(transport);
        drop(before);
    }

    /// What sends and receives: the buffers, if there are any, and the session's transport.
    pub(super) fn line(
        &mut self,
    ) -> (Option<&mut Exchange>, Option<&mut Box<dyn SessionTransport>>) {
        let transport = self.attached.as_mut().and_then(|attached| attached.transport.as_mut());
        (self.exchange.as_deref_mut(), transport)
    }

    /// Drops what was given to the session; the session has ended.
    pub(super) fn drop_attached(&mut self) {
        let (attached, entrance) = (self.attached.take(), self.entrance.take());
        let Attached { ctx, transport } = attached.map(|attached| *attached).unwrap_or_default();
        let id = self.id;
        // One by one: each may panic, the entrance if its transport context was a layer's of the
        // application's.
        for dropped in
            [contain(|| drop(ctx)), contain(|| drop(transport)), contain(|| drop(entrance))]
        {
            if dropped.is_none() {
                log::error!("session {id}: what it was given panicked when it was dropped");
            }
        }
    }

    fn attached(&mut self) -> &mut Attached {
        self.attached.get_or_insert_default()
    }

    /// Whether the handler was told to end.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether nobody is left to be answered.
    pub(crate) fn is_over(&self) -> bool {
        self.closing || self.peer == Peer::Gone
    }

    pub(crate) fn set_closing(&mut self) {
        self.closing = true;
        self.keep_alive = false;
    }
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self {
            rx: RxBuf::new(),
            tx: TxBuf::new(),
            tx_ahead_len: 0,
            head: Head::new(),
            body: BodyDecoder::new(BodyLen::None),
            reply: Reply::None,
            status: Status::OK,
            failure: None,
            #[cfg(feature = "std")]
            detached: None,
            fields: Vec::new(),
            date: None,
            server_fields_len: 0,
            pushed_len: 0,
            read_len: READ_MIN,
            kept_len: 0,
            recv_spent: Duration::ZERO,
            continue_due: false,
        }
    }

    /// Prepares for the body and the response of the request whose head was just parsed.
    pub(crate) fn begin(&mut self) {
        self.body = BodyDecoder::new(self.head.body_len());
        self.continue_due = self.head.expect_continue();
        self.recv_spent = Duration::ZERO;
        self.clear_response();
    }

    fn clear_response(&mut self) {
        self.reply = Reply::None;
        self.failure = None;
        self.fields.clear();
        self.server_fields_len = 0;
    }

    /// Puts bytes from elsewhere behind what waits to be sent; `false` if more than `limit` of such
    /// bytes wait already. What a handler has written does not count.
    pub(super) fn push(&mut self, bytes: &[u8], limit: usize) -> bool {
        if self.tx.is_empty() {
            self.pushed_len = 0;
        }
        let waiting = self.pushed_len.min(self.tx.len());
        // A single piece always fits, or nothing above the limit could be sent.
        if waiting > 0 && waiting + bytes.len() > limit {
            return false;
        }
        self.pushed_len += bytes.len();
        self.tx.storage().extend_from_slice(bytes);
        true
    }

    /// Whether nothing of a peer is in the buffers.
    pub(crate) fn is_idle(&self) -> bool {
        self.rx.is_empty() && self.tx.is_empty() && !self.head.has_begun()
    }

    /// Drops what was received and what waits to be sent: the connection is over.
    pub(crate) fn discard(&mut self) {
        self.rx.consume(self.rx.len());
        self.tx.advance(self.tx.len());
    }

    /// Makes room for the next read, as far as `most` bytes are not there already. Whoever reads on
    /// then is in the middle of something that has a limit of its own, and gets on slowly. No more room
    /// than `share` is made in this turn; what there is already is used.
    pub(crate) fn reserve_read(&mut self, most: usize, share: usize) {
        let room = most.saturating_sub(self.rx.len()).max(READ_LEAST);
        self.rx.reserve(self.read_len.min(room).min(share));
    }

    /// Adapts the size of reads to a peer that has just filled `len` bytes.
    pub(crate) fn note_read(&mut self, len: usize, most: usize) {
        if len >= self.read_len {
            self.read_len = (self.read_len * 2).min(most);
        }
    }

    /// Bytes of memory that the buffers hold.
    pub(super) fn held_len(&self) -> usize {
        let io = self.rx.capacity() + self.tx.capacity() + self.fields.capacity();
        io + self.head.capacity() + self.body.capacity()
    }

    /// Has received bytes pay for waits, at `rate` bytes per second; 0 is no rate.
    pub(super) fn pay_for_waits(&mut self, len: usize, rate: usize) {
        self.recv_spent = match rate {
            0 => Duration::ZERO,
            rate => self.recv_spent.saturating_sub(time_for(len, rate)),
        };
    }

    /// Makes the exchange fit for another client; `false` if it should rather be freed.
    pub(crate) fn recycle(&mut self) -> bool {
        self.head.clear();
        self.body = BodyDecoder::new(BodyLen::None);
        self.clear_response();
        self.continue_due = false;
        self.recv_spent = Duration::ZERO;
        self.tx_ahead_len = 0;
        #[cfg(feature = "std")]
        {
            self.detached = None;
        }
        self.read_len = READ_MIN;
        self.rx.capacity().max(self.tx.capacity()).max(self.fields.capacity()) <= KEEP_MAX
            && self.head.capacity() <= KEEP_MAX
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.drop_attached();
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

// A detached request takes its connection to another thread.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Conn>();
};

// Every session has one, also those that do nothing.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Conn>() <= 96);
