//! What user code holds while it runs: a request and its response, or a WebSocket session.
//!
//! - [`request`](self): the request and its body.
//! - [`form`](self): queries and forms, decoded.
//! - [`response`](self): the response, set, then sent once; in pieces by [`chunks`](self), as events by
//!   [`events`](self), byte by byte by [`raw`](self). [`reply`](self) writes its head.
//! - [`session`](self): what both have of their session: contexts, addresses, transports.
//! - [`route`](self): what both have of their URI handler: parameters of its URI, its context.
//! - [`ws`]: WebSocket sessions and messages.
//! - [`detached`](self): requests that leave their handler for another thread; [`handover`](self): how
//!   their connection gets there and back.
//! - [`errors`](self): errors that a client is told of, and error handlers.
//! - [`task`](self): the coroutine that a handler runs on, and the only place where it is suspended.

mod chunks;
#[cfg(feature = "std")]
mod detached;
mod errors;
mod events;
mod form;
#[cfg(feature = "std")]
mod handover;
mod raw;
mod reply;
mod request;
mod response;
mod route;
mod session;
mod task;
pub(crate) mod ws;

pub use chunks::Chunks;
#[cfg(feature = "std")]
pub use detached::DetachedRequest;
#[cfg(feature = "std")]
pub(crate) use errors::note_failure;
pub(crate) use errors::{Failure, run, run_err_handler, run_pre_handshake, write_failure};
pub use events::EventStream;
#[cfg(feature = "std")]
pub(crate) use handover::{Ask, EngineSide, Return};
pub use raw::RawResponse;
pub(crate) use reply::write_simple;
pub use request::Request;
pub use response::Response;
pub(crate) use task::{Link, Outcome, Resumed, Task, Wait, Wake};
pub use task::{Stacks, contain};
pub use ws::{
    ControlFrames, Fragments, KeepAlive, Message, WsClosed, WsClosedBy, WsFrame, WsQueuePolicy,
    WsRequest,
};
