//! From what was configured to rustls' `ServerConfig`, without parsing anything twice.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoClientAuth, NoServerSessionStorage, ProducesTickets, ResolvesServerCert,
    WebPkiClientVerifier,
};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use super::provider;
use crate::clock::Clock;
use crate::config::{ClientAuth, SessionTickets, TlsVersions};
use crate::config_error::{ConfigError, ConfigProblem, Input};
use crate::x509::Certificate;

/// Everything that was configured, parsed and checked.
#[derive(Clone)]
pub(crate) struct Settings {
    provider: Arc<CryptoProvider>,
    clock: Arc<ConfiguredClock>,
    identity: Arc<Identity>,
    client_verifier: Arc<dyn ClientCertVerifier>,
    alpn: Vec<Vec<u8>>,
    versions: TlsVersions,
    ticketer: Option<Arc<dyn ProducesTickets>>,
}

impl Settings {
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let fail = |problem| ConfigError { input: Input::PrivateKey, problem };
        let provider = provider::provider();
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|error| fail(ConfigProblem::UnusableKey(error.to_string())))?;
        check_match(&provider, &chain, &*key).map_err(fail)?;
        Ok(Self {
            provider,
            clock: Arc::new(ConfiguredClock(clock)),
            identity: Arc::new(Identity(Arc::new(CertifiedKey::new(chain, key)))),
            client_verifier: Arc::new(NoClientAuth),
            alpn: Vec::new(),
            versions: TlsVersions::Any,
            ticketer: None,
        })
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock.0
    }

    pub(crate) fn with_client_ca(
        mut self,
        anchors: Vec<CertificateDer<'static>>,
        client_auth: ClientAuth,
    ) -> Result<Self, ConfigError> {
        let unusable = |detail| ConfigError {
            input: Input::ClientCa,
            problem: ConfigProblem::UnusableCa(detail),
        };
        let mut roots = RootCertStore::empty();
        for anchor in anchors {
            roots.add(anchor).map_err(|error| unusable(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&self.provider),
        );
        let verifier = match client_auth {
            ClientAuth::Required => verifier,
            ClientAuth::Optional => verifier.allow_unauthenticated(),
        };
        self.client_verifier = verifier.build().map_err(|error| unusable(error.to_string()))?;
        Ok(self)
    }

    pub(crate) fn with_alpn(mut self, protocols: Vec<Vec<u8>>) -> Self {
        self.alpn = protocols;
        self
    }

    pub(crate) fn with_versions(mut self, versions: TlsVersions) -> Self {
        self.versions = versions;
        self
    }

    pub(crate) fn with_session_tickets(
        mut self,
        tickets: SessionTickets,
    ) -> Result<Self, ConfigError> {
        self.ticketer = match tickets {
            SessionTickets::On => Some(provider::ticketer().map_err(|error| ConfigError {
                input: Input::SessionTickets,
                problem: ConfigProblem::Provider(error.to_string()),
            })?),
            SessionTickets::Off => None,
        };
        Ok(self)
    }

    pub(crate) fn build(&self) -> Result<ServerConfig, ConfigError> {
        let mut server = ServerConfig::builder_with_details(
            Arc::clone(&self.provider),
            Arc::clone(&self.clock) as Arc<dyn TimeProvider>,
        )
        .with_protocol_versions(protocol_versions(self.versions))
        .map_err(|error| ConfigError {
            input: Input::Versions,
            problem: ConfigProblem::Provider(error.to_string()),
        })?
        .with_client_cert_verifier(Arc::clone(&self.client_verifier))
        .with_cert_resolver(Arc::clone(&self.identity) as Arc<dyn ResolvesServerCert>);

        server.ignore_client_order = true;
        server.alpn_protocols = self.alpn.clone();
        // Rejected early data is retried on each pass and ends in a decryption error.
        server.max_early_data_size = 0;
        // State of past sessions is in tickets or nowhere: no memory per client, no session ids.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        if let Some(ticketer) = &self.ticketer {
            server.ticketer = Arc::clone(ticketer);
            // Each resumed session gets the next one; more would be for parallel connections.
            server.send_tls13_tickets = 1;
        }
        Ok(server)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("chain_len", &self.identity.0.cert.len())
            .field("asks_for_client_certificate", &self.client_verifier.offer_client_auth())
            .field("alpn", &self.alpn)
            .field("versions", &self.versions)
            .field("session_tickets", &self.ticketer.is_some())
            .finish_non_exhaustive()
    }
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

/// Lets the key sign something and verifies it with the certificate's public key. Comparing public
/// keys would be shorter, but not every provider, and no key in hardware, gives its own away.
fn check_match(
    provider: &CryptoProvider,
    chain: &[CertificateDer<'_>],
    key: &dyn SigningKey,
) -> Result<(), ConfigProblem> {
    const MESSAGE: &[u8] = b"does this key belong to this certificate?";
    let unusable = |detail: &str| ConfigProblem::UnusableKey(detail.to_string());

    let mapping = provider.signature_verification_algorithms.mapping;
    let schemes: Vec<SignatureScheme> = mapping.iter().map(|(scheme, _)| *scheme).collect();
    let signer = key.choose_scheme(&schemes).ok_or_else(|| unusable("no signature scheme"))?;
    let signature = signer.sign(MESSAGE).map_err(|error| unusable(&error.to_string()))?;
    let leaf = Certificate::parse(&chain[0]).map_err(|error| unusable(&error.to_string()))?;

    let matches = mapping
        .iter()
        .filter(|(scheme, _)| *scheme == signer.scheme())
        .flat_map(|(_, algorithms)| algorithms.iter())
        .any(|algorithm| algorithm.verify_signature(leaf.public_key, MESSAGE, &signature).is_ok());
    if matches { Ok(()) } else { Err(ConfigProblem::KeyMismatch) }
}

/// The one certificate of this server, whatever name a client asks for.
#[derive(Debug)]
struct Identity(Arc<CertifiedKey>);

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct ConfiguredClock(Arc<dyn Clock>);

impl TimeProvider for ConfiguredClock {
    fn current_time(&self) -> Option<UnixTime> {
        self.0.unix_time().map(UnixTime::since_unix_epoch)
    }
}
