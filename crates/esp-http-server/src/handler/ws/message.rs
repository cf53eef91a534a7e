//! A message, whole, and as it goes out to however many clients.

use alloc::boxed::Box;
use alloc::string::String;
#[cfg(feature = "deflate")]
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::proto::ws::frame::{self, Opcode};
use crate::proto::ws::message::MessageKind;
#[cfg(feature = "deflate")]
use crate::{
    proto::ws::deflate::{Compression, Deflater, WindowBits},
    sync::Lock,
};

/// A WebSocket message, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// From here on text is long, in bytes.
const LONG_LEN: usize = 256;

impl Message {
    pub(super) fn new(kind: MessageKind, payload: Vec<u8>) -> Self {
        match kind {
            MessageKind::Binary => Self::Binary(payload),
            MessageKind::Text => Self::text(payload),
        }
    }

    /// The decoder has checked it, but from its beginning, which the handler may have read before: what
    /// is left then is not always text.
    fn text(payload: Vec<u8>) -> Self {
        if cfg!(not(feature = "std")) || payload.len() < LONG_LEN || payload.is_ascii() {
            return String::from_utf8(payload)
                .map_or_else(|error| Self::Binary(error.into_bytes()), Self::Text);
        }
        // To check so and to copy takes a tenth of the time that `String::from_utf8` has for text that
        // is not ASCII. Without `std` there is no such check, and memory is dear.
        match simdutf8::basic::from_utf8(&payload) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Binary(payload),
        }
    }

    /// The payload, as bytes.
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    pub(super) fn opcode(&self) -> Opcode {
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

/// A message on its way to one client or to many, encoded once for all of them.
pub(crate) struct Outgoing {
    /// The frame for clients without compression.
    frame: Box<[u8]>,
    #[cfg(feature = "deflate")]
    message: Plain,
    /// The frames for clients that have agreed on compression without context takeover, by the size
    /// of their window. There is one as a rule: 32 kB.
    #[cfg(feature = "deflate")]
    compressed: Lock<Vec<(WindowBits, Compressed)>>,
}

/// The frame; `None` if it would be no shorter.
#[cfg(feature = "deflate")]
type Compressed = Option<Arc<[u8]>>;

/// Where in the frame the message stands.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy)]
struct Plain {
    opcode: Opcode,
    head_len: usize,
}

impl Outgoing {
    pub(crate) fn new(message: &Message) -> Self {
        #[cfg(all(test, feature = "std"))]
        encodes::note();
        let (opcode, payload) = (message.opcode(), message.payload());
        let mut frame = Vec::new();
        frame::encode_frame(&mut frame, opcode, payload);
        Self {
            #[cfg(feature = "deflate")]
            message: Plain { opcode, head_len: frame.len() - payload.len() },
            frame: frame.into(),
            #[cfg(feature = "deflate")]
            compressed: Lock::new(Vec::new()),
        }
    }

    /// The whole frame, not compressed.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }
}

#[cfg(feature = "deflate")]
impl Outgoing {
    pub(super) fn opcode(&self) -> Opcode {
        self.message.opcode
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.frame[self.message.head_len..]
    }

    /// The frame for a client that takes compressed messages so, without context takeover; `None` if
    /// it would be no shorter.
    pub(super) fn compressed(
        &self,
        compression: Compression,
        deflater: &mut Deflater,
    ) -> Compressed {
        let bits = compression.window_bits;
        let known = self.compressed.with(|frames| {
            frames.iter().find(|(of, _)| *of == bits).map(|(_, frame)| frame.clone())
        });
        known.unwrap_or_else(|| {
            // Not under the lock: two workers may both do it, and the second one's is kept by nobody.
            let frame = self.compress(compression, deflater);
            self.compressed.with(|frames| frames.push((bits, frame.clone())));
            frame
        })
    }

    fn compress(&self, compression: Compression, deflater: &mut Deflater) -> Compressed {
        #[cfg(all(test, feature = "std"))]
        encodes::note();
        let mut frame = Vec::new();
        super::deflate::encode(self.opcode(), self.payload(), compression, deflater, &mut frame);
        (frame.len() < self.frame.len()).then(|| frame.into())
    }
}

/// How often this thread has encoded a message for others.
#[cfg(all(test, feature = "std"))]
pub(crate) mod encodes {
    use core::cell::Cell;

    std::thread_local! {
        static COUNT: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn note() {
        COUNT.set(COUNT.get() + 1);
    }

    pub(crate) fn take() -> usize {
        COUNT.take()
    }
}
