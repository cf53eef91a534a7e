//! The one lock of this crate, in two makes: a mutex under `std`, a critical section without.
//!
//! User code never runs under it, so it can't be poisoned, nested, or held for long.

pub(crate) use make::{Caller, Lock, Signal};

#[cfg(feature = "std")]
mod make {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
    use std::thread::{self, ThreadId};
    use std::time::Instant;

    pub(crate) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            f(&mut self.lock())
        }

        /// Tries until `attempt` gives something, each time `signal` is notified. `None` when it
        /// is `until` and there was nothing.
        pub(crate) fn wait_for<R>(
            &self,
            signal: &Signal,
            until: Option<Instant>,
            mut attempt: impl FnMut(&mut T) -> Option<R>,
        ) -> Option<R> {
            let mut value = self.lock();
            loop {
                if let Some(result) = attempt(&mut value) {
                    return Some(result);
                }
                value = signal.wait(value, until)?;
            }
        }

        fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// A condition variable that makes no system call when nobody waits.
    pub(crate) struct Signal {
        condvar: Condvar,
        /// Changed by waiters under the lock, before they let go of it. A notifier that changed
        /// the state before them is seen by their attempt; one that comes after sees them.
        waiters: AtomicUsize,
    }

    impl Signal {
        pub(crate) const fn new() -> Self {
            Self { condvar: Condvar::new(), waiters: AtomicUsize::new(0) }
        }

        /// Wakes all who wait. To be called after the change, outside the lock.
        pub(crate) fn notify(&self) {
            if self.waiters.load(Ordering::Relaxed) > 0 {
                self.condvar.notify_all();
            }
        }

        fn wait<'a, T>(
            &self,
            value: MutexGuard<'a, T>,
            until: Option<Instant>,
        ) -> Option<MutexGuard<'a, T>> {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            self.waiters.fetch_add(1, Ordering::Relaxed);
            let value = match left {
                None => self.condvar.wait(value).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let woken = self.condvar.wait_timeout(value, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            self.waiters.fetch_sub(1, Ordering::Relaxed);
            Some(value)
        }
    }

    /// Who is asking: the thread.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Caller(ThreadId);

    impl Caller {
        pub(crate) fn current() -> Self {
            Self(thread::current().id())
        }

        pub(crate) fn of(thread: &thread::Thread) -> Self {
            Self(thread.id())
        }
    }
}

#[cfg(not(feature = "std"))]
mod make {
    use core::cell::RefCell;

    use critical_section::Mutex;

    pub(crate) struct Lock<T>(Mutex<RefCell<T>>);

    impl<T> Lock<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(Mutex::new(RefCell::new(value)))
        }

        pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            critical_section::with(|token| f(&mut self.0.borrow_ref_mut(token)))
        }
    }

    /// Without threads nobody waits.
    pub(crate) struct Signal;

    impl Signal {
        pub(crate) const fn new() -> Self {
            Self
        }

        pub(crate) fn notify(&self) {}
    }

    /// Without threads whoever asks is the one who runs the loop, or interrupted it.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Caller;

    impl Caller {
        pub(crate) fn current() -> Self {
            Self
        }
    }
}
