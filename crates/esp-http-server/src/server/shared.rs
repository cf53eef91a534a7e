//! What the workers of one server have in common, and the handle by which others reach it. What that
//! reaches: `reach.rs`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;

use super::config::HttpConfig;
use super::context::ServerContext;
use super::err_handlers::err_handler;
use super::hooks::Hooks;
use super::reach::Reach;
use super::router::Which;
use super::session::SessionId;
use super::uri_handler::UriHandler;
use super::work::{Mailbox, Order, SessionKind, Work};
use super::ws_client::WsClient;
use crate::error::{Error, HandlerError, Result};
use crate::handler::ws::{Completion, Outgoing};
use crate::handler::{Message, Request};
use crate::proto::method::Method;
use crate::proto::status::ErrorCode;
use crate::proto::ws::handshake::Scheme;

/// Everything that several workers see, and the connections they have handed to other threads. It
/// ends with the last of these.
pub(crate) struct Shared {
    pub(crate) config: HttpConfig,
    pub(crate) hooks: Hooks,
    pub(crate) layer: Layer,
    /// What handles see of it.
    pub(crate) reach: Arc<Reach>,
}

/// What the layer below HTTP has said of the server as a whole.
pub(crate) struct Layer {
    /// What a browser calls it.
    pub(crate) scheme: Scheme,
    /// Encoded header fields that every final response has.
    pub(crate) response_fields: Box<[u8]>,
}

impl Shared {
    pub(crate) fn global_user_ctx<T: Any>(&self) -> Option<&T> {
        self.hooks.global_user_ctx.as_ref()?.downcast_ref()
    }
}

/// A way to reach a server from any thread, cheap to clone. It does not keep the server running, nor
/// anything that the application has given it: handlers, hooks, contexts and work may hold one of their
/// own server. Once that has ended there are no sessions, and what is asked of it is
/// [`Error::Stopping`].
#[derive(Clone)]
pub struct ServerHandle {
    reach: Arc<Reach>,
}

impl ServerHandle {
    pub(crate) fn new(reach: Arc<Reach>) -> Self {
        Self { reach }
    }

    /// Runs `work` in the server (upstream's `httpd_queue_work`), in the first worker. Work items
    /// run one after the other in the order in which they were queued, between two requests.
    ///
    /// This never waits, so it can be called from anywhere: any thread, a handler, a hook, another
    /// work function. What was queued runs: `stop` first has it done, and then closes sessions. Only
    /// a server that is dropped without having been stopped, or whose worker panics, drops it.
    ///
    /// # Errors
    ///
    /// [`Error::WorkQueueFull`] above `work_queue_len`, [`Error::Stopping`] once the server stops.
    pub fn queue_work(&self, work: impl FnOnce(&mut ServerContext<'_>) + Send + 'static) -> Result {
        self.post(0, Work::Run(Box::new(work)))
    }

    /// Runs `work` in the worker that serves `session`, as [`queue_work`](Self::queue_work) does.
    ///
    /// # Errors
    ///
    /// Those of `queue_work`.
    pub fn queue_work_for(
        &self,
        session: SessionId,
        work: impl FnOnce(&mut ServerContext<'_>) + Send + 'static,
    ) -> Result {
        self.post(session.worker(), Work::Run(Box::new(work)))
    }

    /// The sessions that are open now (upstream's `httpd_get_client_list`).
    pub fn clients(&self) -> Vec<SessionId> {
        self.list(None)
    }

    /// What the session speaks; `None` if it has ended (upstream's `httpd_ws_get_fd_info`).
    pub fn session_kind(&self, session: SessionId) -> Option<SessionKind> {
        self.reach.mailboxes.get(session.worker())?.kind(session)
    }

    /// Closes a session (upstream's `httpd_sess_trigger_close`). A request that is being served is
    /// cut off.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it has ended already; [`Error::WorkQueueFull`], [`Error::Stopping`].
    pub fn close(&self, session: SessionId) -> Result {
        self.session_kind(session).ok_or(Error::NoSession)?;
        self.post(session.worker(), Work::For(session, Order::Close))
    }

    /// Makes a session the most recently used one (upstream's `httpd_sess_update_lru_counter`): when
    /// the table is full, others are closed before it. Requests and WebSocket messages do the same.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it has ended already; [`Error::WorkQueueFull`], [`Error::Stopping`].
    pub fn touch(&self, session: SessionId) -> Result {
        self.session_kind(session).ok_or(Error::NoSession)?;
        self.post(session.worker(), Work::For(session, Order::Touch))
    }

    /// The WebSocket clients that are connected now.
    pub fn ws_clients(&self) -> impl Iterator<Item = WsClient> + use<> {
        let reach = self.reach.clone();
        let clients = self.list(Some(SessionKind::WebSocket)).into_iter();
        clients.map(move |session| WsClient::new(Self::new(reach.clone()), session))
    }

    /// The WebSocket client of that session.
    pub fn ws_client(&self, session: SessionId) -> WsClient {
        WsClient::new(self.clone(), session)
    }

    /// Sends one message to all WebSocket clients; it is encoded once. With compression it is
    /// compressed once more per worker, for all clients that share a compression: see
    /// [`WsUriHandler::deflate`](super::WsUriHandler::deflate).
    ///
    /// A client that has more than `ws_queue_len` bytes waiting is treated as
    /// [`ws_queue_policy`](HttpConfig::ws_queue_policy) has it.
    ///
    /// # Errors
    ///
    /// [`Error::WorkQueueFull`] if a worker could not take it; its clients then don't get it.
    pub fn ws_broadcast(&self, message: impl Into<Message>) -> Result {
        self.broadcast(None, &message.into())
    }

    /// As [`ws_broadcast`](Self::ws_broadcast), to the clients that came to one URI: `uri` is that of
    /// the handler, as it was registered.
    ///
    /// # Errors
    ///
    /// Those of `ws_broadcast`. That there are no such clients is no error.
    pub fn ws_broadcast_to(&self, uri: &str, message: impl Into<Message>) -> Result {
        self.broadcast(Some(uri.into()), &message.into())
    }

    fn broadcast(&self, uri: Option<Arc<str>>, message: &Message) -> Result {
        let message = Arc::new(Outgoing::new(message));
        let mut result = Ok(());
        for worker in 0..self.reach.mailboxes.len() {
            let posted = self.post(worker, Work::Broadcast(message.clone(), uri.clone()));
            result = result.and(posted);
        }
        result
    }

    /// Has a message sent to a WebSocket client, if it is one and may have more waiting. If it is
    /// refused, nobody was told.
    pub(super) fn ws_post(
        &self,
        session: SessionId,
        message: &Message,
        done: Option<Completion>,
    ) -> Result<(), (Error, Option<Completion>)> {
        let message = Arc::new(Outgoing::new(message));
        let len = message.frame().len();
        let mailbox = match self.admit(session, &message) {
            Ok(mailbox) => mailbox,
            Err(error) => return Err((error, done)),
        };
        let work = Work::For(session, Order::Message(message, done));
        let posted = match self.reach.is_stopping() {
            true => Err((Error::Stopping, work)),
            false => mailbox.try_push(work),
        };
        posted.map_err(|(error, work)| {
            mailbox.settle(session, len);
            match work {
                Work::For(_, Order::Message(_, done)) => (error, done),
                _ => (error, None),
            }
        })
    }

    /// Weighs a message against what waits for the client already, where the policy is to refuse.
    pub(super) fn admit(&self, session: SessionId, message: &Outgoing) -> Result<&Mailbox> {
        let mailbox = self.reach.mailboxes.get(session.worker()).ok_or(Error::NoSession)?;
        mailbox.admit(session, message.frame().len(), self.reach.ws_queue_limit)?;
        Ok(mailbox)
    }

    /// Registers a URI handler (upstream's `httpd_register_uri_handler`), from any thread and also
    /// from inside a handler. Requests that arrive after this has returned find it.
    ///
    /// # Errors
    ///
    /// [`Error::HandlerExists`] if there is one for the same URI and method; names of parameters and
    /// the spelling of `?*` make no difference. [`Error::HandlersFull`] above `max_uri_handlers`,
    /// [`Error::Config`] if its URI is no template, [`Error::Stopping`] if the server has ended.
    pub fn register_uri_handler(&self, handler: impl Into<UriHandler>) -> Result {
        self.reach.routes.register(handler.into())
    }

    /// Removes the handler that was registered for this URI, as it was written there, and this
    /// method; `None` is the one for any method (upstream's `httpd_unregister_uri_handler`).
    ///
    /// Requests that arrive after this has returned don't find it. Where it is under way it runs to
    /// its end, and a WebSocket that was opened goes on; behind the last of these it is dropped, with
    /// its context. So a handler may remove itself.
    ///
    /// # Errors
    ///
    /// [`Error::NoHandler`].
    pub fn unregister_uri_handler(&self, method: impl Into<Option<Method>>, uri: &str) -> Result {
        self.unregister(uri, Which::For(method.into()))
    }

    /// Removes the handlers for all methods of this URI (upstream's `httpd_unregister_uri`); see
    /// [`unregister_uri_handler`](Self::unregister_uri_handler).
    ///
    /// # Errors
    ///
    /// [`Error::NoHandler`] if there is none.
    pub fn unregister_uri(&self, uri: &str) -> Result {
        self.unregister(uri, Which::All)
    }

    fn unregister(&self, uri: &str, which: Which) -> Result {
        self.reach.routes.unregister(uri, which)?;
        // Workers let go of what was removed, also those that have nothing else to do.
        self.reach.mailboxes.iter().for_each(Mailbox::wake);
        Ok(())
    }

    /// The server's context, if it has one of type `T` (upstream's `httpd_get_global_user_ctx`). Once
    /// the server has ended it is there only for as long as somebody has it from here.
    pub fn global_user_ctx<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.reach.global_user_ctx()
    }

    /// What the transport layer says of the server as a whole, if it says something of type `T`
    /// (upstream's `httpd_get_global_transport_ctx`).
    pub fn global_transport_ctx<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.reach.global_transport_ctx.as_ref()?.downcast_ref()
    }

    /// Has `handler` answer errors with this code from now on (upstream's
    /// `httpd_register_err_handler`), instead of the one before; see
    /// [`ServerBuilder::err_handler`](super::ServerBuilder::err_handler). One that is under way is not
    /// disturbed. A server that has ended drops it at once.
    pub fn register_err_handler<F, E>(&self, code: ErrorCode, handler: F)
    where
        F: Fn(&mut Request<'_>, ErrorCode) -> Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        let handler = err_handler(handler);
        let err_handlers = &self.reach.err_handlers;
        drop(err_handlers.change(|handlers| handlers.replace(code, Some(handler.clone()))));
    }

    /// Has the server itself answer errors with this code from now on (upstream's
    /// `httpd_register_err_handler` with a null pointer).
    pub fn unregister_err_handler(&self, code: ErrorCode) {
        drop(self.reach.err_handlers.change(|handlers| handlers.replace(code, None)));
    }

    /// Stops the server: no new sessions; work that was queued is done; idle sessions close; requests
    /// that are under way have `stop_timeout` to finish. Returns at once, from wherever it is called.
    pub fn stop(&self) {
        self.reach.stop();
    }

    /// Whether the server was told to stop, or has ended.
    pub fn is_stopping(&self) -> bool {
        self.reach.is_stopping()
    }

    fn list(&self, kind: Option<SessionKind>) -> Vec<SessionId> {
        let mut sessions = Vec::new();
        for mailbox in &self.reach.mailboxes {
            mailbox.list(kind, &mut sessions);
        }
        sessions
    }

    pub(crate) fn post(&self, worker: usize, work: Work) -> Result {
        if self.reach.is_stopping() {
            return Err(Error::Stopping);
        }
        self.reach.push(worker, work)
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = self.reach.mailboxes.len();
        f.debug_struct("ServerHandle").field("workers", &workers).finish_non_exhaustive()
    }
}
