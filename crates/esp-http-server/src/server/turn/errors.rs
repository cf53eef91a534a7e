//! Errors that the server finds, or a handler leaves to it.

use super::super::Stacks;
use super::super::conn::Reply;
use super::super::session::{Job, Timer};
use super::{Step, Turn};
use crate::handler::{Failure, write_failure};
use crate::net::Net;
use crate::proto::response as encode;

impl<S: Stacks, N: Net> Turn<'_, S, N>
where
    S::Stack: 'static,
{
    /// A head is no request, or did not come in time. Nobody can know where the next one would begin.
    pub(super) fn bad_head(&mut self, failure: Failure) -> Step {
        log::debug!("session {}: bad request: {}", self.session.id, failure.text());
        self.session.timers.stop(Timer::Head);
        self.session.timers.stop(Timer::Idle);
        let conn = self.conn();
        conn.keep_alive = false;
        let io = conn.io_mut();
        io.head.abandon();
        io.begin();
        self.fail(failure)
    }

    /// Has an error answered: by the error handler for it, or else at once.
    pub(super) fn fail(&mut self, failure: Failure) -> Step {
        let err_handlers = self.worker.err_handlers();
        let has_handler = failure.code().is_some_and(|code| err_handlers.of(code).is_some());
        let io = self.conn().io_mut();
        io.failure = Some(failure);
        io.server_fields_len = io.fields.len();
        if has_handler {
            return self.start(Job::Failure(None));
        }
        self.answer_failure();
        self.after_response()
    }

    /// Answers the failure at hand; if there is none, there is nobody to answer.
    pub(super) fn answer_failure(&mut self) {
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        self.worker.stamp(conn, self.now);
        write_failure(conn);
        let io = self.conn().io();
        if io.reply != Reply::None {
            let status = io.status;
            self.worker.tell_of_response(self.session.id, status);
        }
    }

    /// Adds a header field of the server's own to the response to come.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        let io = self.conn().io_mut();
        let written = encode::field(&mut io.fields, name, value.as_bytes());
        debug_assert!(written.is_ok(), "{name}: {value}");
        io.server_fields_len = io.fields.len();
    }
}
