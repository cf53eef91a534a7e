//! What all sessions of a server share: its identity and its rules.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::backend::{self, Settings};
use crate::clock::Clock;
#[cfg(feature = "std")]
use crate::clock::SystemClock;
use crate::config_error::{ConfigError, ConfigProblem, Input};
use crate::credentials;

/// A server's TLS configuration, the counterpart of ESP-IDF's `esp_tls_cfg_server_t`.
///
/// Certificate and key are parsed, checked and matched once, here, so that a mistake stops the
/// start of the server instead of failing every client. Cloning shares everything.
///
/// The server chooses the cipher suite: TLS_AES_128_GCM_SHA256 first, and AES-128-GCM first among
/// the suites of TLS 1.2. Renegotiation doesn't exist and early data (0-RTT) is off.
///
/// ```no_run
/// use esp_tls::{ClientAuth, SessionTickets, TlsConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = TlsConfig::new(std::fs::read("server.pem")?, std::fs::read("server.key")?)?
///     .client_ca(std::fs::read("client-ca.pem")?, ClientAuth::Required)?
///     .alpn(["http/1.1"])?
///     .session_tickets(SessionTickets::On)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TlsConfig {
    settings: Settings,
    server: Arc<backend::ServerConfig>,
}

impl TlsConfig {
    /// A configuration from the server's certificate and private key, each PEM or DER.
    ///
    /// `cert_chain` is the server's certificate followed by those that lead to its CA, without the
    /// CA's own (as DER: concatenated). `key` is PKCS #8, PKCS #1 or SEC 1, without a password. One
    /// PEM that holds both may be given twice; a terminating NUL does no harm.
    ///
    /// Follows `servercert_buf` and `serverkey_buf`. Dates are checked against [`SystemClock`].
    ///
    /// # Errors
    ///
    /// An input that is empty, exchanged with the other, damaged, expired, not valid yet, protected
    /// by a password, of a kind the provider doesn't take; or a key that doesn't match.
    #[cfg(feature = "std")]
    pub fn new(cert_chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::with_clock(cert_chain, key, SystemClock)
    }

    /// The same as `new`, on the time that `clock` tells. Without `std` this is the way in.
    ///
    /// # Errors
    ///
    /// As `new`. While the clock doesn't know the time, dates aren't checked.
    pub fn with_clock(
        cert_chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        clock: impl Clock + 'static,
    ) -> Result<Self, ConfigError> {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let chain =
            credentials::certificates(Input::CertificateChain, cert_chain.as_ref(), &*clock)?;
        let key = credentials::private_key(key.as_ref())?;
        Self::build(Settings::new(chain, key, clock)?)
    }

    /// Asks clients for a certificate issued by one of these CAs (PEM or DER), TLS 1.2 and 1.3.
    ///
    /// Follows `cacert_buf` and `client_cert_authmode_optional`, with one difference: a certificate
    /// that is presented must be good even if it is [`ClientAuth::Optional`], so that one that can
    /// be seen in [`peer_certificates`](crate::TlsSession::peer_certificates) is always verified.
    ///
    /// # Errors
    ///
    /// The CA input is empty, damaged, expired, not valid yet, or no certificate.
    pub fn client_ca(
        self,
        ca: impl AsRef<[u8]>,
        client_auth: ClientAuth,
    ) -> Result<Self, ConfigError> {
        let clock = self.settings.clock();
        let anchors = credentials::certificates(Input::ClientCa, ca.as_ref(), clock)?;
        Self::build(self.settings.with_client_ca(anchors, client_auth)?)
    }

    /// Application protocols (RFC 7301) in the server's order of preference, as `alpn_protos`.
    ///
    /// A client that offers protocols, and none of these, is refused with the alert
    /// `no_application_protocol`. One that offers none is served without. An empty list turns the
    /// extension off, which is the default.
    ///
    /// # Errors
    ///
    /// A name that is empty or longer than 255 bytes.
    pub fn alpn<P: AsRef<[u8]>>(
        self,
        protocols: impl IntoIterator<Item = P>,
    ) -> Result<Self, ConfigError> {
        let protocols: Vec<Vec<u8>> =
            protocols.into_iter().map(|name| name.as_ref().to_vec()).collect();
        if let Some(name) = protocols.iter().find(|name| !(1..=255).contains(&name.len())) {
            let problem = ConfigProblem::AlpnNameLen(name.len());
            return Err(ConfigError { input: Input::Alpn, problem });
        }
        Self::build(self.settings.with_alpn(protocols))
    }

    /// Which TLS versions are spoken, as `tls_version`. Default: [`TlsVersions::Any`].
    ///
    /// # Errors
    ///
    /// The provider has no cipher suite for these versions.
    pub fn versions(self, versions: TlsVersions) -> Result<Self, ConfigError> {
        Self::build(self.settings.with_versions(versions))
    }

    /// Whether clients may resume a session by a ticket (RFC 5077; RFC 8446, section 4.6.1), as
    /// `esp_tls_cfg_server_session_tickets_init`. Default: [`SessionTickets::Off`], as in ESP-IDF.
    ///
    /// Tickets are sealed with a key that never leaves this process, so they cost the server no
    /// memory and end with it. With `std` the key changes every six hours and a ticket lives
    /// for at most two such periods; without, the key lives as long as the configuration.
    ///
    /// # Errors
    ///
    /// The source of randomness failed.
    pub fn session_tickets(self, tickets: SessionTickets) -> Result<Self, ConfigError> {
        Self::build(self.settings.with_session_tickets(tickets)?)
    }

    pub(crate) fn server(&self) -> &backend::ServerConfig {
        &self.server
    }

    fn build(settings: Settings) -> Result<Self, ConfigError> {
        let server = Arc::new(settings.build()?);
        Ok(Self { settings, server })
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What a client without a certificate may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAuth {
    /// Every client must present a certificate of the client CA.
    Required,
    /// Clients without a certificate are served too; one that is presented must be good.
    Optional,
}

/// Which TLS versions a server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TlsVersions {
    /// TLS 1.3 and TLS 1.2.
    #[default]
    Any,
    /// TLS 1.2 only (RFC 5246).
    Tls12,
    /// TLS 1.3 only (RFC 8446).
    Tls13,
}

/// Whether sessions can be resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SessionTickets {
    /// The server issues and redeems tickets.
    On,
    /// No tickets and no TLS 1.2 session ids: every handshake is a full one.
    #[default]
    Off,
}
