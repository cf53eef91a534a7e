//! What the application has called for its TLS sessions: ESP-IDF's `esp_https_server_user_cb`.

use alloc::sync::Arc;
use core::fmt;
use core::net::SocketAddr;

use esp_http_server::{SessionId, SessionNotice, contain};

use crate::open_error::LastError;
use crate::tls_info::TlsInfo;

/// A function that is called when a session begins, ends, or fails to begin (upstream's `user_cb`),
/// for [`HttpsConfig::user_cb`](crate::HttpsConfig::user_cb).
///
/// It runs in the server, at once and before the event of the same: it must be quick and must not
/// block. To refuse a session is the business of
/// [`on_open`](crate::ServerBuilder::on_open); one that was refused is neither created nor closed. If it
/// panics that is logged, and nothing else happens.
///
/// ```
/// use esp_https_server::{UserCallback, UserCallbackEvent};
///
/// let audit = UserCallback::new(|event| match event {
///     UserCallbackEvent::SessionCreate(session) => {
///         let identity = session.tls.and_then(|tls| tls.identity());
///         let who = identity.map_or("somebody".into(), ToString::to_string);
///         println!("session {}: {who}", session.session);
///     }
///     UserCallbackEvent::SessionClose(session) => println!("session {} ends", session.session),
///     UserCallbackEvent::SessionError(error) => println!("{error} ({:?})", error.stage),
///     _ => {}
/// });
/// ```
#[derive(Clone)]
pub struct UserCallback(Arc<Callback>);

type Callback = dyn Fn(UserCallbackEvent<'_>) + Send + Sync;

/// What a [`UserCallback`] is told (upstream's `esp_https_server_user_cb_arg_t`).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum UserCallbackEvent<'a> {
    /// A session begins, its handshake done (upstream's `HTTPD_SSL_USER_CB_SESS_CREATE`).
    SessionCreate(UserCallbackSession<'a>),
    /// A session has ended (upstream's `HTTPD_SSL_USER_CB_SESS_CLOSE`).
    SessionClose(UserCallbackSession<'a>),
    /// A connection did not become a session.
    SessionError(&'a LastError),
}

/// The session that a [`UserCallback`] is told of.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct UserCallbackSession<'a> {
    /// Its name.
    pub session: SessionId,
    /// The peer, if the network tells it.
    pub peer: Option<SocketAddr>,
    /// What the handshake has agreed on and who the client is; `None` without TLS.
    pub tls: Option<&'a TlsInfo>,
}

impl UserCallback {
    /// This function.
    pub fn new(callback: impl Fn(UserCallbackEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    pub(crate) fn call(&self, event: UserCallbackEvent<'_>) {
        if contain(|| (self.0)(event)).is_none() {
            log::error!("user_cb panicked");
        }
    }
}

impl<'a> UserCallbackSession<'a> {
    pub(crate) fn of(notice: SessionNotice<'a>) -> Self {
        let tls = notice.transport_ctx.and_then(|ctx| ctx.downcast_ref());
        Self { session: notice.session, peer: notice.peer, tls }
    }
}

impl fmt::Debug for UserCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCallback(..)")
    }
}
