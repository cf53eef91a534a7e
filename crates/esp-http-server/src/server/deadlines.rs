//! When each session next wants to be looked at: a binary heap with one entry per slot.
//!
//! A session's deadline mostly moves away (every request puts off the idle timer). So the heap keeps
//! the old, earlier moment and [`Deadlines::pop_due`]'s caller puts the slot back at the true one:
//! a request costs no heap operation, and the heap never holds more entries than there are slots.

use alloc::vec::Vec;

use super::give_back::shorten;
use crate::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: Vec<Entry>,
    /// Where each slot's entry is in the heap; `ABSENT` if it has none.
    positions: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Instant,
    slot: u32,
}

const ABSENT: u32 = u32::MAX;

impl Deadlines {
    /// Makes sure that `slot` comes up at `at` or before.
    pub(crate) fn at_most(&mut self, slot: u32, at: Instant) {
        if at == Instant::NEVER {
            return;
        }
        if self.positions.len() <= slot as usize {
            self.positions.resize(slot as usize + 1, ABSENT);
        }
        let position = self.positions[slot as usize];
        if position == ABSENT {
            self.heap.push(Entry { at, slot });
            self.sift_up(self.heap.len() - 1);
        } else if at < self.heap[position as usize].at {
            self.heap[position as usize].at = at;
            self.sift_up(position as usize);
        }
    }

    /// Forgets `slot`.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(&position) = self.positions.get(slot as usize) else { return };
        if position != ABSENT {
            self.remove_at(position as usize);
        }
    }

    /// Takes the rows from this slot on out of the table. None of them has an entry.
    pub(super) fn shorten(&mut self, slots: usize) {
        shorten(&mut self.positions, slots);
        let entries = self.heap.len();
        shorten(&mut self.heap, entries);
    }

    /// The earliest moment at which a slot comes up.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.at)
    }

    /// Takes out a slot whose moment has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let first = *self.heap.first()?;
        (first.at <= now).then(|| {
            self.remove_at(0);
            first.slot
        })
    }

    fn remove_at(&mut self, position: usize) {
        let removed = self.heap.swap_remove(position);
        self.positions[removed.slot as usize] = ABSENT;
        if position < self.heap.len() {
            self.positions[self.heap[position].slot as usize] = position as u32;
            self.sift_up(position);
            self.sift_down(position);
        }
    }

    fn sift_up(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if self.heap[parent].at <= self.heap[position].at {
                break;
            }
            self.heap.swap(parent, position);
            self.positions[self.heap[position].slot as usize] = position as u32;
            position = parent;
        }
        self.positions[self.heap[position].slot as usize] = position as u32;
    }

    fn sift_down(&mut self, mut position: usize) {
        loop {
            let mut least = position;
            for child in [2 * position + 1, 2 * position + 2] {
                if child < self.heap.len() && self.heap[child].at < self.heap[least].at {
                    least = child;
                }
            }
            if least == position {
                break;
            }
            self.heap.swap(least, position);
            self.positions[self.heap[position].slot as usize] = position as u32;
            position = least;
        }
        self.positions[self.heap[position].slot as usize] = position as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn slots_come_up_in_order_of_time() {
        let mut deadlines = Deadlines::default();
        for (slot, millis) in [(3, 30), (0, 10), (7, 70), (1, 20), (2, 20)] {
            deadlines.at_most(slot, at(millis));
        }
        assert_eq!(deadlines.next(), Some(at(10)));
        let mut due = Vec::new();
        while let Some(slot) = deadlines.pop_due(at(30)) {
            due.push(slot);
        }
        due[1..3].sort_unstable();
        assert_eq!(due, [0, 1, 2, 3]);
        assert_eq!(deadlines.next(), Some(at(70)));
    }

    #[test]
    fn a_deadline_moves_forward_but_not_back() {
        let mut deadlines = Deadlines::default();
        deadlines.at_most(5, at(50));
        deadlines.at_most(5, at(80));
        assert_eq!(deadlines.next(), Some(at(50)));
        deadlines.at_most(5, at(20));
        assert_eq!(deadlines.next(), Some(at(20)));
        assert_eq!(deadlines.pop_due(at(20)), Some(5));
        assert_eq!(deadlines.pop_due(at(1000)), None);
    }

    #[test]
    fn a_removed_slot_does_not_come_up() {
        let mut deadlines = Deadlines::default();
        for slot in 0..100 {
            deadlines.at_most(slot, at(u64::from(slot * 37 % 101)));
        }
        for slot in (0..100).step_by(2) {
            deadlines.remove(slot);
        }
        deadlines.remove(4000);
        let mut last = Instant::START;
        let mut count = 0;
        while let Some(next) = deadlines.next() {
            assert!(next >= last);
            last = next;
            assert_eq!(deadlines.pop_due(next).unwrap() % 2, 1);
            count += 1;
        }
        assert_eq!(count, 50);
    }

    #[test]
    fn never_is_not_kept() {
        let mut deadlines = Deadlines::default();
        deadlines.at_most(0, Instant::NEVER);
        assert_eq!(deadlines.next(), None);
    }
}
