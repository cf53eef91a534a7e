//! Compressed messages: the extension `permessage-deflate` (RFC 7692).
//!
//! [`negotiate`] answers what a client offers in its handshake; [`Inflater`] is the way in and
//! [`Deflater`] the way out. A [`MessageDecoder`](super::message::MessageDecoder) made
//! [`with_deflate`](super::message::MessageDecoder::with_deflate) has an inflater of its own.
//!
//! # Memory
//!
//! What a side needs follows from how messages are compressed in its direction ([`Compression`]), so
//! the server decides about it in [`DeflateConfig`]:
//!
//! | | while a message arrives | between messages |
//! |---|---|---|
//! | [`Inflater`], context takeover | 10.5 kB and the window | the window |
//! | [`Inflater`], none (default) | 10.5 kB and the window | nothing |
//! | [`Deflater`] | 320 kB | 320 kB |
//!
//! A window has as many bytes as were inflated through it, rounded up to a power of two, but at
//! most 2^[`window_bits`](Compression::window_bits): 256 bytes to 32 kB. Without context takeover
//! one deflater serves any number of connections, so a worker has one. With it, each connection
//! needs its own.
//!
//! On the stack, inflating and deflating fit into 8 kB, and making a deflater into 80 kB; without
//! optimisation inflating takes up to 48 kB and making a deflater up to 384 kB. So a deflater is not
//! made where stacks are small: not in a handler.

use core::fmt;

mod deflater;
mod inflater;
mod negotiation;
#[cfg(test)]
pub(super) mod support;

pub use deflater::Deflater;
pub use inflater::{Inflated, Inflater, Rest};
pub use negotiation::{Agreed, DeflateConfig, negotiate};

/// How the messages of one direction are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// How far back compressed data may point.
    pub window_bits: WindowBits,
    /// Whether it may point back into earlier messages.
    pub context_takeover: ContextTakeover,
}

/// Whether a message is compressed with the window that the one before it has left (RFC 7692,
/// section 7.1.1). It makes small messages that resemble each other much smaller, and costs memory
/// for as long as the connection is open: 320 kB for what the server compresses, and up to 32 kB for
/// what the client does, by the size of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextTakeover {
    /// It is.
    On,
    /// Each message stands for itself.
    Off,
}

/// The size of a window, as a power of two: 8 to 15, which is 256 bytes to 32 kB (RFC 7692, section
/// 7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 8: 256 bytes.
    pub const MIN: WindowBits = WindowBits(8);
    /// 15: 32 kB, which a side that says nothing uses.
    pub const MAX: WindowBits = WindowBits(15);

    /// So many bits; `None` unless they are 8 to 15.
    pub const fn new(bits: u8) -> Option<WindowBits> {
        match bits {
            8..=15 => Some(WindowBits(bits)),
            _ => None,
        }
    }

    /// The number of bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The size of the window, in bytes.
    pub const fn window_len(self) -> usize {
        1 << self.0
    }
}

impl fmt::Display for WindowBits {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The end of what a deflater flushes, an empty stored block without its first bits. A sender leaves
/// it away, a receiver puts it back (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
