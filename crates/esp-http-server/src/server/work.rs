//! What other threads hand to a server: a bounded mailbox per worker, and what may lie in it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::context::ServerContext;
use super::give_back::shorten;
use super::session::SessionId;
use super::transport::SessionTransport;
use crate::error::Error;
#[cfg(feature = "std")]
use crate::handler::Return;
use crate::handler::contain;
use crate::handler::ws::{Completion, Outgoing};
use crate::proto::ws::frame::CloseCode;
use crate::sync::Lock;
use crate::sync::atomic::{AtomicBool, Ordering};

#[cfg(all(test, loom, target_os = "linux"))]
mod model;

/// One thing for a worker to do.
pub(crate) enum Work {
    /// A function of the application's (upstream's `httpd_queue_work`).
    Run(Box<dyn FnOnce(&mut ServerContext<'_>) + Send>),
    /// A message for all WebSocket clients of the worker, or those that came to one URI.
    Broadcast(Arc<Outgoing>, Option<Arc<str>>),
    /// Something to do for one session, if it is still there.
    For(SessionId, Order),
    /// A connection that a detached request gives back.
    #[cfg(feature = "std")]
    Return(Return),
}

/// What to do for a session.
pub(crate) enum Order {
    /// Close it.
    Close,
    /// Make it the most recently used.
    Touch,
    /// Send it a WebSocket message, and tell what became of that.
    Message(Arc<Outgoing>, Option<Completion>),
    /// Begin its closing handshake.
    WsClose(CloseCode, Box<str>),
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
    /// By slot.
    sessions: Lock<Vec<Option<Listed>>>,
}

struct Queue {
    items: VecDeque<Work>,
    /// How many of them are connections that are given back: those don't count.
    returns: usize,
    takes: Takes,
}

/// What the queue still takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Everything,
    /// The worker stops: only connections that are given back.
    Returns,
    /// The worker is gone.
    Nothing,
}

impl Queue {
    fn empty_into(&mut self, batch: &mut VecDeque<Work>) {
        core::mem::swap(&mut self.items, batch);
        self.returns = 0;
    }
}

/// What others know of a session.
struct Listed {
    id: SessionId,
    kind: SessionKind,
    /// Bytes of messages that were accepted for it and that the worker has not seen yet.
    posted_len: usize,
    /// Bytes of messages that wait in the worker.
    waiting_len: usize,
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
    /// A WebSocket whose closing handshake is under way: it takes no more messages.
    Closing,
}

impl Mailbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            queue: Lock::new(Queue {
                items: VecDeque::new(),
                returns: 0,
                takes: Takes::Everything,
            }),
            limit,
            filled: AtomicBool::new(false),
            waker: Lock::new(None),
            sessions: Lock::new(Vec::new()),
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
        self.close(Takes::Nothing, &mut rest);
        for work in rest {
            // A function that is dropped may panic, or queue another one.
            if contain(|| drop(work)).is_none() {
                log::error!("queued work panicked when it was dropped");
            }
        }
        let waker = self.waker.with(Option::take);
        if contain(|| drop(waker)).is_none() {
            log::error!("a waker panicked when it was dropped");
        }
        self.sessions.with(Vec::clear);
    }

    /// Queues one item, in order.
    pub(crate) fn push(&self, work: Work) -> Result<(), Error> {
        // What is refused is dropped behind the lock: it is the application's, and what it holds may
        // use the server when it is dropped.
        self.try_push(work).map_err(|(error, _)| error)
    }

    /// As [`push`](Self::push); what is refused comes back.
    pub(crate) fn try_push(&self, work: Work) -> Result<(), (Error, Work)> {
        let mut work = Some(work);
        let refused = self.queue.with(|queue| {
            if queue.takes != Takes::Everything {
                return Some(Error::Stopping);
            }
            if queue.items.len() - queue.returns >= self.limit {
                return Some(Error::WorkQueueFull { limit: self.limit });
            }
            queue.items.extend(work.take());
            None
        });
        if let (Some(error), Some(work)) = (refused, work) {
            return Err((error, work));
        }
        self.ring();
        Ok(())
    }

    /// Queues a connection that is given back, in order with all else. There is one per session at
    /// most, and it is never refused, as long as there is a worker.
    #[cfg(feature = "std")]
    pub(crate) fn push_return(&self, back: Return) {
        let mut back = Some(back);
        self.queue.with(|queue| {
            if queue.takes != Takes::Nothing {
                queue.items.extend(back.take().map(Work::Return));
                queue.returns += 1;
            }
        });
        // Without one it is dropped here, behind the lock.
        if back.is_none() {
            self.ring();
        }
    }

    fn ring(&self) {
        if !self.filled.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// Takes what is queued into `batch`, which is empty. What comes in meanwhile waits for the
    /// next turn, so that work which queues more work can't hold the worker.
    pub(crate) fn take(&self, batch: &mut VecDeque<Work>) {
        if self.filled.load(Ordering::Acquire) && self.filled.swap(false, Ordering::AcqRel) {
            self.queue.with(|queue| queue.empty_into(batch));
        }
    }

    /// Takes what is queued into `batch`, which is empty, and refuses whatever comes later: work that
    /// was accepted is in there, or was done before. Only connections still come back.
    pub(crate) fn take_last(&self, batch: &mut VecDeque<Work>) {
        self.close(Takes::Returns, batch);
    }

    fn close(&self, takes: Takes, batch: &mut VecDeque<Work>) {
        self.filled.store(false, Ordering::Release);
        self.queue.with(|queue| {
            queue.takes = takes;
            queue.empty_into(batch);
        });
    }

    /// Whether something may be queued.
    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    pub(crate) fn session_opened(&self, id: SessionId) {
        let listed = Listed { id, kind: SessionKind::Http, posted_len: 0, waiting_len: 0 };
        self.sessions.with(|sessions| {
            let slot = id.slot() as usize;
            if sessions.len() <= slot {
                sessions.resize_with(slot + 1, || None);
            }
            sessions[slot] = Some(listed);
        });
    }

    pub(crate) fn session_upgraded(&self, id: SessionId) {
        self.listed(id, |listed| listed.kind = SessionKind::WebSocket);
    }

    pub(crate) fn session_closing(&self, id: SessionId) {
        self.listed(id, |listed| listed.kind = SessionKind::Closing);
    }

    fn listed<R>(&self, id: SessionId, work: impl FnOnce(&mut Listed) -> R) -> Option<R> {
        self.sessions.with(|sessions| {
            let listed = sessions.get_mut(id.slot() as usize)?.as_mut()?;
            (listed.id == id).then(|| work(listed))
        })
    }

    /// Whether a WebSocket may be sent a message of so many bytes, `limit` being the most that may
    /// wait, if that is to be weighed now. A single message may be longer.
    pub(crate) fn admit(
        &self,
        id: SessionId,
        len: usize,
        limit: Option<usize>,
    ) -> Result<(), Error> {
        self.listed(id, |listed| {
            match listed.kind {
                SessionKind::WebSocket => {}
                SessionKind::Closing => return Err(Error::Closed),
                SessionKind::Http => return Err(Error::NotWebSocket),
            }
            let Some(limit) = limit else { return Ok(()) };
            let waiting_len = listed.posted_len + listed.waiting_len;
            if waiting_len > 0 && waiting_len + len > limit {
                return Err(Error::WsQueueFull { limit });
            }
            listed.posted_len += len;
            Ok(())
        })
        .unwrap_or(Err(Error::NoSession))
    }

    /// A message that was accepted has reached the worker, or never will.
    pub(crate) fn settle(&self, id: SessionId, len: usize) {
        self.listed(id, |listed| listed.posted_len = listed.posted_len.saturating_sub(len));
    }

    pub(crate) fn note_waiting(&self, id: SessionId, waiting_len: usize) {
        self.listed(id, |listed| listed.waiting_len = waiting_len);
    }

    pub(crate) fn session_closed(&self, id: SessionId) {
        self.sessions.with(|sessions| {
            if let Some(listed) = sessions.get_mut(id.slot() as usize) {
                listed.take_if(|listed| listed.id == id);
            }
        });
    }

    /// Takes the rows from this slot on out of the table. None of them has a session.
    pub(super) fn shorten(&self, slots: usize) {
        self.sessions.with(|sessions| shorten(sessions, slots));
    }

    pub(crate) fn kind(&self, id: SessionId) -> Option<SessionKind> {
        self.listed(id, |listed| listed.kind)
    }

    pub(crate) fn list(&self, kind: Option<SessionKind>, into: &mut Vec<SessionId>) {
        self.sessions.with(|sessions| {
            let listed = sessions.iter().flatten();
            let wanted = listed.filter(|listed| kind.is_none_or(|kind| listed.kind == kind));
            into.extend(wanted.map(|listed| listed.id));
        });
    }
}

#[cfg(all(test, feature = "std"))]
impl Work {
    pub(crate) fn into_return(self) -> Option<Return> {
        match self {
            Self::Return(back) => Some(back),
            _ => None,
        }
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
