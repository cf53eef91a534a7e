//! What an HTTPS server is told when it starts: ESP-IDF's `httpd_ssl_config_t`.

use alloc::boxed::Box;

use esp_http_server::{Events, HttpConfig, Net, Observer, Scheme, Transport};
use esp_tls::TlsConfig;

use crate::event::HttpsEvents;
use crate::tls_net::TlsNet;

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
    /// is not used: `port` stands in its place.
    pub httpd: HttpConfig,
    /// TCP port to listen on, of all addresses (upstream's `port_secure` and `port_insecure`); 0 lets
    /// the system choose a free one. Default 443, and 80 without TLS.
    ///
    /// As with HTTP, it is not used if [`httpd.listen`](HttpConfig::listen) says where to listen:
    /// every entry there has a port of its own, and all of them speak TLS, or none.
    pub port: u16,
    /// TLS, or plain text by explicit wish.
    pub transport_mode: TransportMode,
}

/// Whether sessions are encrypted (upstream's `httpd_ssl_transport_mode_t`).
///
/// There is no way from one to the other but to say so: without a certificate and a key there is no
/// [`TlsConfig`], and without that no `Secure`.
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
        let transport_mode = TransportMode::Secure(tls);
        Self { httpd: HttpConfig::default(), port: 443, transport_mode }
    }

    /// The same server without TLS, on port 80.
    pub fn insecure() -> Self {
        let transport_mode = TransportMode::Insecure;
        Self { httpd: HttpConfig::default(), port: 80, transport_mode }
    }
}

impl Transport for HttpsConfig {
    type Net<N: Net> = TlsNet<N>;

    fn http(&self) -> &HttpConfig {
        &self.httpd
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn scheme(&self) -> Scheme {
        match &self.transport_mode {
            TransportMode::Secure(_) => Scheme::Https,
            TransportMode::Insecure => Scheme::Http,
        }
    }

    fn layer<N: Net>(&self, inner: N) -> TlsNet<N> {
        match &self.transport_mode {
            TransportMode::Secure(tls) => TlsNet::secure(inner, tls.clone()),
            TransportMode::Insecure => TlsNet::insecure(inner),
        }
    }

    fn observer(&self, events: Events) -> Box<dyn Observer + Send> {
        Box::new(HttpsEvents::new(events))
    }
}
