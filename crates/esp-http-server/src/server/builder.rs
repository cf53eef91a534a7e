//! How a server is put together: configuration, URI handlers, hooks.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;
use core::time::Duration;

use esp_event::EventLoop;

use super::Server;
use super::config::HttpConfig;
use super::context::OpenSession;
use super::err_handlers::{ErrHandlers, err_handler};
use super::event::{Events, Lifetime, Observer};
use super::hooks::Hooks;
use super::reach::Reach;
use super::router::UriMatch;
use super::routes::Routes;
use super::session::SessionId;
use super::shared::{Layer, Shared};
use super::uri_handler::UriHandler;
use crate::error::{Error, HandlerError, Result};
use crate::handler::{KeepAlive, Request, Stacks, WsClosed, WsRequest};
use crate::net::Net;
use crate::proto::method::Method;
use crate::proto::response as encode;
use crate::proto::status::ErrorCode;
use crate::proto::ws::handshake::Scheme;

/// What a server speaks below HTTP: what upstream's HTTPS server plugs into its HTTP server.
///
/// A configuration implements it: [`HttpConfig`] is plain TCP, `HttpsTransport` of esp-https-server
/// adds TLS.
pub trait Transport: Send + Sync + 'static {
    /// The layered network; `N` itself for plain TCP.
    type Net<N: Net>: Net;

    /// The configuration of the HTTP server above.
    fn http(&self) -> &HttpConfig;

    /// The port to listen on, of all addresses, if [`HttpConfig::listen`] says nothing else.
    fn port(&self) -> u16;

    /// How clients reach it, which decides what is the same host to an
    /// [`OriginPolicy`](crate::OriginPolicy).
    fn scheme(&self) -> Scheme {
        Scheme::Http
    }

    /// Puts the layer around a worker's network.
    fn layer<N: Net>(&self, inner: N) -> Self::Net<N>;

    /// Who is told what happens in a worker, and posts its events to `events`.
    fn observer(&self, events: Events) -> Box<dyn Observer + Send>;

    /// What the layer has to say of the server as a whole, for
    /// [`ServerHandle::global_transport_ctx`](super::ServerHandle::global_transport_ctx). It is asked
    /// once.
    fn global_transport_ctx(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    /// Header fields, names and values, that every final response has. They are asked for once.
    fn response_fields(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl Transport for HttpConfig {
    type Net<N: Net> = N;

    fn http(&self) -> &HttpConfig {
        self
    }

    fn port(&self) -> u16 {
        self.server_port
    }

    fn layer<N: Net>(&self, inner: N) -> N {
        inner
    }

    fn observer(&self, events: Events) -> Box<dyn Observer + Send> {
        Box::new(super::HttpEvents::new(events))
    }
}

/// A server that is being put together.
///
/// What is wrong with a handler's registration is told when the server starts, so that a server
/// reads as one sentence.
#[must_use = "a server runs only once it was started"]
pub struct ServerBuilder<T> {
    transport: T,
    uri_handlers: Vec<UriHandler>,
    uri_match: Option<Arc<UriMatch>>,
    err_handlers: ErrHandlers,
    hooks: Hooks,
    pub(crate) events: Events,
}

macro_rules! methods {
    ($($name:ident $method:ident),*) => {$(
        #[doc = concat!("Registers a handler for `", stringify!($method), "` requests to `uri`.")]
        pub fn $name<F, E>(self, uri: &str, handler: F) -> Self
        where
            F: Fn(&mut Request<'_>) -> core::result::Result<(), E> + Send + Sync + 'static,
            E: Into<HandlerError>,
        {
            self.route(Method::$method, uri, handler)
        }
    )*};
}

impl<T: Transport> ServerBuilder<T> {
    /// A server with this configuration and without handlers.
    pub fn new(transport: T) -> Self {
        Self {
            transport,
            uri_handlers: Vec::new(),
            uri_match: None,
            err_handlers: ErrHandlers::default(),
            hooks: Hooks::default(),
            events: Events::default(),
        }
    }

    methods!(get Get, post Post, put Put, delete Delete, patch Patch, head Head, options Options);

    /// Registers a URI handler (upstream's `httpd_register_uri_handler`); [`UriHandler`] says what its
    /// URI may be, and which one wins. The other methods that register one are short for this. How to
    /// do it while the server runs: [`ServerHandle::register_uri_handler`].
    ///
    /// [`ServerHandle::register_uri_handler`]: super::ServerHandle::register_uri_handler
    pub fn uri_handler(mut self, handler: impl Into<UriHandler>) -> Self {
        self.uri_handlers.push(handler.into());
        self
    }

    /// Registers a handler for requests with `method` to `uri`. A GET handler answers HEAD too,
    /// without the body.
    pub fn route<F, E>(self, method: Method, uri: &str, handler: F) -> Self
    where
        F: Fn(&mut Request<'_>) -> core::result::Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        self.uri_handler(UriHandler::new(method, uri, handler))
    }

    /// Registers a handler for requests to `uri` with any method that has no handler of its own.
    pub fn any<F, E>(self, uri: &str, handler: F) -> Self
    where
        F: Fn(&mut Request<'_>) -> core::result::Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        self.uri_handler(UriHandler::any(uri, handler))
    }

    /// Registers a handler for the messages of WebSockets that are opened at `uri`, by pages of this
    /// host and by whatever is no browser. More can be said with [`UriHandler::ws`].
    pub fn ws<F, E>(self, uri: &str, handler: F) -> Self
    where
        F: Fn(&mut WsRequest<'_>) -> core::result::Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        self.uri_handler(UriHandler::ws(uri, handler))
    }

    /// Has `matches` say which URIs match, instead of templates, for the whole server (upstream's
    /// `uri_match_fn`).
    ///
    /// It is asked with the URI of a handler and the path of a request. URIs may then be any text;
    /// they are tried in the order in which they were registered, and the first that matches and
    /// serves the method has the request. There are no parameters. It is also asked with the URIs of
    /// two handlers, an older one first: if they match, the new one would never be called, and is
    /// refused with [`Error::HandlerExists`].
    ///
    /// It runs in the server, at every request: it must be quick. If it panics, that request is
    /// answered with 500.
    ///
    /// ```
    /// # use esp_http_server::{HttpConfig, Request, Result, ServerBuilder};
    /// # fn page(req: &mut Request) -> Result { req.respond().send("") }
    /// # let _ =
    /// ServerBuilder::new(HttpConfig::default())
    ///     .uri_match(|uri, path| uri.eq_ignore_ascii_case(path))
    ///     .get("/Page", page)
    /// # ;
    /// ```
    pub fn uri_match(
        mut self,
        matches: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.uri_match = Some(Arc::new(matches));
        self
    }

    /// Gives the server a context of any type, in place of the one before (upstream's
    /// `global_user_ctx`). Handlers find it by [`Request::global_user_ctx`], others by
    /// [`ServerHandle::global_user_ctx`](super::ServerHandle::global_user_ctx). It is dropped when the
    /// server has ended, behind the last handler.
    pub fn global_user_ctx<C: Any + Send + Sync>(mut self, ctx: C) -> Self {
        self.hooks.global_user_ctx = Some(Arc::new(ctx));
        self
    }

    /// Has `handler` answer errors with this code (upstream's `httpd_register_err_handler`), be they
    /// found by the server or what a handler has ended with before it answered. A later one for the
    /// same code replaces it.
    ///
    /// ```
    /// # use esp_http_server::{ErrorCode, HttpConfig, Request, ServerBuilder};
    /// # let _ =
    /// ServerBuilder::new(HttpConfig::default()).err_handler(
    ///     ErrorCode::NotFound,
    ///     |req: &mut Request, code: ErrorCode| {
    ///         req.respond().status(code.status()).send("<h1>Nothing here</h1>")
    ///     },
    /// )
    /// # ;
    /// ```
    ///
    /// It runs as any handler does: it may read the rest of the body, wait, answer in pieces. What
    /// the server would have said is [`Request::err_text`]; the `Allow` field of a 405 is set.
    ///
    /// If it returns `Ok`, the session stays open, provided that the request was whole and the rest
    /// of its body can be dropped. It closes if it returns an error, and in any case behind 500 and
    /// 408, an error in a request's head or in the framing of its body. If it does not answer, the
    /// server does.
    ///
    /// Of a request whose head could not be read there is only what was understood: a
    /// [`method`](Request::method) that is `GET` in doubt, an empty [`uri`](Request::uri), no header
    /// fields, no body.
    pub fn err_handler<F, E>(mut self, code: ErrorCode, handler: F) -> Self
    where
        F: Fn(&mut Request<'_>, ErrorCode) -> core::result::Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        drop(self.err_handlers.replace(code, Some(err_handler(handler))));
        self
    }

    /// Pings WebSocket clients that are silent, and closes those that stay so.
    pub fn ws_keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.hooks.ws_keep_alive = Some(keep_alive);
        self
    }

    /// Asks `hook` about every session when its connection is open, its TLS handshake done (upstream's
    /// `open_fn`). With an error, or a panic, it refuses the session, which is closed without another
    /// word: nobody is told that it was connected, and `on_close` is not called. It runs in the
    /// server: it must be quick.
    ///
    /// ```
    /// # use esp_http_server::{Error, HttpConfig, OpenSession, Result, ServerBuilder, Status};
    /// fn only_from_here(session: &mut OpenSession) -> Result {
    ///     match session.peer_addr() {
    ///         Some(peer) if !peer.ip().is_loopback() => {
    ///             Err(Error::Refused(Status::FORBIDDEN, format!("{peer} is not welcome")))
    ///         }
    ///         _ => Ok(()),
    ///     }
    /// }
    ///
    /// # let _ =
    /// ServerBuilder::new(HttpConfig::default()).on_open(only_from_here)
    /// # ;
    /// ```
    pub fn on_open<F, E>(mut self, hook: F) -> Self
    where
        F: Fn(&mut OpenSession<'_>) -> core::result::Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        self.hooks.open = Some(Box::new(move |session| hook(session).map_err(Into::into)));
        self
    }

    /// Calls `hook` for every session when it is closed (upstream's `close_fn`). It runs in the
    /// server: it must be quick.
    ///
    /// The session's context is dropped right behind it; what is to happen with that goes into its
    /// `Drop`.
    pub fn on_close(mut self, hook: impl Fn(SessionId) + Send + Sync + 'static) -> Self {
        self.hooks.close = Some(Box::new(hook));
        self
    }

    /// Calls `hook` for every WebSocket when it has ended, once, and before `on_close`: who has closed
    /// it, and with which code. It runs in the server: it must be quick.
    ///
    /// ```
    /// # use esp_http_server::{HttpConfig, ServerBuilder};
    /// # let _ =
    /// ServerBuilder::new(HttpConfig::default()).on_ws_close(|session, closed| {
    ///     println!("{session}: closed by {:?}, {:?} {}", closed.by, closed.code, closed.reason);
    /// })
    /// # ;
    /// ```
    pub fn on_ws_close(
        mut self,
        hook: impl Fn(SessionId, WsClosed) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.ws_close = Some(Box::new(hook));
        self
    }

    /// Has `clock` tell the time of day, counted from 1970 UTC, for the `Date` of responses. It is asked
    /// once a second at most. `None` means that nobody knows, as on a device that has not yet heard of a
    /// time server; then responses have no `Date` (RFC 9110, section 6.6.1).
    ///
    /// Without this, `HttpServer` goes by the system's clock, and the engine alone knows no time of day.
    pub fn wall_clock(
        mut self,
        clock: impl Fn() -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.wall_clock = Some(Box::new(clock));
        self
    }

    /// Posts the server's events to `event_loop` instead of the default loop.
    ///
    /// ```
    /// # use esp_http_server::{EventLoop, HttpConfig, HttpEvent, ServerBuilder};
    /// let event_loop = EventLoop::new(100); // run by hand, or `EventLoop::spawn` for a thread of its own
    /// let _subscription = event_loop.on(|event: &HttpEvent| match event {
    ///     HttpEvent::OnConnected(session) => println!("session {session} is up"),
    ///     HttpEvent::Error(session, status) => println!("session {session}: {status}"),
    ///     _ => {}
    /// });
    /// # let _ =
    /// ServerBuilder::new(HttpConfig::default()).events(event_loop)
    /// # ;
    /// ```
    pub fn events(mut self, event_loop: EventLoop) -> Self {
        self.events = Events::to(event_loop);
        self
    }

    /// The engine alone, with one worker, and `net` with the transport's layer around it: for who
    /// brings a [`Net`] and calls [`Server::poll`] himself, on bare metal or in a test. It starts now,
    /// and has stopped when the [`Server`] is dropped, as far as events tell.
    ///
    /// # Errors
    ///
    /// [`Error::HandlerExists`], [`Error::HandlersFull`] or [`Error::Config`].
    pub fn engine<S, N>(self, stacks: S, net: N) -> Result<(Server<S>, T::Net<N>)>
    where
        S: Stacks,
        S::Stack: 'static,
        N: Net,
    {
        let events = self.events.clone();
        let (transport, shared) = self.share(1)?;
        let lifetime = Lifetime::begin(transport.observer(events.clone()), shared.clone());
        let server = Server::new(shared, 0, stacks, transport.observer(events), lifetime);
        Ok((server, transport.layer(net)))
    }

    /// The transport, and what `workers` workers will have in common.
    pub(crate) fn share(self, workers: usize) -> Result<(T, Arc<Shared>)> {
        let config = self.transport.http().clone();
        let routes = Routes::new(self.uri_match, config.max_uri_handlers);
        for handler in self.uri_handlers {
            routes.register(handler)?;
        }
        check(&config, workers)?;
        let layer = Layer {
            scheme: self.transport.scheme(),
            response_fields: encode_fields(self.transport.response_fields())?,
        };
        let global_transport_ctx = self.transport.global_transport_ctx();
        let (hooks, err_handlers) = (self.hooks, self.err_handlers);
        let reach =
            Reach::new(&config, &hooks, global_transport_ctx, routes, err_handlers, workers);
        let shared = Shared { config, hooks, layer, reach: Arc::new(reach) };
        Ok((self.transport, Arc::new(shared)))
    }

    /// As [`wall_clock`](Self::wall_clock), unless there is one already.
    #[cfg(feature = "std")]
    pub(crate) fn wall_clock_or(self, clock: fn() -> Option<Duration>) -> Self {
        match self.hooks.wall_clock {
            Some(_) => self,
            None => self.wall_clock(clock),
        }
    }

    #[cfg(feature = "std")]
    pub(crate) fn transport(&self) -> &T {
        &self.transport
    }
}

impl<T> fmt::Debug for ServerBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").finish_non_exhaustive()
    }
}

fn encode_fields(fields: Vec<(&'static str, String)>) -> Result<Box<[u8]>> {
    let mut encoded = Vec::new();
    for (name, value) in fields {
        encode::field(&mut encoded, name, value.as_bytes())
            .map_err(|_| Error::InvalidField(name.into()))?;
    }
    Ok(encoded.into())
}

/// The smallest stack for a handler: ESP-IDF's default, and one page.
const STACK_MIN: usize = 4096;

/// The smallest buffer of a session.
const BUFFER_MIN: usize = 1024;
/// The least memory for the sessions of a worker: enough for a few small requests.
const MEMORY_MIN: usize = 16 * 1024;

/// Refuses a configuration that can't work, by field.
fn check(config: &HttpConfig, workers: usize) -> Result {
    let problem = if config.max_open_sockets < workers {
        Some(("max_open_sockets", config.max_open_sockets, "each worker needs one at least"))
    } else if workers > usize::from(u16::MAX) {
        Some(("workers", workers, "65535 at most"))
    } else if config.work_queue_len == 0 {
        Some(("work_queue_len", 0, "nothing could be queued"))
    } else if config.max_req_hdr_len < 16 {
        Some(("max_req_hdr_len", config.max_req_hdr_len, "too short for any request"))
    } else if config.max_uri_len == 0 {
        Some(("max_uri_len", 0, "too short for any request"))
    } else if config.max_req_hdr_fields == 0 {
        Some(("max_req_hdr_fields", 0, "too few for any request"))
    } else if config.max_chunk_line_len < 16 {
        Some((
            "max_chunk_line_len",
            config.max_chunk_line_len,
            "a chunk's size has up to 16 digits",
        ))
    } else if config.recv_buffer_len < BUFFER_MIN {
        Some(("recv_buffer_len", config.recv_buffer_len, "1024 at least"))
    } else if config.send_buffer_len < BUFFER_MIN {
        Some(("send_buffer_len", config.send_buffer_len, "1024 at least"))
    } else if config.buffer_memory_of(workers) < MEMORY_MIN {
        Some(("max_buffer_memory", config.max_buffer_memory, "each worker needs 16384 at least"))
    } else if config.max_sessions_per_addr == 0 {
        Some(("max_sessions_per_addr", 0, "nobody could connect"))
    } else if config.max_requests_per_session == 0 {
        Some(("max_requests_per_session", 0, "no request could be answered"))
    } else if config.stack_size < STACK_MIN {
        Some(("stack_size", config.stack_size, "a handler needs 4096 bytes at least"))
    } else {
        keep_alive_problem(config)
    };
    match problem {
        None => Ok(()),
        Some((field, value, why)) => Err(Error::Config(alloc::format!("{field} = {value}: {why}"))),
    }
}

/// What is wrong with the settings of TCP keep-alive; the limits are Linux's.
fn keep_alive_problem(config: &HttpConfig) -> Option<(&'static str, usize, &'static str)> {
    let seconds = |time: Duration| {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        usize::try_from(seconds).unwrap_or(usize::MAX)
    };
    let (idle, interval) = (seconds(config.keep_alive_idle), seconds(config.keep_alive_interval));
    if !config.keep_alive_enable {
        None
    } else if !(1..=32_767).contains(&idle) {
        Some(("keep_alive_idle", idle, "from 1 to 32767 seconds"))
    } else if !(1..=32_767).contains(&interval) {
        Some(("keep_alive_interval", interval, "from 1 to 32767 seconds"))
    } else if !(1..=127).contains(&config.keep_alive_count) {
        Some(("keep_alive_count", config.keep_alive_count as usize, "from 1 to 127 probes"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::{String, ToString};

    fn error(config: HttpConfig) -> String {
        check(&config, 2).unwrap_err().to_string()
    }

    #[test]
    fn a_configuration_that_cannot_work_names_field_and_value() {
        assert!(check(&HttpConfig::default(), 2).is_ok());
        assert_eq!(
            error(HttpConfig { max_open_sockets: 1, ..HttpConfig::default() }),
            "max_open_sockets = 1: each worker needs one at least"
        );
        assert_eq!(
            error(HttpConfig { work_queue_len: 0, ..HttpConfig::default() }),
            "work_queue_len = 0: nothing could be queued"
        );
    }

    #[test]
    fn no_limit_may_be_so_small_that_nothing_works() {
        let with = |change: fn(&mut HttpConfig)| {
            let mut config = HttpConfig::default();
            change(&mut config);
            check(&config, 1).map_err(|error| error.to_string())
        };
        let stack =
            |size: &str| Err(format!("stack_size = {size}: a handler needs 4096 bytes at least"));
        assert_eq!(with(|config| config.stack_size = 0), stack("0"));
        assert_eq!(with(|config| config.stack_size = 4095), stack("4095"));
        assert_eq!(with(|config| config.stack_size = 4096), Ok(()));
        assert!(with(|config| config.max_req_hdr_fields = 0).is_err());
        assert_eq!(with(|config| config.max_req_hdr_fields = 1), Ok(()));
        assert!(with(|config| config.max_requests_per_session = 0).is_err());
        assert_eq!(with(|config| config.max_requests_per_session = 1), Ok(()));
        assert!(with(|config| config.max_req_hdr_len = 15).is_err());
        assert!(with(|config| config.max_uri_len = 0).is_err());
        assert!(with(|config| config.recv_buffer_len = 1023).is_err());
        assert_eq!(with(|config| config.recv_buffer_len = 1024), Ok(()));
        assert!(with(|config| config.send_buffer_len = 1023).is_err());
        assert_eq!(with(|config| config.send_buffer_len = 1024), Ok(()));
        assert!(with(|config| config.max_buffer_memory = 16_383).is_err());
        assert_eq!(with(|config| config.max_buffer_memory = 16_384), Ok(()));
        assert!(with(|config| config.max_sessions_per_addr = 0).is_err());
        assert_eq!(with(|config| config.max_sessions_per_addr = 1), Ok(()));
        assert!(with(|config| config.max_chunk_line_len = 15).is_err());
        assert_eq!(with(|config| config.max_chunk_line_len = 16), Ok(()));
    }

    #[test]
    fn tcp_keep_alive_is_checked_if_it_is_enabled() {
        let secs = Duration::from_secs;
        let with = |idle, interval, count, enable| {
            let config = HttpConfig {
                keep_alive_enable: enable,
                keep_alive_idle: idle,
                keep_alive_interval: interval,
                keep_alive_count: count,
                ..HttpConfig::default()
            };
            check(&config, 1).map_err(|error| error.to_string())
        };
        assert_eq!(with(secs(1), secs(1), 1, true), Ok(()));
        assert_eq!(with(secs(32_767), secs(32_767), 127, true), Ok(()));
        let text = "keep_alive_idle = 0: from 1 to 32767 seconds";
        assert_eq!(with(secs(0), secs(1), 1, true), Err(text.into()));
        let text = "keep_alive_idle = 32768: from 1 to 32767 seconds";
        assert_eq!(with(Duration::from_millis(32_767_001), secs(1), 1, true), Err(text.into()));
        assert!(with(secs(1), secs(0), 1, true).is_err());
        assert!(with(secs(1), secs(32_768), 1, true).is_err());
        assert!(with(secs(1), secs(1), 0, true).is_err());
        let text = "keep_alive_count = 128: from 1 to 127 probes";
        assert_eq!(with(secs(1), secs(1), 128, true), Err(text.into()));
        assert_eq!(with(secs(0), secs(0), 0, false), Ok(()));
    }

    #[test]
    fn the_first_wrong_registration_is_the_one_that_is_told() {
        let builder = ServerBuilder::new(HttpConfig::default())
            .get("/a", |_| Ok::<(), Error>(()))
            .get("/a", |_| Ok::<(), Error>(()))
            .get("no-slash", |_| Ok::<(), Error>(()));
        let error = builder.share(1).err().unwrap();
        assert_eq!(error.to_string(), "there is a handler for GET /a already");
    }
}
