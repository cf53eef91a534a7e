//! An HTTPS and WSS server in the programming model of ESP-IDF's `esp_https_server`: URI handlers in
//! plain blocking style, sessions, a work queue, WebSocket, events, TLS with mutual authentication.
//!
//! ```no_run
//! use esp_https_server::{HttpsConfig, HttpsServer, Request, Result, TlsConfig};
//!
//! fn root(req: &mut Request) -> Result {
//!     req.respond().content_type("text/html").send("<h1>Hello Secure World!</h1>")
//! }
//!
//! fn main() -> Result {
//!     let tls = TlsConfig::new(std::fs::read("server.pem")?, std::fs::read("server.key")?)?;
//!     HttpsServer::builder(HttpsConfig { port: 8443, ..HttpsConfig::new(tls) })
//!         .get("/", root)
//!         .start()?
//!         .join()
//! }
//! ```
//!
//! The HTTP server is the crate `esp-http-server`, TLS sessions are the crate `esp-tls`. This crate
//! plugs the one into the other: [`TlsNet`] is TLS as a [`Net`](esp_http_server::Net) around a
//! `Net`, as ESP-IDF's HTTPS server is a set of session hooks on its HTTP server. What a program
//! needs of the others is re-exported here.
//!
//! | for | in |
//! |---|---|
//! | configuration, and where TLS is put under the HTTP server | `config.rs` |
//! | events | `event.rs` |
//! | what a handler can know of the TLS session below | `tls_info.rs` |
//! | when ciphertext moves and who holds it | `tls_net.rs` |

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod config;
mod event;
mod tls_info;
mod tls_net;

pub use config::{HttpsConfig, TransportMode};
pub use esp_event::{EventLoop, Subscription};
#[cfg(feature = "deflate")]
pub use esp_http_server::DeflateConfig;
#[cfg(feature = "std")]
pub use esp_http_server::DetachedRequest;
#[cfg(all(feature = "std", target_os = "linux"))]
pub use esp_http_server::HttpServer;
pub use esp_http_server::{
    BodyLen, Chunks, CloseCode, ControlFrames, Error, ErrorCode, EventStream, Form, Fragments,
    FrameHead, HandlerError, HandlerMode, HttpConfig, HttpEvent, KeepAlive, ListenAddr, Message,
    Method, NetError, Opcode, OpenSession, OriginPolicy, Peer, RawResponse, Request, Response,
    Result, RxBuf, ServerBuilder, ServerContext, ServerHandle, SessionId, SessionKind,
    SessionSocket, SessionTransport, Status, StreamEvent, Transport, TxBuf, UriHandler, Version,
    WsClient, WsClosed, WsClosedBy, WsFrame, WsQueuePolicy, WsRequest, WsUriHandler,
};
pub use esp_tls::{
    CipherSuite, ClientAuth, ConfigError, SessionTickets, TlsConfig, TlsError, TlsVersion,
    TlsVersions,
};
pub use event::{Cause, HTTPS_SERVER_EVENT, HttpsEvent, LastError};
pub use tls_info::{TlsInfo, TlsRequest};
pub use tls_net::{HandshakeError, TlsNet};

/// The way to an HTTPS server (upstream's `httpd_ssl_start`).
///
/// A server that was started is an [`HttpServer`], whatever it speaks below HTTP, as upstream's
/// HTTP and HTTPS servers share one `httpd_handle_t`.
#[derive(Debug)]
pub struct HttpsServer(());

impl HttpsServer {
    /// Begins to put a server together.
    pub fn builder(config: HttpsConfig) -> ServerBuilder<HttpsConfig> {
        ServerBuilder::new(config)
    }
}
