//! A session whose handler waits for its turn, is under way, or has just ended.

use alloc::string::ToString;

use super::super::Stacks;
use super::super::conn::{Peer, Reply};
use super::super::session::{Job, Phase, Timer};
use super::super::uri_handler::Handler;
use super::{Arrived, Fate, Flushed, Step, Turn};
use crate::handler::ws::send_close;
use crate::handler::{
    Failure, Link, Outcome, Request, Resumed, Task, Wait, Wake, WsRequest, run, run_err_handler,
    run_pre_handshake,
};
use crate::net::Net;
use crate::proto::status::Status;
use crate::proto::ws::frame::CloseCode;

impl<S: Stacks, N: Net> Turn<'_, S, N>
where
    S::Stack: 'static,
{
    /// Starts a handler, or lets it wait for its turn behind those that wait already.
    pub(super) fn start(&mut self, job: Job) -> Step {
        if self.worker.has_turn() && self.worker.queued.is_empty() {
            return self.start_now(job);
        }
        self.worker.queued.push_back(self.session.id);
        self.enqueue(job)
    }

    fn enqueue(&mut self, job: Job) -> Step {
        let timeout = self.worker.shared.config.queue_timeout;
        self.session.timers.start(Timer::Queue, self.now + timeout);
        self.session.phase = Phase::Queued { job };
        Step::Again
    }

    fn start_now(&mut self, job: Job) -> Step {
        let Some(stack) = self.worker.stacks.take() else {
            if self.worker.running > 0 {
                // Nobody waits longer: the first stack that comes back is for this one.
                self.worker.queued.push_front(self.session.id);
                return self.enqueue(job);
            }
            log::error!("no stack for a handler");
            self.session.timers.stop(Timer::Queue);
            return self.unserved(job);
        };
        self.session.timers.stop(Timer::Queue);
        let err_handlers = self.worker.err_handlers().clone();
        let task = Task::new(stack, move |link| match job {
            Job::Failure(failed) => {
                let link = match &failed {
                    Some(found) => link.with_route(found),
                    None => link,
                };
                run_err_handler(link, &err_handlers)
                    // It was unregistered meanwhile, and so the answer is the server's.
                    .unwrap_or(Outcome::Returned(Ok(())))
            }
            Job::Uri(found) => {
                let handler = |link: Link<'_>| match &found.handler {
                    Handler::Http(handler) => handler(&mut Request::new(link)),
                    Handler::WebSocket(route) => (route.handler)(&mut WsRequest::new(link)),
                };
                run(link.with_route(&found), handler, &err_handlers)
            }
            Job::PreHandshake(found) => {
                let hook = |link: Link<'_>| match found.ws_route().map(|it| &it.pre_handshake) {
                    Some(Some(hook)) => hook(&mut Request::new(link)),
                    _ => Ok(()),
                };
                run_pre_handshake(link.with_route(&found), hook, &err_handlers)
            }
            Job::PostHandshake(found) => {
                let hook = |link: Link<'_>| match found.ws_route().map(|it| &it.post_handshake) {
                    Some(Some(hook)) => hook(&mut WsRequest::new(link)),
                    _ => Ok(()),
                };
                run(link.with_route(&found), hook, &err_handlers)
            }
        });
        self.worker.running += 1;
        self.session.phase = Phase::Handling { task, wait: Wait::Readable };
        self.resume(Wake::Ready)
    }

    /// Waits for its handler's turn; what is to be sent need not wait, and for a peer that has gone
    /// no handler need start.
    pub(super) fn queued(&mut self) -> Step {
        if let Flushed::Lost = self.flush() {
            return Step::Closed;
        }
        let ahead = self.worker.shared.config.read_ahead_len();
        match self.hears_peer(ahead) {
            true => Step::Rest,
            false => Step::Closed,
        }
    }

    /// Others have held it up for too long.
    pub(super) fn queued_too_long(&mut self) -> Step {
        self.worker.dequeue(self.session.id);
        match core::mem::replace(&mut self.session.phase, Phase::Head) {
            Phase::Queued { job } => self.unserved(job),
            phase => {
                self.session.phase = phase;
                Step::Again
            }
        }
    }

    /// Says that there is no handler to be had for now, and lets go of the session: what it costs may
    /// be what others wait for.
    fn unserved(&mut self, job: Job) -> Step {
        if self.conn().ws.is_some() {
            send_close(self.conn(), CloseCode::TRY_AGAIN_LATER, "");
            self.session.phase = Phase::WebSocket;
            return Step::Again;
        }
        self.session.ws_handler = None;
        if let Job::Uri(_) | Job::PreHandshake(_) = job {
            return self.unavailable();
        }
        self.conn().keep_alive = false;
        self.answer_failure();
        self.begin_closing()
    }

    /// Refuses a request for now.
    pub(super) fn unavailable(&mut self) -> Step {
        let wait = self.worker.shared.config.queue_timeout.as_secs().max(1);
        self.field("Retry-After", &wait.to_string());
        let conn = self.conn();
        conn.keep_alive = false;
        conn.io_mut().failure = Some(Failure::new(Status::SERVICE_UNAVAILABLE));
        self.answer_failure();
        self.begin_closing()
    }

    /// Its turn has come.
    pub(in crate::server) fn start_queued(&mut self) -> Fate {
        // Its request was counted in the turn in which it came; the handler is work of this one.
        self.used.requests += 1;
        if let Phase::Queued { .. } = self.session.phase
            && let Phase::Queued { job } = core::mem::replace(&mut self.session.phase, Phase::Head)
            && self.start_now(job) == Step::Closed
        {
            return Fate::Closed;
        }
        self.run()
    }

    /// A handler is under way and waits.
    pub(super) fn handling(&mut self, wait: Wait) -> Step {
        let flushed = self.flush();
        if let Flushed::Lost = flushed {
            return self.resume(Wake::Closing);
        }
        let config = &self.worker.shared.config;
        let (low, ahead) = (config.send_low(), config.read_ahead_len());
        match wait {
            Wait::Readable => match self.recv() {
                Arrived::Some | Arrived::Finished => self.resume(Wake::Ready),
                Arrived::Lost => self.resume(Wake::Closing),
                Arrived::Nothing => {
                    self.await_peer();
                    Step::Rest
                }
            },
            Wait::Writable if self.conn().io().tx.len() <= low => self.resume(Wake::Ready),
            Wait::Writable => Step::Rest,
            Wait::Flushed if matches!(flushed, Flushed::All) => self.resume(Wake::Ready),
            Wait::Flushed => Step::Rest,
            Wait::For(_) | Wait::PeerEnd(_) if !self.hears_peer(ahead) => {
                self.resume(Wake::Closing)
            }
            Wait::For(_) if self.conn().ws.is_some() => self.ws_asleep(),
            Wait::PeerEnd(_) if self.conn().peer != Peer::Sending => self.resume(Wake::Ready),
            Wait::For(_) | Wait::PeerEnd(_) => Step::Rest,
        }
    }

    /// Receives what comes while nobody asks for it, until so many bytes are there; `false` if the
    /// peer is lost.
    pub(super) fn hears_peer(&mut self, limit: usize) -> bool {
        while self.conn().io().rx.len() < limit {
            match self.recv() {
                Arrived::Some => {}
                Arrived::Nothing | Arrived::Finished => break,
                Arrived::Lost => return false,
            }
        }
        true
    }

    /// Lets the handler go on until it waits again or ends.
    pub(super) fn resume(&mut self, wake: Wake) -> Step {
        #[cfg(feature = "std")]
        if let Phase::Detached(_) = self.session.phase {
            return self.hand_over(wake);
        }
        let Phase::Handling { task, wait } = &mut self.session.phase else { return Step::Again };
        self.session.timers.stop(Timer::Recv);
        self.session.timers.stop(Timer::Task);
        let mut conn = self.session.conn.take().expect("a waiting handler has left its connection");
        self.worker.stamp(&mut conn, self.now);
        self.worker.swap_deflater(&mut conn);
        let had_head = conn.io().reply != Reply::None;
        let mut resumed = task.resume(conn, wake);
        let (Resumed::Waiting(conn, _) | Resumed::Finished(conn, _)) = &mut resumed;
        self.worker.swap_deflater(conn);
        if !had_head && conn.io().reply != Reply::None {
            self.worker.tell_of_response(self.session.id, conn.io().status);
        }
        match resumed {
            Resumed::Waiting(conn, for_what) => {
                *wait = for_what;
                self.session.conn = Some(conn);
                if let Wait::For(duration) | Wait::PeerEnd(duration) = for_what {
                    self.session.timers.set(Timer::Task, self.now + duration);
                }
                self.hurry_if_closing();
                Step::Again
            }
            Resumed::Finished(conn, outcome) => {
                self.session.conn = Some(conn);
                let ended = core::mem::replace(&mut self.session.phase, Phase::Head);
                if let Phase::Handling { task, .. } = ended {
                    self.worker.stacks.give(task.into_stack());
                    self.worker.running -= 1;
                }
                self.ended(outcome)
            }
        }
    }

    /// A handler has ended.
    pub(super) fn ended(&mut self, outcome: Outcome) -> Step {
        #[cfg(feature = "std")]
        let detached = self.conn().io_mut().detached.take();
        if self.conn().is_over() {
            return self.after_cut(outcome);
        }
        if self.conn().ws.is_some() {
            return self.ws_ended(&outcome);
        }
        // What was asked may be whether the session may become a WebSocket.
        let agreed = self.session.ws_handler.take();
        match (outcome, self.conn().io().reply) {
            (Outcome::Returned(Ok(())), Reply::Done) => return self.after_response(),
            #[cfg(feature = "std")]
            (Outcome::Returned(Ok(())), Reply::None) if detached.is_some() => {
                return detached.map_or(Step::Closed, |thread| self.detach(thread));
            }
            (Outcome::Returned(Ok(())), Reply::None) if agreed.is_some() => {
                return agreed.map_or(Step::Closed, |found| self.switch_protocols(found));
            }
            // Nobody has answered: neither the handler nor, if it failed, an error handler.
            (_, Reply::None) => {
                self.conn().keep_alive = false;
                self.answer_failure();
            }
            // A head without the body it announced can only be cut off.
            (_, Reply::Open | Reply::Done) => {}
        }
        self.begin_closing()
    }

    /// The handler of a session that ends has ended.
    fn after_cut(&mut self, outcome: Outcome) -> Step {
        let done = matches!(outcome, Outcome::Returned(Ok(())));
        if self.conn().peer != Peer::Gone && done && self.conn().io().reply == Reply::Done {
            return self.begin_closing();
        }
        Step::Closed
    }

    /// Tells a handler that is under way to end. It can't wait any more, so it does.
    pub(super) fn end_task(&mut self) {
        while let Phase::Handling { .. } = self.session.phase {
            self.conn().set_closing();
            self.resume(Wake::Closing);
        }
    }
}
