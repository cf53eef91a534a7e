//! WebSocket (RFC 6455), as a session speaks it and as its handler holds it.
//!
//! A handler runs once for every message and for no longer: between messages the session is the
//! engine's, which answers pings and closes by itself, and holds neither a stack nor buffers.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::task::{Link, Wait};
use crate::error::{Error, Result};
use crate::proto::ws::WsError;
use crate::proto::ws::frame::{self, CloseCode, FrameHead, Opcode, Rsv};
use crate::proto::ws::message::{End, Event, Limits, MessageDecoder, MessageKind};
use crate::server::{Conn, Exchange, Peer, ServerHandle, SessionId, TX_HIGH};

/// A WebSocket message, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// How the server finds out that a silent WebSocket client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// A client from which nothing came for so long is sent a ping.
    pub ping_every: Duration,
    /// A client from which nothing comes for so long after a ping is closed.
    pub close_after: Duration,
}

/// A WebSocket session in the hands of its handler, which the arrival of a message has started.
///
/// ```
/// # use esp_http_server::{Result, WsRequest};
/// fn echo(ws: &mut WsRequest) -> Result {
///     let message = ws.message(4096)?;
///     ws.send(message)
/// }
/// ```
pub struct WsRequest<'t> {
    pub(super) link: Link<'t>,
}

impl<'t> WsRequest<'t> {
    pub(crate) fn new(link: Link<'t>) -> Self {
        Self { link }
    }

    /// The client's session.
    pub fn session(&self) -> SessionId {
        self.link.conn().id
    }

    /// The client's address, if the network tells it.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.link.conn().peer_addr
    }

    /// The server.
    pub fn server(&self) -> ServerHandle {
        ServerHandle::new(self.link.conn().shared.clone())
    }

    /// Receives a whole message of at most `limit` bytes, put together from its fragments. Pings in
    /// between are answered.
    ///
    /// # Errors
    ///
    /// [`Error::WebSocket`] if the client breaks the protocol or the limit, after it was sent the
    /// close code; [`Error::Closed`] if it closes; [`Error::TimedOut`].
    pub fn message(&mut self, limit: usize) -> Result<Message> {
        let mut payload = Vec::new();
        loop {
            let conn = self.link.conn_mut();
            match receive(conn, Some((&mut payload, limit)))? {
                Received::Part(kind, End::Message) => return Message::new(kind, payload),
                Received::Begun | Received::Continued | Received::Part(..) | Received::Control => {}
                Received::Closed => return Err(Error::Closed),
                Received::NeedMore if conn.peer != Peer::Sending => return Err(Error::Closed),
                Received::NeedMore => self.link.wait(Wait::Readable)?,
            }
            if self.link.conn().io().tx.len() > TX_HIGH {
                self.link.wait(Wait::Writable)?;
            }
        }
    }

    /// Sends a message as one frame; waits while the client has too much to take.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::TimedOut`].
    pub fn send(&mut self, message: impl Into<Message>) -> Result {
        let message = message.into();
        let conn = self.link.conn_mut();
        if conn.ws().closing != Closing::No {
            return Err(Error::Closed);
        }
        let payload = message.payload();
        let head = FrameHead {
            fin: true,
            rsv: Rsv::NONE,
            opcode: message.opcode(),
            len: payload.len() as u64,
            mask: None,
        };
        frame::encode_head(conn.io_mut().tx.storage(), &head);
        conn.ws_mut().sending = true;
        self.link.write(payload)?;
        let conn = self.link.conn_mut();
        conn.ws_mut().sending = false;
        release_queued(conn);
        Ok(())
    }

    /// Begins to close the session with this code; the handler has nothing more to do then.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        send_close(self.link.conn_mut(), code, reason);
    }
}

impl core::fmt::Debug for WsRequest<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "WsRequest(session {})", self.session())
    }
}

impl Message {
    fn new(kind: MessageKind, payload: Vec<u8>) -> Result<Self> {
        match kind {
            MessageKind::Binary => Ok(Self::Binary(payload)),
            // The decoder has checked it, fragment by fragment.
            MessageKind::Text => match String::from_utf8(payload) {
                Ok(text) => Ok(Self::Text(text)),
                Err(_) => Err(Error::WebSocket(CloseCode::INVALID_DATA)),
            },
        }
    }

    /// The payload, as bytes.
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    fn opcode(&self) -> Opcode {
        match self {
            Self::Text(_) => Opcode::Text,
            Self::Binary(_) => Opcode::Binary,
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::Binary(bytes.into())
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// What a session keeps between messages.
pub(crate) struct WsState {
    decoder: MessageDecoder,
    closing: Closing,
    /// Whether a handler is in the middle of a frame: then frames from elsewhere must wait.
    sending: bool,
    queued: VecDeque<Arc<[u8]>>,
    queued_len: usize,
    /// Bytes of frames from elsewhere that went behind what waits to be sent since that was empty.
    pushed_len: usize,
    /// Of the request that opened it, if the handler's URI has parameters.
    path: Option<Box<str>>,
}

/// How far the closing handshake is (RFC 6455, section 7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    No,
    /// Our close frame was sent; the peer's is awaited.
    Sent,
    /// Both were sent, or the peer broke the protocol: nothing more is expected.
    Done,
}

/// A peer sends this many fragments of one message at most, and this many of them empty.
const FRAGMENT_COUNT: u32 = 1 << 20;
const EMPTY_FRAGMENT_COUNT: u32 = 64;

impl WsState {
    pub(crate) fn new(path: Option<Box<str>>) -> Box<Self> {
        let limits = Limits {
            message_len: u64::MAX,
            fragment_count: FRAGMENT_COUNT,
            empty_fragment_count: EMPTY_FRAGMENT_COUNT,
        };
        Box::new(Self {
            decoder: MessageDecoder::new(limits),
            closing: Closing::No,
            sending: false,
            queued: VecDeque::new(),
            queued_len: 0,
            pushed_len: 0,
            path,
        })
    }

    pub(crate) fn closing(&self) -> Closing {
        self.closing
    }

    pub(super) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }
}

impl Conn {
    fn ws(&self) -> &WsState {
        self.ws.as_ref().expect("a WebSocket session has its state")
    }

    fn ws_mut(&mut self) -> &mut WsState {
        self.ws.as_mut().expect("a WebSocket session has its state")
    }

    fn ws_and_io(&mut self) -> (&mut WsState, &mut Exchange) {
        match (&mut self.ws, &mut self.exchange) {
            (Some(ws), Some(io)) => (ws, io),
            _ => unreachable!("a WebSocket session that has received bytes has state and buffers"),
        }
    }
}

/// What [`receive`] found.
pub(crate) enum Received {
    /// Nothing yet.
    NeedMore,
    /// A message begins.
    Begun,
    /// Another frame of a message begins.
    Continued,
    /// A part of a message, and what ends with it.
    Part(MessageKind, End),
    /// A control frame, which was dealt with.
    Control,
    /// The peer's close frame, which was answered; or whatever comes behind one.
    Closed,
}

/// Takes one event from the received bytes. Payload goes to `sink`, whose message may have so many
/// bytes; without a sink it is dropped.
pub(crate) fn receive(conn: &mut Conn, sink: Option<(&mut Vec<u8>, usize)>) -> Result<Received> {
    if conn.ws().closing == Closing::Done {
        return Ok(Received::Closed);
    }
    let (ws, io) = conn.ws_and_io();
    // As soon as the frame's head tells, which for a message's first frame was before its handler
    // started.
    if let Some((payload, limit)) = &sink
        && ws.decoder.frame_remaining() > limit.saturating_sub(payload.len()) as u64
    {
        let limit = *limit as u64;
        return Err(violation(conn, WsError::MessageTooLong { limit }));
    }
    let decoded = match sink {
        Some((payload, _)) => ws.decoder.decode_into(io.rx.as_mut_slice(), payload),
        None => ws.decoder.decode(io.rx.as_mut_slice(), &mut []),
    };
    let decoded = match decoded {
        Ok(decoded) => decoded,
        Err(error) => return Err(violation(conn, error)),
    };
    let input = io.rx.as_slice();
    let received = match decoded.event {
        None => Received::NeedMore,
        Some(Event::Frame(head)) => match head.opcode {
            Opcode::Continuation => Received::Continued,
            _ => Received::Begun,
        },
        Some(Event::Data { kind, end, .. }) => Received::Part(kind, end),
        Some(Event::Ping(payload)) => {
            if ws.closing == Closing::No {
                let mut pong = Vec::new();
                frame::encode_frame(&mut pong, Opcode::Pong, &input[payload]);
                io.rx.consume(decoded.consumed);
                send_or_queue(conn, pong.into());
                return Ok(Received::Control);
            }
            Received::Control
        }
        Some(Event::Pong(_)) => Received::Control,
        Some(Event::Close(payload)) => {
            let code = frame::parse_close(&input[payload]).ok().flatten().map(|(code, _)| code);
            io.rx.consume(decoded.consumed);
            answer_close(conn, code);
            return Ok(Received::Closed);
        }
    };
    io.rx.consume(decoded.consumed);
    Ok(received)
}

/// Encodes a message as one frame, once for however many clients.
pub(crate) fn encode_message(message: &Message) -> Vec<u8> {
    let mut encoded = Vec::new();
    frame::encode_frame(&mut encoded, message.opcode(), message.payload());
    encoded
}

/// Puts an encoded frame behind what the session is sending; `false` if the session has more than
/// `ws_queue_len` bytes waiting already.
pub(crate) fn queue_frame(conn: &mut Conn, frame: Arc<[u8]>) -> bool {
    if conn.ws().closing != Closing::No {
        return true;
    }
    let limit = conn.shared.config.ws_queue_len;
    let (ws, io) = conn.ws_and_io();
    if io.tx.is_empty() {
        ws.pushed_len = 0;
    }
    // What a handler has written does not count: it may be a large message to a peer that reads.
    let waiting = ws.queued_len + ws.pushed_len.min(io.tx.len());
    // A single frame always fits into an empty queue, or nothing above the limit could be sent.
    if waiting > 0 && waiting + frame.len() > limit {
        return false;
    }
    if !ws.sending {
        ws.pushed_len += frame.len();
    }
    send_or_queue(conn, frame);
    true
}

fn send_or_queue(conn: &mut Conn, frame: Arc<[u8]>) {
    let (ws, io) = conn.ws_and_io();
    if ws.sending {
        ws.queued_len += frame.len();
        ws.queued.push_back(frame);
    } else {
        io.tx.storage().extend_from_slice(&frame);
    }
}

/// Lets frames go that had to wait for a handler to finish its own.
fn release_queued(conn: &mut Conn) {
    let (ws, io) = conn.ws_and_io();
    for frame in ws.queued.drain(..) {
        io.tx.storage().extend_from_slice(&frame);
    }
    ws.pushed_len += core::mem::take(&mut ws.queued_len);
}

/// Sends a ping of the server's own.
pub(crate) fn send_ping(conn: &mut Conn) {
    let mut ping = Vec::new();
    frame::encode_frame(&mut ping, Opcode::Ping, &[]);
    send_or_queue(conn, ping.into());
}

/// Sends our close frame, unless one was sent.
pub(crate) fn send_close(conn: &mut Conn, code: CloseCode, reason: &str) {
    if conn.ws().closing != Closing::No {
        return;
    }
    let mut close = Vec::new();
    frame::encode_close(&mut close, code, reason);
    send_or_queue(conn, close.into());
    conn.ws_mut().closing = Closing::Sent;
}

/// Answers the peer's close frame with its own code (RFC 6455, section 5.5.1).
fn answer_close(conn: &mut Conn, code: Option<CloseCode>) {
    if conn.ws().closing == Closing::No {
        let mut close = Vec::new();
        match code {
            Some(code) => frame::encode_close(&mut close, code, ""),
            None => frame::encode_frame(&mut close, Opcode::Close, &[]),
        }
        send_or_queue(conn, close.into());
    }
    conn.ws_mut().closing = Closing::Done;
}

/// Tells the peer what it did wrong.
fn violation(conn: &mut Conn, error: WsError) -> Error {
    let code = error.close_code();
    log::debug!("session {}: {error}; closing with {}", conn.id, code.code());
    send_close(conn, code, "");
    conn.ws_mut().closing = Closing::Done;
    Error::WebSocket(code)
}
