//! What the application has the server call for every session, and its context.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::any::Any;

use super::conn::Conn;
use super::context::OpenSession;
use super::date::WallClock;
use super::session::SessionId;
use crate::error::HandlerError;
use crate::handler::{KeepAlive, WsClosed, contain};

/// What the application wants to be told of, done for every session, or brings itself.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) open: Option<OpenHook>,
    pub(crate) close: Option<CloseHook>,
    pub(crate) ws_close: Option<WsCloseHook>,
    pub(crate) ws_keep_alive: Option<KeepAlive>,
    pub(crate) wall_clock: Option<WallClock>,
    pub(crate) global_user_ctx: Option<Arc<dyn Any + Send + Sync>>,
}

pub(crate) type OpenHook =
    Box<dyn Fn(&mut OpenSession<'_>) -> Result<(), HandlerError> + Send + Sync>;
pub(crate) type CloseHook = Box<dyn Fn(SessionId) + Send + Sync>;
pub(crate) type WsCloseHook = Box<dyn Fn(SessionId, WsClosed) + Send + Sync>;

impl Hooks {
    /// Asks the application whether it wants the session that has just opened. A hook that panics
    /// has not agreed.
    pub(super) fn admit(&self, conn: &mut Conn) -> bool {
        let Some(hook) = &self.open else { return true };
        let id = conn.id;
        let admitted = contain(|| match hook(&mut OpenSession { conn }) {
            Ok(()) => true,
            Err(error) => {
                log::info!("session {id}: refused: {error}");
                false
            }
        });
        if admitted.is_none() {
            log::error!("session {id}: refused: the hook on_open panicked");
        }
        admitted.unwrap_or(false)
    }

    /// Tells the application how a WebSocket has ended.
    pub(super) fn tell_ws_closed(&self, id: SessionId, closed: WsClosed) {
        if let Some(hook) = &self.ws_close
            && contain(|| hook(id, closed)).is_none()
        {
            log::error!("session {id}: the hook on_ws_close panicked");
        }
    }

    /// Tells the application that a session has ended.
    pub(super) fn tell_closed(&self, id: SessionId) {
        if let Some(hook) = &self.close
            && contain(|| hook(id)).is_none()
        {
            log::error!("session {id}: the hook on_close panicked");
        }
    }
}

impl Drop for Hooks {
    /// With the last worker, or the last detached request: a panic in one of them ends nothing else.
    /// The context goes last, because the hooks may use it.
    fn drop(&mut self) {
        let Self { open, close, ws_close, ws_keep_alive: _, wall_clock, global_user_ctx } = self;
        let dropped = [
            contain(|| drop(open.take())),
            contain(|| drop(close.take())),
            contain(|| drop(ws_close.take())),
            contain(|| drop(wall_clock.take())),
            contain(|| drop(global_user_ctx.take())),
        ];
        if dropped.contains(&None) {
            log::error!("a hook or the server's context panicked when it was dropped");
        }
    }
}
