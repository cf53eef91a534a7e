//! PEM or DER bytes to certificates and keys, with an error for every way to mix them up.

use alloc::string::ToString;
use alloc::vec::Vec;

use rustls_pki_types::pem::{Error as PemError, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

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

/// The first private key in `bytes`.
pub(crate) fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, ConfigError> {
    Encoding::of(bytes)
        .and_then(|encoding| match encoding {
            Encoding::Pem => pem_key(bytes),
            Encoding::Der => der_key(bytes),
        })
        .map_err(|problem| ConfigError { input: Input::PrivateKey, problem })
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

fn pem_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, ConfigProblem> {
    if holds_encrypted_key(bytes) {
        return Err(ConfigProblem::EncryptedKey);
    }
    let mut has_certificate = false;
    for section in pem_sections(bytes) {
        let (kind, der) = section?;
        has_certificate |= kind == SectionKind::Certificate;
        if let Some(key) = PrivateKeyDer::from_pem(kind, der) {
            return Ok(key);
        }
    }
    match has_certificate {
        true => Err(ConfigProblem::CertificateInsteadOfKey),
        false => Err(ConfigProblem::NoKey),
    }
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

fn der_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, ConfigProblem> {
    match DerKind::of(bytes) {
        DerKind::Certificate => Err(ConfigProblem::CertificateInsteadOfKey),
        DerKind::EncryptedKey => Err(ConfigProblem::EncryptedKey),
        DerKind::PrivateKey | DerKind::Unknown => PrivateKeyDer::try_from(bytes.to_vec())
            .map_err(|detail| ConfigProblem::UnusableKey(detail.to_string())),
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

/// PKCS #8 under a password has a label of its own; OpenSSL's old form has a header instead.
fn holds_encrypted_key(pem: &[u8]) -> bool {
    contains(pem, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || contains(pem, b"Proc-Type: 4,ENCRYPTED")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
