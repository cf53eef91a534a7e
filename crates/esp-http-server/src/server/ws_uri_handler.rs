//! What an application registers for WebSockets: a function for their messages, and what their opening
//! handshake agrees to.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;

use super::uri_handler::{Handler, UriHandler};
use crate::error::{Error, HandlerError, Result};
use crate::handler::{ControlFrames, Request, WsRequest};
use crate::proto::field;
use crate::proto::method::Method;
#[cfg(feature = "deflate")]
use crate::proto::ws::deflate::DeflateConfig;
use crate::proto::ws::handshake::OriginPolicy;

/// A URI handler for WebSockets (upstream's `httpd_uri_t` with `is_websocket`), made by
/// [`UriHandler::ws`]. It becomes a [`UriHandler`] when it is registered.
///
/// ```
/// use esp_http_server::{
///     Error, HttpConfig, OriginPolicy, Request, Result, ServerBuilder, Status, UriHandler, WsRequest,
/// };
///
/// fn echo(ws: &mut WsRequest) -> Result {
///     let message = ws.message(4096)?;
///     ws.send(message)
/// }
///
/// fn only_known(req: &mut Request) -> Result {
///     match req.cookie("session") {
///         Some("4711") => Ok(()),
///         _ => Err(Error::Refused(Status::UNAUTHORIZED, "log in first".into())),
///     }
/// }
///
/// # let _ =
/// ServerBuilder::new(HttpConfig::default()).uri_handler(
///     UriHandler::ws("/ws", echo)
///         .subprotocols(["v2.example", "v1.example"])
///         .origin(OriginPolicy::List(vec!["https://app.example.org".parse()?]))
///         .ws_pre_handshake(only_known)
///         .ws_post_handshake(|ws| ws.send("welcome")),
/// )
/// # ;
/// # Ok::<(), Error>(())
/// ```
pub struct WsUriHandler(UriHandler, WsRoute);

/// What is registered for WebSockets of one URI.
pub(crate) struct WsRoute {
    pub(super) handler: Box<WsHandler>,
    pub(super) subprotocols: Vec<Box<str>>,
    pub(super) origin: OriginPolicy,
    pub(super) pre_handshake: Option<Box<PreHandshake>>,
    pub(super) post_handshake: Option<Box<WsHandler>>,
    pub(super) control_frames: ControlFrames,
    #[cfg(feature = "deflate")]
    pub(super) deflate: Option<DeflateConfig>,
}

type WsHandler = dyn Fn(&mut WsRequest<'_>) -> Result<(), HandlerError> + Send + Sync;
type PreHandshake = dyn Fn(&mut Request<'_>) -> Result<(), HandlerError> + Send + Sync;

impl WsUriHandler {
    pub(super) fn new<F, E>(uri: &str, handler: F) -> Self
    where
        F: Fn(&mut WsRequest<'_>) -> Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        let nothing: Box<PreHandshake> = Box::new(|_| Ok(()));
        let base = UriHandler::with(Some(Method::Get), uri, Handler::Http(nothing));
        let route = WsRoute {
            handler: Box::new(move |ws| handler(ws).map_err(Into::into)),
            subprotocols: Vec::new(),
            origin: OriginPolicy::default(),
            pre_handshake: None,
            post_handshake: None,
            control_frames: ControlFrames::default(),
            #[cfg(feature = "deflate")]
            deflate: None,
        };
        Self(base, route)
    }

    /// The subprotocols that are spoken here, in order of preference (upstream's
    /// `supported_subprotocol`). The first one that a client offers, in exactly that spelling, is
    /// agreed on; [`WsRequest::subprotocol`] says which. With a client that offers none of them the
    /// WebSocket is opened without one, as RFC 6455 has it (section 4.2.2).
    ///
    /// A name that is no token is [`Error::Config`] at registration.
    pub fn subprotocols<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        self.1.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Which web pages may open WebSockets here; others are refused with 403. Without this it is pages
    /// of the same host.
    pub fn origin(mut self, policy: OriginPolicy) -> Self {
        self.1.origin = policy;
        self
    }

    /// Calls `hook` before every handshake that is otherwise in order (upstream's
    /// `ws_pre_handshake_cb`): to authenticate the client, say.
    ///
    /// It runs as any handler does and may wait. With `Ok` the WebSocket is opened. It refuses by an
    /// error, such as [`Error::Refused`] with the status that the client is to see, or by answering
    /// the request itself, after which the session goes on with HTTP. What it gives to the session
    /// ([`Request::set_session_ctx`]) the messages' handler finds there.
    pub fn ws_pre_handshake<F, E>(mut self, hook: F) -> Self
    where
        F: Fn(&mut Request<'_>) -> Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        self.1.pre_handshake = Some(Box::new(move |request| hook(request).map_err(Into::into)));
        self
    }

    /// Calls `hook` once for every WebSocket behind its handshake, before its first message is looked
    /// at (upstream's `ws_post_handshake_cb`): to greet the client, say. It runs as the handler of a
    /// message does, and closes the WebSocket by an error as that does.
    pub fn ws_post_handshake<F, E>(mut self, hook: F) -> Self
    where
        F: Fn(&mut WsRequest<'_>) -> Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        self.1.post_handshake = Some(Box::new(move |ws| hook(ws).map_err(Into::into)));
        self
    }

    /// Compresses messages with clients that can (`permessage-deflate`, RFC 7692), and takes
    /// compressed ones. They are not by default: it costs time for every message, and where a message
    /// mixes secrets with text of others' choosing its length gives the secrets away. What it costs in
    /// memory, [`DeflateConfig`] decides; its default keeps nothing between messages.
    ///
    /// A message's limit holds for what it inflates to. What is no shorter for it is sent as it is.
    /// What [`WsClient`](super::WsClient) and broadcasts send is compressed in
    /// the server, a broadcast once per worker and size of window, for all clients without context
    /// takeover; those with it need a compression each.
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, config: DeflateConfig) -> Self {
        self.1.deflate = Some(config);
        self
    }

    /// Who deals with pings, pongs and closes (upstream's `handle_ws_control_frames`); the server
    /// does by default.
    pub fn control_frames(mut self, whose: ControlFrames) -> Self {
        self.1.control_frames = whose;
        self
    }

    /// Gives the handler a context; see [`UriHandler::user_ctx`].
    pub fn user_ctx<T: Any + Send + Sync>(mut self, ctx: T) -> Self {
        self.0 = self.0.user_ctx(ctx);
        self
    }
}

impl From<WsUriHandler> for UriHandler {
    fn from(WsUriHandler(mut handler, route): WsUriHandler) -> Self {
        handler.handler = Handler::WebSocket(Box::new(route));
        handler
    }
}

impl WsRoute {
    /// Refuses what could never be said in a handshake.
    pub(super) fn check(&self) -> Result {
        let mut names = self.subprotocols.iter();
        match names.find(|name| !field::is_token(name.as_bytes())) {
            Some(name) => Err(Error::Config(format!("the subprotocol {name:?} is no token"))),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for WsUriHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WsUriHandler({:?}, {:?})", self.0.uri, self.1.subprotocols)
    }
}
