//! The way in: from compressed payload to the message.

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY,
    TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress_with_limit};

use super::{Compression, ContextTakeover, TAIL};
use crate::proto::ws::WsError;

#[cfg(test)]
pub(super) mod tests;

/// Inflates the compressed messages of one connection.
///
/// It writes into room that the caller gives, so a message that inflates to a thousand times its
/// length costs no more memory than the caller is ready for. See [the module](super) for what it
/// keeps. Compressed data that points further back than the agreed window is refused.
///
/// ```
/// use esp_http_server::proto::ws::deflate::{DeflateConfig, Inflater, Rest};
///
/// let mut inflater = Inflater::new(DeflateConfig::default().client);
/// let mut room = [0; 32];
/// // RFC 7692, section 7.2.3.1
/// let inflated = inflater.inflate(b"\xf2\x48\xcd\xc9\xc9\x07\x00", Rest::Ended, &mut room)?;
/// assert_eq!(&room[..inflated.produced], b"Hello");
/// assert!(inflated.is_done);
/// # Ok::<(), esp_http_server::proto::ws::WsError>(())
/// ```
pub struct Inflater {
    compression: Compression,
    /// What was inflated last. While it is not full it grows, and then it is a ring.
    window: Vec<u8>,
    /// Where the next byte goes.
    at: usize,
    shape: Shape,
    /// There while a message is under way.
    decompressor: Option<Box<DecompressorOxide>>,
    /// Bytes of [`TAIL`] that were read behind the message.
    tail_len: usize,
    /// Whether a fault was found. It is told once nothing comes before it.
    has_failed: bool,
}

/// Whether the window goes on at its start. Only a straight one lets data that points before the
/// first byte be told from data that does not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Straight,
    Ring,
}

/// Whether there is more of the message than what is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There may be.
    Follows,
    /// There is not.
    Ended,
}

/// What one call of [`Inflater::inflate`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inflated {
    /// Bytes of the input that are used up.
    pub consumed: usize,
    /// Bytes that were written at the start of the room.
    pub produced: usize,
    /// Whether the message ends with them.
    pub is_done: bool,
}

/// The size a window starts with.
const FIRST_WINDOW_LEN: usize = 1024;

impl Inflater {
    /// An inflater for what a client sends that compresses so. It allocates with the first message.
    pub fn new(compression: Compression) -> Inflater {
        Inflater {
            compression,
            window: Vec::new(),
            at: 0,
            shape: Shape::Straight,
            decompressor: None,
            tail_len: 0,
            has_failed: false,
        }
    }

    /// Inflates the next bytes of a message into `room`.
    ///
    /// It goes on until the input is used up or the room is full; there may be more to write when
    /// both are. So a call that fills the room is followed by another one with more room, and what
    /// was not consumed of the input. The message is whole when the answer says that it
    /// [is done](Inflated::is_done), and not before. The next input is of another one then.
    ///
    /// A message without any payload is taken for an empty one, although it should have a byte: it
    /// is what zlib makes of the second empty message in a row.
    ///
    /// # Errors
    ///
    /// [`WsError::NotDeflate`], which is final. What comes before the fault is handed over first.
    pub fn inflate(
        &mut self,
        input: &[u8],
        rest: Rest,
        room: &mut [u8],
    ) -> Result<Inflated, WsError> {
        let mut inflated = Inflated::default();
        if input.is_empty() && self.decompressor.is_none() {
            inflated.is_done = rest == Rest::Ended;
            return Ok(inflated);
        }
        (inflated.consumed, inflated.produced) = self.read(input, room);
        if rest == Rest::Ended && inflated.consumed == input.len() {
            let room = &mut room[inflated.produced..];
            let (consumed, produced) = self.read(&TAIL[self.tail_len..], room);
            self.tail_len += consumed;
            inflated.produced += produced;
            if self.tail_len == TAIL.len() && self.is_between_blocks() {
                self.end_message();
                inflated.is_done = true;
            } else if produced < room.len() {
                // The message breaks off inside a block.
                self.has_failed = true;
            }
        }
        // What comes before the fault counts, wherever the message is cut.
        if self.has_failed && inflated.produced == 0 {
            return Err(WsError::NotDeflate);
        }
        Ok(inflated)
    }

    /// Whether a fault was found that the next call will tell.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Inflates until the input is used up or the room is full; how much of both that took.
    fn read(&mut self, input: &[u8], room: &mut [u8]) -> (usize, usize) {
        let (mut consumed, mut produced) = (0, 0);
        while !self.has_failed {
            let step = self.step(&input[consumed..], &mut room[produced..]);
            consumed += step.consumed;
            produced += step.produced;
            match step.status {
                // A block's end was passed, perhaps with bits that were taken from the input before.
                TINFLStatus::BlockBoundary => {}
                TINFLStatus::Done => {
                    // A compressor that can't flush ends its stream; another one follows (RFC 7692,
                    // section 7.2.3.4). The window stays.
                    if let Some(decompressor) = &mut self.decompressor {
                        decompressor.init();
                    }
                }
                TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => {
                    if step.consumed == 0 && step.produced == 0 {
                        break;
                    }
                }
                _ => self.has_failed = true,
            }
        }
        (consumed, produced)
    }

    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Step {
        self.make_space();
        let space = room.len().min(self.window.len() - self.at);
        let mut flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
        if self.shape == Shape::Straight {
            flags |= TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        }
        let decompressor = self.decompressor.get_or_insert_with(Box::default);
        let (status, consumed, produced) =
            decompress_with_limit(decompressor, input, &mut self.window, self.at, space, flags);
        room[..produced].copy_from_slice(&self.window[self.at..self.at + produced]);
        self.at += produced;
        Step { status, consumed, produced }
    }

    /// Sees to it that the window has room for a byte: while it is shorter than it may be, it
    /// doubles; then it starts over.
    fn make_space(&mut self) {
        if self.at < self.window.len() {
            return;
        }
        let window_len = self.compression.window_bits.window_len();
        if self.window.len() < window_len {
            let len = (self.window.len() * 2).max(FIRST_WINDOW_LEN).min(window_len);
            self.window.reserve_exact(len - self.window.len());
            self.window.resize(len, 0);
        } else {
            self.at = 0;
            self.shape = Shape::Ring;
        }
    }

    /// Whether a block has ended and another one has not begun, on the edge of a byte.
    fn is_between_blocks(&self) -> bool {
        let state = self.decompressor.as_ref().and_then(|it| it.block_boundary_state());
        state.is_some_and(|state| state.num_bits == 0)
    }

    fn end_message(&mut self) {
        self.decompressor = None;
        self.tail_len = 0;
        if self.compression.context_takeover == ContextTakeover::Off {
            *self = Inflater::new(self.compression);
        }
    }
}

/// What a call of the decompressor did.
struct Step {
    status: TINFLStatus,
    consumed: usize,
    produced: usize,
}

impl core::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        f.debug_struct("Inflater")
            .field("compression", &self.compression)
            .field("window_len", &self.window.len())
            .field("in_message", &self.decompressor.is_some())
            .finish_non_exhaustive()
    }
}
