//! Detached requests: a session whose connection is with another thread, or waits on its behalf.
//!
//! While the thread waits, the session does what it does for a handler that waits
//! (`turn/handler.rs`). While the thread has the connection, another one stands in for it
//! (`conn/stand_in.rs`), so that the session can do everything that any session does.

use alloc::boxed::Box;

use super::super::Stacks;
use super::super::conn::{Conn, Peer, Reply};
use super::super::detached::{Detached, Place};
use super::super::session::{Job, Phase, Session, Timer};
use super::{Fate, Flushed, Step, Turn};
use crate::handler::{Ask, EngineSide, Failure, Outcome, Return, Wait, Wake, note_failure};
use crate::net::Net;

impl<S: Stacks, N: Net> Turn<'_, S, N>
where
    S::Stack: 'static,
{
    /// The handler has returned and left its request to a thread.
    pub(super) fn detach(&mut self, thread: EngineSide) -> Step {
        if let Flushed::Lost = self.flush() {
            return Step::Closed;
        }
        let conn = self.conn();
        let answers_failure = conn.io().failure.is_some();
        let mut stand_in = Box::new(conn.stand_in());
        self.worker.lend(&mut stand_in);
        self.session.phase = Phase::Detached(Box::new(Detached {
            thread,
            place: Place::Here { wait: Wait::For(core::time::Duration::ZERO), stand_in },
            pushed: alloc::vec::Vec::new(),
            unread_len: 0,
            away_len: 0,
            had_head: false,
            answers_failure,
        }));
        self.hand_over(Wake::Ready)
    }

    /// A detached request is under way.
    pub(super) fn detached(&mut self) -> Step {
        let Phase::Detached(detached) = &self.session.phase else { return Step::Again };
        match detached.place {
            Place::Here { wait, .. } => self.handling(wait),
            Place::Away => self.away(),
        }
    }

    /// The thread has the connection. Meanwhile what was written leaves, and the peer is listened to.
    fn away(&mut self) -> Step {
        if let Flushed::Lost = self.flush() {
            return Step::Closed;
        }
        let Phase::Detached(detached) = &self.session.phase else { return Step::Again };
        let ahead = self.worker.shared.config.read_ahead_len();
        let room = ahead.saturating_sub(detached.unread_len);
        if !self.hears_peer(room) || self.conn().peer == Peer::Gone {
            return Step::Closed;
        }
        let peer = self.conn().peer;
        if let Phase::Detached(detached) = &self.session.phase {
            detached.thread.set_peer(peer);
        }
        Step::Rest
    }

    /// Gives the connection to the thread, which waits for it.
    pub(super) fn hand_over(&mut self, wake: Wake) -> Step {
        self.session.timers.stop(Timer::Recv);
        self.session.timers.stop(Timer::Task);
        let Session { phase: Phase::Detached(detached), conn, .. } = &mut *self.session else {
            return Step::Again;
        };
        let Place::Here { mut stand_in, .. } = core::mem::replace(&mut detached.place, Place::Away)
        else {
            return Step::Again;
        };
        let here = conn.as_mut().expect("a resting session has its connection");
        here.leave(&mut stand_in);
        detached.unread_len = here.io().rx.len();
        detached.away_len = here.io().held_len();
        detached.had_head = here.io().reply != Reply::None;
        detached.thread.set_peer(here.peer);
        let leaving = core::mem::replace(here, stand_in);
        match detached.thread.hand(leaving, wake) {
            Ok(()) => Step::Again,
            Err(mut conn) => {
                // The detached request was dropped before the handler had returned.
                note_failure(&mut conn, &Outcome::Returned(Ok(())));
                let (stand_in, _) = self.take_back(conn);
                self.done(stand_in)
            }
        }
    }

    /// The thread gives the connection back.
    pub(in crate::server) fn come_back(&mut self, back: Return) -> Fate {
        let Phase::Detached(detached) = &self.session.phase else {
            debug_assert!(false, "session {}: nobody has its connection", self.session.id);
            return Fate::Open;
        };
        let had_head = detached.had_head;
        let (conn, ask) = back.take();
        let (stand_in, received_len) = self.take_back(conn);
        let step = match ask {
            Ask::Wait(wait) => self.wait_for_thread(wait, stand_in, had_head, received_len),
            Ask::Done => {
                self.tell_of_head(had_head);
                self.done(stand_in)
            }
        };
        if step == Step::Closed {
            self.end_task();
            return Fate::Closed;
        }
        self.run()
    }

    fn wait_for_thread(
        &mut self,
        wait: Wait,
        stand_in: Box<Conn>,
        had_head: bool,
        received_len: usize,
    ) -> Step {
        if let Phase::Detached(detached) = &mut self.session.phase {
            detached.place = Place::Here { wait, stand_in };
        }
        self.tell_of_head(had_head);
        match wait {
            // It came before it was waited for, and so nobody will report it.
            Wait::Readable if received_len > 0 => {
                let rate = self.worker.shared.config.recv_min_rate;
                self.conn().io_mut().pay_for_waits(received_len, rate);
                return self.hand_over(Wake::Ready);
            }
            Wait::For(duration) | Wait::PeerEnd(duration) => {
                self.session.timers.set(Timer::Task, self.now + duration);
            }
            Wait::Readable | Wait::Writable | Wait::Flushed => {}
        }
        Step::Again
    }

    fn tell_of_head(&mut self, had_head: bool) {
        let io = self.conn().io();
        if !had_head && io.reply != Reply::None {
            let status = io.status;
            self.worker.tell_of_response(self.session.id, status);
        }
    }

    /// Makes `conn` the session's own again, with all that has happened meanwhile. Gives back the
    /// connection that has stood in for it, and says how many bytes that has received.
    fn take_back(&mut self, mut conn: Box<Conn>) -> (Box<Conn>, usize) {
        let here = self.session.conn.as_mut().expect("a resting session has its connection");
        let received_len = conn.rejoin(here);
        let stand_in = core::mem::replace(here, conn);
        if let Phase::Detached(detached) = &mut self.session.phase {
            let pushed = core::mem::take(&mut detached.pushed);
            if !pushed.is_empty() {
                here.io_mut().push(&pushed, usize::MAX);
            }
        }
        (stand_in, received_len)
    }

    /// The thread is done with the request, well or not, and nobody need stand in any more.
    fn done(&mut self, mut stand_in: Box<Conn>) -> Step {
        self.worker.reclaim(&mut stand_in);
        let ended = core::mem::replace(&mut self.session.phase, Phase::Head);
        let io = self.conn().io();
        if let Phase::Detached(detached) = ended
            && !detached.answers_failure
            && io.reply == Reply::None
            && let Some(code) = io.failure.as_ref().and_then(Failure::code)
            && self.worker.err_handlers().of(code).is_some()
        {
            return self.start(Job::Failure(detached.thread.route()));
        }
        self.ended(Outcome::Returned(Ok(())))
    }
}
