//! A lock for what several threads share: mailboxes and the table of routes.
//!
//! Nothing on the path of a request takes one. With `std` it is a mutex; without, a critical
//! section that the program supplies (crate `critical-section`), which on a single core only holds
//! off interrupts.
//!
//! Under `--cfg loom` the locks and the atomics are those of the model checker loom, which runs what is
//! built of them in every order that threads can bring about: see `server/work/model.rs` and
//! `handler/handover/model.rs`.

#[cfg(all(feature = "std", not(loom)))]
mod imp {
    use std::sync::{Mutex, PoisonError};

    /// A mutex.
    #[derive(Debug, Default)]
    pub struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        /// With this value.
        pub const fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        /// Runs `work` with the value. `work` must be short and must not call user code.
        pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            // What a lock guards here is whole after every statement, so a panic can't tear it.
            work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }
}

#[cfg(loom)]
mod imp {
    use std::sync::PoisonError;

    use loom::sync::Mutex;

    /// loom's mutex.
    #[derive(Debug)]
    pub struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        /// With this value.
        pub fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        /// Runs `work` with the value.
        pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }
}

#[cfg(not(any(feature = "std", loom)))]
mod imp {
    use core::cell::RefCell;
    use critical_section::Mutex;

    /// A critical section.
    #[derive(Debug)]
    pub struct Lock<T>(Mutex<RefCell<T>>);

    impl<T> Lock<T> {
        /// With this value.
        pub const fn new(value: T) -> Self {
            Self(Mutex::new(RefCell::new(value)))
        }

        /// Runs `work` with the value. `work` must be short and must not call user code.
        pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            critical_section::with(|section| work(&mut self.0.borrow_ref_mut(section)))
        }
    }
}

#[cfg(feature = "std")]
mod monitor {
    use std::sync::PoisonError;
    #[cfg(not(loom))]
    use std::sync::{Condvar, Mutex};

    #[cfg(loom)]
    use loom::sync::{Condvar, Mutex};

    /// A lock at which one thread can wait until another has changed what it guards.
    pub(crate) struct Monitor<T> {
        value: Mutex<T>,
        changed: Condvar,
    }

    impl<T> Monitor<T> {
        pub(crate) fn new(value: T) -> Self {
            Self { value: Mutex::new(value), changed: Condvar::new() }
        }

        /// Runs `work` with the value. As with a [`Lock`](super::Lock) it must be short and must not
        /// call user code; so here.
        pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            work(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner))
        }

        /// Changes the value, which may be what the other thread waits for.
        pub(crate) fn change<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            let result = self.with(work);
            self.changed.notify_one();
            result
        }

        /// Runs `work` at once and after every change, until it gives something.
        pub(crate) fn wait_for<R>(&self, mut work: impl FnMut(&mut T) -> Option<R>) -> R {
            let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                match work(&mut value) {
                    Some(result) => return result,
                    None => {
                        let changed = self.changed.wait(value);
                        value = changed.unwrap_or_else(PoisonError::into_inner);
                    }
                }
            }
        }
    }
}

#[cfg(not(loom))]
pub(crate) use core::sync::atomic;
pub use imp::Lock;
#[cfg(loom)]
pub(crate) use loom::sync::atomic;
#[cfg(feature = "std")]
pub(crate) use monitor::Monitor;
