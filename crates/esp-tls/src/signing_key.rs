//! Private keys that never leave their device: a secure element, a peripheral, a token.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::backend;

/// A private key that signs where it is, the counterpart of ESP-IDF's `esp_key_config_t` with a key
/// that isn't in memory (DS peripheral, ECDSA peripheral, secure element).
///
/// Give it to [`PrivateKey::on_device`](crate::PrivateKey::on_device). It is asked once when the
/// configuration is built, to see whether it belongs to the certificate, and then once in every
/// handshake that isn't resumed.
///
/// ```
/// use esp_tls::{KeyAlgorithm, SignatureScheme, SigningError, SigningKey};
///
/// #[derive(Debug)]
/// struct Peripheral;
///
/// impl SigningKey for Peripheral {
///     fn algorithm(&self) -> KeyAlgorithm {
///         KeyAlgorithm::EcdsaP256
///     }
///
///     fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SigningError> {
///         let _digest = scheme.digest(message);
///         Err(SigningError::new("the peripheral is busy"))
///     }
/// }
/// ```
pub trait SigningKey: fmt::Debug + Send + Sync {
    /// What kind of key it is.
    fn algorithm(&self) -> KeyAlgorithm;

    /// The schemes that it can sign with, the preferred first. By default those of its kind.
    fn schemes(&self) -> &[SignatureScheme] {
        self.algorithm().schemes()
    }

    /// Signs `message`, which isn't hashed yet: [`SignatureScheme::digest`] does that for devices
    /// that don't. `scheme` is one of [`schemes`](Self::schemes).
    ///
    /// The signature is as TLS carries it (RFC 8446, section 4.2.3): for ECDSA the DER structure of
    /// the two numbers, for RSA and Ed25519 the plain bytes.
    ///
    /// The thread that drives the handshake waits for this call, and with it all sessions of that
    /// worker.
    ///
    /// # Errors
    ///
    /// The device failed. This handshake is over then; the next one asks again.
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SigningError>;
}

/// The kinds of keys a server's certificate can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// RSA, 2048 bits or more.
    Rsa,
    /// ECDSA on NIST's curve P-256.
    EcdsaP256,
    /// ECDSA on NIST's curve P-384.
    EcdsaP384,
    /// Ed25519 (RFC 8032).
    Ed25519,
}

impl KeyAlgorithm {
    /// The schemes of TLS 1.2 and 1.3 for such a key, the preferred first.
    pub fn schemes(self) -> &'static [SignatureScheme] {
        use SignatureScheme as Scheme;
        match self {
            // TLS 1.3 wants PSS; PKCS #1 is for clients of TLS 1.2 that know nothing else.
            KeyAlgorithm::Rsa => &[
                Scheme::RSA_PSS_RSAE_SHA256,
                Scheme::RSA_PSS_RSAE_SHA384,
                Scheme::RSA_PKCS1_SHA256,
                Scheme::RSA_PKCS1_SHA384,
            ],
            KeyAlgorithm::EcdsaP256 => &[Scheme::ECDSA_SECP256R1_SHA256],
            KeyAlgorithm::EcdsaP384 => &[Scheme::ECDSA_SECP384R1_SHA384],
            KeyAlgorithm::Ed25519 => &[Scheme::ED25519],
        }
    }
}

/// A `SignatureScheme` by its number in IANA's registry (RFC 8446, section 4.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignatureScheme(pub u16);

macro_rules! signature_schemes {
    ($($constant:ident = $number:literal, $name:literal;)*) => {
        impl SignatureScheme {
            $(#[doc = concat!("`", $name, "`.")]
            pub const $constant: SignatureScheme = SignatureScheme($number);)*

            /// The registered name, or `None` for a number that has none here.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

signature_schemes! {
    RSA_PKCS1_SHA256 = 0x0401, "rsa_pkcs1_sha256";
    RSA_PKCS1_SHA384 = 0x0501, "rsa_pkcs1_sha384";
    RSA_PKCS1_SHA512 = 0x0601, "rsa_pkcs1_sha512";
    ECDSA_SECP256R1_SHA256 = 0x0403, "ecdsa_secp256r1_sha256";
    ECDSA_SECP384R1_SHA384 = 0x0503, "ecdsa_secp384r1_sha384";
    ECDSA_SECP521R1_SHA512 = 0x0603, "ecdsa_secp521r1_sha512";
    RSA_PSS_RSAE_SHA256 = 0x0804, "rsa_pss_rsae_sha256";
    RSA_PSS_RSAE_SHA384 = 0x0805, "rsa_pss_rsae_sha384";
    RSA_PSS_RSAE_SHA512 = 0x0806, "rsa_pss_rsae_sha512";
    ED25519 = 0x0807, "ed25519";
}

impl SignatureScheme {
    /// The hash of `message` that a signature of this scheme is made over, SHA-256 or SHA-384.
    /// `None` for a scheme with another hash, or without one of its own as Ed25519.
    pub fn digest(self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::RSA_PKCS1_SHA256 | Self::RSA_PSS_RSAE_SHA256 | Self::ECDSA_SECP256R1_SHA256 => {
                Some(backend::sha256(message).to_vec())
            }
            Self::RSA_PKCS1_SHA384 | Self::RSA_PSS_RSAE_SHA384 | Self::ECDSA_SECP384R1_SHA384 => {
                Some(backend::sha384(message).to_vec())
            }
            _ => None,
        }
    }
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signature scheme {:#06x}", self.0),
        }
    }
}

impl fmt::Debug for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignatureScheme({:#06x}, {self})", self.0)
    }
}

/// A device could not sign. The text is for whoever looks after the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningError(String);

impl SigningError {
    /// An error that says `detail`.
    pub fn new(detail: impl Into<String>) -> Self {
        Self(detail.into())
    }
}

impl fmt::Display for SigningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for SigningError {}
