//! What the targets share.

pub mod net;

/// Cuts `bytes` into pieces, as a network may. The first byte of an input says how; the same input is
/// always cut in the same way.
pub struct Cuts {
    state: u8,
}

impl Cuts {
    /// `seed` 0 gives one byte at a time.
    pub fn new(seed: u8) -> Cuts {
        Cuts { state: seed }
    }

    /// The length of the next piece of what is left, at least one byte if there is one.
    pub fn next_len(&mut self, left: usize) -> usize {
        // Any sequence will do that visits short and long pieces.
        self.state = self.state.wrapping_mul(77).wrapping_add(self.state >> 5);
        let len = if self.state % 3 == 0 { 1 } else { usize::from(self.state) };
        len.clamp(1, left.max(1)).min(left)
    }
}
