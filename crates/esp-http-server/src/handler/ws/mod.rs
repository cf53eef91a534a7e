//! WebSocket (RFC 6455), as a session speaks it and as its handler holds it.
//!
//! A handler runs once for every message and for no longer: between messages the session is the
//! engine's, which answers pings and closes by itself, and holds neither a stack nor buffers.

use core::net::SocketAddr;
use core::time::Duration;

use super::task::{Link, Wait};
use crate::error::{Error, Result};
use crate::server::{ServerHandle, SessionId};

#[cfg(feature = "deflate")]
mod deflate;
mod message;
mod queue;
mod recv;
mod send;
mod state;

#[cfg(feature = "deflate")]
pub(crate) use deflate::SharedDeflater;
pub use message::Message;
pub(crate) use message::Outgoing;
#[cfg(all(test, feature = "std"))]
pub(crate) use message::encodes;
pub use queue::WsQueuePolicy;
pub(crate) use queue::{Admission, Completion, Push, Pushed, push, release, send_close, send_ping};
pub(crate) use recv::{Received, Sink, receive, receive_control};
pub use send::Fragments;
pub(crate) use state::{Closing, Opening, WsState};
pub use state::{ControlFrames, WsClosed, WsClosedBy, WsFrame};

/// How the server finds out that a silent WebSocket client is gone: between messages, and while a
/// handler sleeps ([`WsRequest::sleep`]) that has left nothing unread. What a handler waits for to be
/// received or sent has `recv_wait_timeout` and `send_wait_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// A client from which nothing came for so long is sent a ping.
    pub ping_every: Duration,
    /// A client from which nothing comes for so long after a ping is closed.
    pub close_after: Duration,
}

/// A WebSocket session in the hands of its handler, which the arrival of a message has started.
///
/// ```
/// # use esp_http_server::{Result, WsRequest};
/// fn echo(ws: &mut WsRequest) -> Result {
///     let message = ws.message(4096)?;
///     ws.send(message)
/// }
/// ```
pub struct WsRequest<'t> {
    pub(super) link: Link<'t>,
}

impl<'t> WsRequest<'t> {
    pub(crate) fn new(link: Link<'t>) -> Self {
        Self { link }
    }

    /// The client's session.
    pub fn session(&self) -> SessionId {
        self.link.conn().id
    }

    /// The client's address, if the network tells it.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.link.conn().peer_addr
    }

    /// The server.
    pub fn server(&self) -> ServerHandle {
        ServerHandle::new(self.link.conn().shared.reach.clone())
    }

    /// The subprotocol that was agreed on: the first one of
    /// [`WsUriHandler::subprotocols`](crate::WsUriHandler::subprotocols) that the client offers.
    pub fn subprotocol(&self) -> Option<&str> {
        let number = self.link.conn().ws().subprotocol?;
        self.link.route()?.subprotocol(number)
    }

    /// Waits for `duration`, or until the session ends. What others send the client leaves meanwhile.
    /// Pings are answered and a close ends the sleep, unless the handler is to see them
    /// ([`ControlFrames::Handler`]) or there is more to read before them.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn sleep(&mut self, duration: Duration) -> Result {
        self.link.wait(Wait::For(duration))?;
        match self.link.conn().ws().closing() {
            Closing::Done => Err(Error::Closed),
            Closing::No | Closing::Sent => Ok(()),
        }
    }
}

impl core::fmt::Debug for WsRequest<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "WsRequest(session {})", self.session())
    }
}
