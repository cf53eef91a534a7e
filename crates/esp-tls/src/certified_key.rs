//! A certificate and the private key that it is for.

use core::fmt;

use crate::backend::Identity;
use crate::clock::Clock;
#[cfg(feature = "std")]
use crate::clock::SystemClock;
use crate::config_error::{ConfigError, Input};
use crate::credentials;
use crate::private_key::PrivateKey;

/// What a server identifies itself with: a certificate chain and its private key, parsed, checked
/// and matched once. Cloning shares it.
#[derive(Clone)]
pub struct CertifiedKey {
    identity: Identity,
}

impl CertifiedKey {
    /// A certificate chain (PEM or DER) and its key.
    ///
    /// `cert_chain` is the server's certificate followed by those that lead to its CA, without the
    /// CA's own (as DER: concatenated). Dates are checked against [`SystemClock`].
    ///
    /// # Errors
    ///
    /// The chain is empty, damaged, expired, not valid yet, or of a kind that the provider doesn't
    /// take; the key doesn't match, or its device failed.
    #[cfg(feature = "std")]
    pub fn new(cert_chain: impl AsRef<[u8]>, key: PrivateKey) -> Result<Self, ConfigError> {
        Self::with_clock(cert_chain, key, &SystemClock)
    }

    /// The same as `new`, checked against the time that `clock` tells now.
    ///
    /// # Errors
    ///
    /// As `new`. While the clock doesn't know the time, dates aren't checked.
    pub fn with_clock(
        cert_chain: impl AsRef<[u8]>,
        key: PrivateKey,
        clock: &dyn Clock,
    ) -> Result<Self, ConfigError> {
        let chain = credentials::certificates(Input::CertificateChain, cert_chain.as_ref(), clock)?;
        Ok(Self { identity: Identity::new(chain, key)? })
    }

    /// From two files, judged in this order: were they exchanged, the certificate's error says so.
    pub(crate) fn from_bytes(
        cert_chain: &[u8],
        key: &[u8],
        clock: &dyn Clock,
    ) -> Result<Self, ConfigError> {
        let chain = credentials::certificates(Input::CertificateChain, cert_chain, clock)?;
        Ok(Self { identity: Identity::new(chain, PrivateKey::new(key)?)? })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl fmt::Debug for CertifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(f)
    }
}
