//! A handler under way: a coroutine, and the one place where it is suspended.
//!
//! The connection travels by value. While the handler runs it has the connection; when it must wait
//! it hands the connection to the engine, which moves bytes, adds queued frames and keeps the
//! deadlines, and gives it back when there is a reason to go on:
//!
//! ```text
//!     engine                                   handler (its own stack)
//!       │   resume((conn, Ready)) ───────────────▶ runs
//!       │                                          │ needs more of the body
//!       │ ◀────────── suspend((conn, Readable)) ───┘
//!  pumps bytes, keeps the time, serves others
//!       │   resume((conn, Ready | TimedOut | Closing)) ──▶ runs
//!       │ ◀──────────────── return (conn, outcome) ┘
//! ```
//!
//! So nothing is shared between the two, nothing is locked, and nothing is unsafe. A task that is
//! suspended is never dropped: it is told [`Wake::Closing`], after which it can't wait any more, and
//! runs to its end.
//!
//! A request that was detached does the same on a thread of its own, which is blocked where a task is
//! suspended (`handover.rs`).

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

use corosensei::stack::Stack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

#[cfg(feature = "std")]
use super::handover::Handover;
use crate::error::{Error, HandlerError};
use crate::server::{Conn, UriHandler};
#[cfg(feature = "std")]
use crate::server::{date_now, is_worker_thread};

/// Where stacks for handlers come from.
pub trait Stacks {
    /// A stack, as the coroutine library knows it.
    type Stack: Stack;

    /// A stack to run one handler on; `None` if there is none left. Then the request waits for one.
    fn take(&mut self) -> Option<Self::Stack>;

    /// Gives back a stack that is no longer used.
    fn give(&mut self, stack: Self::Stack);

    /// Frees the stacks of those that are kept which nobody has needed since this was called last, and
    /// says how many are kept still.
    ///
    /// The engine calls it every five seconds until there are none. A program whose stacks are all there
    /// from the start has nothing to free; that is the default.
    fn free_unneeded(&mut self) -> usize {
        0
    }
}

/// What the engine sends into a task.
type Parcel = (Box<Conn>, Wake);
/// What a suspended task sends to the engine.
type Waiting = (Box<Conn>, Wait);
/// What a finished task leaves.
type Finished = (Box<Conn>, Outcome);

/// What a handler waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// More bytes from the peer.
    Readable,
    /// Room for more bytes to the peer.
    Writable,
    /// Everything that was written to have left.
    Flushed,
    /// So much time to pass; none means the next turn of the engine.
    For(Duration),
    /// The peer to finish sending, but not longer than this.
    PeerEnd(Duration),
}

/// Why a handler goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// What it waited for is there.
    Ready,
    /// It waited for its peer as long as the configuration allows.
    TimedOut,
    /// The session ends: the peer is gone, it is evicted, or the server stops.
    Closing,
}

/// How a handler ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Returned(Result<(), HandlerError>),
    Panicked,
}

/// A handler on its own stack.
pub(crate) struct Task<S: Stack>(Coroutine<Parcel, Waiting, Finished, S>);

/// What [`Task::resume`] comes back with.
pub(crate) enum Resumed {
    Waiting(Box<Conn>, Wait),
    Finished(Box<Conn>, Outcome),
}

impl<S: Stack> Task<S> {
    /// Prepares `run` to run a handler on `stack`; the first [`resume`](Self::resume) starts it.
    pub(crate) fn new(stack: S, run: impl FnOnce(Link<'_>) -> Outcome + 'static) -> Self
    where
        S: 'static,
    {
        Self(Coroutine::with_stack(stack, move |yielder: &Yielder<Parcel, Waiting>, parcel| {
            let (conn, _) = parcel;
            let mut conn = Some(conn);
            let outcome = run(Link { conn: &mut conn, way: Way::Task(yielder), route: None });
            (conn.expect("a handler that ends has its connection"), outcome)
        }))
    }

    /// Runs the handler until it waits or ends.
    pub(crate) fn resume(&mut self, conn: Box<Conn>, wake: Wake) -> Resumed {
        match self.0.resume((conn, wake)) {
            CoroutineResult::Yield((conn, wait)) => Resumed::Waiting(conn, wait),
            CoroutineResult::Return((conn, outcome)) => Resumed::Finished(conn, outcome),
        }
    }

    /// The stack of a handler that has ended.
    pub(crate) fn into_stack(self) -> S {
        self.0.into_stack()
    }
}

/// A running handler's end of the line to the engine.
pub(crate) struct Link<'t> {
    conn: &'t mut Option<Box<Conn>>,
    way: Way<'t>,
    /// What was registered for the request's URI, if it was that which was started.
    route: Option<&'t Arc<UriHandler>>,
}

/// How the connection gets to the engine and back.
#[derive(Clone, Copy)]
enum Way<'t> {
    /// From a stack to the worker's own, on one thread.
    Task(&'t Yielder<Parcel, Waiting>),
    /// From one thread to another.
    #[cfg(feature = "std")]
    Thread(&'t Arc<Handover>),
}

impl<'t> Link<'t> {
    /// With what the handler was registered as.
    pub(crate) fn with_route<'r>(self, route: &'r Arc<UriHandler>) -> Link<'r>
    where
        't: 'r,
    {
        Link { conn: self.conn, way: self.way, route: Some(route) }
    }

    /// The line of a detached request, which has its connection.
    #[cfg(feature = "std")]
    pub(super) fn detached(
        conn: &'t mut Option<Box<Conn>>,
        handover: &'t Arc<Handover>,
        route: Option<&'t Arc<UriHandler>>,
    ) -> Self {
        Self { conn, way: Way::Thread(handover), route }
    }

    /// Lets a response that is written now tell the date, as the engine does when it resumes a task.
    pub(super) fn stamp(&mut self) {
        #[cfg(feature = "std")]
        if let Way::Thread(_) = self.way {
            let conn = self.conn_mut();
            conn.io_mut().date = date_now(conn.shared.hooks.wall_clock.as_ref());
        }
    }

    /// Where the connection of a detached request comes from and goes to.
    #[cfg(feature = "std")]
    pub(super) fn handover(&self) -> Option<&Handover> {
        match self.way {
            Way::Task(_) => None,
            Way::Thread(handover) => Some(handover),
        }
    }

    /// For a handler behind which another one may run.
    pub(crate) fn reborrow(&mut self) -> Link<'_> {
        Link { conn: self.conn, way: self.way, route: self.route }
    }

    pub(crate) fn route(&self) -> Option<&'t Arc<UriHandler>> {
        self.route
    }

    pub(crate) fn conn(&self) -> &Conn {
        self.conn.as_ref().expect("a running handler has its connection")
    }

    pub(crate) fn conn_mut(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a running handler has its connection")
    }

    /// Hands the connection to the engine until there is a reason to go on. The only suspension
    /// point there is.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the peer was waited for too long, [`Error::Closed`] if the session
    /// ends. A handler that was told so once can't wait any more. [`Error::WouldBlockWorker`] for a
    /// detached request on a thread that must not block.
    pub(crate) fn wait(&mut self, wait: Wait) -> Result<(), Error> {
        if self.conn().is_closing() {
            return Err(Error::Closed);
        }
        #[cfg(feature = "std")]
        if matches!(self.way, Way::Thread(_)) && is_worker_thread() {
            return Err(Error::WouldBlockWorker);
        }
        let conn = self.conn.take().expect("a running handler has its connection");
        let (conn, wake) = match self.way {
            Way::Task(yielder) => yielder.suspend((conn, wait)),
            #[cfg(feature = "std")]
            Way::Thread(handover) => handover.wait(conn, wait),
        };
        let conn = self.conn.insert(conn);
        match wake {
            Wake::Ready => Ok(()),
            Wake::TimedOut => Err(Error::TimedOut),
            Wake::Closing => {
                conn.set_closing();
                Err(Error::Closed)
            }
        }
    }

    /// Writes bytes behind those that already wait to be sent; waits while there are too many. If it
    /// can't wait, only the first of them are written, and the connection closes behind them: whatever
    /// followed would be taken for the rest.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        loop {
            let conn = self.conn_mut();
            let config = &conn.shared.config;
            let (high, most) = (config.send_high(), config.send_capacity());
            let io = conn.io_mut();
            let room = high.saturating_sub(io.tx_ahead_len + io.tx.len());
            let (now, later) = bytes.split_at(bytes.len().min(room));
            io.tx.reserve_within(now.len(), most);
            io.tx.storage().extend_from_slice(now);
            bytes = later;
            if bytes.is_empty() {
                return Ok(());
            }
            let waited = self.wait(Wait::Writable);
            self.conn_mut().keep_alive &= waited.is_ok();
            waited?;
        }
    }
}

/// Runs code of the application's; `None` if it panicked.
///
/// Without `std` a panic can't be caught: the program's panic handler has the last word.
pub fn contain<R>(user_code: impl FnOnce() -> R) -> Option<R> {
    #[cfg(feature = "std")]
    {
        // The closure's captures are the handler's own state and its connection. The one is dropped
        // with it; the other is only closed after a panic, whatever state it was left in.
        use std::panic::{AssertUnwindSafe, catch_unwind};
        match catch_unwind(AssertUnwindSafe(user_code)) {
            Ok(value) => Some(value),
            Err(thrown) => {
                drop_thrown(thrown);
                None
            }
        }
    }
    #[cfg(not(feature = "std"))]
    {
        Some(user_code())
    }
}

/// What was thrown is the application's, too, and may panic when it is dropped; so may what it throws
/// then. What goes on so without end is leaked: there is no other end to it.
#[cfg(feature = "std")]
fn drop_thrown(mut thrown: Box<dyn core::any::Any + Send>) {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    for _ in 0..16 {
        match catch_unwind(AssertUnwindSafe(|| drop(thrown))) {
            Ok(()) => return,
            Err(again) => thrown = again,
        }
    }
    core::mem::forget(thrown);
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::panic::resume_unwind;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Throws another one when it is dropped, so many times.
    struct Thrown(usize, Arc<AtomicUsize>);

    impl Drop for Thrown {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
            if self.0 > 0 {
                resume_unwind(Box::new(Self(self.0 - 1, self.1.clone())));
            }
        }
    }

    #[test]
    fn what_panics_when_it_is_dropped_is_dropped_to_the_end_if_there_is_one() {
        for more in [0, 1, 15] {
            let dropped = Arc::new(AtomicUsize::new(0));
            let thrown = Thrown(more, dropped.clone());
            assert!(contain(|| -> () { resume_unwind(Box::new(thrown)) }).is_none());
            assert_eq!(dropped.load(Ordering::Relaxed), more + 1);
        }
    }

    static ENDLESS_DROPS: AtomicUsize = AtomicUsize::new(0);

    /// Throws another one whenever it is dropped. It needs no memory, so that nothing is leaked.
    struct Endless;

    impl Drop for Endless {
        fn drop(&mut self) {
            ENDLESS_DROPS.fetch_add(1, Ordering::Relaxed);
            resume_unwind(Box::new(Self));
        }
    }

    #[test]
    fn what_panics_without_end_when_it_is_dropped_holds_up_nobody() {
        assert!(contain(|| -> () { resume_unwind(Box::new(Endless)) }).is_none());
        assert_eq!(ENDLESS_DROPS.load(Ordering::Relaxed), 16);
    }
}
