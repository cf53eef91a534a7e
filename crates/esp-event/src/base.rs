//! Event bases, and how a poster learns with one atomic load that nobody listens.
//!
//! A handler for (any, any) listens to every base there is, also to those this crate has never
//! heard of: statics don't announce themselves. So a base is *introduced* the first time it
//! matters: it joins the list of known bases and adopts the count of (any, any) handlers. From
//! then on each such handler is counted in every known base, and one word tells the whole truth.

use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use alloc::vec::Vec;

use crate::Filter;
use crate::sync::Lock;

/// A family of events, such as all events of the HTTPS server.
///
/// As with ESP-IDF's `ESP_EVENT_DEFINE_BASE` the identity of a base is its address: two bases of
/// the same name are two bases. A base is therefore always a `static`.
///
/// ```
/// use esp_event::EventBase;
///
/// pub static MY_EVENTS: EventBase = EventBase::new("MY_EVENTS");
/// assert_eq!(MY_EVENTS.name(), "MY_EVENTS");
/// ```
pub struct EventBase {
    name: &'static str,
    /// `INTRODUCED` + the number of handlers, over all loops, that events of this base can reach.
    /// Written under the lock of `BASES` only.
    listeners: AtomicU32,
}

impl EventBase {
    /// A new base. The name is for people: logs and [`Display`](fmt::Display).
    pub const fn new(name: &'static str) -> Self {
        Self { name, listeners: AtomicU32::new(0) }
    }

    /// The name given to [`new`](Self::new).
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether any handler, in any loop, could hear an event of this base.
    ///
    /// Meant for posters, to skip making an event that nobody would hear. It costs one relaxed
    /// atomic load and takes no lock (but for the first call for a base that no handler was
    /// registered for yet). A handler for one id of the base counts as well as those for all.
    ///
    /// ```standalone_crate
    /// # use esp_event::{Event, EventBase, EventId, EventLoop};
    /// # static TICKS: EventBase = EventBase::new("TICKS");
    /// # struct Tick;
    /// # impl Event for Tick {
    /// #     const BASE: &'static EventBase = &TICKS;
    /// #     fn id(&self) -> EventId { EventId(0) }
    /// # }
    /// let event_loop = EventLoop::new(4);
    /// assert!(!Tick::BASE.has_subscribers());
    /// let subscription = event_loop.on(|_: &Tick| {});
    /// assert!(Tick::BASE.has_subscribers());
    /// drop(subscription);
    /// assert!(!Tick::BASE.has_subscribers());
    /// ```
    #[inline]
    pub fn has_subscribers(&'static self) -> bool {
        // Relaxed is enough: whoever must see a registration has synchronized with it otherwise.
        match self.listeners.load(Ordering::Relaxed) {
            INTRODUCED => false,
            0 => BASES.with(|bases| self.introduce(bases) > INTRODUCED),
            _ => true,
        }
    }

    #[cold]
    fn introduce(&'static self, bases: &mut Bases) -> u32 {
        let mut listeners = self.listeners.load(Ordering::Relaxed);
        if listeners & INTRODUCED == 0 {
            listeners = INTRODUCED + bases.any_base_handlers;
            self.listeners.store(listeners, Ordering::Relaxed);
            bases.known.push(self);
        }
        listeners
    }
}

/// Two bases are equal if they are the same static.
impl PartialEq for EventBase {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for EventBase {}

impl fmt::Display for EventBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for EventBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventBase({})", self.name)
    }
}

/// Counts a handler that is about to be registered.
pub(crate) fn add_listener(filter: &Filter) {
    BASES.with(|bases| match filter {
        Filter::Any => {
            bases.any_base_handlers += 1;
            for base in &bases.known {
                base.listeners.fetch_add(1, Ordering::Relaxed);
            }
        }
        Filter::Base(base) | Filter::Id(base, _) => {
            base.introduce(bases);
            base.listeners.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// Takes back one [`add_listener`] of an equal filter.
pub(crate) fn remove_listener(filter: &Filter) {
    BASES.with(|bases| match filter {
        Filter::Any => {
            bases.any_base_handlers -= 1;
            for base in &bases.known {
                base.listeners.fetch_sub(1, Ordering::Relaxed);
            }
        }
        Filter::Base(base) | Filter::Id(base, _) => {
            base.listeners.fetch_sub(1, Ordering::Relaxed);
        }
    });
}

/// Set in a base that is on the list of known ones, so that 0 means "never seen".
const INTRODUCED: u32 = 1 << 31;

static BASES: Lock<Bases> = Lock::new(Bases { known: Vec::new(), any_base_handlers: 0 });

struct Bases {
    known: Vec<&'static EventBase>,
    /// Registered handlers for (any, any), over all loops.
    any_base_handlers: u32,
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    static ONE: EventBase = EventBase::new("SAME");
    static OTHER: EventBase = EventBase::new("SAME");

    #[test]
    fn identity_is_the_address_not_the_name() {
        assert_eq!(ONE, ONE);
        assert_ne!(ONE, OTHER);
        assert_eq!(ONE.to_string(), OTHER.to_string());
    }
}
