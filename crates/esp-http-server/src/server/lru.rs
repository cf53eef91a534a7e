//! Which session to close when a new one needs its place: a doubly linked list through the slots.
//!
//! Every step is constant time, because a peer decides how often a place is needed.

use alloc::vec::Vec;

/// Slots from the least to the most recently used.
#[derive(Debug)]
pub(crate) struct LruList {
    links: Vec<Link>,
    first: u32,
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
    listed: bool,
}

const END: u32 = u32::MAX;
const UNLISTED: Link = Link { before: END, after: END, listed: false };

impl LruList {
    pub(crate) const fn new() -> Self {
        Self { links: Vec::new(), first: END, last: END }
    }

    /// Puts `slot` at the end: it was used just now.
    pub(crate) fn touch(&mut self, slot: u32) {
        if self.last == slot {
            return;
        }
        self.remove(slot);
        if self.links.len() <= slot as usize {
            self.links.resize(slot as usize + 1, UNLISTED);
        }
        self.links[slot as usize] = Link { before: self.last, after: END, listed: true };
        match self.last {
            END => self.first = slot,
            last => self.links[last as usize].after = slot,
        }
        self.last = slot;
    }

    /// Takes `slot` out, if it is in.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(slot as usize).filter(|link| link.listed) else {
            return;
        };
        let Link { before, after, .. } = core::mem::replace(link, UNLISTED);
        match before {
            END => self.first = after,
            before => self.links[before as usize].after = after,
        }
        match after {
            END => self.last = before,
            after => self.links[after as usize].before = before,
        }
    }

    /// The least recently used slot.
    pub(crate) fn oldest(&self) -> Option<u32> {
        (self.first != END).then_some(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(list: &mut LruList) -> Vec<u32> {
        core::iter::from_fn(|| list.oldest().inspect(|&slot| list.remove(slot))).collect()
    }

    #[test]
    fn the_least_recently_used_comes_first() {
        let mut list = LruList::new();
        for slot in [4, 2, 9, 2, 4, 7] {
            list.touch(slot);
        }
        assert_eq!(drain(&mut list), [9, 2, 4, 7]);
        assert_eq!(list.oldest(), None);
    }

    #[test]
    fn a_slot_leaves_from_any_place() {
        let mut list = LruList::new();
        for slot in 0..5 {
            list.touch(slot);
        }
        for slot in [2, 0, 4, 4, 77] {
            list.remove(slot);
        }
        assert_eq!(drain(&mut list), [1, 3]);
        list.touch(0);
        assert_eq!(drain(&mut list), [0]);
    }
}
