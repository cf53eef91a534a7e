//! Which events a handler hears, and for how long.

use core::fmt;

use alloc::sync::Arc;

use crate::dispatch::{Core, Key};
use crate::{EventBase, EventId, RawEvent};

/// The events that a handler is registered for.
///
/// ESP-IDF's (any base, one id), an error there, can't be said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Every event of every base: `ESP_EVENT_ANY_BASE`, `ESP_EVENT_ANY_ID`. Called first.
    Any,
    /// Every event of one base: `ESP_EVENT_ANY_ID`. Called second.
    Base(&'static EventBase),
    /// One event. Called last.
    Id(&'static EventBase, EventId),
}

impl Filter {
    pub(crate) fn matches(&self, event: &RawEvent) -> bool {
        match self {
            Self::Any => true,
            Self::Base(base) => *base == event.base(),
            Self::Id(base, id) => *base == event.base() && *id == event.id(),
        }
    }
}

/// Keeps a handler registered. Dropping it unregisters the handler.
///
/// After the drop the handler is not called again. If it is running at that moment, then
/// - dropped by a handler of the same loop (the running one itself among them): the drop returns at
///   once, and the running handler is freed when it returns;
/// - dropped elsewhere: the drop waits for the running handler, and when it is over, nothing that
///   the handler owned is left. So whoever drops must not hold a lock that the handler takes, nor
///   may handlers of two loops drop each other's subscriptions. Without `std` there is nobody to wait for, and the drop returns at once here, too.
///
/// ESP-IDF: `esp_event_handler_instance_t` and `esp_event_handler_instance_unregister`.
#[must_use = "the handler is unregistered when its subscription is dropped; `detach` it to keep it"]
pub struct Subscription {
    /// `None` if there is nothing to unregister.
    registered: Option<(Arc<Core>, Key)>,
}

impl Subscription {
    pub(crate) fn new(core: Arc<Core>, key: Key) -> Self {
        Self { registered: Some((core, key)) }
    }

    pub(crate) fn of_deleted_loop() -> Self {
        Self { registered: None }
    }

    /// Keeps the handler registered for as long as the loop lives.
    pub fn detach(mut self) {
        self.registered = None;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some((core, key)) = &self.registered {
            core.unregister(*key);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
