//! What a server's handles reach, and what is left of it once it has ended.
//!
//! What the application gives a server may hold a handle of that server: a handler that sends to all
//! WebSockets, a context that queues work. So a handle owns nothing of it, or the two would keep each
//! other for ever. The workers own it (`Shared`); what handles can change and the workers read stands
//! here, and [`Reach::close`] empties it when the last worker has gone. From then on there is an error
//! for whoever asks for something.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicBool, Ordering};

use super::config::HttpConfig;
use super::err_handlers::ErrHandlers;
use super::hooks::Hooks;
use super::published::Published;
use super::routes::Routes;
use super::work::{Mailbox, Work};
use crate::error::{Error, Result};
use crate::handler::WsQueuePolicy;

/// What a handle reaches.
pub(crate) struct Reach {
    pub(crate) mailboxes: Box<[Mailbox]>,
    pub(crate) routes: Routes,
    pub(crate) err_handlers: Published<ErrHandlers>,
    /// Bytes that may wait for a WebSocket client before a message for it is refused, if it is.
    pub(super) ws_queue_limit: Option<usize>,
    pub(super) global_transport_ctx: Option<Arc<dyn Any + Send + Sync>>,
    /// The hooks have it.
    global_user_ctx: Option<Weak<dyn Any + Send + Sync>>,
    stopping: AtomicBool,
}

impl Reach {
    pub(super) fn new(
        config: &HttpConfig,
        hooks: &Hooks,
        global_transport_ctx: Option<Arc<dyn Any + Send + Sync>>,
        routes: Routes,
        err_handlers: ErrHandlers,
        workers: usize,
    ) -> Self {
        let refuses = config.ws_queue_policy == WsQueuePolicy::Refuse;
        Self {
            mailboxes: (0..workers).map(|_| Mailbox::new(config.work_queue_len)).collect(),
            routes,
            err_handlers: Published::new(err_handlers),
            ws_queue_limit: refuses.then_some(config.ws_queue_len),
            global_transport_ctx,
            global_user_ctx: hooks.global_user_ctx.as_ref().map(Arc::downgrade),
            stopping: AtomicBool::new(false),
        }
    }

    pub(super) fn global_user_ctx<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.global_user_ctx.as_ref()?.upgrade()?.downcast().ok()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.mailboxes.iter().for_each(Mailbox::wake);
    }

    /// Hands something to a worker, which takes it until it stops itself.
    pub(super) fn push(&self, worker: usize, work: Work) -> Result {
        self.mailboxes.get(worker).ok_or(Error::NoSession)?.push(work)
    }

    /// Lets go of all that is the application's: the last worker has gone. What is dropped may use the
    /// server, and is refused.
    pub(super) fn close(&self) {
        self.stopping.store(true, Ordering::Release);
        // Those of workers that have never begun.
        self.mailboxes.iter().for_each(Mailbox::abandon);
        let (router, err_handlers) =
            (self.routes.close(), self.err_handlers.close(ErrHandlers::default()));
        // Otherwise a thread has it that is about to register a handler, and is refused.
        if let Some(router) = Arc::into_inner(router) {
            router.release();
        }
        err_handlers.release();
    }
}
