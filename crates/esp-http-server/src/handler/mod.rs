//! What user code holds while it runs: a request and its response, or a WebSocket session.
//!
//! - [`request`](self): the request and its body.
//! - [`form`](self): queries and forms, decoded.
//! - [`response`](self): the response, set, then sent once; in pieces by [`chunks`](self), as events by
//!   [`events`](self), byte by byte by [`raw`](self). [`reply`](self) writes its head.
//! - [`session`](self): what both have of their session: contexts, addresses, transports.
//! - [`route`](self): what both have of their URI handler: parameters of its URI, its context.
//! - [`ws`]: WebSocket sessions and messages.
//! - [`errors`](self): errors that a client is told of, and error handlers.
//! - [`task`](self): the coroutine that a handler runs on, and the only place where it is suspended.

mod chunks;
mod errors;
mod events;
mod form;
mod raw;
mod reply;
mod request;
mod response;
mod route;
mod session;
mod task;
pub(crate) mod ws;

pub use chunks::Chunks;
pub(crate) use errors::{Failure, run, run_err_handler, write_failure};
pub use events::EventStream;
pub use raw::RawResponse;
pub(crate) use reply::write_simple;
pub use request::Request;
pub use response::Response;
pub use task::Stacks;
pub(crate) use task::{Link, Outcome, Resumed, Task, Wait, Wake, contain};
pub use ws::{KeepAlive, Message, WsRequest};
