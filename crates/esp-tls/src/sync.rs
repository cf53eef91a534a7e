//! A lock for what all sessions of a server share and what can change while it runs: the current
//! rules, the ticket keys, the sessions known by id.
//!
//! A handshake takes it a few times; data never does. With `std` it is a mutex; without, a critical
//! section that the program supplies (crate `critical-section`).

#[cfg(feature = "std")]
mod imp {
    use std::sync::{Mutex, PoisonError};

    #[derive(Debug)]
    pub(crate) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        /// Runs `work` with the value. `work` must be short and must not call user code.
        pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            // What a lock guards here is whole after every statement, so a panic can't tear it.
            work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }
}

#[cfg(not(feature = "std"))]
mod imp {
    use core::cell::RefCell;
    use critical_section::Mutex;

    #[derive(Debug)]
    pub(crate) struct Lock<T>(Mutex<RefCell<T>>);

    impl<T> Lock<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(Mutex::new(RefCell::new(value)))
        }

        /// Runs `work` with the value. `work` must be short and must not call user code.
        pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
            critical_section::with(|section| work(&mut self.0.borrow_ref_mut(section)))
        }
    }
}

pub(crate) use imp::Lock;
