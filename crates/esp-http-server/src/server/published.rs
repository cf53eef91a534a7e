//! What every request reads and hardly anything changes: tables that may be changed while the server
//! runs.
//!
//! Each worker reads a copy of its own, and looks at one number to see whether it is the newest. So
//! reading takes no lock, and writes nothing that another worker reads.

use alloc::rc::Rc;
use core::ops::Deref;

use crate::handler::contain;
use crate::sync::Lock;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// The newest value, where any thread can change it.
pub(crate) struct Published<T> {
    /// Changes with the value, under its lock.
    version: AtomicUsize,
    value: Lock<Value<T>>,
}

struct Value<T> {
    newest: T,
    is_closed: bool,
}

/// Why a change was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unchanged {
    /// There is a newer value than the one that the change was made for.
    Newer,
    /// Nobody reads the value any more.
    Closed,
}

impl<T> Published<T> {
    pub(crate) fn new(value: T) -> Self {
        let value = Lock::new(Value { newest: value, is_closed: false });
        Self { version: AtomicUsize::new(0), value }
    }

    /// Changes the value, unless it is closed. What `change` takes out of it is dropped by the caller,
    /// behind the lock.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.value.with(|value| {
            if value.is_closed {
                return None;
            }
            self.version.fetch_add(1, Ordering::Relaxed);
            Some(change(&mut value.newest))
        })
    }

    /// As [`change`](Self::change), if the value is still the one with this number: for changes that
    /// depend on what takes long to find out, or asks code of the application's.
    pub(crate) fn change_from<R>(
        &self,
        version: usize,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Unchanged> {
        self.value.with(|value| {
            if value.is_closed {
                return Err(Unchanged::Closed);
            }
            if self.version.load(Ordering::Relaxed) != version {
                return Err(Unchanged::Newer);
            }
            self.version.fetch_add(1, Ordering::Relaxed);
            Ok(change(&mut value.newest))
        })
    }

    /// Puts `last` into the place of the value that it gives back, and makes no change from then on.
    pub(crate) fn close(&self, last: T) -> T {
        self.value.with(|value| {
            value.is_closed = true;
            self.version.fetch_add(1, Ordering::Relaxed);
            core::mem::replace(&mut value.newest, last)
        })
    }

    /// Looks at the newest value, with the lock held.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        self.value.with(|value| look(&value.newest))
    }
}

impl<T: Clone> Published<T> {
    /// A copy of the newest value, and its number.
    pub(crate) fn newest(&self) -> (usize, T) {
        self.peek(|value| (self.version.load(Ordering::Relaxed), value.clone()))
    }
}

/// A worker's copy.
pub(crate) struct Snapshot<T> {
    version: usize,
    value: Kept<T>,
}

impl<T: Clone> Snapshot<T> {
    pub(crate) fn of(source: &Published<T>) -> Self {
        let (version, value) = source.newest();
        Self { version, value: Kept::new(value) }
    }

    /// Whether there is a newer value.
    pub(crate) fn is_old(&self, source: &Published<T>) -> bool {
        source.version.load(Ordering::Relaxed) != self.version
    }

    /// The newest value. Whoever keeps it is not disturbed by later changes.
    pub(crate) fn newest(&mut self, source: &Published<T>) -> &Kept<T> {
        if self.is_old(source) {
            *self = Self::of(source);
        }
        &self.value
    }

    /// The value that [`newest`](Self::newest) has last given.
    pub(crate) fn value(&self) -> &Kept<T> {
        &self.value
    }
}

/// Something of the application's that a worker keeps for as long as it uses it. If it is the last
/// who does, what it holds is dropped here, in the middle of the worker's own affairs: a panic in
/// that ends nothing else.
pub(crate) struct Kept<T>(Option<Rc<T>>);

impl<T> Kept<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(Rc::new(value)))
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is taken only when it is dropped")
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        if contain(|| drop(value)).is_none() {
            log::error!("a handler that was removed panicked when it was dropped");
        }
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
        assert_eq!(old, Some(2));
        for worker in &mut workers {
            assert!(worker.is_old(&numbers));
            assert_eq!(**worker.newest(&numbers), [1, 20, 3]);
            assert!(!worker.is_old(&numbers));
        }
        assert_eq!(*at_work, [1, 2, 3]);
        assert_eq!(numbers.peek(|numbers| numbers[1]), 20);
    }

    #[test]
    fn without_a_change_nothing_is_copied() {
        let numbers = Published::new([1]);
        let mut worker = Snapshot::of(&numbers);
        let first: *const [i32; 1] = &**worker.newest(&numbers);
        assert!(core::ptr::eq(first, &**worker.newest(&numbers)));
    }

    #[test]
    fn a_change_that_was_prepared_for_another_value_is_not_made() {
        let numbers = Published::new([1]);
        let (version, [number]) = numbers.newest();
        assert_eq!(numbers.change_from(version, |numbers| numbers[0] = number + 1), Ok(()));
        let again = numbers.change_from(version, |numbers| numbers[0] = number + 2);
        assert_eq!(again, Err(Unchanged::Newer));
        assert_eq!(numbers.newest().1, [2]);
    }

    #[test]
    fn what_is_closed_does_not_change_any_more() {
        let numbers = Published::new([1]);
        assert_eq!(numbers.close([0]), [1]);
        assert_eq!(numbers.change(|numbers| numbers[0] = 2), None);
        let (version, _) = numbers.newest();
        let changed = numbers.change_from(version, |numbers| numbers[0] = 2);
        assert_eq!(changed, Err(Unchanged::Closed));
        assert_eq!(numbers.newest().1, [0]);
    }
}
