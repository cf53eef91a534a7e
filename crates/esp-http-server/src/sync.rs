//! A lock for what several threads share: mailboxes and the table of routes.
//!
//! Nothing on the path of a request takes one. With `std` it is a mutex; without, a critical
//! section that the program supplies (crate `critical-section`), which on a single core only holds
//! off interrupts.
//!
//! Under `--cfg loom` the lock and the atomics are those of the model checker loom, which runs what is
//! built of them in every order that threads can bring about: see `server/work/model.rs`.

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

#[cfg(not(loom))]
pub(crate) use core::sync::atomic;
pub use imp::Lock;
#[cfg(loom)]
pub(crate) use loom::sync::atomic;
