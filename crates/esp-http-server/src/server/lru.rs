//! Which session to close when a new one needs its place: doubly linked lists through the slots.
//!
//! Every step is constant time, because a peer decides how often a place is needed.

use alloc::vec::Vec;

use super::give_back::shorten;
use super::session::Rank;

/// The sessions that may be closed for a new one, in the order of their ranks and within a rank from
/// the least to the most recently used: of a worker, or of one client.
pub(super) type Ranks = [Line; Rank::COUNT];

/// The two ends of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    first: u32,
    last: u32,
    len: u32,
}

/// What links slots into lists. A slot is in one of them at most.
#[derive(Debug, Default)]
pub(super) struct Links(Vec<Link>);

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
    /// The turn of the server in which it was used last.
    turn: u32,
    listed: bool,
}

const END: u32 = u32::MAX;
const UNLISTED: Link = Link { before: END, after: END, turn: 0, listed: false };

impl Line {
    pub(super) const EMPTY: Self = Self { first: END, last: END, len: 0 };

    /// The least recently used slot.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.first != END).then_some(self.first)
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }
}

impl Links {
    /// Puts `slot` at the end of `line`, in which it may be already: it is used in this turn.
    pub(super) fn touch(&mut self, line: &mut Line, slot: u32, turn: u32) {
        if line.last != slot {
            self.remove(line, slot);
            self.append(line, slot);
        }
        self.0[slot as usize].turn = turn;
    }

    /// Puts `slot` at the end of `line`, unless it is in already.
    pub(super) fn append(&mut self, line: &mut Line, slot: u32) {
        if self.0.get(slot as usize).is_some_and(|link| link.listed) {
            return;
        }
        if self.0.len() <= slot as usize {
            self.0.resize(slot as usize + 1, UNLISTED);
        }
        self.0[slot as usize] = Link { before: line.last, after: END, turn: 0, listed: true };
        match line.last {
            END => line.first = slot,
            last => self.0[last as usize].after = slot,
        }
        line.last = slot;
        line.len += 1;
    }

    /// Takes `slot` out of `line`, if it is in.
    pub(super) fn remove(&mut self, line: &mut Line, slot: u32) {
        let Some(link) = self.0.get_mut(slot as usize).filter(|link| link.listed) else {
            return;
        };
        let Link { before, after, .. } = core::mem::replace(link, UNLISTED);
        match before {
            END => line.first = after,
            before => self.0[before as usize].after = after,
        }
        match after {
            END => line.last = before,
            after => self.0[after as usize].before = before,
        }
        line.len -= 1;
    }

    /// Takes the rows from this slot on out of the table. None of them is in a list.
    pub(super) fn shorten(&mut self, slots: usize) {
        shorten(&mut self.0, slots);
    }

    /// The session to close first. Of those that serve nobody at the moment it is the one that was
    /// used least recently, but `spared` of those that have not asked for anything yet.
    pub(super) fn first_to_go(&self, ranks: &Ranks, spared: usize, turn: u32) -> Option<u32> {
        let [closing, new, http, web_socket] = ranks;
        let of_new_or_http = || match (new.oldest(), http.oldest()) {
            (Some(new_slot), Some(http_slot)) => {
                let is_older = self.age(new_slot, turn) > self.age(http_slot, turn);
                Some(if is_older || new.len() > spared { new_slot } else { http_slot })
            }
            (new_slot, http_slot) => new_slot.or(http_slot),
        };
        closing.oldest().or_else(of_new_or_http).or_else(|| web_socket.oldest())
    }

    /// In turns of the server.
    fn age(&self, slot: u32, turn: u32) -> u32 {
        turn.wrapping_sub(self.0[slot as usize].turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(links: &mut Links, line: &mut Line) -> Vec<u32> {
        let next = || line.oldest().inspect(|&slot| links.remove(line, slot));
        let slots = core::iter::from_fn(next).collect();
        assert_eq!(line.len(), 0);
        slots
    }

    #[test]
    fn the_least_recently_used_comes_first() {
        let (mut links, mut line) = (Links::default(), Line::EMPTY);
        for slot in [4, 2, 9, 2, 4, 7] {
            links.touch(&mut line, slot, 1);
        }
        assert_eq!(line.len(), 4);
        assert_eq!(drain(&mut links, &mut line), [9, 2, 4, 7]);
        assert_eq!(line.oldest(), None);
    }

    #[test]
    fn a_slot_leaves_from_any_place() {
        let (mut links, mut line) = (Links::default(), Line::EMPTY);
        for slot in 0..5 {
            links.touch(&mut line, slot, 1);
        }
        for slot in [2, 0, 4, 4, 77] {
            links.remove(&mut line, slot);
        }
        assert_eq!(drain(&mut links, &mut line), [1, 3]);
        links.touch(&mut line, 0, 2);
        assert_eq!(drain(&mut links, &mut line), [0]);
    }

    /// Of these new ones and served ones, by the turn in which each was used.
    fn first_to_go(new: &[u32], served: &[u32], spared: usize) -> Option<u32> {
        let (mut links, mut ranks) = (Links::default(), [Line::EMPTY; Rank::COUNT]);
        for (rank, turns) in [(Rank::New, new), (Rank::Http, served)] {
            for turn in turns {
                links.touch(&mut ranks[rank as usize], *turn % 1000, *turn);
            }
        }
        links.first_to_go(&ranks, spared, 10_000)
    }

    #[test]
    fn new_sessions_go_before_those_that_were_served_if_they_are_many() {
        assert_eq!(first_to_go(&[5], &[4, 6], 1), Some(4), "the least recently used of both");
        assert_eq!(first_to_go(&[4], &[5, 6], 1), Some(4));
        for (spared, victim) in [(3, 1), (2, 1), (1, 11)] {
            assert_eq!(first_to_go(&[11, 12], &[1, 2], spared), Some(victim), "{spared}");
        }
        assert_eq!(first_to_go(&[], &[3, 7], 0), Some(3));
        assert_eq!(first_to_go(&[7], &[], 5), Some(7));
        assert_eq!(first_to_go(&[], &[], 5), None);
    }

    #[test]
    fn the_count_of_turns_may_wrap() {
        let (mut links, mut ranks) = (Links::default(), [Line::EMPTY; Rank::COUNT]);
        links.touch(&mut ranks[Rank::New as usize], 1, 3);
        links.touch(&mut ranks[Rank::Http as usize], 2, u32::MAX - 3);
        assert_eq!(links.first_to_go(&ranks, 9, 5), Some(2));
    }
}
