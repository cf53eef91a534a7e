//! What a session keeps for as long as it is a WebSocket.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

#[cfg(feature = "deflate")]
use super::deflate::{SharedDeflater, WsDeflate};
use super::queue::{Outbox, Sending};
#[cfg(feature = "deflate")]
use crate::proto::ws::deflate::Agreed;
use crate::proto::ws::frame::{CloseCode, FrameHead, Opcode};
use crate::proto::ws::message::{Limits, MessageDecoder};
use crate::server::{Conn, Exchange, HttpConfig};
use crate::time::Instant;

/// What a session keeps between messages.
pub(crate) struct WsState {
    pub(super) decoder: MessageDecoder,
    pub(super) closing: Closing,
    pub(super) closed: Option<Box<WsClosed>>,
    pub(super) control_frames: ControlFrames,
    pub(crate) control_budget: ControlBudget,
    /// A control frame that its handler is to see.
    pub(super) asked: Option<Box<WsFrame>>,
    /// The peer's close frame was shown to its handler, and will be answered with this code.
    pub(super) close_due: Option<Option<CloseCode>>,
    pub(super) reading: Reading,
    pub(super) outbox: Outbox,
    /// Which of its handler's subprotocols is spoken.
    pub(super) subprotocol: Option<u16>,
    /// Of the request that opened it, if the handler's URI has parameters.
    pub(super) path: Option<Box<str>>,
    #[cfg(feature = "deflate")]
    pub(super) deflate: Option<Box<WsDeflate>>,
    /// What others were told last of how much waits to be sent, in bytes.
    pub(crate) told_waiting_len: usize,
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

/// The frame that a handler reads.
pub(super) enum Reading {
    Nothing,
    /// A data frame that has begun; whether the handler was told of its head.
    Data {
        head: FrameHead,
        is_told: bool,
    },
    /// A control frame, of which so many bytes were read.
    Control {
        payload: Vec<u8>,
        at: usize,
    },
}

/// Who deals with pings, pongs and closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ControlFrames {
    /// The server: pings are answered, pongs are a sign of life, a close is answered.
    #[default]
    Server,
    /// The handler is started for them as for messages, and reads them by
    /// [`frame`](super::WsRequest::frame) or [`frame_head`](super::WsRequest::frame_head) (upstream's
    /// `handle_ws_control_frames`). A ping that it has read is its own to answer. One that it leaves
    /// unread is dealt with by the server, and so is one that comes while it reads a whole
    /// [`message`](super::WsRequest::message). A close is answered in any case when the handler
    /// has returned, unless it has done so itself.
    Handler,
}

/// A frame, whole; see [`WsRequest::frame`](super::WsRequest::frame).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsFrame {
    /// What it is.
    pub opcode: Opcode,
    /// Whether the message ends with it.
    pub fin: bool,
    /// The payload, unmasked, and inflated if it was compressed.
    pub payload: Vec<u8>,
}

/// How a WebSocket has ended; see [`ServerBuilder::on_ws_close`](crate::ServerBuilder::on_ws_close).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WsClosed {
    /// Who began to close it.
    pub by: WsClosedBy,
    /// The code in that side's close frame; `None` if there was none in it, or no frame.
    pub code: Option<CloseCode>,
    /// The reason in it, often empty.
    pub reason: String,
}

/// Who has closed a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WsClosedBy {
    /// The client, by a close frame.
    Client,
    /// The server, by a close frame: its handler did, somebody else of this side, or the server
    /// itself, because it stops, needs the place, or the client has broken the protocol.
    Server,
    /// Nobody: the connection broke, or the client has not answered a ping.
    Nobody,
}

/// What was agreed on in a handshake.
pub(crate) struct Opening {
    pub(crate) subprotocol: Option<u16>,
    pub(crate) control_frames: ControlFrames,
    pub(crate) path: Option<Box<str>>,
}

/// So many of a message's fragments may be empty: some clients end a message with one that is.
const EMPTY_FRAGMENT_COUNT: u32 = 64;

fn limits(config: &HttpConfig) -> Limits {
    Limits {
        message_len: u64::MAX,
        fragment_count: saturated(config.max_ws_fragments),
        empty_fragment_count: EMPTY_FRAGMENT_COUNT,
    }
}

/// How many pings and pongs the peer may send for now.
#[derive(Debug)]
pub(crate) struct ControlBudget {
    left: u32,
    /// When there were so many, in milliseconds since the start of the clock, of which only the lower
    /// bits are kept: every WebSocket has one of these.
    at: u32,
}

impl ControlBudget {
    fn new(most: usize, now: Instant) -> Self {
        Self { left: saturated(most), at: millis(now) }
    }

    /// Something has come: time has passed since the last time, which gives `most` a second.
    pub(crate) fn refill(&mut self, most: usize, now: Instant) {
        let (most, now) = (u64::from(saturated(most)), millis(now));
        let left = u64::from(self.left);
        let more = u64::from(now.wrapping_sub(self.at)) * most / 1000;
        if left + more >= most {
            // There are more only of answers to pings.
            self.left = self.left.max(most as u32);
            self.at = now;
        } else if more > 0 {
            self.left = (left + more) as u32;
            // Not later than now, and not earlier than what they are worth.
            self.at = self.at.wrapping_add((more * 1000).div_ceil(most) as u32);
        }
    }

    /// One more: we have pinged, and it answers.
    pub(super) fn allow(&mut self) {
        self.left = self.left.saturating_add(1);
    }

    /// One has come. Whether it may.
    pub(super) fn spend(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

fn millis(at: Instant) -> u32 {
    (at.as_micros() / 1000) as u32
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl WsState {
    pub(crate) fn new(opening: Opening, config: &HttpConfig, now: Instant) -> Box<Self> {
        Box::new(Self {
            decoder: MessageDecoder::new(limits(config)),
            closing: Closing::No,
            closed: None,
            control_frames: opening.control_frames,
            control_budget: ControlBudget::new(config.ws_control_frames_per_sec, now),
            asked: None,
            close_due: None,
            reading: Reading::Nothing,
            outbox: Outbox::default(),
            subprotocol: opening.subprotocol,
            path: opening.path,
            #[cfg(feature = "deflate")]
            deflate: None,
            told_waiting_len: 0,
        })
    }

    /// Messages go compressed from now on, in both directions.
    #[cfg(feature = "deflate")]
    pub(crate) fn compress(
        &mut self,
        agreed: &Agreed,
        config: &HttpConfig,
        shared: &mut SharedDeflater,
    ) {
        self.decoder = MessageDecoder::with_deflate(limits(config), agreed.client());
        self.deflate = Some(WsDeflate::new(agreed, shared));
    }

    /// Lends the session's handler the worker's deflater, or takes it back.
    #[cfg(feature = "deflate")]
    pub(crate) fn swap_deflater(&mut self, shared: &mut SharedDeflater) {
        if let Some(deflate) = &mut self.deflate {
            deflate.swap(shared);
        }
    }

    /// Whether it is in the middle of a compressed frame.
    #[cfg(feature = "deflate")]
    pub(crate) fn inflates(&self) -> bool {
        self.decoder.needs_room()
    }

    /// Whether a message in fragments has no end.
    pub(crate) fn is_torso(&self) -> bool {
        self.outbox.sending == Sending::Message
    }

    /// Whether no message has begun that has not ended; a frame's head may have, in part.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.decoder.is_between_messages()
    }

    pub(crate) fn closing(&self) -> Closing {
        self.closing
    }

    pub(in crate::handler) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// How it has ended. The session has.
    pub(crate) fn take_closed(&mut self) -> WsClosed {
        let nobody = WsClosed { by: WsClosedBy::Nobody, code: None, reason: String::new() };
        self.closed.take().map_or(nobody, |closed| *closed)
    }

    /// Notes who closes; what comes later does not count.
    pub(super) fn note_closed(&mut self, by: WsClosedBy, code: Option<CloseCode>, reason: &str) {
        let note = || Box::new(WsClosed { by, code, reason: reason.into() });
        self.closed.get_or_insert_with(note);
    }
}

impl Conn {
    pub(super) fn ws(&self) -> &WsState {
        self.ws.as_ref().expect("a WebSocket session has its state")
    }

    pub(super) fn ws_mut(&mut self) -> &mut WsState {
        self.ws.as_mut().expect("a WebSocket session has its state")
    }

    pub(super) fn ws_and_io(&mut self) -> (&mut WsState, &mut Exchange) {
        match (&mut self.ws, &mut self.exchange) {
            (Some(ws), Some(io)) => (ws, io),
            _ => unreachable!("a WebSocket session that has received bytes has state and buffers"),
        }
    }
}
