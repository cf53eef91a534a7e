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
//! | events, and the application's callback | `event.rs`, `user_cb.rs` |
//! | why a connection did not become a session | `open_error.rs` |
//! | what a handler can know of the TLS session below | `tls_info.rs` |
//! | how many handshakes there may be at once, and how they have ended | `tls_server.rs`, `tls_stats.rs` |
//! | certificates that change in their files | `watch.rs` |
//! | from HTTP to HTTPS | `redirect.rs` |
//! | when ciphertext moves and who holds it | `tls_net.rs` |

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod config;
mod event;
mod open_error;
mod redirect;
mod tls_info;
mod tls_net;
mod tls_server;
mod tls_stats;
mod user_cb;
#[cfg(feature = "std")]
mod watch;

pub use config::{HttpsConfig, HttpsTransport, TransportMode};
pub use esp_event::{EventLoop, Subscription};
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
#[cfg(feature = "deflate")]
pub use esp_http_server::{Compression, ContextTakeover, DeflateConfig, WindowBits};
#[cfg(feature = "std")]
pub use esp_tls::SystemClock;
pub use esp_tls::{
    AltName, CertifiedKey, CipherSuite, ClientAuth, ClientCa, ClientHello, ConfigError, ExpiredCrl,
    FailureClass, PeerIdentity, PrivateKey, Refusal, SelectCertificate, Selection, SessionTickets,
    SniTable, TicketKey, TicketKeys, TlsConfig, TlsError, TlsVersion, TlsVersions,
    supported_cipher_suites,
};
pub use event::{HTTPS_SERVER_EVENT, HttpsEvent};
pub use open_error::{Cause, HandshakeError, LastError, OpenError, OpenStage};
pub use redirect::Redirect;
pub use tls_info::{TlsInfo, TlsRequest};
pub use tls_net::TlsNet;
pub use tls_stats::{FailureKind, TlsServerHandle, TlsStats};
pub use user_cb::{UserCallback, UserCallbackEvent, UserCallbackSession};
#[cfg(feature = "std")]
pub use watch::ReloadOnChange;

/// The way to an HTTPS server (upstream's `httpd_ssl_start`).
///
/// A server that was started is an [`HttpServer`], whatever it speaks below HTTP, as upstream's
/// HTTP and HTTPS servers share one `httpd_handle_t`.
#[derive(Debug)]
pub struct HttpsServer(());

impl HttpsServer {
    /// Begins to put a server together.
    pub fn builder(config: HttpsConfig) -> ServerBuilder<HttpsTransport> {
        ServerBuilder::new(HttpsTransport::new(config))
    }

    /// Begins to put the plain HTTP server together that sends everybody to an HTTPS server, with the
    /// same path and query (308). It runs beside that one, as long as it is kept.
    ///
    /// It takes handlers as any other server: what must be answered in plain text, such as the
    /// challenges of a certificate authority (ACME, RFC 8555 section 8.3), is registered here.
    ///
    /// ```no_run
    /// # use esp_https_server::{HttpsConfig, HttpsServer, Redirect, Request, Result, TlsConfig};
    /// # fn challenge(req: &mut Request) -> Result { req.respond().send("") }
    /// # fn demo(tls: TlsConfig) -> Result {
    /// let _redirect = HttpsServer::redirect(Redirect::default())
    ///     .get("/.well-known/acme-challenge/{token}", challenge)
    ///     .start()?;
    /// HttpsServer::builder(HttpsConfig::new(tls)).start()?.join()
    /// # }
    /// ```
    pub fn redirect(redirect: Redirect) -> ServerBuilder<HttpConfig> {
        redirect.into_builder()
    }
}
