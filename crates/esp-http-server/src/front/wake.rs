//! Ending a worker's wait from any thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use crate::sync::atomic::{AtomicU8, Ordering};

/// Ends the [`wait`](crate::Net::wait) of one [`EpollNet`](super::EpollNet), or the next one if it
/// does not wait right now.
///
/// Clones wake the same worker. Whatever was written before [`wake`](Self::wake) is visible to the
/// worker when its wait returns.
#[derive(Clone, Debug)]
pub struct Waker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bell: Bell,
    state: AtomicU8,
}

/// The worker looks after its mailboxes before it sleeps again; nothing is to be done.
const AWAKE: u8 = 0;
/// It waits, or is about to: the first to wake it must write to the eventfd.
const ASLEEP: u8 = 1;
/// It was woken and has not noticed yet: its next wait will not block.
const WOKEN: u8 = 2;

impl Waker {
    /// Wakes the worker. Costs one system call if it sleeps, none if it works or was woken already.
    pub fn wake(&self) {
        if self.shared.state.swap(WOKEN, Ordering::AcqRel) == ASLEEP {
            self.shared.bell.ring();
        }
    }
}

/// The worker's side of its wakers.
#[derive(Debug)]
pub(crate) struct Sleeper {
    shared: Arc<Shared>,
}

/// Whether a worker may block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    Deep,
    /// Somebody has woken it since it last waited.
    None,
}

impl Sleeper {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { shared: Arc::new(Shared { bell: Bell::new()?, state: AtomicU8::new(AWAKE) }) })
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker { shared: Arc::clone(&self.shared) }
    }

    /// What becomes readable at a wake, as an edge: nobody ever reads the counter back, which saves
    /// a system call per wake.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.bell.eventfd.as_fd()
    }

    /// Blocks as `epoll_wait` does: until the next edge.
    #[cfg(all(test, loom))]
    pub(crate) fn wait(&self) {
        self.shared.bell.rung.wait();
    }

    /// Says that the worker is about to block, and whether it may.
    pub(crate) fn fall_asleep(&self) -> Sleep {
        let state = &self.shared.state;
        match state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Sleep::Deep,
            Err(_) => Sleep::None,
        }
    }

    /// Says that the worker no longer blocks, and whether somebody has woken it.
    ///
    /// A waker that saw it asleep may write to the eventfd only after this. That edge comes in the
    /// middle of a later wait, which finds nobody in `WOKEN` and goes on sleeping.
    pub(crate) fn rise(&self) -> bool {
        self.shared.state.swap(AWAKE, Ordering::AcqRel) == WOKEN
    }
}

/// What ends an `epoll_wait`.
#[derive(Debug)]
struct Bell {
    eventfd: OwnedFd,
    /// The edges that the eventfd has made, for a model without a kernel.
    #[cfg(all(test, loom))]
    rung: loom::sync::Notify,
}

impl Bell {
    fn new() -> io::Result<Self> {
        Ok(Self {
            eventfd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            #[cfg(all(test, loom))]
            rung: loom::sync::Notify::new(),
        })
    }

    fn ring(&self) {
        #[cfg(all(test, loom))]
        self.rung.notify();
        // Fails only when the counter is full, after 2^64 wakes; and then it is readable anyway.
        let _ = rustix::io::write(&self.eventfd, &1u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the eventfd was written to since the last look.
    fn writes(sleeper: &Sleeper) -> u64 {
        let mut count = [0; 8];
        match rustix::io::read(&sleeper.shared.bell.eventfd, &mut count) {
            Ok(len) => {
                assert_eq!(len, 8);
                u64::from_ne_bytes(count)
            }
            Err(error) => {
                assert_eq!(error, rustix::io::Errno::AGAIN);
                0
            }
        }
    }

    #[test]
    fn a_sleeping_worker_is_woken_by_one_write_however_many_wake_it() {
        let sleeper = Sleeper::new().unwrap();
        assert_eq!(sleeper.fall_asleep(), Sleep::Deep);
        for waker in [sleeper.waker(), sleeper.waker()] {
            waker.wake();
            waker.wake();
        }
        assert_eq!(writes(&sleeper), 1);
        assert!(sleeper.rise());
    }

    #[test]
    fn a_busy_worker_is_woken_without_a_write_and_does_not_block_next() {
        let sleeper = Sleeper::new().unwrap();
        sleeper.waker().wake();
        sleeper.waker().wake();
        assert_eq!(writes(&sleeper), 0);
        assert_eq!(sleeper.fall_asleep(), Sleep::None);
        assert!(sleeper.rise());
        assert_eq!(sleeper.fall_asleep(), Sleep::Deep);
        assert!(!sleeper.rise());
    }
}
