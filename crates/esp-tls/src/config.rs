//! What all sessions of a server share: its identity and its rules.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::backend::{MAX_FRAGMENT_LEN, Rules, Settings};
use crate::certified_key::CertifiedKey;
use crate::client_ca::{ClientAuth, ClientCa};
use crate::clock::Clock;
#[cfg(feature = "std")]
use crate::clock::SystemClock;
use crate::config_error::{ConfigError, ConfigProblem, Input, name_cipher_suites};
use crate::resumption::{Counters, HandshakeCounts, SessionCache, TicketKeys, TicketRing};
use crate::select::SelectCertificate;
use crate::sync::Lock;

/// A server's TLS configuration, the counterpart of ESP-IDF's `esp_tls_cfg_server_t`.
///
/// Certificate and key are parsed, checked and matched once, here, so that a mistake stops the
/// start of the server instead of failing every client.
///
/// Clones are one configuration: [`reload`](Self::reload) and
/// [`set_ticket_keys`](Self::set_ticket_keys) on one of them hold for all, and for the next
/// handshake of every server that has one. The methods that take `self` make another configuration,
/// independent of the first.
///
/// The server chooses the cipher suite: TLS_AES_128_GCM_SHA256 first, and AES-128-GCM first among
/// the suites of TLS 1.2. Renegotiation doesn't exist (RFC 5746: a client that asks for it hears
/// `no_renegotiation`). Early data (0-RTT) is off and can't be turned on: whoever records it can
/// play it again, which no handler expects.
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
    live: Arc<Live>,
}

/// A configuration as it is now.
pub(crate) struct Live {
    rules: Lock<Arc<Rules>>,
    counters: Counters,
}

/// How to make one. What a server shows: one certificate, or what a selector says.
impl TlsConfig {
    /// A configuration from the server's certificate and private key, each PEM or DER.
    ///
    /// `cert_chain` is the server's certificate followed by those that lead to its CA, without the
    /// CA's own (as DER: concatenated). `key` is PKCS #8, PKCS #1 or SEC 1, without a password. One
    /// PEM that holds both may be given twice; a terminating NUL does no harm. For other keys see
    /// [`PrivateKey`](crate::PrivateKey) and [`from_certified_key`](Self::from_certified_key).
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
        let certified = CertifiedKey::from_bytes(cert_chain.as_ref(), key.as_ref(), &clock)?;
        Self::from_certified_key(certified, clock)
    }

    /// A configuration with a certificate that was made before, such as one whose key has a password
    /// or is on a device. Follows `server_key`.
    ///
    /// # Errors
    ///
    /// The provider refused.
    pub fn from_certified_key(
        certified: CertifiedKey,
        clock: impl Clock + 'static,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(Arc::new(clock));
        settings.certified = Some(certified);
        Self::build(settings)
    }

    /// A configuration without a certificate of its own: `selector` has one for each client. Follows
    /// `cert_select_cb` without `servercert_buf`.
    ///
    /// # Errors
    ///
    /// The provider refused.
    pub fn from_selector(
        selector: impl SelectCertificate + 'static,
        clock: impl Clock + 'static,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(Arc::new(clock));
        settings.selector = Some(Arc::new(selector));
        Self::build(settings)
    }
}

/// What it should do. Each makes another configuration.
impl TlsConfig {
    /// With another certificate and key, all else as it is.
    ///
    /// # Errors
    ///
    /// The provider refused.
    pub fn certified_key(self, certified: CertifiedKey) -> Result<Self, ConfigError> {
        self.change(|settings| settings.certified = Some(certified))
    }

    /// Lets `selector` choose the certificate per connection; the one that is there is what
    /// [`Selection::own`](crate::Selection::own) means. Follows `cert_select_cb`.
    ///
    /// # Errors
    ///
    /// The provider refused.
    pub fn selector(self, selector: impl SelectCertificate + 'static) -> Result<Self, ConfigError> {
        self.change(|settings| settings.selector = Some(Arc::new(selector)))
    }

    /// Asks clients for a certificate issued by one of these CAs (PEM or DER), TLS 1.2 and 1.3.
    ///
    /// Follows `cacert_buf` and `client_cert_authmode_optional`, with one difference: a certificate
    /// that is presented must be good even if it is [`ClientAuth::Optional`], so that one that can
    /// be seen in [`peer_identity`](crate::TlsSession::peer_identity) is always verified.
    ///
    /// # Errors
    ///
    /// The CA input is empty, damaged, expired, not valid yet, or no certificate.
    pub fn client_ca(
        self,
        ca: impl AsRef<[u8]>,
        client_auth: ClientAuth,
    ) -> Result<Self, ConfigError> {
        let clock = Arc::clone(&self.rules().settings().clock);
        self.with_client_ca(ClientCa::with_clock(ca, client_auth, &*clock)?)
    }

    /// The same with a CA that was made before, such as one with CRLs.
    ///
    /// # Errors
    ///
    /// The provider refused.
    pub fn with_client_ca(self, client_ca: ClientCa) -> Result<Self, ConfigError> {
        self.change(|settings| settings.client_ca = Some(client_ca))
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
        self.change(|settings| settings.alpn = protocols)
    }

    /// Which TLS versions are spoken, as `tls_version`. Default: [`TlsVersions::Any`].
    ///
    /// # Errors
    ///
    /// There is no cipher suite for these versions.
    pub fn versions(self, versions: TlsVersions) -> Result<Self, ConfigError> {
        self.change(|settings| settings.versions = versions)
    }

    /// Which cipher suites are spoken, by their numbers in IANA's registry, the preferred first; as
    /// `ciphersuites_list`. Default: [`supported_cipher_suites`](crate::supported_cipher_suites).
    ///
    /// Numbers that aren't supported are left out, with a warning in the log that names them. A list
    /// without a suite of TLS 1.3, or of TLS 1.2, turns that version off.
    ///
    /// # Errors
    ///
    /// No suite is left, for the versions that are spoken.
    pub fn cipher_suites(self, ids: impl IntoIterator<Item = u16>) -> Result<Self, ConfigError> {
        let ids: Vec<u16> = ids.into_iter().collect();
        let mut settings = self.rules().settings().clone();
        let unsupported = settings.set_cipher_suites(&ids)?;
        if !unsupported.is_empty() {
            let mut names = String::new();
            // Writing to a string doesn't fail.
            let _ = name_cipher_suites(&unsupported, &mut names);
            log::warn!("cipher suites left out because they aren't supported: {names}");
        }
        Self::build(settings)
    }

    /// Whether clients may resume a session by a ticket (RFC 5077; RFC 8446, section 4.6.1), as
    /// `esp_tls_cfg_server_session_tickets_init`. Default: [`SessionTickets::Off`], as in ESP-IDF.
    ///
    /// Tickets are sealed with a key that never leaves this process, so they cost the server no
    /// memory and end with it. The key changes every six hours, and a ticket lives for twelve.
    ///
    /// A resumed session has the client's certificate of the first one. It is verified again each
    /// time; if it isn't good any more (expired, revoked since) the handshake is a full one instead.
    ///
    /// # Errors
    ///
    /// The source of randomness failed.
    pub fn session_tickets(self, tickets: SessionTickets) -> Result<Self, ConfigError> {
        let ring = match tickets {
            SessionTickets::On => Some(Arc::new(TicketRing::rotating()?)),
            SessionTickets::Off => None,
        };
        self.change(|settings| settings.resumption.tickets = ring)
    }

    /// Session tickets, sealed with keys of the application, so that several servers resume each
    /// other's sessions. The application changes them with [`set_ticket_keys`](Self::set_ticket_keys).
    ///
    /// # Errors
    ///
    /// The provider refused.
    pub fn ticket_keys(self, keys: TicketKeys) -> Result<Self, ConfigError> {
        self.change(|settings| {
            settings.resumption.tickets = Some(Arc::new(TicketRing::given(keys)))
        })
    }

    /// Remembers up to `max_sessions` sessions of TLS 1.2 by their id (RFC 5246), for clients that
    /// know no tickets. Each costs some 300 bytes, and the client's certificates if it has any; the
    /// oldest makes room for a new one, and after twelve hours it is forgotten. Default: 0, which is
    /// none.
    ///
    /// # Errors
    ///
    /// The provider refused.
    pub fn session_ids(self, max_sessions: usize) -> Result<Self, ConfigError> {
        let cache = (max_sessions > 0).then(|| Arc::new(SessionCache::new(max_sessions)));
        self.change(|settings| settings.resumption.cache = cache)
    }

    /// The most bytes of plaintext that are sent in one record, 32 to 16384, which is the default.
    ///
    /// A client can use the first byte of a record only when it has the last. Smaller records help
    /// clients with little memory, and cost everybody else about 25 bytes each. An idle session holds
    /// no records, so this doesn't change its size; while sending it bounds what is encrypted at
    /// once. What clients send isn't affected: it is up to 16384 bytes a record.
    ///
    /// # Errors
    ///
    /// Another length.
    pub fn max_fragment_len(self, len: usize) -> Result<Self, ConfigError> {
        if !(32..=MAX_FRAGMENT_LEN).contains(&len) {
            let problem = ConfigProblem::FragmentLen(len);
            return Err(ConfigError { input: Input::MaxFragment, problem });
        }
        self.change(|settings| settings.max_fragment_len = len)
    }

    fn change(self, change: impl FnOnce(&mut Settings)) -> Result<Self, ConfigError> {
        let mut settings = self.rules().settings().clone();
        change(&mut settings);
        Self::build(settings)
    }

    fn build(settings: Settings) -> Result<Self, ConfigError> {
        let rules = Lock::new(Arc::new(Rules::new(settings)?));
        Ok(Self { live: Arc::new(Live { rules, counters: Counters::default() }) })
    }
}

/// While it is in use.
impl TlsConfig {
    /// Puts `new` in the place of this configuration, for the next handshake of everybody who has a
    /// clone of it. Sessions that are open go on as they are, handshakes under way end as they began.
    ///
    /// Clients can go on resuming their sessions, even if the certificate changed: ticket keys that
    /// change by themselves and sessions known by id are taken over, as far as `new` has the same.
    /// But a session that was set up under another client CA, or under another [`ClientAuth`], isn't
    /// resumed, and client certificates are judged by the new CRLs. After the loss of a private key,
    /// give a `new` one without tickets, or with other [`ticket_keys`](Self::ticket_keys).
    ///
    /// ```
    /// # fn demo(config: esp_tls::TlsConfig, cert: &[u8], key: &[u8]) -> Result<(), esp_tls::ConfigError> {
    /// use esp_tls::{CertifiedKey, PrivateKey};
    ///
    /// let renewed = CertifiedKey::new(cert, PrivateKey::new(key)?)?;
    /// config.reload(config.clone().certified_key(renewed)?)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The provider refused. Then nothing has changed.
    pub fn reload(&self, new: TlsConfig) -> Result<(), ConfigError> {
        let (old, new) = (self.rules(), new.rules());
        let mut settings = new.settings().clone();
        settings.resumption = settings.resumption.following(&old.settings().resumption);
        let rules = Arc::new(Rules::new(settings)?);
        // The old ones are dropped outside of the lock.
        let _old = self.live.rules.with(|current| core::mem::replace(current, rules));
        Ok(())
    }

    /// Changes the application's ticket keys. Other rules and all sessions stay as they are.
    ///
    /// # Errors
    ///
    /// The configuration has no [`ticket_keys`](Self::ticket_keys).
    pub fn set_ticket_keys(&self, keys: TicketKeys) -> Result<(), ConfigError> {
        match &self.rules().settings().resumption.tickets {
            Some(ring) if !ring.is_rotating() => {
                ring.set(keys);
                Ok(())
            }
            _ => Err(ConfigError {
                input: Input::SessionTickets,
                problem: ConfigProblem::NoTicketKeys,
            }),
        }
    }

    /// How many handshakes have been completed with this configuration and its clones.
    pub fn handshake_counts(&self) -> HandshakeCounts {
        self.live.counters.read()
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.live.rules.with(|rules| Arc::clone(rules))
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.live.counters
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("settings", self.rules().settings())
            .finish_non_exhaustive()
    }
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
    /// No tickets: every handshake is a full one, unless sessions are known by id.
    #[default]
    Off,
}
