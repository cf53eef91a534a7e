//! A session whose handler waits for its turn, is under way, or has just ended.

use super::super::Stacks;
use super::super::conn::{Peer, Reply, TX_LOW};
use super::super::event::Notice;
use super::super::router::{Found, UriHandler};
use super::super::session::{Phase, Timer};
use super::{Arrived, Fate, Flushed, Step, Turn};
use crate::error::Error;
use crate::handler::ws::send_close;
use crate::handler::{Outcome, Request, Resumed, Task, Wait, Wake, WsRequest, contain};
use crate::net::Net;
use crate::proto::status::Status;
use crate::proto::ws::frame::CloseCode;

/// Bytes that are received of a peer whose handler waits for something else.
const READ_AHEAD: usize = 16 * 1024;

impl<S: Stacks, N: Net> Turn<'_, S, N>
where
    S::Stack: 'static,
{
    /// Starts a handler, or lets it wait for its turn behind those that wait already.
    pub(super) fn start(&mut self, handler: Found) -> Step {
        if self.worker.has_turn() && self.worker.queued.is_empty() {
            return self.start_now(handler);
        }
        self.worker.queued.push_back(self.session.id);
        self.session.phase = Phase::Queued { handler };
        Step::Again
    }

    fn start_now(&mut self, handler: Found) -> Step {
        let Some(stack) = self.worker.stacks.take() else {
            if self.worker.running > 0 {
                // Nobody waits longer: the first stack that comes back is for this one.
                self.worker.queued.push_front(self.session.id);
                self.session.phase = Phase::Queued { handler };
                return Step::Again;
            }
            log::error!("no stack for a handler: answering 503");
            self.conn().keep_alive = false;
            self.answer(Status::SERVICE_UNAVAILABLE, "");
            return self.begin_closing();
        };
        let task = Task::new(stack, move |link| match handler.handler() {
            UriHandler::Http(handler) => handler(&mut Request::new(link)),
            UriHandler::WebSocket(handler) => handler(&mut WsRequest::new(link)),
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
        match self.hears_peer() {
            true => Step::Rest,
            false => Step::Closed,
        }
    }

    /// Its turn has come.
    pub(in crate::server) fn start_queued(&mut self) -> Fate {
        if let Phase::Queued { .. } = self.session.phase
            && let Phase::Queued { handler } =
                core::mem::replace(&mut self.session.phase, Phase::Head)
            && self.start_now(handler) == Step::Closed
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
        match wait {
            Wait::Readable => match self.recv() {
                Arrived::Some | Arrived::Finished => self.resume(Wake::Ready),
                Arrived::Lost => self.resume(Wake::Closing),
                Arrived::Nothing => {
                    let timeout = self.worker.shared.config.recv_wait_timeout;
                    self.session.timers.start(Timer::Recv, self.now + timeout);
                    Step::Rest
                }
            },
            Wait::Writable if self.conn().io().tx.len() <= TX_LOW => self.resume(Wake::Ready),
            Wait::Writable => Step::Rest,
            Wait::For(_) => {
                if self.hears_peer() {
                    Step::Rest
                } else {
                    self.resume(Wake::Closing)
                }
            }
        }
    }

    /// Receives a little of what comes while nobody asks for it; `false` if the peer is lost.
    fn hears_peer(&mut self) -> bool {
        while self.conn().io().rx.len() < READ_AHEAD {
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
        let Phase::Handling { task, wait } = &mut self.session.phase else { return Step::Again };
        self.session.timers.stop(Timer::Recv);
        self.session.timers.stop(Timer::Task);
        let conn = self.session.conn.take().expect("a waiting handler has left its connection");
        let had_head = conn.io().reply != Reply::None;
        let resumed = task.resume(conn, wake);
        let (Resumed::Waiting(conn, _) | Resumed::Finished(conn, _)) = &resumed;
        if !had_head && conn.io().reply != Reply::None {
            self.worker.observer.notice(Notice::HeadersSent(self.session.id));
        }
        match resumed {
            Resumed::Waiting(conn, for_what) => {
                *wait = for_what;
                self.session.conn = Some(conn);
                if let Wait::For(duration) = for_what {
                    self.session.timers.set(Timer::Task, self.now + duration);
                }
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
    fn ended(&mut self, outcome: Outcome) -> Step {
        let id = self.session.id;
        match &outcome {
            Outcome::Returned(Ok(())) => {}
            Outcome::Returned(Err(error)) => {
                // What the error says of itself is the application's code, too.
                if contain(|| log::info!("session {id}: handler failed: {error}")).is_none() {
                    log::error!("session {id}: handler failed, and its error panicked");
                }
            }
            Outcome::Panicked => log::error!("session {id}: handler panicked"),
        }
        if self.conn().peer == Peer::Gone || self.conn().is_closing() {
            return self.after_cut(outcome);
        }
        if self.conn().ws.is_some() {
            return self.ws_ended(outcome);
        }
        let (status, text) = match (outcome, self.conn().io().reply) {
            (Outcome::Returned(Ok(())), Reply::Done) => return self.after_response(),
            // A head without the body it announced can only be cut off.
            (_, Reply::Open) => return self.begin_closing(),
            (Outcome::Returned(Ok(())), Reply::None) => {
                log::error!("session {id}: the handler returned without a response");
                (Some(Status::INTERNAL_SERVER_ERROR), None)
            }
            (Outcome::Returned(Err(error)), _) => match Error::find(&error) {
                Some(error) => (error.status(), Some(alloc::format!("{error}\n"))),
                None => (Some(Status::INTERNAL_SERVER_ERROR), None),
            },
            (Outcome::Panicked, _) => (Some(Status::INTERNAL_SERVER_ERROR), None),
        };
        self.conn().keep_alive = false;
        if let Some(status) = status
            && self.conn().io().reply == Reply::None
        {
            self.conn().io_mut().fields.clear();
            // What went wrong in here is for the log; what the client did wrong is for the client.
            let text = text.filter(|_| status.code() < 500).unwrap_or_default();
            self.answer(status, &text);
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

    fn ws_ended(&mut self, outcome: Outcome) -> Step {
        self.session.used = true;
        let failed = match &outcome {
            Outcome::Returned(Ok(())) => false,
            Outcome::Returned(Err(error)) => !matches!(Error::find(error), Some(Error::Closed)),
            Outcome::Panicked => true,
        };
        if failed {
            send_close(self.conn(), CloseCode::INTERNAL_ERROR, "");
        }
        self.session.phase = Phase::WebSocket;
        Step::Again
    }

    /// Tells a handler that is under way to end. It can't wait any more, so it does.
    pub(super) fn end_task(&mut self) {
        while let Phase::Handling { .. } = self.session.phase {
            self.conn().set_closing();
            self.resume(Wake::Closing);
        }
    }
}
