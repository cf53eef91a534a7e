//! PEM or DER bytes to certificates, keys and CRLs, with an error for every way to mix them up.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pkcs8::der::Decode as _;
use pkcs8::pkcs5;
use rustls_pki_types::pem::{Error as PemError, PemObject, SectionKind};
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer,
};
use zeroize::{Zeroize, Zeroizing};

use crate::client_ca::ExpiredCrl;
use crate::clock::Clock;
use crate::config_error::{ConfigError, ConfigProblem, Input};
use crate::x509::{self, Certificate, DerKind};

/// All certificates in `bytes`, in their order, each valid now by `clock`.
pub(crate) fn certificates(
    input: Input,
    bytes: &[u8],
    clock: &dyn Clock,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let fail = |problem| ConfigError { input, problem };
    let chain = match Encoding::of(bytes).map_err(fail)? {
        Encoding::Pem => pem_certificates(bytes),
        Encoding::Der => der_certificates(bytes),
    }
    .map_err(fail)?;
    for (index, der) in chain.iter().enumerate() {
        check_certificate(index + 1, der, clock).map_err(fail)?;
    }
    Ok(chain)
}

/// The first private key in `bytes`, decrypted if it must be.
pub(crate) fn private_key(bytes: &[u8], password: Option<&[u8]>) -> Result<KeyDer, ConfigError> {
    Encoding::of(bytes)
        .and_then(|encoding| match encoding {
            Encoding::Pem => pem_key(bytes, password),
            Encoding::Der => der_key(bytes, password),
        })
        .map_err(|problem| ConfigError { input: Input::PrivateKey, problem })
}

/// All CRLs in `bytes`. Whether they hold what a CRL must hold is looked at later.
pub(crate) fn crls(
    bytes: &[u8],
    expired: ExpiredCrl,
    clock: &dyn Clock,
) -> Result<Vec<CertificateRevocationListDer<'static>>, ConfigError> {
    let fail = |problem| ConfigError { input: Input::Crl, problem };
    let crls = match Encoding::of(bytes).map_err(fail)? {
        Encoding::Pem => pem_crls(bytes),
        Encoding::Der => x509::split(bytes)
            .map(|der| der.map(|der| der.to_vec().into()))
            .collect::<Result<_, _>>()
            .map_err(|error| ConfigProblem::UnusableCrl(error.to_string())),
    }
    .map_err(fail)?;
    for (index, crl) in crls.iter().enumerate() {
        check_crl(index + 1, crl, expired, clock).map_err(fail)?;
    }
    Ok(crls)
}

/// A private key in the clear, wiped when it is dropped.
pub(crate) struct KeyDer(PrivateKeyDer<'static>);

impl KeyDer {
    pub(crate) fn as_der(&self) -> &PrivateKeyDer<'static> {
        &self.0
    }
}

impl Drop for KeyDer {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

enum Encoding {
    Pem,
    Der,
}

impl Encoding {
    fn of(bytes: &[u8]) -> Result<Encoding, ConfigProblem> {
        const DER_SEQUENCE: u8 = 0x30;
        // C callers count the terminating NUL of a PEM string, as mbedTLS demands.
        if bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
            Err(ConfigProblem::Empty)
        } else if bytes[0] == DER_SEQUENCE {
            Ok(Encoding::Der)
        } else if contains(bytes, b"-----BEGIN ") {
            Ok(Encoding::Pem)
        } else {
            Err(ConfigProblem::NotPemOrDer)
        }
    }
}

fn pem_certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigProblem> {
    let mut chain = Vec::new();
    let mut has_key = holds_encrypted_key(bytes);
    // An encrypted key beside the certificates is none of our business, and not base64 throughout.
    for section in pem_sections(bytes) {
        match section {
            Ok((SectionKind::Certificate, der)) => chain.push(CertificateDer::from(der)),
            Ok((kind, _)) => has_key |= is_key(kind),
            Err(problem) if !has_key => return Err(problem),
            Err(_) => {}
        }
    }
    match (chain.is_empty(), has_key) {
        (false, _) => Ok(chain),
        (true, true) => Err(ConfigProblem::KeyInsteadOfCertificate),
        (true, false) => Err(ConfigProblem::NoCertificate),
    }
}

fn pem_key(bytes: &[u8], password: Option<&[u8]>) -> Result<KeyDer, ConfigProblem> {
    if contains(bytes, TRADITIONAL_ENCRYPTION) {
        return Err(match password {
            Some(_) => ConfigProblem::UnsupportedEncryption("OpenSSL's traditional one".into()),
            None => ConfigProblem::EncryptedKey,
        });
    }
    let mut has_certificate = false;
    for section in pem_sections(&with_one_key_label(bytes)) {
        let (kind, der) = section?;
        has_certificate |= kind == SectionKind::Certificate;
        if kind == SectionKind::PrivateKey && DerKind::of(&der) == DerKind::EncryptedKey {
            return decrypt(&der, password);
        }
        if let Some(key) = PrivateKeyDer::from_pem(kind, der) {
            return Ok(KeyDer(key));
        }
    }
    match has_certificate {
        true => Err(ConfigProblem::CertificateInsteadOfKey),
        false => Err(ConfigProblem::NoKey),
    }
}

fn pem_crls(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, ConfigProblem> {
    let mut crls = Vec::new();
    for section in pem_sections(bytes) {
        let (kind, der) = section?;
        if kind == SectionKind::Crl {
            crls.push(der.into());
        }
    }
    if crls.is_empty() { Err(ConfigProblem::NoCrl) } else { Ok(crls) }
}

fn der_certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigProblem> {
    x509::split(bytes)
        .enumerate()
        .map(|(index, der)| {
            let der = der.map_err(|error| ConfigProblem::BadCertificate {
                number: index + 1,
                detail: error.to_string(),
            })?;
            match DerKind::of(der) {
                DerKind::PrivateKey | DerKind::EncryptedKey => {
                    Err(ConfigProblem::KeyInsteadOfCertificate)
                }
                DerKind::Certificate | DerKind::Unknown => Ok(CertificateDer::from(der.to_vec())),
            }
        })
        .collect()
}

fn der_key(bytes: &[u8], password: Option<&[u8]>) -> Result<KeyDer, ConfigProblem> {
    match DerKind::of(bytes) {
        DerKind::Certificate => Err(ConfigProblem::CertificateInsteadOfKey),
        DerKind::EncryptedKey => decrypt(bytes, password),
        DerKind::PrivateKey | DerKind::Unknown => PrivateKeyDer::try_from(bytes.to_vec())
            .map(KeyDer)
            .map_err(|detail| ConfigProblem::UnusableKey(detail.to_string())),
    }
}

/// Opens an `EncryptedPrivateKeyInfo` (RFC 5958, section 3).
fn decrypt(der: &[u8], password: Option<&[u8]>) -> Result<KeyDer, ConfigProblem> {
    let password = password.ok_or(ConfigProblem::EncryptedKey)?;
    let unsupported = |detail: String| ConfigProblem::UnsupportedEncryption(detail);
    let encrypted = pkcs8::EncryptedPrivateKeyInfoRef::from_der(der)
        .map_err(|error| unsupported(error.to_string()))?;
    let opened =
        encrypted.encryption_algorithm.decrypt(password, encrypted.encrypted_data.as_bytes());
    let opened = match opened {
        Ok(opened) => Zeroizing::new(opened),
        Err(pkcs5::Error::DecryptFailed) => return Err(ConfigProblem::WrongPassword),
        Err(error) => return Err(unsupported(error.to_string())),
    };
    // A wrong password can look right to the padding, once in 256 times, but opens no key.
    match DerKind::of(&opened) {
        DerKind::PrivateKey => Ok(KeyDer(PrivatePkcs8KeyDer::from(opened.to_vec()).into())),
        _ => Err(ConfigProblem::WrongPassword),
    }
}

fn check_certificate(number: usize, der: &[u8], clock: &dyn Clock) -> Result<(), ConfigProblem> {
    let certificate = Certificate::parse(der)
        .map_err(|error| ConfigProblem::BadCertificate { number, detail: error.to_string() })?;
    let Some(now) = clock.unix_time() else {
        return Ok(());
    };
    let Certificate { not_before, not_after, .. } = certificate;
    // Dates are whole seconds and `not_after` is the last valid one (RFC 5280, section 4.1.2.5).
    if now.as_secs() > not_after.as_secs() {
        Err(ConfigProblem::Expired { number, not_after, now })
    } else if now < not_before {
        Err(ConfigProblem::NotYetValid { number, not_before, now })
    } else {
        Ok(())
    }
}

fn check_crl(
    number: usize,
    der: &[u8],
    expired: ExpiredCrl,
    clock: &dyn Clock,
) -> Result<(), ConfigProblem> {
    let next_update = x509::crl_next_update(der)
        .map_err(|error| ConfigProblem::UnusableCrl(error.to_string()))?;
    match (next_update, clock.unix_time()) {
        (Some(next_update), Some(now)) if expired == ExpiredCrl::Refuse && now >= next_update => {
            Err(ConfigProblem::ExpiredCrl { number, next_update, now })
        }
        _ => Ok(()),
    }
}

fn pem_sections(
    bytes: &[u8],
) -> impl Iterator<Item = Result<(SectionKind, Vec<u8>), ConfigProblem>> + '_ {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).map(|section| {
        section.map_err(|error| {
            ConfigProblem::BadPem(match error {
                PemError::MissingSectionEnd { .. } => "a section has no `-----END` line",
                PemError::IllegalSectionStart { .. } => "a `-----BEGIN` line is cut off",
                PemError::Base64Decode(_) => "a section isn't base64",
                _ => "a section can't be decoded",
            })
        })
    })
}

fn is_key(kind: SectionKind) -> bool {
    use SectionKind::*;
    matches!(kind, PrivateKey | RsaPrivateKey | EcPrivateKey)
}

const ENCRYPTED_LABEL: &[u8] = b" ENCRYPTED PRIVATE KEY-----";
const TRADITIONAL_ENCRYPTION: &[u8] = b"Proc-Type: 4,ENCRYPTED";

/// PKCS #8 under a password has a label of its own; OpenSSL's old form has a header instead.
fn holds_encrypted_key(pem: &[u8]) -> bool {
    contains(pem, ENCRYPTED_LABEL) || contains(pem, TRADITIONAL_ENCRYPTION)
}

/// The same PEM with the label of encrypted keys, which the decoder steps over, replaced by that of
/// other keys. Which of the two it is can be seen in the DER.
fn with_one_key_label(pem: &[u8]) -> Cow<'_, [u8]> {
    if !contains(pem, ENCRYPTED_LABEL) {
        return Cow::Borrowed(pem);
    }
    let mut relabeled = Vec::with_capacity(pem.len());
    let mut rest = pem;
    while let Some(at) =
        rest.windows(ENCRYPTED_LABEL.len()).position(|part| part == ENCRYPTED_LABEL)
    {
        relabeled.extend_from_slice(&rest[..at]);
        relabeled.extend_from_slice(b" PRIVATE KEY-----");
        rest = &rest[at + ENCRYPTED_LABEL.len()..];
    }
    relabeled.extend_from_slice(rest);
    Cow::Owned(relabeled)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
