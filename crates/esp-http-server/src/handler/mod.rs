//! What user code holds while it runs: a request and its response, or a WebSocket session.
//!
//! - [`request`](self): the request and its body.
//! - [`response`](self): the response, set, then sent once or in chunks.
//! - [`ws`]: WebSocket sessions and messages.
//! - [`task`](self): the coroutine that a handler runs on, and the only place where it is suspended.

mod request;
mod response;
mod task;
pub(crate) mod ws;

pub use request::Request;
pub(crate) use response::write_simple;
pub use response::{Chunks, Response};
pub use task::Stacks;
pub(crate) use task::{Outcome, Resumed, Task, Wait, Wake, contain};
pub use ws::{KeepAlive, Message, WsRequest};
