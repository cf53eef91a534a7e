//! What other threads hand to a server: a bounded mailbox per worker, and what may lie in it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::context::ServerContext;
use super::session::SessionId;
use crate::error::Error;
use crate::sync::Lock;

/// One thing for a worker to do.
pub(crate) enum Work {
    /// A function of the application's (upstream's `httpd_queue_work`).
    Run(Box<dyn FnOnce(&mut ServerContext<'_>) + Send>),
    /// Close one session.
    Close(SessionId),
    /// Send an encoded WebSocket frame to one client, or to all of the worker's.
    Frame { to: Option<SessionId>, frame: Arc<[u8]> },
}

/// The queue of one worker, what rings its bell, and which of its sessions are WebSockets.
pub(crate) struct Mailbox {
    queue: Lock<VecDeque<Work>>,
    limit: usize,
    /// Whether the queue may hold something: the one word that a worker reads every turn.
    filled: AtomicBool,
    waker: Lock<Option<Arc<dyn Fn() + Send + Sync>>>,
    sessions: Lock<BTreeMap<SessionId, SessionKind>>,
}

/// What a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionKind {
    /// HTTP, or not yet anything.
    Http,
    /// WebSocket (upstream's `HTTPD_WS_CLIENT_WEBSOCKET`).
    WebSocket,
}

impl Mailbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            queue: Lock::new(VecDeque::new()),
            limit,
            filled: AtomicBool::new(false),
            waker: Lock::new(None),
            sessions: Lock::new(BTreeMap::new()),
        }
    }

    /// Says how to wake the worker out of its `wait`.
    pub(crate) fn set_waker(&self, waker: Arc<dyn Fn() + Send + Sync>) {
        self.waker.with(|slot| *slot = Some(waker));
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.with(|waker| waker.clone()) {
            waker();
        }
    }

    /// The worker is gone, and its sessions and queued work with it.
    pub(crate) fn abandon(&self) {
        self.queue.with(VecDeque::clear);
        self.sessions.with(BTreeMap::clear);
    }

    /// Queues one item, in order.
    pub(crate) fn push(&self, work: Work) -> Result<(), Error> {
        let pushed = self.queue.with(|queue| {
            let room = queue.len() < self.limit;
            if room {
                queue.push_back(work);
            }
            room
        });
        if !pushed {
            return Err(Error::WorkQueueFull { limit: self.limit });
        }
        if !self.filled.swap(true, Ordering::AcqRel) {
            self.wake();
        }
        Ok(())
    }

    /// Takes what is queued into `batch`, which is empty. What comes in meanwhile waits for the
    /// next turn, so that work which queues more work can't hold the worker.
    pub(crate) fn take(&self, batch: &mut VecDeque<Work>) {
        if self.filled.load(Ordering::Acquire) && self.filled.swap(false, Ordering::AcqRel) {
            self.queue.with(|queue| core::mem::swap(queue, batch));
        }
    }

    /// Whether something may be queued.
    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    pub(crate) fn session_opened(&self, id: SessionId) {
        self.sessions.with(|sessions| sessions.insert(id, SessionKind::Http));
    }

    pub(crate) fn session_upgraded(&self, id: SessionId) {
        self.sessions.with(|sessions| sessions.insert(id, SessionKind::WebSocket));
    }

    pub(crate) fn session_closed(&self, id: SessionId) {
        self.sessions.with(|sessions| sessions.remove(&id));
    }

    pub(crate) fn kind(&self, id: SessionId) -> Option<SessionKind> {
        self.sessions.with(|sessions| sessions.get(&id).copied())
    }

    pub(crate) fn list(&self, kind: Option<SessionKind>, into: &mut Vec<SessionId>) {
        self.sessions.with(|sessions| {
            let wanted = sessions.iter().filter(|(_, of)| kind.is_none_or(|kind| **of == kind));
            into.extend(wanted.map(|(id, _)| *id));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(slot: u32) -> Work {
        Work::Close(SessionId::new(0, slot, 1))
    }

    #[test]
    fn work_is_bounded_and_in_order() {
        let mailbox = Mailbox::new(2);
        mailbox.push(close(1)).unwrap();
        mailbox.push(close(2)).unwrap();
        assert!(matches!(mailbox.push(close(3)), Err(Error::WorkQueueFull { limit: 2 })));
        let mut batch = VecDeque::new();
        mailbox.take(&mut batch);
        let slots: Vec<_> = batch
            .iter()
            .map(|work| match work {
                Work::Close(id) => id.slot(),
                _ => unreachable!(),
            })
            .collect();
        assert_eq!(slots, [1, 2]);
        batch.clear();
        mailbox.take(&mut batch);
        assert!(batch.is_empty());
        mailbox.push(close(4)).unwrap();
    }

    #[test]
    fn the_waker_rings_once_until_the_worker_looks() {
        use core::sync::atomic::AtomicUsize;
        let rings = Arc::new(AtomicUsize::new(0));
        let mailbox = Mailbox::new(10);
        let bell = rings.clone();
        mailbox.set_waker(Arc::new(move || {
            bell.fetch_add(1, Ordering::Relaxed);
        }));
        mailbox.push(close(1)).unwrap();
        mailbox.push(close(2)).unwrap();
        assert_eq!(rings.load(Ordering::Relaxed), 1);
        mailbox.take(&mut VecDeque::new());
        mailbox.push(close(3)).unwrap();
        assert_eq!(rings.load(Ordering::Relaxed), 2);
    }
}
