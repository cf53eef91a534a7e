//! Messages (RFC 6455, sections 5.4 to 5.6): from received bytes to unmasked, checked payload.
//!
//! [`MessageDecoder`] is all of a client's side of a connection behind the handshake. Messages that
//! come compressed (RFC 7692) are inflated here, so that their limits and their UTF-8 are checked in
//! the same places.

#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use super::WsError;
#[cfg(feature = "deflate")]
use super::deflate::{Compression, Inflater};
use super::frame::{self, FrameHead, Opcode, Rsv, Sender};

#[cfg(feature = "deflate")]
mod compressed;
#[cfg(test)]
mod tests;
mod utf8;

pub use utf8::Utf8Stream;

/// Bounds on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a message, all its frames together, and inflated if it was compressed. The
    /// frames of a compressed one may have an eighth more and 64 bytes, as data that can't be
    /// compressed grows a little, and 16 bytes for each frame behind the first, as its sender may have
    /// flushed what came before.
    pub message_len: u64,
    /// The most frames of a message.
    pub fragment_count: u32,
    /// The most frames of a message that have no payload: a peer could send such frames for ever and
    /// be under every other limit.
    pub empty_fragment_count: u32,
}

/// What a message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// What [`MessageDecoder::decode`] found in its input, and how much of the input it used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that are used up.
    pub consumed: usize,
    /// What they were; `None` if more bytes are needed, or more room.
    pub event: Option<Event>,
}

/// What was received. Ranges of control frames point into the input, which is unmasked there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A text, binary or continuation frame begins; its payload follows as [`Event::Data`], at least
    /// once, also if it is empty. The length in its head is that of the compressed payload if the
    /// message is compressed.
    Frame(FrameHead),
    /// Payload of the frame that began.
    Data {
        /// Of the message.
        kind: MessageKind,
        /// Where the payload stands.
        payload: Payload,
        /// What ends with it.
        end: End,
    },
    /// A whole ping: answer with a pong of the same payload.
    Ping(Range<usize>),
    /// A whole pong.
    Pong(Range<usize>),
    /// A whole close frame with a valid payload ([`frame::parse_close`]). Nothing follows: whatever
    /// the peer sends behind it is swallowed.
    Close(Range<usize>),
}

/// Where payload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// In the input, unmasked.
    Input(Range<usize>),
    /// In the room, inflated.
    Room(Range<usize>),
}

/// What ends with a run of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing: more of this frame is to come.
    No,
    /// The frame; the message goes on in another one.
    Frame,
    /// The frame, and with it the message.
    Message,
}

/// Turns the bytes that a client sends into messages and control frames.
///
/// It owns no payload: that stays in the caller's buffer, where it is unmasked, and can be collected,
/// streamed on or dropped. The sequence of frames, the limits and the text's UTF-8 are checked as
/// early as the bytes allow.
///
/// ```text
/// Idle ──Frame──▶ Payload ──Data(End::Message)──▶ Idle        control frames stand anywhere
///                  ▲   └───Data(End::Frame)──▶ Between ─┐     but inside a payload
///                  └───────────Frame────────────────────┘
/// ```
///
/// There are three ways to read, and a connection may change from one to another with every call:
///
/// - whole messages: [`decode_into`](MessageDecoder::decode_into) collects them in a `Vec`;
/// - frame by frame: [`Event::Frame`] tells a frame's length and opcode before its payload is here;
/// - part by part into a buffer of any size: [`decode`](MessageDecoder::decode) with no more input
///   than fits into it while [`frame_remaining`](MessageDecoder::frame_remaining) is not 0, and with
///   the buffer as room.
///
/// ```
/// use esp_http_server::proto::ws::message::{End, Event, Limits, MessageDecoder};
///
/// let limits = Limits { message_len: 4096, fragment_count: 16, empty_fragment_count: 4 };
/// let mut decoder = MessageDecoder::new(limits);
/// let mut received = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// let (mut input, mut message) = (&mut received[..], Vec::new());
/// loop {
///     let decoded = decoder.decode_into(input, &mut message)?;
///     if let Some(Event::Data { end: End::Message, .. }) = decoded.event {
///         break;
///     }
///     input = &mut input[decoded.consumed..];
/// }
/// assert_eq!(message, b"Hello");
/// # Ok::<(), esp_http_server::proto::ws::WsError>(())
/// ```
#[derive(Debug)]
pub struct MessageDecoder {
    limits: Limits,
    /// The message that has begun and not ended.
    message: Option<Message>,
    /// The data frame whose payload is being read.
    frame: Option<Frame>,
    utf8: Utf8Stream,
    outcome: Outcome,
    /// There if `permessage-deflate` was agreed on.
    #[cfg(feature = "deflate")]
    inflater: Option<Box<Inflater>>,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    kind: MessageKind,
    coding: Coding,
    /// Of its frames so far, as their heads say.
    len: u64,
    /// Of what was inflated.
    inflated_len: u64,
    fragments: u32,
    empty_fragments: u32,
}

/// How a message's payload is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Deflate,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    head: FrameHead,
    received: u64,
}

/// Whether the decoder still listens.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Open,
    Closed,
    Failed(WsError),
}

/// How much of a message [`MessageDecoder::decode_into`] inflates at once, in bytes.
const INFLATE_LEN: usize = 2048;

/// What a frame of a compressed message may cost beside its payload, in bytes: the head of a block, and
/// the empty block of a flush, by which a sender has all of the frame's payload be in it.
const FLUSH_LEN: u64 = 16;

const NOTHING: Decoded = Decoded { consumed: 0, event: None };

impl MessageDecoder {
    /// A decoder at the start of a connection, for frames of a client.
    pub fn new(limits: Limits) -> MessageDecoder {
        MessageDecoder {
            limits,
            message: None,
            frame: None,
            utf8: Utf8Stream::default(),
            outcome: Outcome::Open,
            #[cfg(feature = "deflate")]
            inflater: None,
        }
    }

    /// As [`new`](MessageDecoder::new), for a client that may compress its messages so:
    /// [`Agreed::client`](super::deflate::Agreed::client).
    #[cfg(feature = "deflate")]
    pub fn with_deflate(limits: Limits, compression: Compression) -> MessageDecoder {
        let inflater = Some(Box::new(Inflater::new(compression)));
        MessageDecoder { inflater, ..MessageDecoder::new(limits) }
    }

    /// Reads on: one event per call. Call it with what is received and not yet consumed, until there
    /// is no event; what wasn't consumed then is at most a frame's head, or a whole control frame
    /// without its last byte, and must be there again with more behind it.
    ///
    /// `room` is where compressed payload is inflated to. While the decoder
    /// [needs it](MessageDecoder::needs_room) it must not be empty, or nothing moves; the rest of the
    /// time it is not touched. What a caller has no use for must be inflated all the same, as later
    /// messages may point back to it.
    ///
    /// # Errors
    ///
    /// [`WsError`], which is final: it is answered again.
    pub fn decode(
        &mut self,
        input: &mut [u8],
        #[cfg_attr(not(feature = "deflate"), expect(unused_variables))] room: &mut [u8],
    ) -> Result<Decoded, WsError> {
        match self.outcome {
            Outcome::Open => {}
            Outcome::Closed => {
                return Ok(Decoded { consumed: input.len(), event: None });
            }
            Outcome::Failed(error) => return Err(error),
        }
        let decoded = match (self.frame, self.message) {
            #[cfg(feature = "deflate")]
            (Some(frame), Some(message)) if message.coding == Coding::Deflate => {
                self.compressed_data(frame, message, input, room)
            }
            (Some(frame), _) => self.data(frame, input),
            (None, _) => self.frame(input),
        };
        decoded.inspect_err(|&error| self.outcome = Outcome::Failed(error))
    }

    /// As [`decode`](MessageDecoder::decode), and appends payload to `message`, which holds what came
    /// of the message before; [`Payload::Room`] says where.
    ///
    /// # Errors
    ///
    /// As [`decode`](MessageDecoder::decode).
    pub fn decode_into(
        &mut self,
        input: &mut [u8],
        message: &mut Vec<u8>,
    ) -> Result<Decoded, WsError> {
        let start = message.len();
        if self.needs_room() {
            message.resize(start + INFLATE_LEN, 0);
        }
        let mut decoded = self.decode(input, &mut message[start..]);
        let inflated_len = match &decoded {
            Ok(Decoded {
                event: Some(Event::Data { payload: Payload::Room(data), .. }), ..
            }) => data.end,
            _ => 0,
        };
        message.truncate(start + inflated_len);
        if let Ok(Decoded { event: Some(Event::Data { payload, .. }), .. }) = &mut decoded {
            if let Payload::Input(data) = payload {
                message.extend_from_slice(&input[data.clone()]);
            }
            *payload = Payload::Room(start..message.len());
        }
        decoded
    }

    /// Sets another [`Limits::message_len`]: for the message under way, of which more may have come
    /// already, and for those to come.
    ///
    /// # Errors
    ///
    /// [`WsError::MessageTooLong`] if the message under way is known to be longer; it is final.
    pub fn set_message_len(&mut self, message_len: u64) -> Result<(), WsError> {
        self.limits.message_len = message_len;
        let checked = self.message.map_or(Ok(()), |message| self.check_len(&message));
        checked.inspect_err(|&error| self.outcome = Outcome::Failed(error))
    }

    /// Bytes that are missing of the frame whose payload is being read, compressed if it is.
    pub fn frame_remaining(&self) -> u64 {
        self.frame.map_or(0, |frame| frame.head.len - frame.received)
    }

    /// Whether [`decode`](MessageDecoder::decode) needs room to inflate to: inside a frame of a
    /// compressed message.
    pub fn needs_room(&self) -> bool {
        self.frame.is_some() && self.message.is_some_and(|it| it.coding == Coding::Deflate)
    }

    /// Whether no message has begun that has not ended.
    pub fn is_between_messages(&self) -> bool {
        self.message.is_none()
    }

    fn frame(&mut self, input: &mut [u8]) -> Result<Decoded, WsError> {
        let head = frame::parse_head(input, Sender::Client, self.negotiated())?;
        let Some((head, head_len)) = head else {
            return Ok(NOTHING);
        };
        if !head.opcode.is_control() {
            self.begin_data(&head)?;
            return Ok(Decoded { consumed: head_len, event: Some(Event::Frame(head)) });
        }
        // At most 125 bytes, so that it can be waited for.
        let end = head_len + head.len as usize;
        let Some(payload) = input.get_mut(head_len..end) else {
            return Ok(NOTHING);
        };
        frame::apply_mask(payload, head.mask.unwrap_or_default(), 0);
        let event = match head.opcode {
            Opcode::Ping => Event::Ping(head_len..end),
            Opcode::Pong => Event::Pong(head_len..end),
            _ => {
                frame::parse_close(payload)?;
                self.outcome = Outcome::Closed;
                Event::Close(head_len..end)
            }
        };
        Ok(Decoded { consumed: end, event: Some(event) })
    }

    fn negotiated(&self) -> Rsv {
        #[cfg(feature = "deflate")]
        if self.inflater.is_some() {
            return Rsv::RSV1;
        }
        Rsv::NONE
    }

    /// A data frame begins: may it, here, and with that length?
    fn begin_data(&mut self, head: &FrameHead) -> Result<(), WsError> {
        let mut message = match (self.message, head.opcode) {
            (Some(message), Opcode::Continuation) => message,
            (None, Opcode::Continuation) => return Err(WsError::UnexpectedContinuation),
            (Some(_), _) => return Err(WsError::InterleavedMessage),
            (None, opcode) => Message::new(opcode, head.rsv),
        };
        message.len = message.len.saturating_add(head.len);
        self.check_len(&message)?;
        let Limits { fragment_count, empty_fragment_count, .. } = self.limits;
        if message.fragments == fragment_count {
            return Err(WsError::TooManyFragments { limit: fragment_count });
        }
        message.fragments += 1;
        if head.len == 0 {
            if message.empty_fragments == empty_fragment_count {
                return Err(WsError::TooManyEmptyFragments { limit: empty_fragment_count });
            }
            message.empty_fragments += 1;
        }
        self.message = Some(message);
        self.frame = Some(Frame { head: *head, received: 0 });
        Ok(())
    }

    /// Whether the message is within its limit, as far as is known.
    fn check_len(&self, message: &Message) -> Result<(), WsError> {
        let limit = self.limits.message_len;
        let is_within = match message.coding {
            Coding::Plain => message.len <= limit,
            Coding::Deflate => {
                // Empty blocks would otherwise be a way to send for ever and say nothing. A code has
                // 9 bits for a byte at worst.
                let flushes_len = u64::from(message.fragments) * FLUSH_LEN;
                message.len <= limit.saturating_add(limit / 8).saturating_add(64 + flushes_len)
                    && message.inflated_len <= limit
            }
        };
        if is_within { Ok(()) } else { Err(WsError::MessageTooLong { limit }) }
    }

    fn data(&mut self, mut frame: Frame, input: &mut [u8]) -> Result<Decoded, WsError> {
        let left = frame.head.len - frame.received;
        let len = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if len == 0 && left > 0 {
            return Ok(NOTHING);
        }
        let kind = self.message.map_or(MessageKind::Binary, |message| message.kind);
        let data = &mut input[..len];
        frame::apply_mask(data, frame.head.mask.unwrap_or_default(), frame.received);
        if kind == MessageKind::Text {
            self.utf8.push(data)?;
        }
        frame.received += len as u64;
        let end = match (frame.received == frame.head.len, frame.head.fin) {
            (false, _) => End::No,
            (true, false) => End::Frame,
            (true, true) => End::Message,
        };
        self.end_data(frame, end)?;
        let event = Event::Data { kind, payload: Payload::Input(0..len), end };
        Ok(Decoded { consumed: len, event: Some(event) })
    }

    /// Payload of the frame was read, and this ended with it.
    fn end_data(&mut self, frame: Frame, end: End) -> Result<(), WsError> {
        self.frame = (end == End::No).then_some(frame);
        if end == End::Message {
            self.message = None;
            self.utf8.finish()?;
        }
        Ok(())
    }
}

impl Message {
    fn new(opcode: Opcode, rsv: Rsv) -> Message {
        let kind = match opcode {
            Opcode::Text => MessageKind::Text,
            _ => MessageKind::Binary,
        };
        let coding = if rsv == Rsv::RSV1 { Coding::Deflate } else { Coding::Plain };
        Message { kind, coding, len: 0, inflated_len: 0, fragments: 0, empty_fragments: 0 }
    }
}
