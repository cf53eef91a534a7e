//! What the clients offer in TLS: one version, one suite, X25519 before all, so that every server
//! does the same cryptography.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, Resumption as RustlsResumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion, version,
};

/// The version that a client speaks, with AES-128-GCM, SHA-256 and X25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.
    Tls12,
    /// TLS 1.3, TLS_AES_128_GCM_SHA256.
    Tls13,
}

/// Whether a connection resumes the TLS session of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// Every handshake is a full one. The client does not offer to resume.
    Off,
    /// Every handshake after a connection's first resumes.
    On,
}

/// The settings of one client. With resumption it remembers sessions, so each connection that
/// resumes its own needs settings of its own.
pub(crate) fn config(version: TlsVersion, resumption: Resumption) -> Arc<ClientConfig> {
    let (protocol, suite): (&SupportedProtocolVersion, _) = match version {
        TlsVersion::Tls12 => {
            (&version::TLS12, aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
        }
        TlsVersion::Tls13 => (&version::TLS13, aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256),
    };
    let provider = CryptoProvider {
        cipher_suites: vec![suite],
        // P-256 comes last, for the certificate: OpenSSL wants its curve among the groups in TLS 1.2.
        kx_groups: vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[protocol])
        .expect("the suite is one of that version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny))
        .with_no_client_auth();
    config.resumption = match resumption {
        Resumption::Off => RustlsResumption::disabled(),
        Resumption::On => RustlsResumption::store(Arc::new(ClientSessionMemoryCache::new(4))),
    };
    Arc::new(config)
}

/// The name that clients ask for.
pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a valid name")
}

/// Takes every certificate and every signature: verifying is work of the client alone.
#[derive(Debug)]
struct AcceptAny;

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
