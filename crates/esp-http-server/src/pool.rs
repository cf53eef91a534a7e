//! What is lent and comes back: buffers and stacks that are kept for the next who needs some.
//!
//! A pool keeps a bounded number, and not for ever: what nobody has needed from one
//! [`Pool::surplus`] to the next is given up, so that a crowd leaves nothing behind.

use alloc::vec::{Drain, Vec};

/// Things of which the one that came back last is lent first: it is the likeliest to be in the cache,
/// and those that nobody needs gather at the bottom.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    idle: Vec<T>,
    most: usize,
    /// The fewest that were there at once since the last [`surplus`](Self::surplus).
    fewest: usize,
}

impl<T> Pool<T> {
    /// An empty one, which keeps `most` things at most.
    pub(crate) const fn new(most: usize) -> Self {
        Self { idle: Vec::new(), most, fewest: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.idle.len()
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.idle.len() >= self.most
    }

    /// The one that came back last.
    pub(crate) fn take(&mut self) -> Option<T> {
        let taken = self.idle.pop();
        self.fewest = self.fewest.min(self.idle.len());
        taken
    }

    /// Keeps it, or drops it if there are enough.
    pub(crate) fn give(&mut self, thing: T) {
        if !self.is_full() {
            self.idle.push(thing);
        }
    }

    /// Takes out those that nobody has needed since this was called last.
    pub(crate) fn surplus(&mut self) -> Drain<'_, T> {
        let surplus = self.fewest;
        self.fewest = self.idle.len() - surplus;
        self.idle.drain(..surplus)
    }

    #[cfg(all(test, feature = "std"))]
    pub(crate) fn iter(&self) -> core::slice::Iter<'_, T> {
        self.idle.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(things: core::ops::Range<u32>) -> Pool<u32> {
        let mut pool = Pool::new(8);
        things.for_each(|thing| pool.give(thing));
        pool
    }

    #[test]
    fn it_keeps_so_many_and_lends_the_last_one_first() {
        for (given, kept) in [(7, 7), (8, 8), (9, 8)] {
            let mut pool = of(0..given);
            assert_eq!((pool.len(), pool.is_full()), (kept, kept == 8));
            assert_eq!(pool.take(), Some(kept as u32 - 1));
        }
        assert_eq!(of(0..0).take(), None);
    }

    #[test]
    fn what_nobody_needs_for_a_whole_period_is_given_up() {
        let mut pool = of(0..6);
        assert_eq!(pool.surplus().len(), 0, "they have just come");
        // Two are enough for whoever comes now.
        for _ in 0..10 {
            let two = [pool.take(), pool.take()].map(Option::unwrap);
            two.into_iter().for_each(|thing| pool.give(thing));
        }
        assert_eq!(pool.surplus().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(pool.len(), 2);
        // And nobody comes any more.
        assert_eq!(pool.surplus().len(), 2);
        assert_eq!((pool.len(), pool.surplus().len()), (0, 0));
    }

    #[test]
    fn those_that_come_later_have_a_period_of_their_own() {
        let mut pool = of(0..2);
        assert_eq!(pool.surplus().len(), 0);
        pool.give(2);
        assert_eq!(pool.surplus().len(), 2);
        assert_eq!((pool.len(), pool.surplus().len()), (1, 1));
    }
}
