//! What queued work may do while it runs inside the server.

use alloc::vec::Vec;

use super::session::SessionId;
use super::shared::ServerHandle;
use super::work::{SessionKind, Work};
use crate::error::{Error, Result};
use crate::handler::ws::{Message, encode_message};
use crate::time::Instant;

/// The server, as a work function sees it: between two requests, with nothing else running in this
/// worker.
///
/// What it asks for is done as soon as it returns, in the order in which it asked.
#[derive(Debug)]
pub struct ServerContext<'a> {
    pub(super) handle: &'a ServerHandle,
    pub(super) now: Instant,
    pub(super) requests: &'a mut Vec<Work>,
}

impl ServerContext<'_> {
    /// The server.
    pub fn server(&self) -> &ServerHandle {
        self.handle
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Sends a message to a WebSocket client (upstream's `httpd_ws_send_frame_async`).
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if the client has left, [`Error::NotWebSocket`].
    pub fn ws_send(&mut self, session: SessionId, message: impl Into<Message>) -> Result {
        match self.handle.session_kind(session) {
            None => return Err(Error::NoSession),
            Some(SessionKind::WebSocket) => {}
            Some(_) => return Err(Error::NotWebSocket),
        }
        let frame = encode_message(&message.into()).into();
        self.requests.push(Work::Frame { to: Some(session), frame });
        Ok(())
    }

    /// Closes a session.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it has ended already.
    pub fn close(&mut self, session: SessionId) -> Result {
        self.handle.session_kind(session).ok_or(Error::NoSession)?;
        self.requests.push(Work::Close(session));
        Ok(())
    }
}

impl core::fmt::Debug for Work {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Run(_) => f.write_str("Run"),
            Self::Close(session) => write!(f, "Close({session})"),
            Self::Frame { to: Some(session), .. } => write!(f, "Frame({session})"),
            Self::Frame { to: None, .. } => f.write_str("Frame(all)"),
        }
    }
}
