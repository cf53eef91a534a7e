//! What happens in a server, told to whoever wants to know.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::any::Any;
use core::net::SocketAddr;

use esp_event::{Event, EventBase, EventId, EventLoop};

use super::session::SessionId;
use super::shared::Shared;
use crate::handler::contain;
use crate::proto::status::Status;
use crate::sync::Lock;

/// Is told what happens in one worker, while it happens: it must be quick and must not block.
///
/// This is how a server layered on this one (HTTPS) posts events of its own.
pub trait Observer {
    /// Something happened.
    fn notice(&mut self, notice: Notice<'_>);

    /// Whether it wants to be told of the traffic in sessions: [`OnHeader`](Notice::OnHeader),
    /// [`HeadersSent`](Notice::HeadersSent), [`OnData`](Notice::OnData) and
    /// [`SentData`](Notice::SentData). It is asked once in a turn of the server, so that what nobody
    /// listens to costs a request next to nothing.
    fn hears_traffic(&self) -> bool {
        true
    }
}

/// What an [`Observer`] is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The server starts: it listens, and no session is open yet.
    Start,
    /// A session is open, its TLS handshake done, and `on_open` has let it in.
    Connected(SessionNotice<'a>),
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
    /// A session is closed, and `on_close` was called.
    Disconnected(SessionNotice<'a>),
    /// The server has stopped: its last session is closed, its last worker gone, and what the application
    /// had given it is dropped.
    Stop,
}

/// A session, as an [`Observer`] is told of its beginning and its end.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SessionNotice<'a> {
    /// Its name.
    pub session: SessionId,
    /// The peer, if the network tells it.
    pub peer: Option<SocketAddr>,
    /// What the transport layer says of it ([`Net::transport_ctx`](crate::Net::transport_ctx)).
    pub transport_ctx: Option<&'a (dyn Any + Send + Sync)>,
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

impl HttpEvent {
    fn of(notice: &Notice<'_>) -> Option<Self> {
        Some(match *notice {
            Notice::Start => Self::Start,
            Notice::Connected(of) => Self::OnConnected(of.session),
            Notice::OpenFailed { .. } => return None,
            Notice::Error(session, status) => Self::Error(session, status),
            Notice::OnHeader(session) => Self::OnHeader(session),
            Notice::HeadersSent(session) => Self::HeadersSent(session),
            Notice::OnData(session, len) => Self::OnData(session, len),
            Notice::SentData(session, len) => Self::SentData(session, len),
            Notice::Disconnected(of) => Self::Disconnected(of.session),
            Notice::Stop => Self::Stop,
        })
    }
}

/// Where a server's events go: to the default event loop, or to another one that
/// [`ServerBuilder::events`](super::ServerBuilder::events) has named.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// The default loop stands here only once there was something to post: it is a thread.
    event_loop: Option<EventLoop>,
}

impl Events {
    /// To that loop.
    pub fn to(event_loop: EventLoop) -> Self {
        Self { event_loop: Some(event_loop) }
    }

    /// Whether anybody listens to such events, which costs one atomic load to know.
    pub fn are_heard<E: Event>(&self) -> bool {
        E::BASE.has_subscribers()
    }

    /// Posts what `make` makes. It is not even asked while nobody listens to such events: that costs
    /// one atomic load. Never blocks: a loop whose queue is full drops the event and counts it.
    pub fn post<E: Event>(&mut self, make: impl FnOnce() -> Option<E>) {
        if !self.are_heard::<E>() {
            return;
        }
        if let Some(event) = make() {
            let event_loop = self.event_loop.get_or_insert_with(EventLoop::default_loop);
            let _ = event_loop.post(event);
        }
    }
}

/// Posts [`HttpEvent`]s.
#[derive(Clone, Debug)]
pub struct HttpEvents(Events);

impl HttpEvents {
    /// Posts them there.
    pub fn new(events: Events) -> Self {
        Self(events)
    }
}

impl Observer for HttpEvents {
    fn notice(&mut self, notice: Notice<'_>) {
        self.0.post(|| HttpEvent::of(&notice));
    }

    fn hears_traffic(&self) -> bool {
        self.0.are_heard::<HttpEvent>()
    }
}

/// From the start of a server to its end, which is when the last of its workers drops this.
pub(crate) struct Lifetime {
    /// Taken when it ends. No two threads ever meet at the lock, but they could.
    at_the_end: Lock<Option<AtTheEnd>>,
}

struct AtTheEnd {
    observer: Box<dyn Observer + Send>,
    shared: Arc<Shared>,
}

impl Lifetime {
    pub(crate) fn begin(mut observer: Box<dyn Observer + Send>, shared: Arc<Shared>) -> Arc<Self> {
        observer.notice(Notice::Start);
        Arc::new(Self { at_the_end: Lock::new(Some(AtTheEnd { observer, shared })) })
    }
}

impl Drop for Lifetime {
    fn drop(&mut self) {
        let at_the_end = self.at_the_end.with(Option::take);
        let Some(AtTheEnd { mut observer, shared }) = at_the_end else { return };
        shared.reach.close();
        // Hooks and the server's context, behind the last handler that could use them.
        drop(shared);
        // It may be a panic that has brought us here, and another one must not come of it.
        contain(move || observer.notice(Notice::Stop));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static DOORS: EventBase = EventBase::new("DOORS");

    struct Opened;

    impl Event for Opened {
        const BASE: &'static EventBase = &DOORS;

        fn id(&self) -> EventId {
            EventId(0)
        }
    }

    #[test]
    fn an_event_is_made_only_if_somebody_listens() {
        let event_loop = EventLoop::new(4);
        let mut events = Events::to(event_loop.clone());
        events.post::<Opened>(|| panic!("nobody asked"));
        let subscription = event_loop.on(|_: &Opened| {});
        events.post(|| Some(Opened));
        events.post::<Opened>(|| None);
        assert_eq!(event_loop.run_pending().unwrap(), 1);
        drop(subscription);
        events.post::<Opened>(|| panic!("nobody asks any more"));
    }

    #[test]
    fn a_full_loop_drops_events_and_holds_up_nobody() {
        let event_loop = EventLoop::new(1);
        let _subscription = event_loop.on(|_: &Opened| {});
        let mut events = Events::to(event_loop.clone());
        (0..3).for_each(|_| events.post(|| Some(Opened)));
        assert_eq!(event_loop.statistics().dropped, 2);
    }
}
