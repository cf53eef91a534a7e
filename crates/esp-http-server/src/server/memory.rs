//! How much memory the sessions of a worker hold, and who gives some back when it is too much.
//!
//! A session is weighed whenever it rests; what it takes and gives back within a turn is nobody's
//! business. Buffers that nobody uses count as well, and are the first to go.

use alloc::vec::Vec;

use super::give_back::shorten;
use super::lru::{Line, Links};

/// What is held, in bytes, and by whom.
#[derive(Debug)]
pub(super) struct Memory {
    /// The worker's share of `max_buffer_memory`.
    limit: usize,
    held: usize,
    /// What each slot's session held when it rested last.
    of_slot: Vec<u32>,
    /// Sessions that may be cut for what they hold, from who has begun to hold it longest ago.
    dispensable: Line,
    links: Links,
}

/// Whether a session that holds memory is being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It serves nobody yet, or nobody any more.
    Dispensable,
    Served,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        let (dispensable, links) = (Line::EMPTY, Links::default());
        Self { limit, held: 0, of_slot: Vec::new(), dispensable, links }
    }

    /// Whether more is held than may be.
    pub(super) fn is_short(&self) -> bool {
        self.held > self.limit
    }

    /// Weighs a session that rests.
    pub(super) fn note(&mut self, slot: u32, len: usize, worth: Worth) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let noted = self.of_slot.get(slot as usize).copied().unwrap_or(0);
        if noted != len {
            if self.of_slot.len() <= slot as usize {
                self.of_slot.resize(slot as usize + 1, 0);
            }
            self.of_slot[slot as usize] = len;
            self.held = self.held - noted as usize + len as usize;
        }
        match worth {
            Worth::Dispensable if len > 0 => self.links.append(&mut self.dispensable, slot),
            _ => self.links.remove(&mut self.dispensable, slot),
        }
    }

    /// Buffers of so many bytes are kept for the next session.
    pub(super) fn keep(&mut self, len: usize) {
        self.held += len;
    }

    /// They were lent, or freed.
    pub(super) fn release(&mut self, len: usize) {
        self.held -= len;
    }

    /// Takes the rows from this slot on out of the table. None of them holds anything.
    pub(super) fn shorten(&mut self, slots: usize) {
        shorten(&mut self.of_slot, slots);
        self.links.shorten(slots);
    }

    /// The session that is to be cut first, if more is held than may be.
    pub(super) fn first_to_go(&self) -> Option<u32> {
        self.dispensable.oldest().filter(|_| self.is_short())
    }

    #[cfg(all(test, feature = "std"))]
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// What all sessions together held when they rested last.
    #[cfg(all(test, feature = "std"))]
    pub(super) fn of_sessions(&self) -> usize {
        self.of_slot.iter().map(|len| *len as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_short_with_one_byte_above_the_limit() {
        let mut memory = Memory::new(100);
        memory.note(3, 60, Worth::Served);
        memory.keep(39);
        assert!(!memory.is_short());
        memory.note(3, 61, Worth::Served);
        assert!(!memory.is_short());
        memory.note(3, 62, Worth::Served);
        assert!(memory.is_short());
        memory.release(39);
        assert!(!memory.is_short());
        memory.note(3, 0, Worth::Served);
        assert_eq!(memory.held, 0);
    }

    #[test]
    fn who_has_held_longest_goes_first_and_who_is_served_never() {
        let mut memory = Memory::new(100);
        for slot in [5, 2, 7] {
            memory.note(slot, 40, Worth::Dispensable);
        }
        memory.note(9, 40, Worth::Served);
        // Those that are seen again keep their place.
        memory.note(5, 50, Worth::Dispensable);
        assert_eq!(memory.first_to_go(), Some(5));
        memory.note(5, 50, Worth::Served);
        assert_eq!(memory.first_to_go(), Some(2));
        memory.note(2, 0, Worth::Dispensable);
        assert_eq!(memory.first_to_go(), Some(7));
        memory.note(7, 10, Worth::Dispensable);
        assert_eq!(memory.first_to_go(), None, "100 bytes are not too many");
    }
}
