//! Events of the HTTPS server: ESP-IDF's `ESP_HTTPS_SERVER_EVENT`, with the session added.

use alloc::sync::Arc;

use esp_event::{Event, EventBase, EventId};
use esp_http_server::{Events, HttpEvents, Notice, Observer, SessionId};

use crate::open_error::LastError;
use crate::tls_server::TlsServer;
use crate::user_cb::{UserCallback, UserCallbackEvent, UserCallbackSession};

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

impl HttpsEvent {
    fn of(notice: &Notice<'_>) -> Option<Self> {
        Some(match *notice {
            Notice::Start => Self::Start,
            Notice::Connected(of) => Self::Connected(of.session),
            Notice::OnData(session, len) => Self::Data(session, len),
            Notice::SentData(session, len) => Self::SentData(session, len),
            Notice::Disconnected(of) => Self::Disconnected(of.session),
            Notice::Stop => Self::Stop,
            _ => return None,
        })
    }
}

/// Calls the application, counts failures, and posts [`HttpsEvent`]s, the HTTP server's own before
/// them.
pub(crate) struct HttpsEvents {
    http: HttpEvents,
    https: Events,
    server: Option<Arc<TlsServer>>,
    user_cb: Option<UserCallback>,
}

impl HttpsEvents {
    pub(crate) fn new(
        events: Events,
        server: Option<Arc<TlsServer>>,
        user_cb: Option<UserCallback>,
    ) -> Self {
        Self { http: HttpEvents::new(events.clone()), https: events, server, user_cb }
    }

    fn failed(&mut self, error: LastError) {
        if let Some(server) = &self.server {
            server.counters().count_failed(error.kind());
        }
        if let Some(user_cb) = &self.user_cb {
            user_cb.call(UserCallbackEvent::SessionError(&error));
        }
        self.https.post(|| Some(HttpsEvent::Error(error)));
    }

    fn tell(&self, notice: &Notice<'_>) {
        let Some(user_cb) = &self.user_cb else { return };
        match *notice {
            Notice::Connected(of) => {
                user_cb.call(UserCallbackEvent::SessionCreate(UserCallbackSession::of(of)));
            }
            Notice::Disconnected(of) => {
                user_cb.call(UserCallbackEvent::SessionClose(UserCallbackSession::of(of)));
            }
            _ => {}
        }
    }
}

impl Observer for HttpsEvents {
    fn notice(&mut self, notice: Notice<'_>) {
        if let Notice::OpenFailed { session, peer, error } = notice {
            return self.failed(LastError::new(session, peer, error));
        }
        self.tell(&notice);
        self.http.notice(notice);
        self.https.post(|| HttpsEvent::of(&notice));
    }

    fn hears_traffic(&self) -> bool {
        self.http.hears_traffic() || self.https.are_heard::<HttpsEvent>()
    }
}
