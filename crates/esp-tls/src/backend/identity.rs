//! A server's certificate with its key, as rustls wants them.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::CertificateDer;

use super::errors::{self, SIGNING_FAILED};
use super::provider::{provider, signing_key};
use crate::config_error::{ConfigError, ConfigProblem, Input};
use crate::error::TlsErrorKind;
use crate::private_key::{Kind, PrivateKey};
use crate::signing_key::{self, KeyAlgorithm};
use crate::x509::Certificate;

/// The shortest RSA key that is served, in bits (NIST SP 800-131A).
const MIN_RSA_BITS: usize = 2048;

#[derive(Clone)]
pub(crate) struct Identity(Arc<CertifiedKey>);

impl Identity {
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKey,
    ) -> Result<Self, ConfigError> {
        let fail = |problem| ConfigError { input: Input::PrivateKey, problem };
        let leaf = Certificate::parse(&chain[0])
            .map_err(|error| fail(ConfigProblem::UnusableKey(error.to_string())))?;
        if let Some(bits) = leaf.rsa_bits().filter(|bits| *bits < MIN_RSA_BITS) {
            return Err(fail(ConfigProblem::WeakKey { bits }));
        }
        let key: Arc<dyn SigningKey> = match key.0 {
            Kind::InMemory(der) => signing_key(der.as_der())
                .map_err(|error| fail(ConfigProblem::UnusableKey(error.to_string())))?,
            Kind::OnDevice(key) => Arc::new(DeviceKey(key)),
        };
        check_match(leaf.public_key, &*key).map_err(fail)?;
        Ok(Self(Arc::new(CertifiedKey::new(chain, key))))
    }

    pub(super) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.0
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = self.0.key.algorithm();
        f.debug_struct("CertifiedKey")
            .field("chain_len", &self.0.cert.len())
            .field("algorithm", &algorithm)
            .finish_non_exhaustive()
    }
}

/// Lets the key sign something and verifies it with the certificate's public key. Comparing public
/// keys would be shorter, but not every provider, and no key in hardware, gives its own away.
fn check_match(public_key: &[u8], key: &dyn SigningKey) -> Result<(), ConfigProblem> {
    const MESSAGE: &[u8] = b"does this key belong to this certificate?";
    let unusable = |detail: &str| ConfigProblem::UnusableKey(detail.to_string());

    let mapping = provider().signature_verification_algorithms.mapping;
    let schemes: Vec<SignatureScheme> = mapping.iter().map(|(scheme, _)| *scheme).collect();
    let signer = key.choose_scheme(&schemes).ok_or_else(|| unusable("no signature scheme"))?;
    let signature = signer.sign(MESSAGE).map_err(|error| match errors::kind(error) {
        TlsErrorKind::SigningFailed(detail) => ConfigProblem::Device(detail),
        other => unusable(&other.to_string()),
    })?;

    let matches = mapping
        .iter()
        .filter(|(scheme, _)| *scheme == signer.scheme())
        .flat_map(|(_, algorithms)| algorithms.iter())
        .any(|algorithm| algorithm.verify_signature(public_key, MESSAGE, &signature).is_ok());
    if matches { Ok(()) } else { Err(ConfigProblem::KeyMismatch) }
}

/// A key that signs on its device.
#[derive(Debug)]
struct DeviceKey(Arc<dyn signing_key::SigningKey>);

impl SigningKey for DeviceKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let schemes = self.0.schemes().iter().copied();
        let scheme = schemes
            .into_iter()
            .find(|scheme| offered.contains(&SignatureScheme::from(scheme.0)))?;
        Some(Box::new(DeviceSigner { key: Arc::clone(&self.0), scheme }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.algorithm() {
            KeyAlgorithm::Rsa => SignatureAlgorithm::RSA,
            KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => SignatureAlgorithm::ECDSA,
            KeyAlgorithm::Ed25519 => SignatureAlgorithm::ED25519,
        }
    }
}

#[derive(Debug)]
struct DeviceSigner {
    key: Arc<dyn signing_key::SigningKey>,
    scheme: signing_key::SignatureScheme,
}

impl Signer for DeviceSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.key
            .sign(self.scheme, message)
            .map_err(|error| Error::General(format!("{SIGNING_FAILED}{error}")))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::from(self.scheme.0)
    }
}
