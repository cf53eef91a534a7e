//! Every way to configure a server wrongly is an error that says which input and why, before the
//! first client comes.

mod support;

use std::time::Duration;

use esp_tls::{Clock, ConfigError, ConfigProblem, Input, TlsConfig};
use support::{Issued, pki};

const RSA: &str = include_str!("data/rsa2048.pem");
const RSA_PKCS1: &str = include_str!("data/rsa2048-pkcs1.pem");
const EC_SEC1: &str = include_str!("data/ec-sec1.pem");
const EC_ENCRYPTED: &str = include_str!("data/ec-encrypted.pem");
const RSA_ENCRYPTED_TRADITIONAL: &str = include_str!("data/rsa-encrypted-traditional.pem");
const REQUEST: &str = include_str!("data/request.pem");

fn refused(cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> ConfigError {
    TlsConfig::new(cert, key).expect_err("must be refused")
}

/// The error for this certificate, with a good key.
fn cert_problem(cert: impl AsRef<[u8]>) -> ConfigProblem {
    let error = refused(cert, &pki().server.key_pem);
    assert_eq!(error.input(), Input::CertificateChain, "{error}");
    assert!(error.to_string().starts_with("server certificate: "), "{error}");
    assert_eq!(error.esp_code(), 0x8015);
    error.problem().clone()
}

/// The error for this key, with a good certificate.
fn key_problem(key: impl AsRef<[u8]>) -> ConfigProblem {
    let error = refused(&pki().server.cert_pem, key);
    assert_eq!(error.input(), Input::PrivateKey, "{error}");
    assert!(error.to_string().starts_with("server key: "), "{error}");
    error.problem().clone()
}

mod good_input {
    use super::*;

    #[test]
    fn pem_and_der_are_told_apart() {
        let Issued { cert_pem, cert_der, key_pem, key_der, .. } = &pki().server;
        TlsConfig::new(cert_pem, key_pem).unwrap();
        TlsConfig::new(cert_der, key_der).unwrap();
        TlsConfig::new(cert_pem, key_der).unwrap();
        TlsConfig::new(cert_der, key_pem).unwrap();
    }

    #[test]
    fn all_forms_of_keys_are_taken() {
        for key in [RSA, RSA_PKCS1] {
            TlsConfig::new(support::pki::for_key(RSA), key).unwrap();
        }
        let cert = support::pki::for_key(&sec1_as_pkcs8());
        TlsConfig::new(cert, EC_SEC1).unwrap();
    }

    #[test]
    fn one_file_may_hold_both() {
        let both = pki().server.key_pem.clone() + "some text\n" + &pki().server.cert_pem;
        TlsConfig::new(&both, &both).unwrap();
    }

    #[test]
    fn a_chain_is_a_chain_in_both_encodings() {
        let pki = pki();
        let pem = [&pki.server.cert_pem[..], &pki.ca.cert_pem].concat();
        let der = [&pki.server.cert_der[..], &pki.ca.cert_der].concat();
        for config in [
            TlsConfig::new(pem, &pki.server.key_pem).unwrap(),
            TlsConfig::new(der, &pki.server.key_pem).unwrap(),
        ] {
            assert!(format!("{config:?}").contains("chain_len: 2"), "{config:?}");
        }
    }

    #[test]
    fn c_strings_with_their_nul_are_taken() {
        let server = &pki().server;
        TlsConfig::new(server.cert_pem.clone() + "\0", server.key_pem.clone() + "\0").unwrap();
    }

    #[test]
    fn windows_line_ends_are_taken() {
        let server = &pki().server;
        let crlf = |pem: &str| pem.replace('\n', "\r\n");
        TlsConfig::new(crlf(&server.cert_pem), crlf(&server.key_pem)).unwrap();
    }

    /// rcgen reads no SEC 1, so its PKCS #8 twin is put together: version, algorithm, octets.
    fn sec1_as_pkcs8() -> String {
        use rustls::pki_types::pem::PemObject;
        let sec1 =
            rustls::pki_types::PrivateSec1KeyDer::from_pem_slice(EC_SEC1.as_bytes()).unwrap();
        let sec1 = sec1.secret_sec1_der();
        let algorithm: [u8; 21] = [
            0x30, 19, 6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1, 6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D,
            3, 1, 7,
        ];
        let octets = [&[4, sec1.len() as u8], sec1].concat();
        let body = [&[2, 1, 0], &algorithm[..], &octets].concat();
        let der = [&[0x30, 0x81, body.len() as u8], &body[..]].concat();
        let der = rustls::pki_types::PrivatePkcs8KeyDer::from(der);
        rcgen::KeyPair::try_from(&der).unwrap().serialize_pem()
    }
}

mod bad_certificates {
    use super::*;

    #[test]
    fn empty() {
        for nothing in ["", " \r\n\t", "\0"] {
            assert_eq!(cert_problem(nothing), ConfigProblem::Empty);
        }
    }

    #[test]
    fn neither_pem_nor_der() {
        assert_eq!(cert_problem("hello"), ConfigProblem::NotPemOrDer);
        assert_eq!(cert_problem([0xFF; 100]), ConfigProblem::NotPemOrDer);
    }

    #[test]
    fn exchanged_with_the_key() {
        let server = &pki().server;
        for key in [server.key_pem.as_bytes(), &server.key_der] {
            assert_eq!(cert_problem(key), ConfigProblem::KeyInsteadOfCertificate);
        }
        for key in [EC_SEC1, RSA_PKCS1, EC_ENCRYPTED, RSA_ENCRYPTED_TRADITIONAL] {
            assert_eq!(cert_problem(key), ConfigProblem::KeyInsteadOfCertificate);
        }
    }

    #[test]
    fn pem_of_something_else() {
        assert_eq!(cert_problem(REQUEST), ConfigProblem::NoCertificate);
    }

    #[test]
    fn damaged_pem() {
        let pem = &pki().server.cert_pem;
        let cut = &pem[..pem.len() / 2];
        assert!(matches!(cert_problem(cut), ConfigProblem::BadPem(_)));
        let scribbled = pem.replacen('M', "*", 1);
        assert!(matches!(cert_problem(scribbled), ConfigProblem::BadPem(_)));
    }

    #[test]
    fn damaged_der() {
        let der = &pki().server.cert_der;
        for cut in 1..der.len() {
            let problem = cert_problem(&der[..cut]);
            assert!(matches!(problem, ConfigProblem::BadCertificate { number: 1, .. }), "{cut}");
        }
        let followed = [&der[..], &[0x30, 3, 1, 2, 3]].concat();
        let problem = cert_problem(followed);
        assert!(matches!(problem, ConfigProblem::BadCertificate { number: 2, .. }));
    }

    #[test]
    fn pem_around_something_else() {
        let pem = "-----BEGIN CERTIFICATE-----\nMAMBAf8=\n-----END CERTIFICATE-----\n";
        assert!(matches!(cert_problem(pem), ConfigProblem::BadCertificate { number: 1, .. }));
    }

    #[test]
    fn expired() {
        let old = support::pki::self_signed(2001, 2011);
        let error = refused(&old.cert_pem, &old.key_pem);
        assert!(matches!(error.problem(), ConfigProblem::Expired { number: 1, .. }), "{error}");
        assert!(
            error.to_string().starts_with(
                "server certificate: certificate 1 expired on 2011-01-01T00:00:00Z (it is "
            ),
            "{error}"
        );
    }

    #[test]
    fn expired_further_up_the_chain() {
        let chain = pki().server.cert_pem.clone() + &support::pki::self_signed(2001, 2011).cert_pem;
        assert!(matches!(cert_problem(chain), ConfigProblem::Expired { number: 2, .. }));
    }

    #[test]
    fn not_yet_valid() {
        let young = support::pki::self_signed(2090, 2095);
        let error = refused(&young.cert_pem, &young.key_pem);
        assert!(error.to_string().contains("isn't valid before 2090-01-01T00:00:00Z"), "{error}");
    }

    #[test]
    fn dates_hold_from_the_first_to_the_last_second() {
        #[derive(Debug)]
        struct At(Option<Duration>);
        impl Clock for At {
            fn unix_time(&self) -> Option<Duration> {
                self.0
            }
        }
        /// 2030-01-01 and 2031-01-01.
        const FIRST: Duration = Duration::from_secs(1_893_456_000);
        const LAST: Duration = Duration::from_secs(1_924_992_000);
        const MILLISECOND: Duration = Duration::from_millis(1);
        let issued = support::pki::self_signed(2030, 2031);
        let at = |now| TlsConfig::with_clock(&issued.cert_pem, &issued.key_pem, At(now)).is_ok();
        assert!(!at(Some(FIRST - MILLISECOND)));
        assert!(at(Some(FIRST)));
        assert!(at(Some(LAST + 999 * MILLISECOND)));
        assert!(!at(Some(LAST + 1_000 * MILLISECOND)));
        assert!(at(None), "while the time is unknown nothing is checked");
    }
}

mod bad_keys {
    use super::*;

    #[test]
    fn empty() {
        assert_eq!(key_problem(""), ConfigProblem::Empty);
    }

    #[test]
    fn neither_pem_nor_der() {
        assert_eq!(key_problem("secret"), ConfigProblem::NotPemOrDer);
    }

    #[test]
    fn exchanged_with_the_certificate() {
        let server = &pki().server;
        for certificate in [server.cert_pem.as_bytes(), &server.cert_der] {
            assert_eq!(key_problem(certificate), ConfigProblem::CertificateInsteadOfKey);
        }
    }

    #[test]
    fn pem_of_something_else() {
        assert_eq!(key_problem(REQUEST), ConfigProblem::NoKey);
    }

    #[test]
    fn under_a_password() {
        use rustls::pki_types::pem::{self, PemObject};
        let label = |pem: &str| pem.replace("ENCRYPTED PRIVATE KEY", "CERTIFICATE");
        let (_, der) =
            <(pem::SectionKind, Vec<u8>)>::from_pem_slice(label(EC_ENCRYPTED).as_bytes()).unwrap();
        for key in [EC_ENCRYPTED.as_bytes(), RSA_ENCRYPTED_TRADITIONAL.as_bytes(), &der] {
            assert_eq!(key_problem(key), ConfigProblem::EncryptedKey);
        }
        let error = refused(&pki().server.cert_pem, EC_ENCRYPTED);
        assert!(error.to_string().contains("openssl pkey"), "{error}");
    }

    #[test]
    fn of_another_certificate() {
        for key in [&pki().client.key_pem[..], RSA, RSA_PKCS1, EC_SEC1] {
            assert_eq!(key_problem(key), ConfigProblem::KeyMismatch);
        }
        let error = refused(&pki().server.cert_pem, &pki().client.key_pem);
        assert_eq!(error.to_string(), "server key: doesn't match the server certificate");
        assert_eq!(error.esp_code(), 0x8016);
    }

    #[test]
    fn damaged() {
        let der = &pki().server.key_der;
        for cut in 1..der.len() {
            let problem = key_problem(&der[..cut]);
            assert!(matches!(problem, ConfigProblem::UnusableKey(_)), "{cut}: {problem}");
        }
        let pem = &pki().server.key_pem;
        assert!(matches!(key_problem(&pem[..pem.len() / 2]), ConfigProblem::BadPem(_)));
    }
}

mod bad_rules {
    use super::*;

    #[test]
    fn a_client_ca_that_is_none() {
        let pki = pki();
        let problem = |ca: &[u8]| {
            let error = support::server_config()
                .client_ca(ca, esp_tls::ClientAuth::Required)
                .expect_err("must be refused");
            assert_eq!(error.input(), Input::ClientCa, "{error}");
            error.problem().clone()
        };
        assert_eq!(problem(b""), ConfigProblem::Empty);
        assert_eq!(problem(b"hello"), ConfigProblem::NotPemOrDer);
        assert_eq!(problem(&pki.ca.key_der), ConfigProblem::KeyInsteadOfCertificate);
        assert_eq!(problem(REQUEST.as_bytes()), ConfigProblem::NoCertificate);
        let old = support::pki::self_signed(2001, 2011);
        assert!(matches!(problem(&old.cert_der), ConfigProblem::Expired { number: 1, .. }));
    }

    #[test]
    fn a_protocol_name_that_is_none() {
        for (name, len) in [(vec![], 0), (vec![b'x'; 256], 256)] {
            let error = support::server_config().alpn([name]).unwrap_err();
            assert_eq!(error.input(), Input::Alpn);
            assert_eq!(error.problem(), &ConfigProblem::AlpnNameLen(len));
            assert_eq!(error.esp_code(), 0x8014);
        }
        support::server_config().alpn([vec![b'x'; 255]]).unwrap();
    }
}
