//! What an application registers: a function, and which requests it is for.

use alloc::boxed::Box;
use core::any::Any;
use core::fmt;

use super::ws_uri_handler::{WsRoute, WsUriHandler};
use crate::error::HandlerError;
use crate::handler::{Request, WsRequest};
use crate::proto::method::Method;
use crate::proto::uri::template::parameter;

/// A URI handler (upstream's `httpd_uri_t`): the requests it is for, the function that serves them in
/// plain blocking style, and a context for it.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use esp_http_server::{HttpConfig, Method, Request, Result, ServerBuilder, UriHandler};
///
/// fn visit(req: &mut Request) -> Result {
///     let visits = req.user_ctx::<AtomicU32>().map(|visits| visits.fetch_add(1, Ordering::Relaxed));
///     let text = format!("hello {}, after {visits:?} visits\n", req.param("name")?);
///     req.respond().content_type("text/plain").send(text)
/// }
///
/// # let _ =
/// ServerBuilder::new(HttpConfig::default())
///     .uri_handler(UriHandler::new(Method::Get, "/hello/{name}", visit).user_ctx(AtomicU32::new(0)))
/// # ;
/// ```
///
/// # URIs
///
/// A request's path, without its query, is compared with the handlers' URIs. Each is one of these, or
/// a mix of the last two:
///
/// | URI | matches |
/// |---|---|
/// | `/status` | just this path |
/// | `/users/{id}`, `/users/{id}/posts/{post}` | any text but none as a segment, which [`Request::param`] gives |
/// | `/files/*` | everything that begins with `/files/`; `*` alone is everything |
/// | `/files/?` | `/files` and `/files/`: the character before the `?` is optional |
/// | `/files/?*` | `/files`, and everything that begins with `/files/` |
///
/// The wildcards are upstream's (`httpd_uri_match_wildcard`): they stand at the end only, and need no
/// match function here. A `*` elsewhere means itself. What can't be a template, such as `/a{id}` or
/// `/a?b`, is [`Error::Config`](crate::Error::Config) at registration.
///
/// **The most specific URI wins, whichever was registered first.** From left to right, in the first
/// segment in which they differ, literal text goes before a parameter, and that before a segment with
/// a wildcard. So `/users/me` wins over `/users/{id}`, that over `/users/*`, and `/files/*` over
/// `/{user}/{repository}`. Of two wildcards in the same segment the one behind more text wins.
///
/// **Methods.** A URI may have one handler for each method, and one for [any](Self::any) that has none
/// of its own. If the most specific URI does not serve the request's method, the next one that
/// matches is asked. Without one that does, it is 405 with `Allow`, and without any that matches, 404;
/// error handlers may answer those. The server answers HEAD by the handler for GET, without the body,
/// and OPTIONS, also of `*`, by 204 with `Allow`, unless a handler is registered for these.
///
/// **Paths are compared as they were sent**, percent-encoded. A URI with a space in it is written
/// `/a%20b`, and a client that encodes what it need not, `/%61%20b`, does not mean it. `%2F` separates
/// no segments: it is a part of one, and so [`Request::param`], which decodes, may give text with `/`,
/// `..` and whatever else in it. Check it before you make a file name of it.
///
/// A server with a [match function](crate::ServerBuilder::uri_match) of its own knows none of this:
/// there, URIs mean what that function makes of them.
pub struct UriHandler {
    pub(super) uri: Box<str>,
    /// `None` is any method.
    pub(super) method: Option<Method>,
    pub(super) handler: Handler,
    user_ctx: Option<Box<dyn Any + Send + Sync>>,
    /// Known once it is registered.
    pub(super) has_parameters: bool,
}

/// The function of a URI handler.
pub(super) enum Handler {
    Http(Box<HttpHandler>),
    WebSocket(Box<WsRoute>),
}

type HttpHandler = dyn Fn(&mut Request<'_>) -> Result<(), HandlerError> + Send + Sync;

impl UriHandler {
    /// A handler for requests with `method` to `uri`.
    pub fn new<F, E>(method: Method, uri: &str, handler: F) -> Self
    where
        F: Fn(&mut Request<'_>) -> Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        Self::http(Some(method), uri, handler)
    }

    /// A handler for requests to `uri` with any method that has no handler of its own (upstream's
    /// `HTTP_ANY`).
    pub fn any<F, E>(uri: &str, handler: F) -> Self
    where
        F: Fn(&mut Request<'_>) -> Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        Self::http(None, uri, handler)
    }

    /// A handler for the messages of WebSockets that are opened at `uri` (upstream's `is_websocket`),
    /// which is done by a GET request. What is agreed on in the handshake [`WsUriHandler`] says.
    pub fn ws<F, E>(uri: &str, handler: F) -> WsUriHandler
    where
        F: Fn(&mut WsRequest<'_>) -> Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        WsUriHandler::new(uri, handler)
    }

    /// Gives the handler a context of any type (upstream's `user_ctx`), in place of the one before.
    /// [`Request::user_ctx`] and [`WsRequest::user_ctx`] give it to the function, and to an error
    /// handler that answers for it. It is dropped when the handler was unregistered, or the server is
    /// gone, and nothing runs that has it.
    pub fn user_ctx<T: Any + Send + Sync>(mut self, ctx: T) -> Self {
        self.user_ctx = Some(Box::new(ctx));
        self
    }

    fn http<F, E>(method: Option<Method>, uri: &str, handler: F) -> Self
    where
        F: Fn(&mut Request<'_>) -> Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        let handler = move |request: &mut Request<'_>| handler(request).map_err(Into::into);
        Self::with(method, uri, Handler::Http(Box::new(handler)))
    }

    pub(super) fn with(method: Option<Method>, uri: &str, handler: Handler) -> Self {
        Self { uri: uri.into(), method, handler, user_ctx: None, has_parameters: false }
    }

    /// What concerns its WebSockets, if they are what it is for.
    pub(super) fn ws_route(&self) -> Option<&WsRoute> {
        match &self.handler {
            Handler::Http(_) => None,
            Handler::WebSocket(route) => Some(route),
        }
    }

    /// One of its subprotocols, by its place among them.
    pub(crate) fn subprotocol(&self, number: u16) -> Option<&str> {
        self.ws_route()?.subprotocols.get(usize::from(number)).map(|name| &**name)
    }

    pub(crate) fn context<T: Any>(&self) -> Option<&T> {
        self.user_ctx.as_ref()?.downcast_ref()
    }

    /// What stands for a parameter of the URI in a path that matches.
    pub(crate) fn param<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        self.has_parameters.then(|| parameter(&self.uri, name, path))?
    }
}

impl fmt::Debug for UriHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.map_or("any", Method::as_str);
        let protocol = match self.handler {
            Handler::Http(_) => "HTTP",
            Handler::WebSocket(_) => "WebSocket",
        };
        write!(f, "UriHandler({method} {}, {protocol})", self.uri)
    }
}
