//! What every request reads and hardly anything changes: tables that may be changed while the server
//! runs.
//!
//! Each worker reads a copy of its own, and looks at one number to see whether it is the newest. So
//! reading takes no lock, and writes nothing that another worker reads.

use alloc::rc::Rc;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::sync::Lock;

/// The newest value, where any thread can change it.
pub(crate) struct Published<T> {
    /// Changes with the value, under its lock.
    version: AtomicUsize,
    value: Lock<T>,
}

impl<T> Published<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { version: AtomicUsize::new(0), value: Lock::new(value) }
    }

    /// Changes the value. What `change` takes out of it is dropped by the caller, behind the lock.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        self.value.with(|value| {
            let result = change(value);
            self.version.fetch_add(1, Ordering::Relaxed);
            result
        })
    }

    /// Looks at the newest value, with the lock held.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        self.value.with(|value| look(value))
    }
}

/// A worker's copy.
pub(crate) struct Snapshot<T> {
    version: usize,
    value: Rc<T>,
}

impl<T: Clone> Snapshot<T> {
    pub(crate) fn of(source: &Published<T>) -> Self {
        let copy = |value: &T| (source.version.load(Ordering::Relaxed), value.clone());
        let (version, value) = source.peek(copy);
        Self { version, value: Rc::new(value) }
    }

    /// The newest value. Whoever keeps it is not disturbed by later changes.
    pub(crate) fn newest(&mut self, source: &Published<T>) -> &Rc<T> {
        if source.version.load(Ordering::Relaxed) != self.version {
            *self = Self::of(source);
        }
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_reaches_every_worker_and_nobody_who_is_at_work() {
        let numbers = Published::new([1, 2, 3]);
        let mut workers = [Snapshot::of(&numbers), Snapshot::of(&numbers)];
        let at_work = workers[0].newest(&numbers).clone();
        let old = numbers.change(|numbers| core::mem::replace(&mut numbers[1], 20));
        assert_eq!(old, 2);
        for worker in &mut workers {
            assert_eq!(**worker.newest(&numbers), [1, 20, 3]);
        }
        assert_eq!(*at_work, [1, 2, 3]);
        assert_eq!(numbers.peek(|numbers| numbers[1]), 20);
    }

    #[test]
    fn without_a_change_nothing_is_copied() {
        let numbers = Published::new([1]);
        let mut worker = Snapshot::of(&numbers);
        let first = worker.newest(&numbers).clone();
        assert!(Rc::ptr_eq(&first, worker.newest(&numbers)));
    }
}
