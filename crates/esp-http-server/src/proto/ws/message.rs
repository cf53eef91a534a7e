//! Messages (RFC 6455, sections 5.4 to 5.6): from received bytes to unmasked, checked payload.

use core::ops::Range;

use super::WsError;
use super::frame::{self, FrameHead, Opcode, Rsv, Sender};

#[cfg(test)]
mod tests;

/// Bounds on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a message, all its frames together.
    pub message_len: u64,
    /// The most frames of a message. Without a bound, a peer could send empty ones for ever.
    pub fragment_count: u32,
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
    /// What they were; `None` if more bytes are needed.
    pub event: Option<Event>,
}

/// Ranges point into the input, which is unmasked there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A text, binary or continuation frame begins; its payload follows as [`Event::Data`], at least
    /// once, also if it is empty.
    Frame(FrameHead),
    /// Payload of the frame that began.
    Data {
        /// Of the message.
        kind: MessageKind,
        /// Where the payload stands.
        data: Range<usize>,
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
/// ```
/// use esp_http_server::proto::ws::message::{End, Event, Limits, MessageDecoder};
///
/// let mut decoder = MessageDecoder::new(Limits { message_len: 4096, fragment_count: 16 });
/// let mut received = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// let mut input = &mut received[..];
/// let message = loop {
///     let decoded = decoder.decode(input)?;
///     if let Some(Event::Data { data, end: End::Message, .. }) = decoded.event {
///         break &input[data];
///     }
///     input = &mut input[decoded.consumed..];
/// };
/// assert_eq!(message, b"Hello");
/// # Ok::<(), esp_http_server::proto::ws::WsError>(())
/// ```
#[derive(Debug)]
pub struct MessageDecoder {
    limits: Limits,
    /// The message that has begun and not ended.
    message: Option<Message>,
    /// The data frame whose payload is being read.
    payload: Option<Payload>,
    utf8: Utf8Stream,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    kind: MessageKind,
    len: u64,
    fragments: u32,
}

#[derive(Clone, Copy, Debug)]
struct Payload {
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

impl MessageDecoder {
    /// A decoder at the start of a connection, for frames of a client.
    pub fn new(limits: Limits) -> MessageDecoder {
        MessageDecoder {
            limits,
            message: None,
            payload: None,
            utf8: Utf8Stream::default(),
            outcome: Outcome::Open,
        }
    }

    /// Reads on: one event per call. Call it with what is received and not yet consumed, until there
    /// is no event; what wasn't consumed then is at most a frame's head, or a whole control frame
    /// without its last byte, and must be there again with more behind it.
    ///
    /// # Errors
    ///
    /// [`WsError`], which is final: it is answered again.
    pub fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, WsError> {
        match self.outcome {
            Outcome::Open => {}
            Outcome::Closed => {
                return Ok(Decoded { consumed: input.len(), event: None });
            }
            Outcome::Failed(error) => return Err(error),
        }
        let decoded = match self.payload {
            Some(payload) => self.data(payload, input),
            None => self.frame(input),
        };
        decoded.inspect_err(|&error| self.outcome = Outcome::Failed(error))
    }

    /// Bytes that are missing of the frame whose payload is being read.
    pub fn frame_remaining(&self) -> u64 {
        self.payload.map_or(0, |payload| payload.head.len - payload.received)
    }

    fn frame(&mut self, input: &mut [u8]) -> Result<Decoded, WsError> {
        const NOTHING: Decoded = Decoded { consumed: 0, event: None };
        let Some((head, head_len)) = frame::parse_head(input, Sender::Client, Rsv::NONE)? else {
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

    /// A data frame begins: may it, here, and with that length?
    fn begin_data(&mut self, head: &FrameHead) -> Result<(), WsError> {
        let mut message = match (self.message, head.opcode) {
            (Some(message), Opcode::Continuation) => message,
            (None, Opcode::Continuation) => return Err(WsError::UnexpectedContinuation),
            (Some(_), _) => return Err(WsError::InterleavedMessage),
            (None, Opcode::Text) => Message { kind: MessageKind::Text, len: 0, fragments: 0 },
            (None, _) => Message { kind: MessageKind::Binary, len: 0, fragments: 0 },
        };
        let Limits { message_len, fragment_count } = self.limits;
        // No overflow: the frames before were received, and a frame is shorter than 2^63.
        message.len += head.len;
        if message.len > message_len {
            return Err(WsError::MessageTooLong { limit: message_len });
        }
        if message.fragments == fragment_count {
            return Err(WsError::TooManyFragments { limit: fragment_count });
        }
        message.fragments += 1;
        self.message = Some(message);
        self.payload = Some(Payload { head: *head, received: 0 });
        Ok(())
    }

    fn data(&mut self, mut payload: Payload, input: &mut [u8]) -> Result<Decoded, WsError> {
        let left = payload.head.len - payload.received;
        let len = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if len == 0 && left > 0 {
            return Ok(Decoded { consumed: 0, event: None });
        }
        let kind = self.message.map_or(MessageKind::Binary, |message| message.kind);
        let data = &mut input[..len];
        frame::apply_mask(data, payload.head.mask.unwrap_or_default(), payload.received);
        if kind == MessageKind::Text {
            self.utf8.push(data)?;
        }
        payload.received += len as u64;
        let end = match (payload.received == payload.head.len, payload.head.fin) {
            (false, _) => End::No,
            (true, false) => End::Frame,
            (true, true) => End::Message,
        };
        self.payload = (end == End::No).then_some(payload);
        if end == End::Message {
            self.message = None;
            self.utf8.finish()?;
        }
        Ok(Decoded { consumed: len, event: Some(Event::Data { kind, data: 0..len, end }) })
    }
}

/// Checks text that comes in pieces cut anywhere, also inside a character, and fails with the first
/// byte that can't be part of any UTF-8.
#[derive(Clone, Debug, Default)]
pub struct Utf8Stream {
    /// The start of a character whose end is to come.
    partial: [u8; 4],
    partial_len: usize,
}

impl Utf8Stream {
    /// The next piece.
    ///
    /// # Errors
    ///
    /// [`WsError::NotUtf8`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), WsError> {
        let mut bytes = bytes;
        while self.partial_len > 0 {
            let [first, rest @ ..] = bytes else {
                return Ok(());
            };
            // Four bytes are a character or a fault, so this never runs over.
            self.partial[self.partial_len] = *first;
            self.partial_len += 1;
            bytes = rest;
            match core::str::from_utf8(&self.partial[..self.partial_len]) {
                Ok(_) => self.partial_len = 0,
                Err(error) if error.error_len().is_some() => return Err(WsError::NotUtf8),
                Err(_) => {}
            }
        }
        let Err(error) = simdutf8::compat::from_utf8(bytes) else {
            return Ok(());
        };
        if error.error_len().is_some() {
            return Err(WsError::NotUtf8);
        }
        let partial = &bytes[error.valid_up_to()..];
        self.partial[..partial.len()].copy_from_slice(partial);
        self.partial_len = partial.len();
        Ok(())
    }

    /// The end of the text; the next piece starts another one.
    ///
    /// # Errors
    ///
    /// [`WsError::NotUtf8`] if the text ends inside a character.
    pub fn finish(&mut self) -> Result<(), WsError> {
        match core::mem::take(&mut self.partial_len) {
            0 => Ok(()),
            _ => Err(WsError::NotUtf8),
        }
    }
}
