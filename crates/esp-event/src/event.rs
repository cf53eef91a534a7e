//! What is posted: typed events, and the raw form that they take in a queue.

use core::any::Any;
use core::fmt;

use alloc::boxed::Box;

use crate::EventBase;

/// The number of an event within its base; ESP-IDF's `int32_t event_id`.
///
/// No value is special here: ESP-IDF's `ESP_EVENT_ANY_ID` is [`Filter::Base`](crate::Filter::Base).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub i32);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A type of events, usually an enum with one variant per id.
///
/// One type owns one base: handlers made with [`EventLoop::on`](crate::EventLoop::on) hear all
/// events of the type's base.
pub trait Event: Send + Sized + 'static {
    /// The base that events of this type belong to.
    const BASE: &'static EventBase;

    /// Which event of the base this one is.
    fn id(&self) -> EventId;
}

/// An event whose type is known at run time only: a base, an id, and any value as its data.
///
/// This is what stands in a loop's queue. Handlers made with
/// [`EventLoop::register`](crate::EventLoop::register) receive it as it is.
///
/// ```
/// use esp_event::{EventBase, EventId, EventLoop, Filter, RawEvent};
///
/// static WIFI: EventBase = EventBase::new("WIFI");
///
/// let event_loop = EventLoop::new(4);
/// let _subscription = event_loop.register(Filter::Id(&WIFI, EventId(4)), |event| {
///     assert_eq!(event.to_string(), "WIFI:4");
///     assert_eq!(event.data::<u8>(), Some(&11));
/// });
/// event_loop.post(RawEvent::new(&WIFI, EventId(4), 11_u8))?;
/// event_loop.run_pending()?;
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct RawEvent {
    base: &'static EventBase,
    id: EventId,
    data: Box<dyn Any + Send>,
}

impl RawEvent {
    /// An event with data of any type; `()` where ESP-IDF would post `NULL`.
    pub fn new(base: &'static EventBase, id: EventId, data: impl Any + Send) -> Self {
        Self { base, id, data: Box::new(data) }
    }

    /// The base the event belongs to.
    pub fn base(&self) -> &'static EventBase {
        self.base
    }

    /// Which event of the base it is.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// The data, if it is a `T`. For a typed event, `T` is the event's type.
    pub fn data<T: Any>(&self) -> Option<&T> {
        self.data.downcast_ref()
    }
}

impl<E: Event> From<E> for RawEvent {
    fn from(event: E) -> Self {
        Self::new(E::BASE, event.id(), event)
    }
}

/// Writes base and id, as `BASE:7`.
impl fmt::Display for RawEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.base, self.id)
    }
}

impl fmt::Debug for RawEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawEvent({self})")
    }
}
