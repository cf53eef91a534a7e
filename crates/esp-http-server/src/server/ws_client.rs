//! WebSocket clients, as they are reached from anywhere.

use alloc::boxed::Box;
use core::fmt;
#[cfg(feature = "std")]
use core::time::Duration;

use super::session::SessionId;
use super::shared::ServerHandle;
use super::work::{Order, SessionKind, Work};
#[cfg(feature = "std")]
use super::worker_thread::is_worker_thread;
use crate::error::{Error, Result};
use crate::handler::Message;
use crate::handler::ws::Completion;
use crate::proto::ws::frame::CloseCode;

/// One WebSocket client, reachable from any thread for as long as it is connected. When it has left
/// it says so; it never means another client.
#[derive(Clone)]
pub struct WsClient {
    handle: ServerHandle,
    session: SessionId,
}

impl WsClient {
    pub(super) fn new(handle: ServerHandle, session: SessionId) -> Self {
        Self { handle, session }
    }

    /// The client's session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Queues a message for the client (upstream's `httpd_ws_send_data_async`). Messages from
    /// several threads never mix. A client that has more than `ws_queue_len` bytes waiting is treated
    /// as [`ws_queue_policy`](crate::HttpConfig::ws_queue_policy) has it.
    ///
    /// `Ok` says that it is queued; what becomes of it [`send_with`](Self::send_with) tells.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if the client has left, [`Error::Closed`] if it is leaving,
    /// [`Error::NotWebSocket`]; [`Error::WsQueueFull`] with
    /// [`WsQueuePolicy::Refuse`](crate::WsQueuePolicy::Refuse); [`Error::WorkQueueFull`],
    /// [`Error::Stopping`].
    pub fn send(&self, message: impl Into<Message>) -> Result {
        self.handle.ws_post(self.session, &message.into(), None).map_err(|(error, _)| error)
    }

    /// As [`send`](Self::send), and tells `done` what became of the message (upstream's
    /// `transfer_complete_cb`): `Ok` once the network has taken all of it, which is not yet that the
    /// client has read it, or else an error of `send`, at any time: [`Error::NoSession`] if the
    /// client left before that.
    ///
    /// `done` is called once, whatever happens; in the server, where it must be quick, or here if the
    /// message can't even be queued.
    pub fn send_with(
        &self,
        message: impl Into<Message>,
        done: impl FnOnce(Result) + Send + 'static,
    ) {
        let done = Some(Completion::new(done));
        if let Err((error, Some(done))) = self.handle.ws_post(self.session, &message.into(), done) {
            done.tell(Err(error));
        }
    }

    /// As [`send`](Self::send), and waits until the network has taken the message, but not longer than
    /// `timeout`.
    ///
    /// # Errors
    ///
    /// Those of [`send_with`](Self::send_with); [`Error::TimedOut`], after which the message may still
    /// leave; [`Error::WouldBlockWorker`] on a thread that drives a server: in a handler, a hook, a
    /// work function.
    #[cfg(feature = "std")]
    pub fn send_wait(&self, message: impl Into<Message>, timeout: Duration) -> Result {
        if is_worker_thread() {
            return Err(Error::WouldBlockWorker);
        }
        let (told, result) = std::sync::mpsc::sync_channel(1);
        self.send_with(message, move |result| {
            // Whoever waited may have given up.
            let _ = told.send(result);
        });
        result.recv_timeout(timeout).unwrap_or(Err(Error::TimedOut))
    }

    /// Begins to close the client's session with this code and reason, behind all that was sent to
    /// it; the reason is cut at a character to the 123 bytes that fit. The client has
    /// `ws_close_timeout` to answer.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub fn close_with(&self, code: CloseCode, reason: &str) -> Result {
        self.check()?;
        let order = Order::WsClose(code, Box::from(reason));
        self.handle.post(self.session.worker(), Work::For(self.session, order))
    }

    /// Cuts the client's session off. It is told code 1001 if it still listens, and not waited for.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if the client has left, [`Error::NotWebSocket`],
    /// [`Error::WorkQueueFull`], [`Error::Stopping`].
    pub fn close(&self) -> Result {
        match self.check() {
            Ok(()) | Err(Error::Closed) => self.handle.close(self.session),
            refused => refused,
        }
    }

    fn check(&self) -> Result {
        match self.handle.session_kind(self.session) {
            Some(SessionKind::WebSocket) => Ok(()),
            Some(SessionKind::Closing) => Err(Error::Closed),
            Some(SessionKind::Http) => Err(Error::NotWebSocket),
            None => Err(Error::NoSession),
        }
    }
}

impl fmt::Debug for WsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WsClient({})", self.session)
    }
}
