//! What an HTTPS server is told when it starts: ESP-IDF's `httpd_ssl_config_t`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;
use core::time::Duration;

use esp_http_server::{Events, HttpConfig, Net, Observer, Scheme, Transport};
use esp_tls::TlsConfig;

use crate::event::HttpsEvents;
use crate::tls_net::TlsNet;
use crate::tls_server::{Limits, TlsServer};
use crate::user_cb::UserCallback;

/// The configuration of an HTTPS server.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use esp_https_server::{HttpsConfig, TlsConfig};
///
/// let tls = TlsConfig::new(std::fs::read("server.pem")?, std::fs::read("server.key")?)?;
/// let config = HttpsConfig { port: 8443, ..HttpsConfig::new(tls) };
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpsConfig {
    /// The HTTP server above TLS: limits, timeouts, workers, and where to listen. Its `server_port`
    /// is not used: `port` stands in its place. Its `handshake_timeout` is that of TLS (upstream's
    /// `tls_handshake_timeout_ms`).
    pub httpd: HttpConfig,
    /// TCP port to listen on, of all addresses (upstream's `port_secure` and `port_insecure`); 0 lets
    /// the system choose a free one. Default 443, and 80 without TLS.
    ///
    /// As with HTTP, it is not used if [`httpd.listen`](HttpConfig::listen) says where to listen:
    /// every entry there has a port of its own, and all of them speak TLS, or none.
    pub port: u16,
    /// TLS, or plain text by explicit wish.
    pub transport_mode: TransportMode,
    /// TLS handshakes that may be under way at once, over all workers. For one beyond, the oldest of the
    /// same worker gives way, first of those that wait for a ClientHello, be it a second one: so
    /// handshakes that never end keep nobody out. If that worker has none, the new connection is closed
    /// at its first byte, before any cryptography. Default 512.
    ///
    /// One that has not sent anything doesn't count: it costs a place in the table of sessions, which
    /// has its own limit.
    pub max_handshakes: usize,
    /// The same for one client: an IPv4 address, or the /64 network of an IPv6 address; it is its own
    /// oldest handshake that gives way. Default 128.
    ///
    /// Clients behind one address translation, or behind a proxy on the level of TCP, are one client
    /// here.
    pub max_handshakes_per_addr: usize,
    /// Has every response tell browsers to use nothing but HTTPS with this host, for so long (HTTP
    /// Strict Transport Security, RFC 6797: `Strict-Transport-Security: max-age=…`, in whole
    /// seconds). Default `None`; zero takes back what was said before.
    ///
    /// It can't be taken back for those who don't come again, and clicking away a certificate's warning
    /// is then impossible. So begin with minutes; a year is usual in the end. Without TLS it is not
    /// said. Answers in a handler's own bytes
    /// ([`raw_response`](crate::Request::raw_response)) don't have it, and it doesn't speak for the
    /// host's subdomains. To send plain HTTP requests here there is
    /// [`HttpsServer::redirect`](crate::HttpsServer::redirect).
    pub hsts: Option<Duration>,
    /// Called when a session begins, ends, or fails to begin. Default `None`.
    pub user_cb: Option<UserCallback>,
}

/// Whether sessions are encrypted (upstream's `httpd_ssl_transport_mode_t`).
///
/// There is no way from one to the other but to say so: without a certificate and a key, or a selector
/// that has some, there is no [`TlsConfig`], and without that no `Secure`.
#[derive(Clone, Debug)]
pub enum TransportMode {
    /// TLS, with this certificate and key.
    Secure(TlsConfig),
    /// Plain text: for a trusted network only, or behind something that does TLS.
    Insecure,
}

impl HttpsConfig {
    /// HTTPS on port 443.
    pub fn new(tls: TlsConfig) -> Self {
        Self::with(TransportMode::Secure(tls), 443)
    }

    /// The same server without TLS, on port 80.
    pub fn insecure() -> Self {
        Self::with(TransportMode::Insecure, 80)
    }

    fn with(transport_mode: TransportMode, port: u16) -> Self {
        Self {
            httpd: HttpConfig::default(),
            port,
            transport_mode,
            max_handshakes: 512,
            max_handshakes_per_addr: 128,
            hsts: None,
            user_cb: None,
        }
    }
}

/// What [`HttpsServer::builder`](crate::HttpsServer::builder) puts under the HTTP server: TLS as an
/// [`HttpsConfig`] says, and what the workers of one server have in common.
pub struct HttpsTransport {
    config: HttpsConfig,
    /// `None` in plain text.
    tls: Option<(TlsConfig, Arc<TlsServer>)>,
}

impl HttpsTransport {
    /// For one server.
    pub(crate) fn new(config: HttpsConfig) -> Self {
        let limits = Limits { server: config.max_handshakes, addr: config.max_handshakes_per_addr };
        let tls = match &config.transport_mode {
            TransportMode::Secure(tls) => Some((tls.clone(), TlsServer::new(limits))),
            TransportMode::Insecure => None,
        };
        Self { config, tls }
    }
}

impl Transport for HttpsTransport {
    type Net<N: Net> = TlsNet<N>;

    fn http(&self) -> &HttpConfig {
        &self.config.httpd
    }

    fn port(&self) -> u16 {
        self.config.port
    }

    fn scheme(&self) -> Scheme {
        match &self.config.transport_mode {
            TransportMode::Secure(_) => Scheme::Https,
            TransportMode::Insecure => Scheme::Http,
        }
    }

    fn layer<N: Net>(&self, inner: N) -> TlsNet<N> {
        match &self.tls {
            Some((tls, server)) => TlsNet::of_server(inner, tls.clone(), Arc::clone(server)),
            None => TlsNet::insecure(inner),
        }
    }

    fn observer(&self, events: Events) -> Box<dyn Observer + Send> {
        let server = self.tls.as_ref().map(|(_, server)| Arc::clone(server));
        Box::new(HttpsEvents::new(events, server, self.config.user_cb.clone()))
    }

    fn global_transport_ctx(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        let (_, server) = self.tls.as_ref()?;
        Some(Arc::clone(server) as Arc<dyn Any + Send + Sync>)
    }

    fn response_fields(&self) -> Vec<(&'static str, String)> {
        // RFC 6797, section 7.2: never over an insecure transport.
        match (&self.tls, self.config.hsts) {
            (Some(_), Some(max_age)) => {
                let value = alloc::format!("max-age={}", max_age.as_secs());
                Vec::from([("Strict-Transport-Security", value)])
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Debug for HttpsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpsTransport").field(&self.config).finish()
    }
}
