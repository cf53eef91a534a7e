//! What user code holds while it runs: a request and its response, or a WebSocket session.
//!
//! - [`request`](self): the request and its body.
//! - [`response`](self): the response, set, then sent once or in chunks.
//! - [`session`](self): what both have of their session: contexts, addresses, transports.
//! - [`ws`]: WebSocket sessions and messages.
//! - [`errors`](self): errors that a client is told of, and error handlers.
//! - [`task`](self): the coroutine that a handler runs on, and the only place where it is suspended.

mod errors;
mod request;
mod response;
mod session;
mod task;
pub(crate) mod ws;

pub(crate) use errors::{Failure, run, run_err_handler, write_failure};
pub use request::Request;
pub use response::{Chunks, Response};
pub use task::Stacks;
pub(crate) use task::{Link, Outcome, Resumed, Task, Wait, Wake, contain};
pub use ws::{KeepAlive, Message, WsRequest};
