//! From what was configured to rustls' `ServerConfig`, without parsing anything twice.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello as RustlsHello, NoClientAuth, NoServerSessionStorage};
use rustls::server::{ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey as RustlsKey;
use rustls::time_provider::TimeProvider;
use rustls::{SupportedProtocolVersion, version};
use rustls_pki_types::UnixTime;

use super::errors::Fault;
use super::provider;
use super::tickets::{Sessions, Ticketer};
use crate::alert::AlertCode;
use crate::certified_key::CertifiedKey;
use crate::client_ca::ClientCa;
use crate::clock::Clock;
use crate::config::TlsVersions;
use crate::config_error::{ConfigError, ConfigProblem, Input};
use crate::error::TlsErrorKind;
use crate::hello::ClientHello;
use crate::resumption::{Binding, Resumption};
use crate::select::{Certificate, Clients, SelectCertificate, Selection};

/// Bytes that rustls counts to a record's size beside its payload.
const RECORD_HEADER_LEN: usize = 5;

/// Everything that was configured, parsed and checked.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) certified: Option<CertifiedKey>,
    pub(crate) selector: Option<Arc<dyn SelectCertificate>>,
    pub(crate) client_ca: Option<ClientCa>,
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) versions: TlsVersions,
    pub(crate) resumption: Resumption,
    pub(crate) max_fragment_len: usize,
    provider: Arc<CryptoProvider>,
}

/// The largest payload of a record (RFC 8446, section 5.1).
pub(crate) const MAX_FRAGMENT_LEN: usize = 16_384;

impl Settings {
    /// The defaults, for a server that has neither a certificate nor a selector yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            certified: None,
            selector: None,
            client_ca: None,
            alpn: Vec::new(),
            versions: TlsVersions::Any,
            resumption: Resumption::default(),
            max_fragment_len: MAX_FRAGMENT_LEN,
            provider: Arc::clone(provider::provider()),
        }
    }

    /// These cipher suites and no others, in this order. Returns the numbers that aren't supported.
    pub(crate) fn set_cipher_suites(&mut self, ids: &[u16]) -> Result<Vec<u16>, ConfigError> {
        let (suites, unknown) = provider::find_cipher_suites(ids);
        if suites.is_empty() {
            let problem = match unknown.is_empty() {
                true => ConfigProblem::Empty,
                false => ConfigProblem::NoCipherSuite(unknown),
            };
            return Err(ConfigError { input: Input::CipherSuites, problem });
        }
        let mut provider = CryptoProvider::clone(provider::provider());
        provider.cipher_suites = suites;
        self.provider = Arc::new(provider);
        Ok(unknown)
    }

    /// These settings with this certificate and this client CA. Without a certificate every
    /// handshake fails. It is cheap: what takes time was done when the parts were made.
    fn terms(
        &self,
        certified: Option<&CertifiedKey>,
        client_ca: Option<&ClientCa>,
    ) -> Result<Terms, ConfigError> {
        let Resumption { tickets, cache } = &self.resumption;
        let reverification = match client_ca {
            Some(client_ca) if tickets.is_some() || cache.is_some() => {
                Some(Arc::new(Reverification {
                    client_ca: client_ca.clone(),
                    clock: Arc::clone(&self.clock),
                    server: self.server(certified, Some(client_ca), &Resumption::default())?,
                }))
            }
            _ => None,
        };
        Ok(Terms {
            server: self.server(certified, client_ca, &self.resumption)?,
            max_fragment_len: self.max_fragment_len,
            reverification,
        })
    }

    fn server(
        &self,
        certified: Option<&CertifiedKey>,
        client_ca: Option<&ClientCa>,
        resumption: &Resumption,
    ) -> Result<Arc<ServerConfig>, ConfigError> {
        let certified = certified.map(|certified| certified.identity().certified_key());
        let verifier = client_ca.map(|client_ca| client_ca.verifier().verifier());
        let mut server = ServerConfig::builder_with_details(
            Arc::clone(&self.provider),
            Arc::new(ConfiguredClock(Arc::clone(&self.clock))),
        )
        .with_protocol_versions(protocol_versions(self.versions))
        .map_err(|error| ConfigError {
            input: Input::Versions,
            problem: ConfigProblem::Provider(error.to_string()),
        })?
        .with_client_cert_verifier(match verifier {
            Some(verifier) => Arc::clone(verifier),
            None => Arc::new(NoClientAuth) as Arc<dyn ClientCertVerifier>,
        })
        .with_cert_resolver(Arc::new(Resolver(certified.cloned())));

        server.ignore_client_order = true;
        server.alpn_protocols.clone_from(&self.alpn);
        server.max_fragment_size = Some(self.max_fragment_len + RECORD_HEADER_LEN);
        // Of sessions that go on we encrypt the records.
        server.enable_secret_extraction = true;
        // Rejected early data is retried on each pass and ends in a decryption error; accepted, it
        // could be replayed.
        server.max_early_data_size = 0;
        let binding = client_ca.map_or(Binding::default(), |ca| ca.verifier().binding());
        self.set_resumption(&mut server, resumption, binding);
        Ok(Arc::new(server))
    }

    fn set_resumption(&self, server: &mut ServerConfig, resumption: &Resumption, binding: Binding) {
        server.session_storage = match &resumption.cache {
            Some(cache) => Arc::new(Sessions {
                cache: Arc::clone(cache),
                clock: Arc::clone(&self.clock),
                binding,
            }),
            // State of past sessions is in tickets or nowhere: no memory per client, no session ids.
            None => Arc::new(NoServerSessionStorage {}),
        };
        server.send_tls13_tickets = 0;
        if let Some(ring) = &resumption.tickets {
            server.ticketer = Arc::new(Ticketer {
                ring: Arc::clone(ring),
                clock: Arc::clone(&self.clock),
                binding,
            });
            // Each resumed session gets the next one; more would be for parallel connections.
            server.send_tls13_tickets = 1;
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("certified", &self.certified)
            .field("has_selector", &self.selector.is_some())
            .field("client_ca", &self.client_ca)
            .field("alpn", &self.alpn)
            .field("versions", &self.versions)
            .field("resumption", &self.resumption)
            .field("max_fragment_len", &self.max_fragment_len)
            .finish_non_exhaustive()
    }
}

/// Settings that were found to work.
pub(crate) struct Rules {
    settings: Settings,
    /// For clients that no selector is asked about; nobody gets through if there should be one.
    prepared: Terms,
}

impl Rules {
    pub(crate) fn new(settings: Settings) -> Result<Self, ConfigError> {
        let certified = match settings.selector {
            Some(_) => None,
            None => settings.certified.as_ref(),
        };
        let prepared = settings.terms(certified, settings.client_ca.as_ref())?;
        Ok(Self { settings, prepared })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The terms for a client that said `hello`, or something that wasn't understood.
    pub(crate) fn terms(&self, hello: Option<&ClientHello<'_>>) -> Result<Terms, Fault> {
        match (&self.settings.selector, hello) {
            (Some(selector), Some(hello)) => self.selected(selector.select(hello)),
            _ => Ok(self.prepared.clone()),
        }
    }

    fn selected(&self, selection: Selection) -> Result<Terms, Fault> {
        let Selection { certificate, clients } = selection;
        let certified = match &certificate {
            Certificate::Own => self.settings.certified.as_ref(),
            Certificate::Other(certified) => Some(certified),
            Certificate::Refused(refusal) => {
                return Err(Fault::unheard(TlsErrorKind::Refused(*refusal), refusal.alert()));
            }
        };
        if certified.is_none() {
            return Err(Fault::unheard(TlsErrorKind::NoCertificate, AlertCode::INTERNAL_ERROR));
        }
        let client_ca = match &clients {
            Clients::AsConfigured => self.settings.client_ca.as_ref(),
            Clients::NotAsked => None,
            Clients::VerifiedBy(client_ca) => Some(client_ca),
        };
        self.settings
            .terms(certified, client_ca)
            .map_err(|error| TlsErrorKind::Internal(error.to_string()).into())
    }
}

/// What one handshake goes by.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(super) server: Arc<ServerConfig>,
    pub(super) max_fragment_len: usize,
    /// Present if a session could be resumed whose client was verified in the past.
    pub(super) reverification: Option<Arc<Reverification>>,
}

/// How to judge an identity that comes out of a ticket, and what to do if it isn't good any more.
pub(super) struct Reverification {
    pub(super) client_ca: ClientCa,
    pub(super) clock: Arc<dyn Clock>,
    /// The same terms without resumption.
    pub(super) server: Arc<ServerConfig>,
}

fn protocol_versions(versions: TlsVersions) -> &'static [&'static SupportedProtocolVersion] {
    static ANY: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    let [tls13, tls12] = ANY.each_ref();
    match versions {
        TlsVersions::Any => &ANY,
        TlsVersions::Tls12 => core::slice::from_ref(tls12),
        TlsVersions::Tls13 => core::slice::from_ref(tls13),
    }
}

/// One certificate, whatever the client says: the choice was made before.
#[derive(Debug)]
struct Resolver(Option<Arc<RustlsKey>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: RustlsHello<'_>) -> Option<Arc<RustlsKey>> {
        self.0.clone()
    }
}

#[derive(Debug)]
struct ConfiguredClock(Arc<dyn Clock>);

impl TimeProvider for ConfiguredClock {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.unix_time().map(UnixTime::since_unix_epoch)
    }
}
