//! Which threads must not block: those that drive a worker. Whatever they would wait for could be
//! that worker's to do.

use core::cell::Cell;
use core::marker::PhantomData;

std::thread_local! {
    /// How many workers this thread drives.
    static WORKERS: Cell<usize> = const { Cell::new(0) };
}

/// Whether this thread drives a worker of some server, from the worker's making to its drop.
pub(crate) fn is_worker_thread() -> bool {
    WORKERS.get() > 0
}

/// Lives as long as a worker, on its thread.
pub(super) struct WorkerThread {
    /// Entered and left on the same thread.
    _not_send: PhantomData<*const ()>,
}

impl WorkerThread {
    pub(super) fn enter() -> Self {
        WORKERS.set(WORKERS.get() + 1);
        Self { _not_send: PhantomData }
    }
}

impl Drop for WorkerThread {
    fn drop(&mut self) {
        WORKERS.set(WORKERS.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_drives_workers_until_the_last_is_dropped() {
        assert!(!is_worker_thread());
        let (one, two) = (WorkerThread::enter(), WorkerThread::enter());
        drop(one);
        assert!(is_worker_thread());
        std::thread::spawn(|| assert!(!is_worker_thread())).join().unwrap();
        drop(two);
        assert!(!is_worker_thread());
    }
}
