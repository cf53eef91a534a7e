//! Errors that a client is told of: what failed, and who says so.
//!
//! The server's own word is a line of text. An error handler may say it otherwise; it runs on the
//! same task, behind the handler that failed, or on one of its own if the server has found the error.
//! When the error handler fails too, the server's word stands.

use alloc::borrow::Cow;
use alloc::string::ToString;

use super::reply::write_simple;
use super::request::Request;
use super::task::{Link, Outcome, contain};
use crate::error::{Error, HandlerError, Result};
use crate::proto::status::{ErrorCode, Status};
use crate::server::{Conn, ErrHandler, ErrHandlers, Reply};

/// An error that is being answered.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    /// One line for the client; without it the default text.
    text: Option<Cow<'static, str>>,
}

impl Failure {
    pub(crate) fn new(status: Status) -> Self {
        Self { status, text: None }
    }

    pub(crate) fn with_text(status: Status, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: Some(text.into()) }
    }

    /// What the client is told of a handler that has ended like this before it has answered; `None`
    /// if there is nobody to tell.
    fn of(outcome: &Outcome) -> Option<Self> {
        let error = match outcome {
            Outcome::Returned(Err(error)) => Error::find(error),
            Outcome::Returned(Ok(())) | Outcome::Panicked => None,
        };
        let Some(error) = error else { return Some(Self::new(Status::INTERNAL_SERVER_ERROR)) };
        if let Error::Refused(status, _) = error
            && !status.is_error()
        {
            log::error!("a handler refused its request with {status}, which is no error");
        }
        let status = error.status()?;
        // What went wrong in here is for the log; what the client did wrong is for the client.
        Some(match status.code() {
            ..500 => Self::with_text(status, error.to_string()),
            500.. => Self::new(status),
        })
    }

    /// The code whose error handler may answer it; upstream has thirteen.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        ErrorCode::from_status(self.status)
    }

    pub(crate) fn text(&self) -> &str {
        let default = || self.code().map_or(self.status.reason(), ErrorCode::default_text);
        self.text.as_deref().unwrap_or_else(default)
    }
}

/// Runs a URI handler, and if it fails before it has answered, the error handler of that failure.
pub(crate) fn run(
    mut link: Link<'_>,
    handler: impl FnOnce(Link<'_>) -> Result<(), HandlerError>,
    err_handlers: &ErrHandlers,
) -> Outcome {
    let outcome = run_contained(&mut link, handler);
    after(link, outcome, err_handlers)
}

/// Runs the error handler if a handler has ended like this before it has answered.
fn after(mut link: Link<'_>, outcome: Outcome, err_handlers: &ErrHandlers) -> Outcome {
    let conn = link.conn_mut();
    #[cfg(feature = "std")]
    if is_detached(conn, &outcome) {
        return outcome;
    }
    if !note_failure(conn, &outcome) {
        return outcome;
    }
    run_err_handler(link, err_handlers).unwrap_or(outcome)
}

/// Notes what the client is to be told of a handler that has ended before it has answered; `false` if
/// it was answered, or there is nobody to tell.
pub(crate) fn note_failure(conn: &mut Conn, outcome: &Outcome) -> bool {
    if conn.is_over() || conn.ws.is_some() || conn.io().reply != Reply::None {
        return false;
    }
    if let Outcome::Returned(Ok(())) = outcome {
        log::error!("session {}: the handler returned without a response", conn.id);
    }
    conn.io_mut().failure = Failure::of(outcome);
    let stays = match outcome {
        Outcome::Returned(Err(error)) => Error::find(error).is_some_and(leaves_body_readable),
        Outcome::Returned(Ok(())) | Outcome::Panicked => false,
    };
    conn.keep_alive &= stays;
    true
}

/// Whether the handler has left its request to a detached one. If it has detached it and then ended
/// in any other way, the request is its own after all.
#[cfg(feature = "std")]
fn is_detached(conn: &mut Conn, outcome: &Outcome) -> bool {
    let is_over = conn.is_over();
    let io = conn.io_mut();
    let leaves = matches!(outcome, Outcome::Returned(Ok(()))) && io.reply == Reply::None;
    if leaves && !is_over {
        return io.detached.is_some();
    }
    match io.detached.take() {
        Some(side) if !is_over => side.refuse(),
        side => drop(side),
    }
    false
}

/// Runs the hook before a WebSocket handshake: as any handler, but one that has nothing to say agrees.
pub(crate) fn run_pre_handshake(
    mut link: Link<'_>,
    hook: impl FnOnce(Link<'_>) -> Result<(), HandlerError>,
    err_handlers: &ErrHandlers,
) -> Outcome {
    let outcome = run_contained(&mut link, hook);
    let io = link.conn().io();
    let has_spoken = io.reply != Reply::None;
    #[cfg(feature = "std")]
    let has_spoken = has_spoken || io.detached.is_some();
    match outcome {
        Outcome::Returned(Ok(())) if !has_spoken => outcome,
        outcome => after(link, outcome, err_handlers),
    }
}

/// Runs the error handler for the failure at hand; `None` if nobody has registered one.
pub(crate) fn run_err_handler(mut link: Link<'_>, err_handlers: &ErrHandlers) -> Option<Outcome> {
    let conn = link.conn_mut();
    let code = conn.io().failure.as_ref()?.code()?;
    let handler = err_handlers.of(code)?;
    conn.keep_alive &= !always_closes(code);
    Some(run_contained(&mut link, |link| handler(&mut Request::new(link), code)))
}

fn run_contained(
    link: &mut Link<'_>,
    handler: impl FnOnce(Link<'_>) -> Result<(), HandlerError>,
) -> Outcome {
    let session = link.conn().id;
    let outcome = match contain(|| handler(link.reborrow())) {
        Some(result) => Outcome::Returned(result),
        None => Outcome::Panicked,
    };
    match &outcome {
        Outcome::Returned(Ok(())) => {}
        Outcome::Returned(Err(error)) => {
            // What the error says of itself is the application's code, too.
            if contain(|| log::info!("session {session}: handler failed: {error}")).is_none() {
                log::error!("session {session}: handler failed, and its error panicked");
            }
        }
        Outcome::Panicked => log::error!("session {session}: handler panicked"),
    }
    outcome
}

/// Whether the rest of the body can still be told from the next request when a handler has ended
/// with this error.
fn leaves_body_readable(error: &Error) -> bool {
    matches!(error, Error::Refused(..) | Error::BodyTooLong { .. })
}

/// Whether the session closes behind this error, whatever its handler returns: upstream says so of
/// 500, and RFC 9110 (section 15.5.9) of 408.
pub(super) fn always_closes(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::InternalServerError | ErrorCode::RequestTimeout)
}

/// Answers the failure at hand as the server does when nobody else has.
pub(crate) fn write_failure(conn: &mut Conn) {
    let io = conn.io_mut();
    let Some(failure) = io.failure.take() else { return };
    io.fields.truncate(io.server_fields_len);
    match &failure.text {
        Some(text) => write_simple(conn, failure.status, &alloc::format!("{text}\n")),
        None => write_simple(conn, failure.status, failure.text()),
    }
    conn.io_mut().failure = Some(failure);
}

impl Request<'_> {
    /// Answers this request with an error (upstream's `httpd_req_handle_err`): by the error handler
    /// that is registered for `code`, or as the server does without one, with `text` as its body or
    /// else the code's default text. An error handler that fails has the server answer, too.
    ///
    /// [`Response::send_err`](crate::Response::send_err) sends an error without asking the error handler.
    ///
    /// Inside an error handler it is the server that answers, so that handlers of errors can't go
    /// round in circles: `req.handle_err(code, None)` there says what the server would have said.
    ///
    /// ```
    /// # use esp_http_server::{ErrorCode, Request, Result};
    /// fn article(req: &mut Request) -> Result {
    ///     match req.query() {
    ///         Some("7") => req.respond().send("the seventh"),
    ///         _ => req.handle_err(ErrorCode::NotFound, Some("no such article")),
    ///     }
    /// }
    /// ```
    ///
    /// Behind [`InternalServerError`](ErrorCode::InternalServerError) and
    /// [`RequestTimeout`](ErrorCode::RequestTimeout) the session closes.
    ///
    /// # Errors
    ///
    /// [`Error::ResponseStarted`]; what the error handler has returned, and then the session closes
    /// if it is passed on, as upstream has it.
    pub fn handle_err(&mut self, code: ErrorCode, text: Option<&str>) -> Result {
        self.link_mut().stamp();
        let conn = self.link_mut().conn_mut();
        if conn.io().reply != Reply::None {
            return Err(Error::ResponseStarted);
        }
        let is_nested = conn.io().failure.is_some();
        let at_hand = conn.io_mut().failure.take().filter(|failure| failure.code() == Some(code));
        let failure = match (text, at_hand) {
            (None, Some(failure)) => failure,
            (None, None) => Failure::new(code.status()),
            (Some(text), _) => Failure::with_text(code.status(), text.to_string()),
        };
        conn.io_mut().failure = Some(failure);
        conn.keep_alive &= !always_closes(code);
        let registered =
            || conn.shared.reach.err_handlers.peek(|handlers| handlers.of(code).cloned());
        match if is_nested { None } else { registered() } {
            Some(handler) => self.call_err_handler(&*handler, code),
            None => {
                write_failure(conn);
                Ok(())
            }
        }
    }

    fn call_err_handler(&mut self, handler: &ErrHandler, code: ErrorCode) -> Result {
        let outcome = contain(|| handler(self, code));
        let conn = self.link_mut().conn_mut();
        let has_failed = !matches!(outcome, Some(Ok(())));
        if conn.io().reply == Reply::None && !conn.is_over() {
            log::error!("session {}: the error handler left the answer to the server", conn.id);
            conn.keep_alive &= !has_failed;
            write_failure(conn);
        }
        match outcome {
            Some(result) => result.map_err(Error::Other),
            None => Err(Error::Other("the error handler panicked".into())),
        }
    }

    /// In an error handler: the line of text that the server would answer with, such as `Host is
    /// missing` or the text of an [`Error::Refused`]. `None` in other handlers.
    ///
    /// It is made for the client to see, but may repeat what the client has sent: escape it in a
    /// page.
    pub fn err_text(&self) -> Option<&str> {
        self.link().conn().io().failure.as_ref().map(Failure::text)
    }
}
