//! Private keys in all their forms: files, files under a password, and keys that stay on a device.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use esp_tls::{
    Blame, CertifiedKey, ConfigError, ConfigProblem, FailureClass, Input, KeyAlgorithm, PrivateKey,
    SignatureScheme, SigningError, SigningKey, SystemClock, TlsConfig, TlsErrorKind,
};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{PemObject, SectionKind};
use support::{ClientSetup, Pair, SetClock, TLS12, TLS13, pki};

const RSA: &str = include_str!("data/rsa2048.pem");
const RSA_PKCS1: &str = include_str!("data/rsa2048-pkcs1.pem");
const RSA_ENCRYPTED: &str = include_str!("data/rsa-encrypted.pem");
const RSA_ENCRYPTED_TRADITIONAL: &str = include_str!("data/rsa-encrypted-traditional.pem");
const EC_SEC1: &str = include_str!("data/ec-sec1.pem");
const EC_ENCRYPTED: &str = include_str!("data/ec-encrypted.pem");
const EC_ENCRYPTED_SCRYPT: &str = include_str!("data/ec-encrypted-scrypt.pem");
const EC_ENCRYPTED_3DES: &str = include_str!("data/ec-encrypted-3des.pem");
const EC_ENCRYPTED_PBES1: &str = include_str!("data/ec-encrypted-pbes1.pem");
const EC384: &str = include_str!("data/ec384.pem");
const EC384_SEC1: &str = include_str!("data/ec384-sec1.pem");
const ED25519: &str = include_str!("data/ed25519.pem");
const PASSWORD: &str = "secret";

/// A certificate of the test CA for the key in this PEM (PKCS #8).
fn certificate(key_pem: &str) -> String {
    let key = rcgen::KeyPair::from_pem(key_pem).unwrap();
    pki().authority.issue_for(support::pki::server_params(&["localhost"]), key).cert_pem
}

/// A certificate for the key of [`EC_SEC1`], which has other forms only under a password.
fn certificate_of_ec() -> String {
    certificate(&as_pem(&in_the_clear(EC_ENCRYPTED)))
}

/// What a password protects, opened by other code than ours.
fn in_the_clear(encrypted_pem: &str) -> Vec<u8> {
    use pkcs8::der::Decode;
    let der = der_of(encrypted_pem);
    let encrypted = pkcs8::EncryptedPrivateKeyInfoRef::from_der(&der).unwrap();
    encrypted.decrypt(PASSWORD).unwrap().as_bytes().to_vec()
}

fn as_pem(pkcs8: &[u8]) -> String {
    let key = rcgen::KeyPair::try_from(pkcs8).unwrap();
    key.serialize_pem()
}

fn der_of(pem: &str) -> Vec<u8> {
    let labeled = pem.replace("ENCRYPTED PRIVATE KEY", "CERTIFICATE");
    <(SectionKind, Vec<u8>)>::from_pem_slice(labeled.as_bytes()).unwrap().1
}

fn config(cert: &str, key: PrivateKey) -> Result<TlsConfig, ConfigError> {
    TlsConfig::from_certified_key(CertifiedKey::new(cert, key)?, SystemClock)
}

/// Both versions, to a client that verifies.
fn assert_serves(config: &TlsConfig) {
    for versions in [TLS12, TLS13] {
        let pair = Pair::connected(config, &ClientSetup::versions(versions).build());
        assert!(!pair.client.tls.is_handshaking());
    }
}

mod in_a_file {
    use super::*;

    #[test]
    fn every_kind_in_every_form_serves_both_versions() {
        let ec = certificate_of_ec();
        for (cert, key) in [
            (certificate(RSA), RSA),
            (certificate(RSA), RSA_PKCS1),
            (ec, EC_SEC1),
            (certificate(EC384), EC384),
            (certificate(EC384), EC384_SEC1),
            (certificate(ED25519), ED25519),
        ] {
            let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            for key in [key.as_bytes(), der.secret_der()] {
                assert_serves(&config(&cert, PrivateKey::new(key).unwrap()).unwrap());
                let with_password = PrivateKey::with_password(key, "not needed").unwrap();
                config(&cert, with_password).unwrap();
            }
        }
    }

    #[test]
    fn a_short_rsa_key_is_refused() {
        let clock = SetClock::at_year(2050);
        let (cert, key) = (include_str!("data/rsa1024-cert.pem"), include_str!("data/rsa1024.pem"));
        let error = TlsConfig::with_clock(cert, key, clock).unwrap_err();
        assert_eq!(error.problem(), &ConfigProblem::WeakKey { bits: 1024 });
        assert!(error.to_string().contains("1024 bits is too weak"), "{error}");
        assert_eq!(error.esp_code(), 0x8019);
    }

    #[test]
    fn debug_output_holds_nothing_of_it() {
        let key = PrivateKey::new(EC384).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(in memory)");
        let certified = CertifiedKey::new(certificate(EC384), key).unwrap();
        let text = format!(
            "{certified:?} {:?}",
            TlsConfig::from_certified_key(certified.clone(), SystemClock)
        );
        assert!(text.len() < 800 && !text.contains("48, 129"), "{text}");
    }
}

mod under_a_password {
    use super::*;

    #[test]
    fn serves_with_the_password() {
        let ec = certificate_of_ec();
        let rsa = certificate(RSA);
        for (cert, key) in [(&ec, EC_ENCRYPTED), (&ec, EC_ENCRYPTED_SCRYPT), (&rsa, RSA_ENCRYPTED)]
        {
            for key in [key.as_bytes(), &der_of(key)] {
                let key = PrivateKey::with_password(key, PASSWORD).unwrap();
                assert_serves(&config(cert, key).unwrap());
            }
        }
    }

    #[test]
    fn and_its_certificate_may_be_in_one_file() {
        let both = certificate_of_ec() + EC_ENCRYPTED;
        let key = PrivateKey::with_password(&both, PASSWORD).unwrap();
        assert_serves(&config(&both, key).unwrap());
    }

    fn problem(key: &[u8], password: Option<&str>) -> ConfigProblem {
        let error = match password {
            Some(password) => PrivateKey::with_password(key, password),
            None => PrivateKey::new(key),
        }
        .unwrap_err();
        assert_eq!((error.input(), error.esp_code()), (Input::PrivateKey, 0x8019), "{error}");
        error.problem().clone()
    }

    #[test]
    fn a_wrong_or_missing_password_is_told_apart() {
        for key in [EC_ENCRYPTED, EC_ENCRYPTED_SCRYPT, RSA_ENCRYPTED] {
            for key in [key.as_bytes(), &der_of(key)] {
                assert_eq!(problem(key, None), ConfigProblem::EncryptedKey);
                for wrong in ["", "Secret", "secret ", "secre"] {
                    assert_eq!(problem(key, Some(wrong)), ConfigProblem::WrongPassword);
                }
            }
        }
    }

    #[test]
    fn a_wrong_password_that_looks_right_to_the_padding_is_wrong_all_the_same() {
        // One in 256 does; among a thousand there are some.
        let key = der_of(EC_ENCRYPTED);
        for number in 0..1_000 {
            let wrong = number.to_string();
            assert_eq!(problem(&key, Some(&wrong)), ConfigProblem::WrongPassword, "{wrong}");
        }
    }

    #[test]
    fn other_encryptions_are_named_with_what_to_do() {
        for key in [EC_ENCRYPTED_3DES, EC_ENCRYPTED_PBES1, RSA_ENCRYPTED_TRADITIONAL] {
            assert_eq!(problem(key.as_bytes(), None), ConfigProblem::EncryptedKey);
            let error = PrivateKey::with_password(key, PASSWORD).unwrap_err();
            assert!(matches!(error.problem(), ConfigProblem::UnsupportedEncryption(_)), "{error}");
            assert!(error.to_string().contains("openssl pkcs8 -topk8"), "{error}");
        }
    }

    #[test]
    fn a_damaged_one_never_panics() {
        let der = der_of(EC_ENCRYPTED);
        for at in 0..der.len() {
            let mut damaged = der.clone();
            damaged[at] ^= 0x10;
            let _ = PrivateKey::with_password(&damaged, PASSWORD);
            PrivateKey::with_password(&der[..at], PASSWORD).unwrap_err();
        }
    }
}

/// A key in a device that is made of software, and can fail.
#[derive(Debug)]
struct Device {
    algorithm: KeyAlgorithm,
    pkcs8: Vec<u8>,
    works: Arc<AtomicBool>,
    signatures: Arc<AtomicUsize>,
}

impl Device {
    fn new(algorithm: KeyAlgorithm, key_pem: &str) -> Self {
        Self {
            algorithm,
            pkcs8: der_of(&key_pem.replace("PRIVATE KEY", "CERTIFICATE")),
            works: Arc::new(AtomicBool::new(true)),
            signatures: Arc::default(),
        }
    }
}

impl SigningKey for Device {
    fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    fn schemes(&self) -> &[SignatureScheme] {
        match self.algorithm {
            KeyAlgorithm::Rsa => {
                &[SignatureScheme::RSA_PSS_RSAE_SHA256, SignatureScheme::RSA_PKCS1_SHA256]
            }
            other => other.schemes(),
        }
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        if !self.works.load(Ordering::Relaxed) {
            return Err(SigningError::new("the token was pulled out"));
        }
        self.signatures.fetch_add(1, Ordering::Relaxed);
        let random = SystemRandom::new();
        let ecdsa = |algorithm| {
            let key = EcdsaKeyPair::from_pkcs8(algorithm, &self.pkcs8, &random).unwrap();
            key.sign(&random, message).unwrap().as_ref().to_vec()
        };
        Ok(match self.algorithm {
            KeyAlgorithm::EcdsaP256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyAlgorithm::EcdsaP384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyAlgorithm::Ed25519 => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.pkcs8).unwrap();
                key.sign(message).as_ref().to_vec()
            }
            _ => {
                let key = RsaKeyPair::from_pkcs8(&self.pkcs8).unwrap();
                let mut signature = vec![0; key.public().modulus_len()];
                let padding: &dyn ring::signature::RsaEncoding = match scheme {
                    SignatureScheme::RSA_PSS_RSAE_SHA256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        })
    }
}

mod on_a_device {
    use super::*;

    #[test]
    fn every_kind_serves_both_versions_and_signs_once_per_handshake() {
        let p256 = as_pem(&in_the_clear(EC_ENCRYPTED));
        for (algorithm, key) in [
            (KeyAlgorithm::Rsa, RSA),
            (KeyAlgorithm::EcdsaP256, &p256),
            (KeyAlgorithm::EcdsaP384, EC384),
            (KeyAlgorithm::Ed25519, ED25519),
        ] {
            let device = Device::new(algorithm, key);
            let signatures = Arc::clone(&device.signatures);
            let config = config(&certificate(key), PrivateKey::on_device(device)).unwrap();
            assert_eq!(signatures.load(Ordering::Relaxed), 1, "to see whether it matches");
            assert_serves(&config);
            assert_eq!(signatures.load(Ordering::Relaxed), 3);
        }
    }

    #[test]
    fn that_is_for_another_certificate_is_refused() {
        let device = Device::new(KeyAlgorithm::EcdsaP384, EC384);
        let error = config(&certificate_of_ec(), PrivateKey::on_device(device)).unwrap_err();
        assert_eq!(error.problem(), &ConfigProblem::KeyMismatch);
    }

    #[test]
    fn that_does_not_work_is_refused_at_the_start() {
        let device = Device::new(KeyAlgorithm::EcdsaP384, EC384);
        device.works.store(false, Ordering::Relaxed);
        let error = config(&certificate(EC384), PrivateKey::on_device(device)).unwrap_err();
        let problem = ConfigProblem::Device("the token was pulled out".into());
        assert_eq!((error.problem(), error.esp_code()), (&problem, 0x8007));
    }

    #[test]
    fn that_fails_later_costs_the_handshakes_until_it_works_again() {
        let device = Device::new(KeyAlgorithm::EcdsaP384, EC384);
        let works = Arc::clone(&device.works);
        let config = config(&certificate(EC384), PrivateKey::on_device(device)).unwrap();
        assert_serves(&config);
        works.store(false, Ordering::Relaxed);
        for versions in [TLS12, TLS13] {
            let mut pair = Pair::new(&config, &ClientSetup::versions(versions).build());
            let error = pair.handshake().unwrap_err();
            let expected = TlsErrorKind::SigningFailed("the token was pulled out".into());
            assert_eq!(error.kind(), &expected);
            assert_eq!(error.blame(), Blame::Config);
            assert_eq!(error.kind().class(), FailureClass::SigningKey);
        }
        works.store(true, Ordering::Relaxed);
        assert_serves(&config);
    }

    #[test]
    fn that_panics_costs_one_session() {
        #[derive(Debug)]
        struct Broken(Device, AtomicBool);
        impl SigningKey for Broken {
            fn algorithm(&self) -> KeyAlgorithm {
                self.0.algorithm
            }
            fn sign(
                &self,
                scheme: SignatureScheme,
                message: &[u8],
            ) -> Result<Vec<u8>, SigningError> {
                assert!(!self.1.swap(true, Ordering::Relaxed), "a defect");
                self.0.sign(scheme, message)
            }
        }
        let device = Broken(Device::new(KeyAlgorithm::EcdsaP384, EC384), AtomicBool::new(false));
        let config = config(&certificate(EC384), PrivateKey::on_device(device)).unwrap();
        let mut pair = Pair::new(&config, &ClientSetup::default().build());
        assert_eq!(pair.handshake().unwrap_err().kind(), &TlsErrorKind::Panicked);
    }

    #[test]
    fn gets_its_digests_ready_made() {
        let sha256 = ring::digest::digest(&ring::digest::SHA256, b"message");
        let sha384 = ring::digest::digest(&ring::digest::SHA384, b"message");
        let digest = |scheme: SignatureScheme| scheme.digest(b"message");
        assert_eq!(digest(SignatureScheme::ECDSA_SECP256R1_SHA256).unwrap(), sha256.as_ref());
        assert_eq!(digest(SignatureScheme::RSA_PSS_RSAE_SHA384).unwrap(), sha384.as_ref());
        assert_eq!(digest(SignatureScheme::ED25519), None);
        assert_eq!(digest(SignatureScheme(0x9999)), None);
    }
}
