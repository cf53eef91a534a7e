//! placeholder
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

mod error;
#[cfg(all(feature = "std", target_os = "linux"))]
pub mod front;
mod handler;
mod net;
pub mod proto;
mod server;
mod sync;
mod time;

pub use error::{Error, HandlerError, Result};
#[cfg(all(feature = "std", target_os = "linux"))]
pub use front::HttpServer;
pub use handler::{Chunks, KeepAlive, Message, Request, Response, Stacks, WsRequest};
pub use net::{Net, NetError, NetId, RxBuf, TxBuf};
pub use proto::head::{BodyLen, Version};
pub use proto::method::Method;
pub use proto::status::Status;
pub use proto::ws::frame::CloseCode;
pub use server::{
    HTTP_SERVER_EVENT, HandlerMode, HttpConfig, HttpEvent, HttpEvents, Notice, Observer, Server,
    ServerBuilder, ServerContext, ServerHandle, SessionId, SessionKind, Transport, WsClient,
};
pub use time::Instant;
