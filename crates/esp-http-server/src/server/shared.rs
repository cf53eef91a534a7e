//! What the workers of one server have in common, and the handle by which others reach it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use super::config::HttpConfig;
use super::context::ServerContext;
use super::err_handlers::{ErrHandlers, err_handler};
use super::hooks::Hooks;
use super::published::Published;
use super::router::Which;
use super::routes::Routes;
use super::session::SessionId;
use super::uri_handler::UriHandler;
use super::work::{Mailbox, Order, SessionKind, Work};
use crate::error::{Error, HandlerError, Result};
use crate::handler::Request;
use crate::handler::ws::{Message, encode_message};
use crate::proto::method::Method;
use crate::proto::status::ErrorCode;

/// Everything that several workers, handles and threads see.
pub(crate) struct Shared {
    pub(crate) config: HttpConfig,
    pub(crate) hooks: Hooks,
    pub(crate) mailboxes: Box<[Mailbox]>,
    pub(crate) routes: Routes,
    pub(crate) err_handlers: Published<ErrHandlers>,
    stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        config: HttpConfig,
        hooks: Hooks,
        routes: Routes,
        err_handlers: ErrHandlers,
        workers: usize,
    ) -> Self {
        let mailboxes = (0..workers).map(|_| Mailbox::new(config.work_queue_len)).collect();
        Self {
            config,
            hooks,
            mailboxes,
            routes,
            err_handlers: Published::new(err_handlers),
            stopping: AtomicBool::new(false),
        }
    }

    pub(crate) fn global_user_ctx<T: Any>(&self) -> Option<&T> {
        self.hooks.global_user_ctx.as_ref()?.downcast_ref()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Hands something to a worker, which takes it until it stops itself.
    pub(super) fn push(&self, worker: usize, work: Work) -> Result {
        self.mailboxes.get(worker).ok_or(Error::NoSession)?.push(work)
    }
}

/// A way to reach a server from any thread, cheap to clone. It does not keep the server running.
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

impl ServerHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
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
        self.shared.mailboxes.get(session.worker())?.kind(session)
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
        let shared = self.shared.clone();
        let clients = self.list(Some(SessionKind::WebSocket)).into_iter();
        clients.map(move |session| WsClient { handle: Self::new(shared.clone()), session })
    }

    /// The WebSocket client of that session.
    pub fn ws_client(&self, session: SessionId) -> WsClient {
        WsClient { handle: self.clone(), session }
    }

    /// Sends one message to all WebSocket clients; it is encoded once.
    ///
    /// # Errors
    ///
    /// [`Error::WorkQueueFull`] if a worker could not take it; its clients then don't get it.
    pub fn ws_broadcast(&self, message: impl Into<Message>) -> Result {
        let frame: Arc<[u8]> = encode_message(&message.into()).into();
        let mut result = Ok(());
        for worker in 0..self.shared.mailboxes.len() {
            let posted = self.post(worker, Work::Broadcast(frame.clone()));
            result = result.and(posted);
        }
        result
    }

    /// Registers a URI handler (upstream's `httpd_register_uri_handler`), from any thread and also
    /// from inside a handler. Requests that arrive after this has returned find it.
    ///
    /// # Errors
    ///
    /// [`Error::HandlerExists`] if there is one for the same URI and method; names of parameters and
    /// the spelling of `?*` make no difference. [`Error::HandlersFull`] above `max_uri_handlers`,
    /// [`Error::Config`] if its URI is no template.
    pub fn register_uri_handler(&self, handler: UriHandler) -> Result {
        self.shared.routes.register(handler)
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
        self.shared.routes.unregister(uri, which)?;
        // Workers let go of what was removed, also those that have nothing else to do.
        self.shared.mailboxes.iter().for_each(Mailbox::wake);
        Ok(())
    }

    /// The server's context, if it has one of type `T` (upstream's `httpd_get_global_user_ctx`).
    pub fn global_user_ctx<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.shared.global_user_ctx()
    }

    /// Has `handler` answer errors with this code from now on (upstream's
    /// `httpd_register_err_handler`), instead of the one before; see
    /// [`ServerBuilder::err_handler`](super::ServerBuilder::err_handler). One that is under way is not
    /// disturbed.
    pub fn register_err_handler<F, E>(&self, code: ErrorCode, handler: F)
    where
        F: Fn(&mut Request<'_>, ErrorCode) -> Result<(), E> + Send + Sync + 'static,
        E: Into<HandlerError>,
    {
        let handler = err_handler(handler);
        drop(self.shared.err_handlers.change(|handlers| handlers.replace(code, Some(handler))));
    }

    /// Has the server itself answer errors with this code from now on (upstream's
    /// `httpd_register_err_handler` with a null pointer).
    pub fn unregister_err_handler(&self, code: ErrorCode) {
        drop(self.shared.err_handlers.change(|handlers| handlers.replace(code, None)));
    }

    /// Stops the server: no new sessions; work that was queued is done; idle sessions close; requests
    /// that are under way have `stop_timeout` to finish. Returns at once, from wherever it is called.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.mailboxes.iter().for_each(Mailbox::wake);
    }

    /// Whether the server was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping()
    }

    fn list(&self, kind: Option<SessionKind>) -> Vec<SessionId> {
        let mut sessions = Vec::new();
        for mailbox in &self.shared.mailboxes {
            mailbox.list(kind, &mut sessions);
        }
        sessions
    }

    pub(crate) fn post(&self, worker: usize, work: Work) -> Result {
        if self.shared.is_stopping() {
            return Err(Error::Stopping);
        }
        self.shared.push(worker, work)
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = self.shared.mailboxes.len();
        f.debug_struct("ServerHandle").field("workers", &workers).finish_non_exhaustive()
    }
}

/// One WebSocket client, reachable from any thread for as long as it is connected. When it has left
/// it says so; it never means another client.
#[derive(Clone, Debug)]
pub struct WsClient {
    handle: ServerHandle,
    session: SessionId,
}

impl WsClient {
    /// The client's session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Queues a message for the client (upstream's `httpd_ws_send_data_async`). Messages from
    /// several threads never mix. A client that has more than `ws_queue_len` bytes waiting is
    /// closed: it does not read.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if the client has left, [`Error::WorkQueueFull`].
    pub fn send(&self, message: impl Into<Message>) -> Result {
        self.check()?;
        let frame = encode_message(&message.into()).into();
        self.handle.post(self.session.worker(), Work::For(self.session, Order::Frame(frame)))
    }

    /// Closes the client's session.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if the client has left, [`Error::WorkQueueFull`].
    pub fn close(&self) -> Result {
        self.check()?;
        self.handle.close(self.session)
    }

    fn check(&self) -> Result {
        match self.handle.session_kind(self.session) {
            Some(SessionKind::WebSocket) => Ok(()),
            Some(_) => Err(Error::NotWebSocket),
            None => Err(Error::NoSession),
        }
    }
}
