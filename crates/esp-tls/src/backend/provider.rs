//! Which cryptography, and which of its suites first.

use alloc::sync::Arc;

use rustls::CipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;

/// The provider of the first enabled feature, AES-128-GCM in front: next to SHA-256 it costs a
/// fifth less per handshake than rustls' first choice, and less per byte.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = chosen::provider();
    provider.cipher_suites.sort_by_key(|suite| !is_aes_128_gcm(suite.suite()));
    Arc::new(provider)
}

pub(super) type Ticketer = Result<Arc<dyn ProducesTickets>, rustls::Error>;

/// Something that seals session tickets, with a key of its own.
pub(super) fn ticketer() -> Ticketer {
    chosen::ticketer()
}

fn is_aes_128_gcm(suite: CipherSuite) -> bool {
    use CipherSuite::*;
    matches!(
        suite,
        TLS13_AES_128_GCM_SHA256
            | TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

/// The name in IANA's registry; rustls spells those of TLS 1.3 in its own way.
pub(super) fn iana_name(suite: CipherSuite) -> &'static str {
    use CipherSuite::*;
    match suite {
        TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or("unregistered"),
    }
}

#[cfg(feature = "aws-lc-rs")]
mod chosen {
    pub(super) use rustls::crypto::aws_lc_rs::default_provider as provider;

    pub(super) fn ticketer() -> super::Ticketer {
        rustls::crypto::aws_lc_rs::Ticketer::new()
    }
}

#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
mod chosen {
    pub(super) use rustls::crypto::ring::default_provider as provider;

    #[cfg(feature = "std")]
    pub(super) fn ticketer() -> super::Ticketer {
        rustls::crypto::ring::Ticketer::new()
    }

    /// ring's ticketer changes its key in time under a lock of `std`.
    #[cfg(not(feature = "std"))]
    pub(super) fn ticketer() -> super::Ticketer {
        Err(rustls::Error::General("ring has no session tickets without `std`".into()))
    }
}

#[cfg(all(feature = "rustcrypto", not(any(feature = "aws-lc-rs", feature = "ring"))))]
mod chosen {
    pub(super) use rustls_rustcrypto::provider;

    pub(super) use crate::backend::tickets::ticketer;
}
