//! WebSocket (RFC 6455) and its extension `permessage-deflate` (RFC 7692).
//!
//! | module | what it does | RFC |
//! |---|---|---|
//! | [`handshake`] | the server's side of the opening handshake; which pages may come | 6455 §4.2 |
//! | [`extension`] | what extensions a client offers | 6455 §9.1 |
//! | [`frame`] | heads of frames, masks, close payloads | 6455 §5, §7.4 |
//! | [`message`] | from received bytes to messages and control frames | 6455 §5.4 to §5.6, §8.1 |
//! | `deflate` (with that feature) | compressed messages | 7692 |

use core::fmt;

#[cfg(feature = "deflate")]
pub mod deflate;
pub mod extension;
pub mod frame;
pub mod handshake;
pub mod message;

/// What a peer did wrong. It is final: send a close frame with [`close_code`](WsError::close_code),
/// then close the connection (RFC 6455, section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WsError {
    /// A reserved bit is set that no negotiated extension uses (section 5.2).
    ReservedBits,
    /// An opcode that is reserved, 3 to 7 or 11 to 15 (section 5.2).
    ReservedOpcode(u8),
    /// A client's frame without mask, or a server's frame with one (section 5.1).
    Mask,
    /// The payload length isn't in its shortest form, or beyond 2^63 - 1 (section 5.2).
    Length,
    /// A control frame that is fragmented or has more than 125 bytes of payload (section 5.5).
    ControlFrame,
    /// A continuation without a message to continue (section 5.4).
    UnexpectedContinuation,
    /// A new message before the last one ended (section 5.4).
    InterleavedMessage,
    /// Text that isn't UTF-8 (section 8.1).
    NotUtf8,
    /// Compressed data that can't be inflated, or that ends before its end (RFC 7692, section 7.2.2).
    NotDeflate,
    /// A close frame with one byte of payload or with a code that must not be sent (section 7.4).
    ClosePayload,
    /// The message is longer than the limit, in bytes; a compressed one may be so once inflated.
    MessageTooLong {
        /// [`Limits::message_len`](message::Limits::message_len).
        limit: u64,
    },
    /// The message has more frames than the limit.
    TooManyFragments {
        /// [`Limits::fragment_count`](message::Limits::fragment_count).
        limit: u32,
    },
    /// The message has more frames without payload than the limit.
    TooManyEmptyFragments {
        /// [`Limits::empty_fragment_count`](message::Limits::empty_fragment_count).
        limit: u32,
    },
    /// More pings and pongs come than the limit. The message decoder doesn't say so: it knows no time.
    TooManyControlFrames {
        /// [`HttpConfig::ws_control_frames_per_sec`](crate::HttpConfig::ws_control_frames_per_sec).
        limit: usize,
    },
}

impl WsError {
    /// The code to close with.
    pub const fn close_code(self) -> frame::CloseCode {
        match self {
            Self::NotUtf8 | Self::NotDeflate => frame::CloseCode::INVALID_DATA,
            Self::MessageTooLong { .. } | Self::TooManyFragments { .. } => {
                frame::CloseCode::TOO_BIG
            }
            Self::TooManyEmptyFragments { .. } | Self::TooManyControlFrames { .. } => {
                frame::CloseCode::POLICY_VIOLATION
            }
            _ => frame::CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for WsError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::ReservedBits => f.write_str("a frame sets a reserved bit"),
            Self::ReservedOpcode(opcode) => write!(f, "a frame has the reserved opcode {opcode}"),
            Self::Mask => f.write_str("a client's frame is not masked, or a server's frame is"),
            Self::Length => f.write_str("a frame's length is not in its shortest form"),
            Self::ControlFrame => {
                f.write_str("a control frame is fragmented or longer than 125 bytes")
            }
            Self::UnexpectedContinuation => f.write_str("a continuation of no message"),
            Self::InterleavedMessage => f.write_str("a message begins inside another one"),
            Self::NotUtf8 => f.write_str("a text message or close reason is not UTF-8"),
            Self::NotDeflate => f.write_str("a compressed message can't be inflated"),
            Self::ClosePayload => f.write_str("a close frame has an invalid code"),
            Self::MessageTooLong { limit } => {
                write!(f, "a message is longer than {limit} bytes")
            }
            Self::TooManyFragments { limit } => {
                write!(f, "a message comes in more than {limit} frames")
            }
            Self::TooManyEmptyFragments { limit } => {
                write!(f, "a message has more than {limit} empty frames")
            }
            Self::TooManyControlFrames { limit } => {
                write!(f, "more than {limit} pings and pongs come in a second")
            }
        }
    }
}

impl core::error::Error for WsError {}
