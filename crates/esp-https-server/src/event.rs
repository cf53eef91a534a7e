//! Events of the HTTPS server: ESP-IDF's `ESP_HTTPS_SERVER_EVENT`, with the session added.

use alloc::string::{String, ToString};
use core::fmt;
use core::net::SocketAddr;

use esp_event::{Event, EventBase, EventId};
use esp_http_server::{Events, HttpEvents, NetError, Notice, Observer, SessionId};
use esp_tls::TlsError;

use crate::tls_net::HandshakeError;

/// The base of [`HttpsEvent`]s, ESP-IDF's `ESP_HTTPS_SERVER_EVENT`.
pub static HTTPS_SERVER_EVENT: EventBase = EventBase::new("ESP_HTTPS_SERVER_EVENT");

/// Events of the HTTPS server (upstream's `esp_https_server_event_id_t`).
///
/// A session that opens gives `Connected`, then `Data` and `SentData`, then `Disconnected`. One that
/// fails to open gives `Error` and nothing else. They are posted, never waited for: a loop whose
/// queue is full drops and counts them.
///
/// ```
/// use esp_event::EventLoop;
/// use esp_https_server::HttpsEvent;
///
/// let _errors = EventLoop::default_loop().on(|event: &HttpsEvent| match event {
///     HttpsEvent::Connected(session) => println!("session {session} is up"),
///     HttpsEvent::Error(error) => eprintln!("session failed: {error}"),
///     _ => {}
/// });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HttpsEvent {
    /// A connection failed in its TLS handshake (upstream's `esp_https_server_last_error_t`).
    Error(LastError),
    /// The server has started.
    Start,
    /// A session's handshake is done, and the application's `on_open` was called.
    Connected(SessionId),
    /// So many bytes of plain text were received.
    Data(SessionId, usize),
    /// So many bytes of plain text were taken to be sent.
    SentData(SessionId, usize),
    /// A session is closed, and the application's `on_close` was called.
    Disconnected(SessionId),
    /// The server has stopped.
    Stop,
}

impl Event for HttpsEvent {
    const BASE: &'static EventBase = &HTTPS_SERVER_EVENT;

    /// Upstream's numbers.
    fn id(&self) -> EventId {
        EventId(match self {
            Self::Error(_) => 0,
            Self::Start => 1,
            Self::Connected(_) => 2,
            Self::Data(..) => 3,
            Self::SentData(..) => 4,
            Self::Disconnected(_) => 5,
            Self::Stop => 6,
        })
    }
}

/// Why a connection did not become a session.
#[derive(Clone, Debug)]
pub struct LastError {
    /// The session that it would have been.
    pub session: SessionId,
    /// The peer, if the network tells it.
    pub peer: Option<SocketAddr>,
    /// What went wrong.
    pub cause: Cause,
}

/// What went wrong with a connection before it became a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// TLS failed.
    Tls(TlsError),
    /// The client spoke no TLS, or left in the middle.
    Handshake(HandshakeError),
    /// The handshake took longer than `handshake_timeout`.
    TimedOut,
    /// The network failed; its own words.
    Network(String),
}

impl Cause {
    fn new(error: &(dyn core::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<TlsError>() {
                return Self::Tls(error.clone());
            }
            if let Some(error) = error.downcast_ref::<HandshakeError>() {
                return Self::Handshake(*error);
            }
            if let Some(NetError::TimedOut) = error.downcast_ref() {
                return Self::TimedOut;
            }
            next = error.source();
        }
        Self::Network(error.to_string())
    }
}

impl fmt::Display for LastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{peer}: ")?,
            None => write!(f, "session {}: ", self.session)?,
        }
        match &self.cause {
            Cause::Tls(error) => error.fmt(f),
            Cause::Handshake(error) => error.fmt(f),
            Cause::TimedOut => f.write_str("the TLS handshake was not done in time"),
            Cause::Network(error) => f.write_str(error),
        }
    }
}

impl core::error::Error for LastError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.cause {
            Cause::Tls(error) => Some(error),
            Cause::Handshake(error) => Some(error),
            Cause::TimedOut | Cause::Network(_) => None,
        }
    }
}

impl HttpsEvent {
    fn of(notice: &Notice<'_>) -> Option<Self> {
        Some(match *notice {
            Notice::Start => Self::Start,
            Notice::Connected(session) => Self::Connected(session),
            Notice::OpenFailed { session, peer, error } => {
                Self::Error(LastError { session, peer, cause: Cause::new(error) })
            }
            Notice::OnData(session, len) => Self::Data(session, len),
            Notice::SentData(session, len) => Self::SentData(session, len),
            Notice::Disconnected(session) => Self::Disconnected(session),
            Notice::Stop => Self::Stop,
            _ => return None,
        })
    }
}

/// Posts [`HttpsEvent`]s, and before them the HTTP server's own.
pub(crate) struct HttpsEvents {
    http: HttpEvents,
    https: Events,
}

impl HttpsEvents {
    pub(crate) fn new(events: Events) -> Self {
        Self { http: HttpEvents::new(events.clone()), https: events }
    }
}

impl Observer for HttpsEvents {
    fn notice(&mut self, notice: Notice<'_>) {
        self.http.notice(notice);
        self.https.post(|| HttpsEvent::of(&notice));
    }
}
