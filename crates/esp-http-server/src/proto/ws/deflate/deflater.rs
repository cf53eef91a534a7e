//! The way out: from a message to compressed payload.

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::DataFormat;
use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output,
};

use super::{Compression, ContextTakeover, TAIL, WindowBits};

#[cfg(test)]
mod tests;

/// Compresses messages: all those of one connection if they take over the context, otherwise those
/// of any number of connections.
///
/// ```
/// use esp_http_server::proto::ws::deflate::{Deflater, DeflateConfig};
///
/// let mut payload = Vec::new();
/// Deflater::new().deflate(b"Hello", DeflateConfig::default().server, &mut payload);
/// assert_eq!(payload, b"\xf2\x48\xcd\xc9\xc9\x07\x00"); // RFC 7692, section 7.2.3.1
/// ```
pub struct Deflater {
    compressor: Box<CompressorOxide>,
    /// Bytes that data to come could point back to.
    history_len: usize,
}

/// How hard to look for repetitions, of 0 to 10. Beyond it, the size of typical JSON falls by a few
/// percent while the time doubles.
const LEVEL: u8 = 4;

impl Deflater {
    /// A deflater, with all of its 320 kB. See [the module](super) for what it takes of the stack.
    #[expect(clippy::new_without_default, reason = "320 kB should be asked for by name")]
    pub fn new() -> Deflater {
        let compressor = CompressorOxide::with_params(
            DataFormat::Raw,
            LEVEL,
            CompressionStrategy::Default,
            WindowBits::MAX.bits(),
        );
        Deflater { compressor: Box::new(compressor), history_len: 0 }
    }

    /// Appends the payload of the compressed `message`: of a frame with
    /// [`RSV1`](crate::proto::ws::frame::Rsv::RSV1), or of several of which the first has it.
    ///
    /// `compression` is what was agreed for the server. With context takeover the client's window
    /// follows: what was compressed must be sent, and in this order. Without it, a payload that
    /// turns out longer than the message may as well be dropped and the message sent as it is. A
    /// payload for one window is good for clients with a larger one, so a broadcast is compressed
    /// once.
    pub fn deflate(&mut self, message: &[u8], compression: Compression, out: &mut Vec<u8>) {
        if message.is_empty() {
            // An empty stored block without its tail. A flush of nothing might give nothing.
            out.push(0);
            return;
        }
        let takes_over = compression.context_takeover == ContextTakeover::On;
        // The crate always looks back as far as 32 kB. A smaller window is kept by having it forget,
        // before the window ends, all that was.
        let window_len = match compression.window_bits {
            WindowBits::MAX => usize::MAX,
            bits => bits.window_len(),
        };
        if self.history_len >= window_len || (!takes_over && self.history_len > 0) {
            self.compress(&[], TDEFLFlush::Full, out);
        }
        let mut rest = message;
        loop {
            let (piece, behind) = rest.split_at(rest.len().min(window_len - self.history_len));
            rest = behind;
            if rest.is_empty() {
                let flush = if takes_over { TDEFLFlush::Sync } else { TDEFLFlush::Full };
                self.compress(piece, flush, out);
                break;
            }
            self.compress(piece, TDEFLFlush::Full, out);
        }
        debug_assert!(out.ends_with(&TAIL));
        out.truncate(out.len() - TAIL.len());
    }

    /// As [`deflate`](Self::deflate), for another fragment of a message of which that has compressed
    /// the first. Without context takeover it does not point back to those before it, so that other
    /// messages may be compressed between them.
    pub fn deflate_more(&mut self, fragment: &[u8], compression: Compression, out: &mut Vec<u8>) {
        // Only the end of the message is left away (RFC 7692, section 7.2.1), and behind the fragment
        // before this one it did not end.
        out.extend_from_slice(&TAIL);
        self.deflate(fragment, compression, out);
    }

    fn compress(&mut self, piece: &[u8], flush: TDEFLFlush, out: &mut Vec<u8>) {
        let append = |bytes: &[u8]| {
            out.extend_from_slice(bytes);
            true
        };
        let (status, consumed) = compress_to_output(&mut self.compressor, piece, flush, append);
        debug_assert_eq!((status, consumed), (TDEFLStatus::Okay, piece.len()));
        self.history_len = match flush {
            TDEFLFlush::Full => 0,
            _ => self.history_len.saturating_add(piece.len()),
        };
    }
}

impl core::fmt::Debug for Deflater {
    fn fmt(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        f.debug_struct("Deflater").field("history_len", &self.history_len).finish_non_exhaustive()
    }
}
