//! What happens in a server, told to whoever wants to know.

use core::fmt;
use core::net::SocketAddr;

use esp_event::{Event, EventBase, EventId, EventLoop};

use super::session::SessionId;
use crate::proto::status::Status;

/// Is told what happens in one worker, while it happens: it must be quick and must not block.
///
/// This is how a server layered on this one (HTTPS) posts events of its own.
pub trait Observer {
    /// Something happened.
    fn notice(&mut self, notice: Notice<'_>);
}

/// What an [`Observer`] is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The server has started.
    Start,
    /// A session is open, its TLS handshake done.
    Connected(SessionId),
    /// A connection failed before it became a session: in its TLS handshake, that is.
    OpenFailed {
        /// The session that it would have been.
        session: SessionId,
        /// The peer, if the network tells it.
        peer: Option<SocketAddr>,
        /// What went wrong.
        error: &'a (dyn core::error::Error + 'static),
    },
    /// A request was answered with this error, by the server or by a handler.
    Error(SessionId, Status),
    /// The whole head of a request is there.
    OnHeader(SessionId),
    /// The head of a response was written.
    HeadersSent(SessionId),
    /// So many bytes were received.
    OnData(SessionId, usize),
    /// So many bytes were taken by the network.
    SentData(SessionId, usize),
    /// A session is closed.
    Disconnected(SessionId),
    /// The server has stopped.
    Stop,
}

/// The base of [`HttpEvent`]s, ESP-IDF's `ESP_HTTP_SERVER_EVENT`.
pub static HTTP_SERVER_EVENT: EventBase = EventBase::new("ESP_HTTP_SERVER_EVENT");

/// Events of the HTTP server (upstream's `esp_http_server_event_id_t`), with the session added to
/// each that concerns one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpEvent {
    /// A request was answered with this error, by the server or by a handler.
    Error(SessionId, Status),
    /// The server has started.
    Start,
    /// A session is open.
    OnConnected(SessionId),
    /// The whole head of a request is there.
    OnHeader(SessionId),
    /// The head of a response was written.
    HeadersSent(SessionId),
    /// So many bytes were received.
    OnData(SessionId, usize),
    /// So many bytes were sent.
    SentData(SessionId, usize),
    /// A session is closed.
    Disconnected(SessionId),
    /// The server has stopped.
    Stop,
}

impl Event for HttpEvent {
    const BASE: &'static EventBase = &HTTP_SERVER_EVENT;

    /// Upstream's numbers.
    fn id(&self) -> EventId {
        EventId(match self {
            Self::Error(..) => 0,
            Self::Start => 1,
            Self::OnConnected(_) => 2,
            Self::OnHeader(_) => 3,
            Self::HeadersSent(_) => 4,
            Self::OnData(..) => 5,
            Self::SentData(..) => 6,
            Self::Disconnected(_) => 7,
            Self::Stop => 8,
        })
    }
}

/// Posts [`HttpEvent`]s to an event loop; never blocks, and costs one atomic load while nobody
/// listens.
#[derive(Clone)]
pub struct HttpEvents(EventLoop);

impl HttpEvents {
    /// Posts to `event_loop`.
    pub fn new(event_loop: EventLoop) -> Self {
        Self(event_loop)
    }
}

impl Observer for HttpEvents {
    fn notice(&mut self, notice: Notice<'_>) {
        if !HTTP_SERVER_EVENT.has_subscribers() {
            return;
        }
        let event = match notice {
            Notice::Start => HttpEvent::Start,
            Notice::Connected(session) => HttpEvent::OnConnected(session),
            Notice::OpenFailed { .. } => return,
            Notice::Error(session, status) => HttpEvent::Error(session, status),
            Notice::OnHeader(session) => HttpEvent::OnHeader(session),
            Notice::HeadersSent(session) => HttpEvent::HeadersSent(session),
            Notice::OnData(session, len) => HttpEvent::OnData(session, len),
            Notice::SentData(session, len) => HttpEvent::SentData(session, len),
            Notice::Disconnected(session) => HttpEvent::Disconnected(session),
            Notice::Stop => HttpEvent::Stop,
        };
        // A full queue drops the event; the loop counts it.
        let _ = self.0.post(event);
    }
}

impl fmt::Debug for HttpEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpEvents")
    }
}
