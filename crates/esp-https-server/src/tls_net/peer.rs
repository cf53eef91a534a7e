//! The client at the other end of a [`Wire`], for tests: rustls, so that what `TlsNet` sends is
//! judged by somebody else.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::io::{ErrorKind, Read, Write};
use std::sync::OnceLock;

use esp_tls::{SessionTickets, TlsConfig};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use super::pipe::Wire;

/// What the server presents and the clients trust.
struct Identity {
    certificate: CertificateDer<'static>,
    config: TlsConfig,
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        Identity {
            certificate: made.cert.der().clone(),
            config: TlsConfig::new(made.cert.pem(), made.signing_key.serialize_pem())
                .and_then(|config| config.session_tickets(SessionTickets::On))
                .unwrap(),
        }
    })
}

/// The server's side of all tests.
pub(super) fn server_config() -> TlsConfig {
    identity().config.clone()
}

/// A TLS client and what it has read.
pub(super) struct Peer {
    tls: ClientConnection,
    pub(super) received: Vec<u8>,
    /// Why it gave up, or whether it was told that nothing more comes.
    pub(super) error: Option<rustls::Error>,
    pub(super) is_told_end: bool,
}

impl Peer {
    /// One that trusts the server.
    pub(super) fn new(version: &'static SupportedProtocolVersion) -> Self {
        Self::with_config(Self::config(version), "localhost")
    }

    /// The configuration of one that trusts the server.
    pub(super) fn config(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        Self::config_with(rustls::crypto::aws_lc_rs::default_provider(), version)
    }

    /// The same, with cryptography of its own.
    pub(super) fn config_with(
        provider: CryptoProvider,
        version: &'static SupportedProtocolVersion,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(identity().certificate.clone()).unwrap();
        Self::trusting(provider, version, roots)
    }

    /// One that trusts somebody else, and says so in an alert.
    pub(super) fn distrustful() -> Self {
        let other = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(other.cert.der().clone()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Self::with_config(Self::trusting(provider, &rustls::version::TLS13, roots), "localhost")
    }

    fn trusting(
        provider: CryptoProvider,
        version: &'static SupportedProtocolVersion,
        roots: RootCertStore,
    ) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    /// One that goes by its own configuration and asks for that name, or connects to that address.
    pub(super) fn with_config(config: Arc<ClientConfig>, name: &'static str) -> Self {
        let name = ServerName::try_from(name).unwrap();
        let mut tls = ClientConnection::new(config, name).unwrap();
        tls.set_buffer_limit(None);
        Self { tls, received: Vec::new(), error: None, is_told_end: false }
    }

    pub(super) fn is_connected(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// Queues plain text; it leaves with the next [`exchange`](Self::exchange).
    pub(super) fn say(&mut self, plain: &[u8]) {
        self.tls.writer().write_all(plain).unwrap();
    }

    pub(super) fn say_goodbye(&mut self) {
        self.tls.send_close_notify();
    }

    pub(super) fn update_keys(&mut self) {
        self.tls.refresh_traffic_keys().unwrap();
    }

    /// Reads everything there is on the wire and says whatever there is to say.
    pub(super) fn exchange(&mut self, wire: &mut Wire) {
        self.exchange_some(wire, usize::MAX);
    }

    /// The same, but reads no more than `len` bytes of the wire.
    pub(super) fn exchange_some(&mut self, wire: &mut Wire, len: usize) {
        let len = len.min(wire.to_client.len());
        let taken: Vec<u8> = wire.to_client.drain(..len).collect();
        self.read(&taken);
        let mut ciphertext = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut ciphertext).unwrap();
        }
        wire.to_server.extend(ciphertext);
    }

    fn read(&mut self, mut ciphertext: &[u8]) {
        while !ciphertext.is_empty() && self.error.is_none() {
            let taken = self.tls.read_tls(&mut ciphertext).unwrap();
            if let Err(error) = self.tls.process_new_packets() {
                self.error = Some(error);
            }
            match self.tls.reader().read_to_end(&mut self.received) {
                Ok(_) => self.is_told_end = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            if taken == 0 {
                break;
            }
        }
    }
}
