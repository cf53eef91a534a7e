//! What a request and a WebSocket message have alike: the session that they came by.

use alloc::boxed::Box;
use core::any::Any;
use core::net::SocketAddr;
use core::time::Duration;

use super::task::Wait;
use super::{Request, WsRequest};
use crate::error::{Error, Result};
use crate::server::{Peer, SessionTransport};

macro_rules! session_methods {
    ($($holder:ident)*) => {$(
        impl $holder<'_> {
            /// The address the client connected to, if the network tells it.
            pub fn local_addr(&self) -> Option<SocketAddr> {
                self.link.conn().local_addr()
            }

            /// The session's context, if it has one of type `T` (upstream's `httpd_sess_get_ctx`).
            pub fn session_ctx<T: Any + Send>(&mut self) -> Option<&mut T> {
                self.link.conn_mut().session_ctx()
            }

            /// Gives the session a context in place of the one that it had, which is dropped now
            /// (upstream's `httpd_sess_set_ctx`); `()` leaves none.
            ///
            /// It stays as long as the session, whatever requests and messages come by it, and is
            /// dropped when the session has ended, behind the hook
            /// [`on_close`](crate::ServerBuilder::on_close) (upstream's `free_ctx`). What is to happen
            /// with it then goes into its `Drop`.
            pub fn set_session_ctx<T: Any + Send>(&mut self, ctx: T) {
                self.link.conn_mut().set_session_ctx(ctx);
            }

            /// The session's context of type `T`, made now if the session has none, or one of another
            /// type, which is dropped.
            pub fn session_ctx_or_insert_with<T: Any + Send>(
                &mut self,
                make: impl FnOnce() -> T,
            ) -> &mut T {
                self.link.conn_mut().session_ctx_or_insert_with(make)
            }

            /// What the transport layer says of the session, if its type is `T` (upstream's
            /// `httpd_sess_get_transport_ctx`): see [`Net::transport_ctx`](crate::Net::transport_ctx).
            /// Over TLS that is esp-https-server's `TlsInfo`.
            pub fn transport_ctx<T: Any + Send + Sync>(&self) -> Option<&T> {
                self.link.conn().transport_ctx()
            }
        }
    )*};
}

session_methods!(Request WsRequest);

impl Request<'_> {
    /// What the client still does, as far as the server knows: a cheap question, which waits for
    /// nothing.
    ///
    /// In a handler that is what was known when it last waited; of a
    /// [`DetachedRequest`](crate::DetachedRequest), what the server knows now.
    pub fn peer(&self) -> Peer {
        #[cfg(feature = "std")]
        if let Some(handover) = self.link.handover() {
            return handover.peer();
        }
        let conn = self.link.conn();
        if conn.is_closing() { Peer::Gone } else { conn.peer }
    }

    /// Waits until the client has finished sending or has left, but not longer than `longest`, and
    /// says what it still does.
    ///
    /// Bytes that come meanwhile are kept for [`recv`](Self::recv), up to 16 kB; what the client does
    /// behind them is not seen.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if it has left, or the session ends.
    pub fn wait_peer(&mut self, longest: Duration) -> Result<Peer> {
        if self.link.conn().peer == Peer::Sending {
            self.link.wait(Wait::PeerEnd(longest))?;
        }
        match self.link.conn().peer {
            Peer::Gone => Err(Error::Closed),
            peer => Ok(peer),
        }
    }

    /// Has the session's bytes pass through `transport`, this response and all later ones (upstream's
    /// `httpd_sess_set_recv_override` and its kin). What was written before leaves first, without it;
    /// this waits until that has left.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] and [`Error::Closed`] if it could not leave.
    pub fn set_transport(&mut self, transport: Box<dyn SessionTransport>) -> Result {
        let io = self.link.conn().io();
        if io.tx_ahead_len > 0 || !io.tx.is_empty() {
            self.link.wait(Wait::Flushed)?;
        }
        self.link.conn_mut().set_transport(transport);
        Ok(())
    }
}
