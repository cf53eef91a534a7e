//! An HTTP/1.1 and WebSocket server in the programming model of ESP-IDF's `esp_http_server`: URI
//! handlers in plain blocking style, sessions, a work queue, events.
//!
//! ```no_run
//! # #[cfg(all(feature = "std", target_os = "linux"))]
//! # fn main() -> esp_http_server::Result {
//! use esp_http_server::{HttpConfig, HttpServer, Request, Result};
//!
//! fn upload(req: &mut Request) -> Result {
//!     let body = req.recv_all(64 * 1024)?; // waits for the client, and holds up nobody else
//!     req.respond().content_type("text/plain").send(format!("{} bytes\n", body.len()))
//! }
//!
//! HttpServer::builder(HttpConfig { server_port: 8080, ..HttpConfig::default() })
//!     .post("/upload", upload)
//!     .start()?
//!     .join()
//! # }
//! # #[cfg(not(all(feature = "std", target_os = "linux")))]
//! # fn main() {}
//! ```
//!
//! HTTPS is the crate `esp-https-server`, which puts TLS under this one.
//!
//! # Map
//!
//! Three rings, each of which knows only those inside it:
//!
//! | ring | in | what it is |
//! |---|---|---|
//! | 0 | [`proto`] | HTTP and WebSocket as functions on slices: no time, no IO, no sessions |
//! | 1 | `server/` | the engine, [`Server`]: sessions, timers, routes, the work queue; is told the time and what is ready |
//! | 1 | `handler/` | what user code holds, [`Request`], [`Response`], [`WsRequest`]; and `task.rs`, the only place where a handler is suspended |
//! | | `net.rs` | [`Net`], the contract between the engine and the outside |
//! | 2 | `front/` | Linux: sockets, epoll, threads, stacks and the clock |
//!
//! `error.rs` sorts what can go wrong by who can do something about it. `sync.rs` has the one kind of
//! lock, and `time.rs` an [`Instant`] that somebody else's clock tells.
//!
//! # The path of one request
//!
//! 1. The front's loop (`front/server.rs`) waits in [`Net::wait`], and calls [`Server::poll`] with the
//!    time and the connections that are ready.
//! 2. `poll` (`server/mod.rs`) gives each of them a turn (`server/turn.rs`), after the timers that are
//!    due and before queued work and new connections.
//! 3. A turn moves the session's phase on (`server/session.rs` has the diagram). In `Opening`,
//!    [`Net::open`] is called until the TLS handshake is done.
//! 4. In `Head`, bytes are received into buffers that the worker lends, and
//!    [`Head::parse`](proto::head::Head::parse) answers complete, partial or an error that knows its
//!    status.
//! 5. The router (`server/router.rs`) finds the handler ([`UriHandler`] has the rules); or it is 404 or
//!    405, which the application's error handler answers (`handler/errors.rs`) or else the turn.
//! 6. The handler starts as a task on a pooled stack (`handler/task.rs`), and is given the connection by
//!    value. Where it must wait, for more of the body or for room to send, it hands the connection back
//!    and is suspended.
//! 7. When it has returned, the rest of the body is dropped within a bound, the response leaves in one
//!    [`Net::send`] if it fits, and the buffers go back to the worker.
//!
//! # Features
//!
//! - `std`, the default: the module `front` with `HttpServer` (on Linux), panics of handlers contained,
//!   `std::io::Read` and `Write` for bodies, requests that another thread answers ([`DetachedRequest`]).
//! - `deflate`, on by default: [`proto::ws::deflate`], compressed WebSocket messages; `no_std`, too.
//!
//! # Without `std`
//!
//! `default-features = false` is the engine alone, for `alloc` and an implementation of
//! [`critical-section`](https://docs.rs/critical-section). The program supplies a [`Net`], [`Stacks`]
//! and the time, and this is its whole loop:
//!
//! ```
//! use esp_http_server::{HttpConfig, Instant, Net, Result, ServerBuilder, Stacks};
//!
//! fn serve<S: Stacks>(net: impl Net, stacks: S, now: impl Fn() -> Instant) -> Result
//! where
//!     S::Stack: 'static,
//! {
//!     let config = HttpConfig { max_open_sockets: 8, ..HttpConfig::default() };
//!     let (mut server, mut net) = ServerBuilder::new(config)
//!         .get("/", |req| req.respond().send("<h1>Hello from bare metal!</h1>"))
//!         .engine(stacks, net)?;
//!     let mut ready = Vec::new();
//!     while !server.is_stopped() {
//!         let deadline = server.poll(now(), &mut net, &ready);
//!         ready.clear();
//!         net.wait(deadline, &mut ready);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! [`ServerBuilder::wall_clock`] tells the engine the time of day, for the `Date` of responses. If other
//! threads or interrupts queue work, [`Server::set_waker`] tells how to end that wait. Without
//! `std` a panic can't be contained: the program's panic handler has the last word. The events go to
//! the default event loop of `esp-event`, or to [another one](ServerBuilder::events); either has to be
//! run by hand.
//!
//! On ESP-IDF and bare metal no [`Net`] comes with this crate yet.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

mod error;
#[cfg(all(feature = "std", target_os = "linux"))]
pub mod front;
mod handler;
mod net;
mod pool;
pub mod proto;
mod server;
mod sync;
mod time;

pub use esp_event::{EventLoop, Subscription};

pub use error::{Error, HandlerError, Result};
#[cfg(all(feature = "std", target_os = "linux"))]
pub use front::HttpServer;
#[cfg(feature = "std")]
pub use handler::DetachedRequest;
#[doc(hidden)] // for layers of this project
pub use handler::contain;
pub use handler::{
    Chunks, ControlFrames, EventStream, Fragments, KeepAlive, Message, RawResponse, Request,
    Response, Stacks, WsClosed, WsClosedBy, WsFrame, WsQueuePolicy, WsRequest,
};
pub use net::{Net, NetError, NetId, RxBuf, TxBuf};
pub use proto::auth::BasicAuth;
pub use proto::event_stream::StreamEvent;
pub use proto::form::Form;
pub use proto::head::{BodyLen, Version};
pub use proto::method::Method;
pub use proto::status::{ErrorCode, Status};
#[cfg(feature = "deflate")]
pub use proto::ws::deflate::{Compression, ContextTakeover, DeflateConfig, WindowBits};
pub use proto::ws::frame::{CloseCode, FrameHead, Opcode};
pub use proto::ws::handshake::{OriginPolicy, Scheme};
#[doc(hidden)] // for layers of this project
pub use server::client_of;
pub use server::{
    Events, HTTP_SERVER_EVENT, HandlerMode, HttpConfig, HttpEvent, HttpEvents, ListenAddr, Notice,
    Observer, OpenSession, Peer, Server, ServerBuilder, ServerContext, ServerHandle, SessionId,
    SessionKind, SessionNotice, SessionSocket, SessionTransport, Transport, UriHandler, WsClient,
    WsUriHandler,
};
#[doc(hidden)] // for layers of this project
pub use sync::Lock;
pub use time::Instant;
