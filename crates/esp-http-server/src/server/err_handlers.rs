//! Who answers errors: the application's error handlers, one per code.

use alloc::sync::Arc;

use crate::error::HandlerError;
use crate::handler::{Request, contain};
use crate::proto::status::ErrorCode;

/// An error handler (upstream's `httpd_err_handler_func_t`), in plain blocking style.
pub(crate) type ErrHandler =
    dyn Fn(&mut Request<'_>, ErrorCode) -> core::result::Result<(), HandlerError> + Send + Sync;

/// The error handlers of a server, by the number of their code.
#[derive(Clone, Default)]
pub(crate) struct ErrHandlers([Option<Arc<ErrHandler>>; ErrorCode::ALL.len()]);

impl ErrHandlers {
    /// Puts `handler`, or none, in the place of the one that it gives back.
    #[must_use = "dropping a handler runs code of the application's, which must not happen in a lock"]
    pub(crate) fn replace(
        &mut self,
        code: ErrorCode,
        handler: Option<Arc<ErrHandler>>,
    ) -> Option<Arc<ErrHandler>> {
        core::mem::replace(&mut self.0[code as usize], handler)
    }

    /// Drops them one by one: none of them takes others along if it panics.
    pub(crate) fn release(self) {
        for handler in self.0.into_iter().flatten() {
            if contain(|| drop(handler)).is_none() {
                log::error!("an error handler panicked when it was dropped");
            }
        }
    }

    pub(crate) fn of(&self, code: ErrorCode) -> Option<&Arc<ErrHandler>> {
        self.0[code as usize].as_ref()
    }
}

/// Makes an error handler of a function that may have an error type of its own.
pub(crate) fn err_handler<F, E>(handler: F) -> Arc<ErrHandler>
where
    F: Fn(&mut Request<'_>, ErrorCode) -> core::result::Result<(), E> + Send + Sync + 'static,
    E: Into<HandlerError>,
{
    Arc::new(move |request: &mut Request<'_>, code| handler(request, code).map_err(Into::into))
}
