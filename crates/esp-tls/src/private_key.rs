//! A server's private key, from a file, from a file under a password, or on a device.

use alloc::sync::Arc;
use core::fmt;

use crate::config_error::ConfigError;
use crate::credentials::{self, KeyDer};
use crate::signing_key::SigningKey;

/// The private key of a [`CertifiedKey`](crate::CertifiedKey), the counterpart of ESP-IDF's
/// `esp_key_config_t`.
///
/// RSA of 2048 bits or more, ECDSA on P-256 or P-384, Ed25519. The bytes that were read for it are
/// wiped from memory when they are no longer needed; what the crypto provider made of them is its
/// to wipe. Its `Debug` output shows nothing of it.
///
/// ```
/// # fn demo(pem: &[u8], password: &str) -> Result<(), Box<dyn std::error::Error>> {
/// use esp_tls::PrivateKey;
///
/// let key = PrivateKey::with_password(pem, password)?;
/// # Ok(())
/// # }
/// ```
pub struct PrivateKey(pub(crate) Kind);

pub(crate) enum Kind {
    InMemory(KeyDer),
    OnDevice(Arc<dyn SigningKey>),
}

impl PrivateKey {
    /// A key in PEM or DER: PKCS #8, PKCS #1 or SEC 1. Follows `serverkey_buf`.
    ///
    /// # Errors
    ///
    /// The input is empty, damaged, a certificate, or protected by a password.
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        credentials::private_key(key.as_ref(), None).map(|der| Self(Kind::InMemory(der)))
    }

    /// A key in PEM or DER that may be protected by a password. Follows `serverkey_password`.
    ///
    /// What is understood is encrypted PKCS #8 by PBES2 (RFC 8018): AES in CBC with PBKDF2 or
    /// scrypt, as OpenSSL 1.1 and later write it. A key in the clear is taken as well.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); or the password is wrong, or the encryption of another kind.
    pub fn with_password(
        key: impl AsRef<[u8]>,
        password: impl AsRef<[u8]>,
    ) -> Result<Self, ConfigError> {
        let password = Some(password.as_ref());
        credentials::private_key(key.as_ref(), password).map(|der| Self(Kind::InMemory(der)))
    }

    /// A key that never leaves its device. Follows `server_key`.
    pub fn on_device(key: impl SigningKey + 'static) -> Self {
        Self(Kind::OnDevice(Arc::new(key)))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::InMemory(_) => f.write_str("PrivateKey(in memory)"),
            Kind::OnDevice(key) => write!(f, "PrivateKey({key:?})"),
        }
    }
}
