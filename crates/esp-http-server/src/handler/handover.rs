//! Where the engine and a detached request hand each other the connection.
//!
//! It is in one place at a time, and who has it owns it:
//!
//! ```text
//!                 engine, for the handler          thread, for its DetachedRequest
//!   Pending         the handler runs on
//!      │            it returns: hand(conn)
//!   Offered ─────────────────────────────────────▶ claim() takes it
//!      ┌─────────────────────────────────────────── Taken
//!      │                                             │ wait(conn, Readable)
//!      │            mailbox ◀───── Return ───────────┤   blocks meanwhile
//!      │   pumps bytes, keeps the time               │
//!    Back ── hand(conn, Ready | TimedOut | Closing) ─┘
//!                   mailbox ◀───── Return ────────── complete() or drop
//! ```
//!
//! The way to the thread is this file's state, under a lock that is held for a move of a pointer; the
//! way back is the worker's mailbox, which takes a connection whatever else it refuses. Whoever drops
//! something on the way has it arrive all the same: a [`Return`] that nobody processes gives the
//! connection back to the thread that waits for it, and an [`EngineSide`] that is dropped says that
//! the session is over. So nobody waits for ever, whatever ends first.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use super::task::{Wait, Wake, contain};
use crate::error::{Error, Result};
use crate::server::{Conn, Found, Peer, Reach, SessionId, UriHandler, is_worker_thread};
use crate::sync::Monitor;

/// What the engine and one detached request share.
pub(crate) struct Handover {
    pub(super) session: SessionId,
    pub(super) reach: Arc<Reach>,
    state: Monitor<State>,
}

struct State {
    stage: Stage,
    /// What was registered for the request's URI, until the request is over: whoever holds one then may
    /// be held by that.
    route: Option<Arc<UriHandler>>,
    /// Why the thread has nothing more to do, as soon as that is so.
    over: Option<Over>,
    /// What the engine knows of the peer.
    peer: Peer,
}

/// Where the connection is.
enum Stage {
    /// With the handler that has detached its request and not yet returned.
    Pending,
    /// With it; but the detached request is no more.
    Abandoned,
    /// The handler has returned: here, for the thread to take.
    Offered(Box<Conn>),
    /// With the thread, or on the way from it to the engine.
    Taken,
    /// Here, for the thread that waits for it.
    Back(Box<Conn>, Wake),
}

/// Why a detached request has come to nothing.
#[derive(Clone, Copy)]
enum Over {
    /// The session has ended.
    Closed,
    /// It was answered where it came from.
    Answered,
}

impl Handover {
    /// A request that is about to be detached: the engine's side, and the thread's.
    pub(super) fn new(
        session: SessionId,
        reach: Arc<Reach>,
        route: Option<Arc<UriHandler>>,
    ) -> (EngineSide, Arc<Self>) {
        let state = State { stage: Stage::Pending, route, over: None, peer: Peer::Sending };
        let handover = Arc::new(Self { session, reach, state: Monitor::new(state) });
        (EngineSide(handover.clone()), handover)
    }

    /// Takes the connection, which the thread has never had, as soon as the handler has returned; with
    /// what was registered for the request's URI.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the session has ended, [`Error::ResponseStarted`] if the handler has
    /// answered; [`Error::WouldBlockWorker`].
    pub(super) fn claim(&self) -> Result<(Box<Conn>, Option<Arc<UriHandler>>)> {
        self.state.wait_for(|state| {
            if let Err(error) = state.check() {
                return Some(Err(error));
            }
            match core::mem::replace(&mut state.stage, Stage::Taken) {
                Stage::Offered(conn) => return Some(Ok((conn, state.route.clone()))),
                stage => state.stage = stage,
            }
            is_worker_thread().then_some(Err(Error::WouldBlockWorker))
        })
    }

    /// Takes the connection if the thread may have it and never had it; if the handler has not
    /// returned, it won't be offered any more.
    pub(super) fn give_up(&self) -> Option<Box<Conn>> {
        self.state.with(|state| {
            match core::mem::replace(&mut state.stage, Stage::Taken) {
                Stage::Offered(conn) => return Some(conn),
                Stage::Pending => state.stage = Stage::Abandoned,
                stage => state.stage = stage,
            }
            None
        })
    }

    /// Lets the engine have the connection and blocks until it gives it back.
    pub(super) fn wait(self: &Arc<Self>, conn: Box<Conn>, wait: Wait) -> (Box<Conn>, Wake) {
        self.send_back(conn, Ask::Wait(wait));
        self.state.wait_for(|state| match core::mem::replace(&mut state.stage, Stage::Taken) {
            Stage::Back(conn, wake) => Some((conn, wake)),
            stage => {
                state.stage = stage;
                None
            }
        })
    }

    /// Lets the engine have the connection.
    pub(super) fn send_back(self: &Arc<Self>, conn: Box<Conn>, ask: Ask) {
        let back = Return { handover: self.clone(), conn: Some(conn), ask };
        self.reach.mailboxes[self.session.worker()].push_return(back);
    }

    /// Whether the session goes on with this request.
    pub(super) fn check(&self) -> Result {
        self.state.with(|state| state.check())
    }

    /// What the peer still does, as far as the engine knows.
    pub(super) fn peer(&self) -> Peer {
        self.state.with(|state| state.peer)
    }

    fn hand(&self, conn: Box<Conn>, wake: Wake) -> Result<(), Box<Conn>> {
        self.state.change(|state| {
            state.stage = match state.stage {
                Stage::Pending => Stage::Offered(conn),
                Stage::Abandoned => return Err(conn),
                Stage::Offered(_) | Stage::Taken | Stage::Back(..) => Stage::Back(conn, wake),
            };
            Ok(())
        })
    }

    fn end(&self, over: Over) {
        let unclaimed = self.state.change(|state| {
            if let Over::Closed = state.over.get_or_insert(over) {
                state.peer = Peer::Gone;
            }
            // What nobody has claimed nobody gets any more.
            let conn = match core::mem::replace(&mut state.stage, Stage::Taken) {
                Stage::Offered(conn) => Some(conn),
                stage => {
                    state.stage = stage;
                    None
                }
            };
            (conn, state.route.take())
        });
        let (conn, route) = unclaimed;
        drop(conn);
        let_go(route);
    }
}

/// Whoever lets go of what the application has registered may be the last to hold it: a panic in that
/// ends nothing else.
pub(super) fn let_go(route: Option<Arc<UriHandler>>) {
    if contain(|| drop(route)).is_none() {
        log::error!("a handler that was removed panicked when it was dropped");
    }
}

impl State {
    fn check(&self) -> Result {
        match self.over {
            None => Ok(()),
            Some(Over::Closed) => Err(Error::Closed),
            Some(Over::Answered) => Err(Error::ResponseStarted),
        }
    }
}

/// The engine's side: with the connection while the handler has not returned, then with the session.
/// When it is dropped the session is over for the thread.
pub(crate) struct EngineSide(Arc<Handover>);

impl EngineSide {
    /// Hands the connection to the thread.
    ///
    /// # Errors
    ///
    /// The connection, if the detached request was dropped before it could be handed over.
    pub(crate) fn hand(&self, conn: Box<Conn>, wake: Wake) -> Result<(), Box<Conn>> {
        self.0.hand(conn, wake)
    }

    /// Hands the connection to the thread for the last time: the session has ended.
    pub(crate) fn end(&self, mut conn: Box<Conn>) {
        conn.set_closing();
        self.0.end(Over::Closed);
        // The thread is blocked, and takes it.
        let _ = self.0.hand(conn, Wake::Closing);
    }

    /// Lets the thread know what the peer still does.
    pub(crate) fn set_peer(&self, peer: Peer) {
        self.0.state.with(|state| state.peer = peer);
    }

    /// The handler that has detached the request.
    pub(crate) fn route(&self) -> Option<Found> {
        self.0.state.with(|state| state.route.clone()).map(Found::new)
    }

    /// The request is answered where it came from, after all.
    pub(super) fn refuse(self) {
        self.0.end(Over::Answered);
    }
}

impl Drop for EngineSide {
    fn drop(&mut self) {
        self.0.end(Over::Closed);
    }
}

impl fmt::Debug for EngineSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EngineSide({})", self.0.session)
    }
}

/// A connection on its way from a thread to the engine.
pub(crate) struct Return {
    handover: Arc<Handover>,
    conn: Option<Box<Conn>>,
    ask: Ask,
}

/// What a thread asks of the engine when it gives the connection back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// To be given it again when there is a reason to go on.
    Wait(Wait),
    /// To go on without it: the request is dealt with, or given up.
    Done,
}

impl Return {
    pub(crate) fn session(&self) -> SessionId {
        self.handover.session
    }

    /// For an engine that has the session still.
    pub(crate) fn take(mut self) -> (Box<Conn>, Ask) {
        (self.conn.take().expect("a return carries its connection"), self.ask)
    }
}

impl Drop for Return {
    /// Nobody wants it: the session or its whole server has ended.
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        match self.ask {
            Ask::Done => drop(conn),
            Ask::Wait(_) => {
                conn.set_closing();
                let _ = self.handover.hand(conn, Wake::Closing);
            }
        }
    }
}

#[cfg(all(test, loom, target_os = "linux"))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
