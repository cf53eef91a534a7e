//! What other threads hand to a server: a bounded mailbox per worker, and what may lie in it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::context::ServerContext;
use super::session::SessionId;
use super::transport::SessionTransport;
use crate::error::Error;
use crate::handler::contain;
use crate::sync::Lock;

/// One thing for a worker to do.
pub(crate) enum Work {
    /// A function of the application's (upstream's `httpd_queue_work`).
    Run(Box<dyn FnOnce(&mut ServerContext<'_>) + Send>),
    /// An encoded WebSocket frame for all clients of the worker.
    Broadcast(Arc<[u8]>),
    /// Something to do for one session, if it is still there.
    For(SessionId, Order),
}

/// What to do for a session.
pub(crate) enum Order {
    /// Close it.
    Close,
    /// Make it the most recently used.
    Touch,
    /// Send it an encoded WebSocket frame.
    Frame(Arc<[u8]>),
    /// Send it bytes as they are.
    Send(Arc<[u8]>),
    /// Give it a transport of its own.
    Transport(Box<dyn SessionTransport>),
}

/// The queue of one worker, what rings its bell, and which of its sessions are WebSockets.
pub(crate) struct Mailbox {
    queue: Lock<Queue>,
    limit: usize,
    /// Whether the queue may hold something: the one word that a worker reads every turn.
    filled: AtomicBool,
    waker: Lock<Option<Waker>>,
    sessions: Lock<BTreeMap<SessionId, SessionKind>>,
}

struct Queue {
    items: VecDeque<Work>,
    /// Whether the worker takes no more, because it stops or is gone.
    closed: bool,
}

type Waker = Arc<dyn Fn() + Send + Sync>;

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
            queue: Lock::new(Queue { items: VecDeque::new(), closed: false }),
            limit,
            filled: AtomicBool::new(false),
            waker: Lock::new(None),
            sessions: Lock::new(BTreeMap::new()),
        }
    }

    /// Says how to wake the worker out of its `wait`.
    pub(crate) fn set_waker(&self, waker: Waker) {
        let before = self.waker.with(|slot| slot.replace(waker));
        drop(before);
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.with(|waker| waker.clone()) {
            waker();
        }
    }

    /// The worker is gone, and its sessions and queued work with it.
    pub(crate) fn abandon(&self) {
        let mut rest = VecDeque::new();
        self.take_last(&mut rest);
        for work in rest {
            // A function that is dropped may panic, or queue another one.
            if contain(|| drop(work)).is_none() {
                log::error!("queued work panicked when it was dropped");
            }
        }
        self.sessions.with(BTreeMap::clear);
    }

    /// Queues one item, in order.
    pub(crate) fn push(&self, work: Work) -> Result<(), Error> {
        let mut work = Some(work);
        // What is refused is dropped behind the lock: it is the application's, and what it holds may
        // use the server when it is dropped.
        self.queue.with(|queue| {
            if queue.closed {
                return Err(Error::Stopping);
            }
            if queue.items.len() >= self.limit {
                return Err(Error::WorkQueueFull { limit: self.limit });
            }
            queue.items.extend(work.take());
            Ok(())
        })?;
        if !self.filled.swap(true, Ordering::AcqRel) {
            self.wake();
        }
        Ok(())
    }

    /// Takes what is queued into `batch`, which is empty. What comes in meanwhile waits for the
    /// next turn, so that work which queues more work can't hold the worker.
    pub(crate) fn take(&self, batch: &mut VecDeque<Work>) {
        if self.filled.load(Ordering::Acquire) && self.filled.swap(false, Ordering::AcqRel) {
            self.queue.with(|queue| core::mem::swap(&mut queue.items, batch));
        }
    }

    /// Takes what is queued into `batch`, which is empty, and refuses whatever comes later: work that
    /// was accepted is in there, or was done before.
    pub(crate) fn take_last(&self, batch: &mut VecDeque<Work>) {
        self.filled.store(false, Ordering::Release);
        self.queue.with(|queue| {
            queue.closed = true;
            core::mem::swap(&mut queue.items, batch);
        });
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
        Work::For(SessionId::new(0, slot, 1), Order::Close)
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
                Work::For(id, _) => id.slot(),
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
