//! What tests of compressed messages share.

use alloc::vec::Vec;

use super::{Compression, ContextTakeover, WindowBits};

pub(in crate::proto::ws) const fn compression(
    bits: u8,
    context_takeover: ContextTakeover,
) -> Compression {
    Compression { window_bits: WindowBits::new(bits).unwrap(), context_takeover }
}

/// A message in one block with the fixed code (RFC 1951, section 3.2.6), bit by bit.
#[derive(Clone)]
pub(in crate::proto::ws) struct Bits {
    bytes: Vec<u8>,
    bit_count: usize,
}

impl Default for Bits {
    fn default() -> Self {
        Self { bytes: Vec::new(), bit_count: 0 }.number(0b010, 3)
    }
}

impl Bits {
    /// A byte below 144.
    pub(in crate::proto::ws) fn literal(self, byte: u8) -> Self {
        self.code(0x30 + u32::from(byte), 8)
    }

    /// Points back `distance`, for `len` bytes, so many times.
    pub(in crate::proto::ws) fn repeat(self, distance: usize, len: usize, times: usize) -> Self {
        (0..times).fold(self, |bits, _| {
            let bits = match len {
                3 => bits.code(1, 7),
                258 => bits.code(0xc5, 8),
                _ => unreachable!("no test needs it"),
            };
            // Codes come in pairs that share a number of extra bits.
            let (mut code, mut base, mut extra) = (0, 1, 0);
            while distance >= base + (1 << extra) {
                base += 1 << extra;
                code += 1;
                extra = if code < 4 { 0 } else { code as usize / 2 - 1 };
            }
            bits.code(code, 5).number((distance - base) as u32, extra)
        })
    }

    pub(in crate::proto::ws) fn end(self) -> Vec<u8> {
        // End of block; then a stored block without its tail.
        self.code(0, 7).number(0, 3).bytes
    }

    /// A Huffman code: its highest bit first.
    fn code(self, code: u32, len: usize) -> Self {
        (0..len).rev().fold(self, |bits, index| bits.number(code >> index & 1, 1))
    }

    /// A number: its lowest bit first.
    fn number(mut self, number: u32, len: usize) -> Self {
        for index in 0..len {
            if self.bit_count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |=
                ((number >> index & 1) as u8) << (self.bit_count % 8);
            self.bit_count += 1;
        }
        self
    }
}
