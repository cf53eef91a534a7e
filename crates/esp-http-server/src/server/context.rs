//! What the application's code may do that runs inside the server without being a handler: queued
//! work, and the hook that is asked about every new session.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;
use core::net::SocketAddr;

use super::conn::Conn;
use super::session::SessionId;
use super::shared::{ServerHandle, Shared};
use super::transport::SessionTransport;
use super::work::{Order, SessionKind};
use crate::error::{Error, Result};
use crate::handler::ws::{Message, Outgoing};
use crate::time::Instant;

/// The server, as a work function sees it: between two requests, with nothing else running in this
/// worker.
///
/// What it sends and asks for is done as soon as it returns, in the order in which it asked; bytes
/// leave in the same turn of the server. So it is, too, with what a function has asked for that then
/// panics. Only contexts are at hand at once. Sessions of other workers are reached as well, through
/// their queues; their contexts are not ([`queue_work_for`](ServerHandle::queue_work_for) runs where a
/// session is).
pub struct ServerContext<'a> {
    pub(super) handle: &'a ServerHandle,
    pub(super) shared: &'a Shared,
    pub(super) now: Instant,
    pub(super) sessions: &'a mut dyn Sessions,
    pub(super) orders: &'a mut Vec<(SessionId, Order)>,
}

/// The sessions of one worker.
pub(super) trait Sessions {
    /// The connection of a session that is open.
    fn conn(&mut self, session: SessionId) -> Option<&mut Conn>;
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

    /// The server's context, if it has one of type `T` (upstream's `httpd_get_global_user_ctx`).
    pub fn global_user_ctx<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.shared.global_user_ctx()
    }

    /// The context of a session of this worker, if it has one of type `T` (upstream's
    /// `httpd_sess_get_ctx`); none while a [`DetachedRequest`](crate::DetachedRequest) has it.
    pub fn session_ctx<T: Any + Send>(&mut self, session: SessionId) -> Option<&mut T> {
        self.sessions.conn(session)?.session_ctx()
    }

    /// Gives a session of this worker a context (upstream's `httpd_sess_set_ctx`); see
    /// [`Request::set_session_ctx`](crate::Request::set_session_ctx).
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it has ended, or is another worker's; [`Error::Detached`] while a
    /// [`DetachedRequest`](crate::DetachedRequest) has it.
    pub fn set_session_ctx<T: Any + Send>(&mut self, session: SessionId, ctx: T) -> Result {
        let conn = self.sessions.conn(session).ok_or(Error::NoSession)?;
        #[cfg(feature = "std")]
        if conn.stands_in() {
            return Err(Error::Detached);
        }
        conn.set_session_ctx(ctx);
        Ok(())
    }

    /// What the transport layer says of a session of this worker; see
    /// [`Request::transport_ctx`](crate::Request::transport_ctx).
    pub fn transport_ctx<T: Any + Send + Sync>(&mut self, session: SessionId) -> Option<&T> {
        self.sessions.conn(session)?.transport_ctx()
    }

    /// Sends bytes as they are (upstream's `httpd_socket_send`), behind what the session is sending
    /// already: whoever does so knows what its client expects. On a WebSocket they are never put
    /// into the middle of a frame.
    ///
    /// A client that has more than `ws_queue_len` bytes waiting is closed: it does not read.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if the client has left.
    pub fn send(&mut self, session: SessionId, bytes: impl AsRef<[u8]>) -> Result {
        self.check(session)?;
        self.orders.push((session, Order::Send(bytes.as_ref().into())));
        Ok(())
    }

    /// Sends a message to a WebSocket client (upstream's `httpd_ws_send_frame_async`). A client that
    /// has more than `ws_queue_len` bytes waiting is treated as
    /// [`ws_queue_policy`](crate::HttpConfig::ws_queue_policy) has it.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if the client has left, [`Error::Closed`] if it is leaving,
    /// [`Error::NotWebSocket`]; [`Error::WsQueueFull`] with [`WsQueuePolicy::Refuse`].
    ///
    /// [`WsQueuePolicy::Refuse`]: crate::WsQueuePolicy::Refuse
    pub fn ws_send(&mut self, session: SessionId, message: impl Into<Message>) -> Result {
        let message = Arc::new(Outgoing::new(&message.into()));
        self.handle.admit(session, &message)?;
        self.orders.push((session, Order::Message(message, None)));
        Ok(())
    }

    /// Closes a session.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it has ended already.
    pub fn close(&mut self, session: SessionId) -> Result {
        self.check(session)?;
        self.orders.push((session, Order::Close));
        Ok(())
    }

    /// Makes a session the most recently used; see [`ServerHandle::touch`].
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it has ended already.
    pub fn touch(&mut self, session: SessionId) -> Result {
        self.check(session)?;
        self.orders.push((session, Order::Touch));
        Ok(())
    }

    /// Has the session's bytes pass through `transport` from now on, instead of the one before
    /// (upstream's `httpd_sess_set_recv_override` and its kin). So do bytes that could not leave yet.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it has ended already.
    pub fn set_transport(
        &mut self,
        session: SessionId,
        transport: Box<dyn SessionTransport>,
    ) -> Result {
        self.check(session)?;
        self.orders.push((session, Order::Transport(transport)));
        Ok(())
    }

    fn check(&self, session: SessionId) -> Result<SessionKind> {
        self.handle.session_kind(session).ok_or(Error::NoSession)
    }
}

impl fmt::Debug for ServerContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerContext").field("now", &self.now).finish_non_exhaustive()
    }
}

/// A session that has just opened, its TLS handshake done, in the hands of the hook that may refuse
/// it ([`ServerBuilder::on_open`](crate::ServerBuilder::on_open)).
pub struct OpenSession<'a> {
    pub(super) conn: &'a mut Conn,
}

impl OpenSession<'_> {
    /// Its name.
    pub fn session(&self) -> SessionId {
        self.conn.id
    }

    /// The client's address, if the network tells it.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.conn.peer_addr
    }

    /// The address the client connected to, if the network tells it.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.conn.local_addr()
    }

    /// The server.
    pub fn server(&self) -> ServerHandle {
        ServerHandle::new(self.conn.shared.reach.clone())
    }

    /// The server's context, if it has one of type `T` (upstream's `httpd_get_global_user_ctx`).
    pub fn global_user_ctx<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.conn.shared.global_user_ctx()
    }

    /// Gives the session a context (upstream's `httpd_sess_set_ctx`); see
    /// [`Request::set_session_ctx`](crate::Request::set_session_ctx). If the session is refused it is
    /// dropped at once.
    pub fn set_session_ctx<T: Any + Send>(&mut self, ctx: T) {
        self.conn.set_session_ctx(ctx);
    }

    /// What the transport layer says of the session; see
    /// [`Request::transport_ctx`](crate::Request::transport_ctx).
    pub fn transport_ctx<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.conn.transport_ctx()
    }

    /// Has the session's bytes pass through `transport` (upstream's `httpd_sess_set_recv_override` and
    /// its kin).
    pub fn set_transport(&mut self, transport: Box<dyn SessionTransport>) {
        self.conn.set_transport(transport);
    }
}

impl fmt::Debug for OpenSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenSession({})", self.session())
    }
}
