//! Which cryptography, and which of its suites first.

use alloc::sync::Arc;
use alloc::vec::Vec;

use rustls::crypto::{CryptoProvider, hash};
use rustls::sign::SigningKey;
use rustls::{CipherSuite as Number, SupportedCipherSuite, Tls13CipherSuite};
use rustls_pki_types::PrivateKeyDer;

use crate::cipher_suite::CipherSuite;
use crate::config_error::ConfigProblem;

/// The provider of the first enabled feature, TLS 1.3 and AES-128-GCM in front: next to SHA-256 it costs a
/// fifth less per handshake than rustls' first choice, and less per byte.
pub(super) fn provider() -> &'static Arc<CryptoProvider> {
    // Once, however many threads are here at the same time: aws-lc's suites stay for ever.
    #[cfg(feature = "std")]
    {
        static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
        PROVIDER.get_or_init(|| Arc::new(in_order(chosen::provider())))
    }
    #[cfg(not(feature = "std"))]
    {
        use once_cell::race::OnceBox;
        static PROVIDER: OnceBox<Arc<CryptoProvider>> = OnceBox::new();
        PROVIDER.get_or_init(|| alloc::boxed::Box::new(Arc::new(in_order(chosen::provider()))))
    }
}

fn in_order(mut provider: CryptoProvider) -> CryptoProvider {
    let rank =
        |suite: &SupportedCipherSuite| (suite.tls13().is_none(), !is_aes_128_gcm(suite.suite()));
    provider.cipher_suites.sort_by_key(rank);
    provider
}

/// A key from DER that is neither copied nor dropped here.
pub(super) fn signing_key(der: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
    chosen::signing_key(der)
}

/// The suite of TLS 1.3 with this number.
pub(super) fn tls13_suite(number: Number) -> Option<&'static Tls13CipherSuite> {
    provider().cipher_suites.iter().find(|suite| suite.suite() == number)?.tls13()
}

pub(crate) fn supported_cipher_suites() -> Vec<CipherSuite> {
    provider().cipher_suites.iter().map(|suite| named(suite.suite())).collect()
}

/// The suites of these numbers, in their order, and the numbers that have none here.
pub(super) fn find_cipher_suites(ids: &[u16]) -> (Vec<SupportedCipherSuite>, Vec<u16>) {
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for id in ids {
        let suites = &provider().cipher_suites;
        match suites.iter().find(|suite| suite.suite() == Number::from(*id)) {
            Some(suite) if found.contains(suite) => {}
            Some(suite) => found.push(*suite),
            None => unknown.push(*id),
        }
    }
    (found, unknown)
}

/// The registered name of a cipher suite, supported or not.
pub(crate) fn cipher_suite_name(id: u16) -> Option<&'static str> {
    let suite = Number::from(id);
    suite.as_str().map(|_| iana_name(suite))
}

pub(super) fn named(suite: Number) -> CipherSuite {
    CipherSuite { id: suite.into(), name: iana_name(suite) }
}

/// Fills `bytes` from the provider's source of randomness.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), ConfigProblem> {
    provider().secure_random.fill(bytes).map_err(|_| ConfigProblem::NoRandomness)
}

pub(crate) fn sha256(message: &[u8]) -> [u8; 32] {
    digest(Number::TLS13_AES_128_GCM_SHA256, message)
}

pub(crate) fn sha384(message: &[u8]) -> [u8; 48] {
    digest(Number::TLS13_AES_256_GCM_SHA384, message)
}

/// The hash that goes with a suite of TLS 1.3. All providers have those two.
fn digest<const LEN: usize>(suite: Number, message: &[u8]) -> [u8; LEN] {
    let suite = tls13_suite(suite).expect("every provider has the suites of RFC 8446");
    let hash: &dyn hash::Hash = suite.common.hash_provider;
    hash.hash(message).as_ref().try_into().expect("the suite's name says how long its hash is")
}

fn is_aes_128_gcm(suite: Number) -> bool {
    use Number::*;
    matches!(
        suite,
        TLS13_AES_128_GCM_SHA256
            | TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

/// The name in IANA's registry; rustls spells those of TLS 1.3 in its own way.
fn iana_name(suite: Number) -> &'static str {
    use Number::*;
    match suite {
        TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or("unregistered"),
    }
}

#[cfg(feature = "aws-lc-rs")]
mod chosen {
    use rustls::crypto::{CryptoProvider, aws_lc_rs};

    pub(super) use rustls::crypto::aws_lc_rs::sign::any_supported_type as signing_key;

    pub(super) fn provider() -> CryptoProvider {
        let mut provider = aws_lc_rs::default_provider();
        crate::backend::sha256::replace_in(&mut provider);
        provider
    }
}

#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
mod chosen {
    pub(super) use rustls::crypto::ring::default_provider as provider;
    pub(super) use rustls::crypto::ring::sign::any_supported_type as signing_key;
}

#[cfg(all(feature = "rustcrypto", not(any(feature = "aws-lc-rs", feature = "ring"))))]
mod chosen {
    pub(super) use rustls_rustcrypto::provider;
    pub(super) use rustls_rustcrypto::sign::any_supported_type as signing_key;
}
