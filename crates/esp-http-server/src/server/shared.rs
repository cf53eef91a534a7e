//! What the workers of one server have in common, and the handle by which others reach it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use super::config::HttpConfig;
use super::context::ServerContext;
use super::err_handlers::{ErrHandlers, err_handler};
use super::published::Published;
use super::router::Router;
use super::session::SessionId;
use super::work::{Mailbox, SessionKind, Work};
use crate::error::{Error, HandlerError, Result};
use crate::handler::Request;
use crate::handler::ws::{KeepAlive, Message, encode_message};
use crate::proto::status::ErrorCode;

/// Everything that several workers, handles and threads see.
pub(crate) struct Shared {
    pub(crate) config: HttpConfig,
    pub(crate) hooks: Hooks,
    pub(crate) mailboxes: Box<[Mailbox]>,
    pub(crate) router: Router,
    pub(crate) err_handlers: Published<ErrHandlers>,
    stopping: AtomicBool,
}

/// What the application wants to be told of, or done, for every session.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) open: Option<SessionHook>,
    pub(crate) close: Option<SessionHook>,
    pub(crate) ws_keep_alive: Option<KeepAlive>,
}

pub(crate) type SessionHook = Box<dyn Fn(SessionId) + Send + Sync>;

impl Shared {
    pub(crate) fn new(
        config: HttpConfig,
        hooks: Hooks,
        router: Router,
        err_handlers: ErrHandlers,
        workers: usize,
    ) -> Self {
        let mailboxes = (0..workers).map(|_| Mailbox::new(config.work_queue_len)).collect();
        Self {
            config,
            hooks,
            mailboxes,
            router,
            err_handlers: Published::new(err_handlers),
            stopping: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
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
    /// run one after the other in the order in which they were queued.
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
    /// [`Error::NoSession`] if it has ended already; [`Error::WorkQueueFull`].
    pub fn close(&self, session: SessionId) -> Result {
        self.session_kind(session).ok_or(Error::NoSession)?;
        self.post(session.worker(), Work::Close(session))
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
            let posted = self.post(worker, Work::Frame { to: None, frame: frame.clone() });
            result = result.and(posted);
        }
        result
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

    /// Stops the server: no new sessions; idle ones close; requests that are under way have
    /// `stop_timeout` to finish. Returns at once, from wherever it is called.
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
        self.shared.mailboxes.get(worker).ok_or(Error::NoSession)?.push(work)
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
        self.handle.post(self.session.worker(), Work::Frame { to: Some(self.session), frame })
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
