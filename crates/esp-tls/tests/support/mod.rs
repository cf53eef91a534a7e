//! Both ends of a connection in one thread: our session, and a client of rustls' buffered API.
//! Bytes travel through vectors, cut as a test likes.

// Every test file compiles this module and none uses all of it.
#![allow(dead_code, unreachable_pub)]

pub mod odd;
pub mod pki;
pub mod raw;

use std::io::{Read, Write};
use std::sync::Arc;

use esp_tls::{TlsConfig, TlsError, TlsErrorKind, TlsSession};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};

use odd::Groups;
pub use pki::{Issued, pki};

/// A configuration with the test server's certificate.
pub fn server_config() -> TlsConfig {
    let server = &pki().server;
    TlsConfig::new(&server.cert_pem, &server.key_pem).expect("a good certificate and its key")
}

/// How a test's client differs from an ordinary one.
pub struct ClientSetup<'a> {
    pub versions: &'static [&'static SupportedProtocolVersion],
    pub identity: Option<&'a Issued>,
    /// Signs and chains as the test says, instead of `identity`.
    pub resolver: Option<Arc<dyn ResolvesClientCert>>,
    pub alpn: Vec<Vec<u8>>,
    pub resumption: bool,
    pub groups: Groups,
    /// Verifies RSA signatures only, and says so.
    pub rsa_only: bool,
}

impl Default for ClientSetup<'_> {
    fn default() -> Self {
        Self {
            versions: rustls::ALL_VERSIONS,
            identity: None,
            resolver: None,
            alpn: vec![],
            resumption: false,
            groups: Groups::Usual,
            rsa_only: false,
        }
    }
}

pub static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

impl<'a> ClientSetup<'a> {
    pub fn versions(versions: &'static [&'static SupportedProtocolVersion]) -> Self {
        Self { versions, ..Self::default() }
    }

    pub fn alpn(protocols: &[&str]) -> Self {
        Self {
            alpn: protocols.iter().map(|name| name.as_bytes().to_vec()).collect(),
            ..Self::default()
        }
    }

    pub fn identity(identity: &'a Issued) -> Self {
        Self { identity: Some(identity), ..Self::default() }
    }

    pub fn build(self) -> Arc<ClientConfig> {
        self.build_trusting(&pki().ca)
    }

    /// A client that knows this CA, or this self-signed server, and no other.
    pub fn build_trusting(self, root: &Issued) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(root.cert_der.clone())).unwrap();
        let mut provider = ring::default_provider();
        if self.rsa_only {
            let algorithms = &mut provider.signature_verification_algorithms;
            let rsa = |scheme: SignatureScheme| format!("{scheme:?}").starts_with("RSA");
            let mapping = algorithms.mapping.iter().filter(|(scheme, _)| rsa(*scheme)).copied();
            algorithms.mapping = Vec::leak(mapping.collect());
        }
        if self.groups == Groups::FirstGuessIsWrong {
            provider.kx_groups.insert(0, odd::STRANGE_GROUP);
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match (self.resolver, self.identity) {
            (Some(resolver), _) => builder.with_client_cert_resolver(resolver),
            (None, Some(issued)) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from(issued.cert_der.clone())],
                    PrivateKeyDer::try_from(issued.key_der.clone()).unwrap(),
                )
                .unwrap(),
            (None, None) => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        config.enable_secret_extraction = true;
        match (self.resumption, self.groups) {
            (false, _) => config.resumption = Resumption::disabled(),
            (true, Groups::FirstGuessIsWrong) => {
                config.resumption = Resumption::store(Arc::new(odd::Forgetful::new()));
            }
            (true, Groups::Usual) => {}
        }
        Arc::new(config)
    }
}

/// The client's end.
pub struct Client {
    pub tls: ClientConnection,
}

impl Client {
    pub fn new(config: &Arc<ClientConfig>) -> Self {
        Self::of("localhost", config)
    }

    /// A client that wants to talk to `name`, a host name or an address.
    pub fn of(name: &str, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from(name.to_string()).unwrap();
        Self { tls: ClientConnection::new(Arc::clone(config), name).unwrap() }
    }

    /// What the client wants to put on the wire.
    pub fn take(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut wire).unwrap();
        }
        wire
    }

    /// Hands it bytes from the wire and returns the plaintext they hold.
    pub fn give(&mut self, mut wire: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let mut plain = Vec::new();
        while !wire.is_empty() {
            self.tls.read_tls(&mut wire).unwrap();
            let state = self.tls.process_new_packets()?;
            let start = plain.len();
            plain.resize(start + state.plaintext_bytes_to_read(), 0);
            self.tls.reader().read_exact(&mut plain[start..]).unwrap();
            if state.peer_has_closed() {
                break;
            }
        }
        Ok(plain)
    }

    /// Encrypts `plain` and returns the records.
    pub fn encrypt(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for part in plain.chunks(16 * 1024) {
            self.tls.writer().write_all(part).unwrap();
            wire.append(&mut self.take());
        }
        wire
    }
}

/// What one call of `recv` produced.
#[derive(Debug, Default, PartialEq)]
pub struct Received {
    pub plain: Vec<u8>,
    pub out: Vec<u8>,
}

/// `recv` into fresh buffers.
pub fn recv(session: &mut TlsSession, wire: &[u8]) -> (Result<(), TlsError>, Received) {
    let mut received = Received::default();
    let mut input = wire.to_vec();
    let result = session.recv(&mut input, &mut received.plain, &mut received.out);
    (result, received)
}

/// `send` into a fresh buffer, which must succeed.
pub fn send(session: &mut TlsSession, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    session.send(plain, &mut out).expect("send");
    out
}

/// A client and a session, connected by nothing but the test.
pub struct Pair {
    pub client: Client,
    pub server: TlsSession,
}

impl Pair {
    /// Both ends before their first byte.
    pub fn new(server: &TlsConfig, client: &Arc<ClientConfig>) -> Self {
        Self { client: Client::new(client), server: TlsSession::new(server) }
    }

    /// The same with a client that wants to talk to `name`.
    pub fn of(name: &str, server: &TlsConfig, client: &Arc<ClientConfig>) -> Self {
        Self { client: Client::of(name, client), server: TlsSession::new(server) }
    }

    /// Both ends after a good handshake.
    pub fn connected(server: &TlsConfig, client: &Arc<ClientConfig>) -> Self {
        let mut pair = Self::new(server, client);
        pair.handshake().expect("handshake");
        pair
    }

    /// Carries bytes both ways until nobody has anything to say. The client's own verdict is its
    /// business, as long as it gets to see ours.
    pub fn handshake(&mut self) -> Result<(), TlsError> {
        loop {
            let wire = self.client.take();
            if wire.is_empty() {
                return Ok(());
            }
            let (result, received) = recv(&mut self.server, &wire);
            self.client.give(&received.out).ok();
            result?;
        }
    }
}

/// Has the client of a TLS 1.3 session change its keys as often as it may without data between, and once
/// more (BoringSSL's limit, and rustls').
pub fn only_32_key_updates_may_come_in_a_row(mut pair: Pair) {
    let update = |pair: &mut Pair| {
        pair.client.tls.refresh_traffic_keys().unwrap();
        recv(&mut pair.server, &pair.client.take()).0
    };
    for _ in 0..32 {
        update(&mut pair).unwrap();
    }
    // Data in between starts the count anew.
    let data = pair.client.encrypt(b"data");
    recv(&mut pair.server, &data).0.unwrap();
    for _ in 0..32 {
        update(&mut pair).unwrap();
    }
    let error = update(&mut pair).unwrap_err();
    assert_eq!(error.kind(), &TlsErrorKind::Protocol("TooManyKeyUpdateRequests".into()));
}

/// Numbers that look random and are the same in every run (xorshift64*).
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number in `range`, bounds included.
    pub fn within(&mut self, range: core::ops::RangeInclusive<usize>) -> usize {
        let span = range.end() - range.start() + 1;
        range.start() + (self.next() >> 16) as usize % span
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// A clock that stands where the test puts it.
#[derive(Clone, Debug)]
pub struct SetClock(Arc<std::sync::atomic::AtomicU64>);

impl SetClock {
    /// At the beginning of that year.
    pub fn at_year(year: i32) -> Self {
        let clock = Self(Arc::default());
        clock.set_year(year);
        clock
    }

    pub fn set_year(&self, year: i32) {
        let seconds = rcgen::date_time_ymd(year, 1, 1).unix_timestamp();
        self.0.store(seconds as u64, std::sync::atomic::Ordering::Relaxed);
    }

    pub fn advance(&self, by: std::time::Duration) {
        self.0.fetch_add(by.as_secs(), std::sync::atomic::Ordering::Relaxed);
    }
}

impl esp_tls::Clock for SetClock {
    fn unix_time(&self) -> Option<std::time::Duration> {
        let seconds = self.0.load(std::sync::atomic::Ordering::Relaxed);
        Some(std::time::Duration::from_secs(seconds))
    }
}
