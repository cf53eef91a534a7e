//! ESP-IDF's event loop library (`esp_event`) in Rust's shape.
//!
//! Code that has something to tell *posts* an event to an [`EventLoop`]; code that wants to know
//! *registers* a handler and holds a [`Subscription`], which unregisters it when it is dropped.
//! Neither knows the other. Handlers run one at a time, in the loop, never in the poster.
//!
//! ```
//! use esp_event::{Event, EventBase, EventId, EventLoop};
//!
//! static DOOR_EVENTS: EventBase = EventBase::new("DOOR_EVENTS");
//!
//! enum Door {
//!     Opened,
//!     Closed { after_secs: u32 },
//! }
//!
//! impl Event for Door {
//!     const BASE: &'static EventBase = &DOOR_EVENTS;
//!
//!     fn id(&self) -> EventId {
//!         match self {
//!             Door::Opened => EventId(0),
//!             Door::Closed { .. } => EventId(1),
//!         }
//!     }
//! }
//!
//! let doors = EventLoop::new(8);
//! let _subscription = doors.on(|event: &Door| match event {
//!     Door::Opened => println!("the door is open"),
//!     Door::Closed { after_secs } => println!("it was open for {after_secs} s"),
//! });
//!
//! doors.post(Door::Opened)?;
//! doors.post(Door::Closed { after_secs: 3 })?;
//! assert_eq!(doors.run_pending()?, 2);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # What differs from ESP-IDF
//!
//! - An event is a Rust value with its type. [`RawEvent`] and [`EventLoop::register`] are the
//!   untyped level below, for events whose type is known only at run time.
//! - [`EventLoop::post`] never waits. A full queue drops the event, counts it, and says so.
//! - A handler registered while an event is dispatched hears of the next event, not of this one.
//! - The order of dispatch is always (any, any), (base, any), (base, id), whatever the order in
//!   which the levels were registered.
//! - A loop is deleted with its last handle; the default loop stays.
//!
//! # Without `std`
//!
//! With `default-features = false` the crate needs `alloc` and an implementation of
//! [`critical-section`](https://docs.rs/critical-section). There are no threads then: every loop,
//! the default one included, is run by hand with [`EventLoop::run_pending`] or
//! [`EventLoop::run_while`], and nothing in this crate waits.
//!
//! # Where to look
//!
//! | for | in |
//! |---|---|
//! | event bases, the cost of an event nobody listens to | `base.rs` |
//! | ids, typed and raw events | `event.rs` |
//! | the handle: register, post, run, delete | `event_loop.rs` |
//! | queue, order of dispatch, who waits for whom | `dispatch.rs` |
//! | locks with and without `std` | `sync.rs` |

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod base;
mod contain;
mod dispatch;
mod error;
mod event;
mod event_loop;
mod subscription;
mod sync;

pub use base::EventBase;
pub use error::{PostError, RunError};
pub use event::{Event, EventId, RawEvent};
#[cfg(feature = "std")]
pub use event_loop::EventLoopArgs;
pub use event_loop::{EventLoop, Statistics};
pub use subscription::{Filter, Subscription};
