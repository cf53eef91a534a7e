//! Frames on their way out: those of the handler, which go straight behind what is being sent, and
//! those from elsewhere, which wait for their turn.
//!
//! Frames never interleave. While a handler is in the middle of a frame all others wait; between the
//! fragments of a message of its own only control frames pass.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

#[cfg(feature = "deflate")]
use super::deflate::SharedDeflater;
use super::message::Outgoing;
use super::state::{Closing, WsClosedBy, WsState};
use crate::error::{Error, Result};
use crate::handler::contain;
use crate::proto::ws::frame::{self, CloseCode, Opcode};
use crate::server::{Conn, Exchange};

/// What becomes of a message to a client for which more than
/// [`ws_queue_len`](crate::HttpConfig::ws_queue_len) bytes would wait: it takes less than it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WsQueuePolicy {
    /// The client is closed, with code 1008.
    #[default]
    Close,
    /// The message is refused: whoever sends it is told at once by
    /// [`Error::WsQueueFull`], or by the result of the sending. A broadcast passes over such clients.
    Refuse,
    /// The oldest messages that wait are dropped, until there is room; whoever asked what became of
    /// them is told [`Error::WsQueueFull`]. For clients that only need to know what is new.
    DropOldest,
}

/// Is told once what became of a message: whether the network has taken it.
pub(crate) struct Completion(Option<Box<dyn FnOnce(Result) + Send>>);

impl Completion {
    pub(crate) fn new(done: impl FnOnce(Result) + Send + 'static) -> Self {
        Self(Some(Box::new(done)))
    }

    pub(crate) fn tell(mut self, result: Result) {
        self.run(result);
    }

    fn run(&mut self, result: Result) {
        if let Some(done) = self.0.take()
            && contain(|| done(result)).is_none()
        {
            log::error!("what was to be told of a sent message panicked");
        }
    }
}

impl Drop for Completion {
    /// Wherever a message gets lost, it is with the session that it was for.
    fn drop(&mut self) {
        self.run(Err(Error::NoSession));
    }
}

/// What others have for a session.
pub(crate) enum Push {
    /// A message.
    Message(Arc<Outgoing>),
    /// Bytes as they are.
    Bytes(Arc<[u8]>),
}

/// What waits to be sent, and what is known of what is being sent.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) sending: Sending,
    queue: VecDeque<Queued>,
    /// What those cost.
    queued_len: usize,
    /// Bytes from elsewhere that went behind what is being sent since that was empty.
    pushed_len: usize,
    /// Bytes that the network has taken, ever.
    taken: u64,
    /// Who is to be told when so many bytes are taken, in order.
    awaited: VecDeque<(u64, Completion)>,
}

/// Whether a handler is in the middle of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sending {
    #[default]
    Nothing,
    /// Of a frame: all others wait.
    Frame,
    /// Of a message, between two of its frames: only control frames pass.
    Message,
}

struct Queued {
    what: Waiting,
    done: Option<Completion>,
}

enum Waiting {
    Control(Arc<[u8]>),
    Bytes(Arc<[u8]>),
    Message(Arc<Outgoing>),
}

/// What it takes to keep a message that waits, or whom to tell of one, besides its bytes.
const MESSAGE_COST: usize = 128;

impl Waiting {
    fn len(&self) -> usize {
        match self {
            Self::Control(bytes) | Self::Bytes(bytes) => bytes.len(),
            Self::Message(message) => message.frame().len(),
        }
    }

    /// How much it counts while it waits.
    fn cost(&self) -> usize {
        self.len() + MESSAGE_COST
    }
}

impl Outbox {
    fn push_back(&mut self, queued: Queued) {
        self.queued_len += queued.what.cost();
        self.queue.push_back(queued);
    }

    fn take(&mut self, at: usize) -> Option<Queued> {
        let queued = self.queue.remove(at)?;
        self.queued_len -= queued.what.cost();
        Some(queued)
    }

    /// Makes room for one that costs so much among those that wait, as long as there is something to
    /// drop.
    fn drop_oldest(&mut self, cost: usize, limit: usize) {
        while self.queued_len + cost > limit {
            let is_droppable = |queued: &Queued| !matches!(queued.what, Waiting::Control(_));
            let Some(oldest) = self.queue.iter().position(is_droppable) else { return };
            let dropped = self.take(oldest).and_then(|queued| queued.done);
            if let Some(done) = dropped {
                done.tell(Err(Error::WsQueueFull { limit }));
            }
        }
    }
}

impl WsState {
    /// Bytes from elsewhere that wait, of which up to `tx_len` are being sent, and what it takes to
    /// keep them.
    pub(crate) fn waiting_len(&self, tx_len: usize) -> usize {
        self.kept_len() + self.outbox.pushed_len.min(tx_len)
    }

    /// Bytes of memory for what waits to be sent and isn't being sent yet, and for whom to tell.
    pub(crate) fn kept_len(&self) -> usize {
        self.outbox.queued_len + self.outbox.awaited.len() * MESSAGE_COST
    }

    /// The network has taken so many bytes.
    pub(crate) fn note_taken(&mut self, len: usize) {
        let outbox = &mut self.outbox;
        outbox.taken += len as u64;
        while outbox.awaited.front().is_some_and(|(at, _)| *at <= outbox.taken)
            && let Some((_, done)) = outbox.awaited.pop_front()
        {
            done.tell(Ok(()));
        }
    }
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It was sent or waits, or nobody is left for it.
    Taken,
    /// The client has too much waiting, and is to be closed for it.
    TooMuch,
}

/// Puts a message or bytes behind what the session is sending, unless more than `ws_queue_len` bytes
/// wait there already.
pub(crate) fn push(
    conn: &mut Conn,
    push: Push,
    done: Option<Completion>,
    admission: Admission,
    #[cfg(feature = "deflate")] shared: &mut SharedDeflater,
) -> Pushed {
    if conn.ws().closing != Closing::No {
        if let Some(done) = done {
            done.tell(Err(Error::Closed));
        }
        return Pushed::Taken;
    }
    let config = &conn.shared.config;
    let (limit, policy) = (config.ws_queue_len, config.ws_queue_policy);
    let low = config.send_low();
    let (ws, io) = conn.ws_and_io();
    let what = match push {
        Push::Bytes(bytes) => Waiting::Bytes(bytes),
        Push::Message(message) => {
            #[cfg(feature = "deflate")]
            let compressed =
                ws.deflate.as_mut().and_then(|deflate| deflate.shared_frame(&message, shared));
            #[cfg(not(feature = "deflate"))]
            let compressed = None;
            compressed.map_or(Waiting::Message(message), Waiting::Bytes)
        }
    };
    if io.tx.is_empty() {
        ws.outbox.pushed_len = 0;
    }
    // A single frame always fits into an empty queue, or nothing above the limit could be sent. What
    // a handler has written does not count: it may be a large message to a peer that reads.
    let waiting = ws.waiting_len(io.tx.len());
    // In what is being sent it can't be dropped any more.
    let room = if policy == WsQueuePolicy::DropOldest { 0 } else { low };
    let is_free = ws.outbox.sending == Sending::Nothing && ws.outbox.queue.is_empty();
    let passes = is_free && io.tx.len() <= room;
    let added = if passes { what.len() } else { what.cost() };
    let is_full = waiting > 0 && waiting + added > limit;
    match policy {
        WsQueuePolicy::Close if is_full => return Pushed::TooMuch,
        WsQueuePolicy::Refuse if is_full && admission == Admission::Asked => {
            if let Some(done) = done {
                done.tell(Err(Error::WsQueueFull { limit }));
            }
            return Pushed::Taken;
        }
        WsQueuePolicy::DropOldest => ws.outbox.drop_oldest(what.cost(), limit),
        WsQueuePolicy::Close | WsQueuePolicy::Refuse => {}
    }
    let queued = Queued { what, done };
    if passes {
        write(ws, io, queued);
    } else {
        ws.outbox.push_back(queued);
    }
    Pushed::Taken
}

/// Whether a push was weighed against `ws_queue_len` when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Granted,
    Asked,
}

/// Puts something behind what is being sent.
fn write(ws: &mut WsState, io: &mut Exchange, queued: Queued) {
    if io.tx.is_empty() {
        ws.outbox.pushed_len = 0;
    }
    let start = io.tx.len();
    let out = io.tx.storage();
    match &queued.what {
        Waiting::Control(bytes) | Waiting::Bytes(bytes) => out.extend_from_slice(bytes),
        Waiting::Message(message) => {
            #[cfg(feature = "deflate")]
            let is_written = ws.deflate.as_mut().is_some_and(|deflate| {
                deflate.encode_in_context(message.opcode(), message.payload(), out)
            });
            #[cfg(not(feature = "deflate"))]
            let is_written = false;
            if !is_written {
                out.extend_from_slice(message.frame());
            }
        }
    }
    let end = io.tx.len();
    if !matches!(queued.what, Waiting::Control(_)) {
        ws.outbox.pushed_len += end - start;
    }
    if let Some(done) = queued.done {
        ws.outbox.awaited.push_back((ws.outbox.taken + end as u64, done));
    }
}

/// Lets frames go that had to wait, as long as what is being sent has room.
pub(crate) fn release(conn: &mut Conn) {
    let (policy, low) = (conn.shared.config.ws_queue_policy, conn.shared.config.send_low());
    let (ws, io) = conn.ws_and_io();
    if policy == WsQueuePolicy::DropOldest && !io.tx.is_empty() {
        return; // Here they could not be dropped any more.
    }
    while io.tx.len() < low {
        let at = match ws.outbox.sending {
            Sending::Frame => return,
            Sending::Nothing => Some(0),
            Sending::Message => {
                let is_control = |queued: &Queued| matches!(queued.what, Waiting::Control(_));
                ws.outbox.queue.iter().position(is_control)
            }
        };
        let Some(queued) = at.and_then(|at| ws.outbox.take(at)) else { return };
        write(ws, io, queued);
    }
}

/// Sends a ping or a pong. It overtakes messages that wait.
pub(super) fn send_control(conn: &mut Conn, opcode: Opcode, payload: &[u8]) {
    let most = conn.shared.config.send_capacity();
    let (ws, io) = conn.ws_and_io();
    if opcode == Opcode::Ping {
        ws.control_budget.allow();
    }
    if ws.outbox.sending == Sending::Frame {
        let mut bytes = alloc::vec::Vec::new();
        frame::encode_frame(&mut bytes, opcode, payload);
        ws.outbox.push_back(Queued { what: Waiting::Control(bytes.into()), done: None });
    } else {
        io.tx.reserve_within(frame::HEAD_LEN + payload.len(), most);
        frame::encode_frame(io.tx.storage(), opcode, payload);
    }
}

/// Sends a ping of the server's own.
pub(crate) fn send_ping(conn: &mut Conn) {
    send_control(conn, Opcode::Ping, &[]);
}

/// Sends our close frame, unless one was sent. It goes behind messages that wait, for they would not
/// be read any more.
pub(crate) fn send_close(conn: &mut Conn, code: CloseCode, reason: &str) {
    if conn.ws().closing != Closing::No {
        return;
    }
    let mut close = alloc::vec::Vec::new();
    frame::encode_close(&mut close, code, reason);
    send_last(conn, close.into());
    let ws = conn.ws_mut();
    ws.note_closed(WsClosedBy::Server, Some(code), reason);
    ws.closing = Closing::Sent;
}

/// Answers the peer's close frame with its own code (RFC 6455, section 5.5.1).
pub(super) fn answer_close(conn: &mut Conn, code: Option<CloseCode>) {
    if conn.ws().closing == Closing::No {
        let mut close = alloc::vec::Vec::new();
        match code {
            Some(code) => frame::encode_close(&mut close, code, ""),
            None => frame::encode_frame(&mut close, Opcode::Close, &[]),
        }
        send_last(conn, close.into());
    }
    conn.ws_mut().closing = Closing::Done;
}

fn send_last(conn: &mut Conn, close: Arc<[u8]>) {
    let (ws, io) = conn.ws_and_io();
    let passes = match ws.outbox.sending {
        Sending::Frame => false,
        // The message of which some fragments were sent stays a torso, and nothing follows it.
        Sending::Message => true,
        Sending::Nothing => ws.outbox.queue.is_empty(),
    };
    let queued = Queued { what: Waiting::Control(close), done: None };
    if passes { write(ws, io, queued) } else { ws.outbox.push_back(queued) }
}
