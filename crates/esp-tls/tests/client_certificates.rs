//! Clients that have to show who they are: what is accepted, what is refused before any byte of theirs
//! counts, and what is known of them afterwards.

mod support;

use std::sync::Arc;
use std::time::Duration;

use esp_tls::{
    Alert, AlertCode, AltName, Blame, CertificateProblem, ClientAuth, ClientCa, ConfigError,
    ConfigProblem, ExpiredCrl, FailureClass, Input, TlsConfig, TlsErrorKind,
};
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DnType, SanType};
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{AlertDescription, SignatureAlgorithm, SignatureScheme};
use support::pki::{Authority, client_params};
use support::{ClientSetup, Issued, Pair, TLS12, TLS13, pki, recv, server_config};

fn config(client_auth: ClientAuth) -> TlsConfig {
    server_config().client_ca(&pki().ca.cert_pem, client_auth).unwrap()
}

/// The server's error. The alert it names must be the one that the client gets to see.
fn refused(client_auth: ClientAuth, setup: ClientSetup) -> esp_tls::TlsError {
    let mut pair = Pair::new(&config(client_auth), &setup.build());
    let error = pair.handshake().unwrap_err();
    let seen = pair.client.tls.process_new_packets().unwrap_err();
    let code = error.alert().expect("an alert was sent").code();
    assert_eq!(seen, rustls::Error::AlertReceived(AlertDescription::from(code.0)));
    error
}

#[test]
fn a_good_one_is_shown() {
    for client_auth in [ClientAuth::Required, ClientAuth::Optional] {
        for versions in [TLS12, TLS13] {
            let setup = ClientSetup { versions, ..ClientSetup::identity(&pki().client) };
            let pair = Pair::connected(&config(client_auth), &setup.build());
            let shown: Vec<&[u8]> = pair.server.peer_certificates().collect();
            assert_eq!(shown, [&pki().client.cert_der[..]]);
        }
    }
}

#[test]
fn none_is_enough_only_if_optional() {
    let pair = Pair::connected(&config(ClientAuth::Optional), &ClientSetup::default().build());
    assert_eq!(pair.server.peer_certificates().count(), 0);

    for versions in [TLS12, TLS13] {
        let error = refused(ClientAuth::Required, ClientSetup::versions(versions));
        let missing = TlsErrorKind::ClientCertificate(CertificateProblem::Missing);
        assert_eq!(error.kind(), &missing);
        assert_eq!(error.alert(), Some(Alert::Sent(AlertCode::CERTIFICATE_REQUIRED)));
    }
}

#[test]
fn a_bad_one_is_refused_even_if_optional() {
    for client_auth in [ClientAuth::Required, ClientAuth::Optional] {
        for (identity, problem, alert) in [
            (&pki().stranger, CertificateProblem::UnknownIssuer, AlertCode::UNKNOWN_CA),
            (&pki().expired_client, CertificateProblem::Expired, AlertCode::CERTIFICATE_EXPIRED),
            // The server's own certificate is of the right CA and for the wrong purpose.
            (&pki().server, CertificateProblem::WrongPurpose, AlertCode::UNSUPPORTED_CERTIFICATE),
        ] {
            let error = refused(client_auth, ClientSetup::identity(identity));
            assert_eq!(error.kind(), &TlsErrorKind::ClientCertificate(problem));
            assert_eq!(error.alert(), Some(Alert::Sent(alert)));
            assert_eq!(error.blame(), Blame::Peer);
        }
    }
}

#[test]
fn none_is_asked_for_without_a_client_ca() {
    let client = ClientSetup::identity(&pki().client).build();
    let pair = Pair::connected(&server_config(), &client);
    assert_eq!(pair.server.peer_certificates().count(), 0);
}

#[test]
fn the_date_is_that_of_the_supplied_clock() {
    /// The middle of the year 2000, when the expired certificate was good.
    #[derive(Debug)]
    struct Y2k;
    impl esp_tls::Clock for Y2k {
        fn unix_time(&self) -> Option<std::time::Duration> {
            Some(std::time::Duration::from_secs(962_409_600))
        }
    }
    let server = &pki().server;
    let config = TlsConfig::with_clock(&server.cert_pem, &server.key_pem, Y2k)
        .and_then(|config| config.client_ca(&pki().ca.cert_pem, ClientAuth::Required));
    let client = ClientSetup::identity(&pki().expired_client).build();
    let pair = Pair::connected(&config.unwrap(), &client);
    assert_eq!(pair.server.peer_certificates().count(), 1);
}

#[test]
fn without_a_time_none_is_accepted() {
    #[derive(Debug)]
    struct Unset;
    impl esp_tls::Clock for Unset {
        fn unix_time(&self) -> Option<std::time::Duration> {
            None
        }
    }
    let server = &pki().server;
    let config = TlsConfig::with_clock(&server.cert_pem, &server.key_pem, Unset)
        .and_then(|config| config.client_ca(&pki().ca.cert_pem, ClientAuth::Required))
        .unwrap();
    let client = ClientSetup::identity(&pki().client).build();
    let error = Pair::new(&config, &client).handshake().unwrap_err();
    assert_eq!(error.kind(), &TlsErrorKind::NoTime);
    assert_eq!(error.blame(), Blame::Config);
}

mod revocation {
    use super::*;

    fn config(crls: &str, expired: ExpiredCrl) -> Result<TlsConfig, ConfigError> {
        let ca = ClientCa::new(&pki().ca.cert_pem, ClientAuth::Required)?.crls(crls, expired)?;
        server_config().with_client_ca(ca)
    }

    fn outcome(config: &TlsConfig, identity: &Issued) -> Result<(), esp_tls::TlsError> {
        for versions in [TLS12, TLS13] {
            let setup = ClientSetup { versions, ..ClientSetup::identity(identity) };
            let mut pair = Pair::new(config, &setup.build());
            pair.handshake()?;
        }
        Ok(())
    }

    #[test]
    fn refuses_who_is_on_the_list_and_nobody_else() {
        let authority = &pki().authority;
        let revoked = authority.issue(client_params("revoked"));
        let crl = authority.crl(&[&revoked], 2090);
        let config = config(&crl, ExpiredCrl::Refuse).unwrap();
        outcome(&config, &pki().client).unwrap();
        let error = outcome(&config, &revoked).unwrap_err();
        assert_eq!(error.kind(), &TlsErrorKind::ClientCertificate(CertificateProblem::Revoked));
        assert_eq!(error.alert(), Some(Alert::Sent(AlertCode::CERTIFICATE_REVOKED)));
        assert_eq!(error.kind().class(), FailureClass::CertificateRevoked);
    }

    #[test]
    fn takes_der_and_several_lists() {
        let revoked = pki().authority.issue(client_params("revoked"));
        let other_ca = Authority::new("another CA");
        let pem = pki().authority.crl(&[&revoked], 2090) + &other_ca.crl(&[], 2090);
        let der: Vec<u8> = rustls::pki_types::pem::PemObject::pem_slice_iter(pem.as_bytes())
            .flat_map(|crl: Result<rustls::pki_types::CertificateRevocationListDer<'_>, _>| {
                crl.unwrap().to_vec()
            })
            .collect();
        for crls in [pem.as_bytes(), &der] {
            let ca = ClientCa::new(&pki().ca.cert_pem, ClientAuth::Required)
                .and_then(|ca| ca.crls(crls, ExpiredCrl::Refuse))
                .unwrap();
            let config = server_config().with_client_ca(ca).unwrap();
            outcome(&config, &pki().client).unwrap();
            outcome(&config, &revoked).unwrap_err();
        }
    }

    #[test]
    fn without_a_list_of_the_issuer_nobody_gets_in() {
        let other = Authority::new("another CA").crl(&[], 2090);
        let config = config(&other, ExpiredCrl::Accept).unwrap();
        let error = outcome(&config, &pki().client).unwrap_err();
        let unknown = CertificateProblem::UnknownRevocation;
        assert_eq!(error.kind(), &TlsErrorKind::ClientCertificate(unknown));
    }

    #[test]
    fn an_expired_list_counts_only_if_it_is_said_to() {
        let revoked = pki().authority.issue(client_params("revoked"));
        let old = pki().authority.crl(&[&revoked], 2021);
        let error = config(&old, ExpiredCrl::Refuse).unwrap_err();
        assert_eq!(error.input(), Input::Crl);
        assert!(error.to_string().starts_with("CRL: CRL 1 expired on 2021-01-01T00:00:00Z"));
        assert_eq!(error.esp_code(), 0x8015);

        let config = config(&old, ExpiredCrl::Accept).unwrap();
        outcome(&config, &pki().client).unwrap();
        outcome(&config, &revoked).unwrap_err();
    }

    #[test]
    fn a_list_that_expires_while_the_server_runs_lets_nobody_in() {
        let clock = support::SetClock::at_year(2030);
        let crl = pki().authority.crl(&[], 2031);
        let ca = ClientCa::with_clock(&pki().ca.cert_pem, ClientAuth::Required, &clock)
            .and_then(|ca| ca.crls_with_clock(&crl, ExpiredCrl::Refuse, &clock))
            .unwrap();
        let server = &pki().server;
        let config = TlsConfig::with_clock(&server.cert_pem, &server.key_pem, clock.clone())
            .and_then(|config| config.with_client_ca(ca))
            .unwrap();
        outcome(&config, &pki().client).unwrap();
        clock.set_year(2032);
        let error = outcome(&config, &pki().client).unwrap_err();
        let expired = CertificateProblem::ExpiredCrl;
        assert_eq!(error.kind(), &TlsErrorKind::ClientCertificate(expired));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let problem = |crls: &str| config(crls, ExpiredCrl::Accept).unwrap_err().problem().clone();
        assert_eq!(problem(""), ConfigProblem::Empty);
        assert_eq!(problem("hello"), ConfigProblem::NotPemOrDer);
        assert_eq!(problem(&pki().ca.cert_pem), ConfigProblem::NoCrl);
        let mislabeled = pki().ca.cert_pem.replace("CERTIFICATE", "X509 CRL");
        assert!(matches!(problem(&mislabeled), ConfigProblem::UnusableCrl(_)));
        let crl = pki().authority.crl(&[], 2090);
        assert!(matches!(problem(&crl[..crl.len() / 2]), ConfigProblem::BadPem(_)));
    }
}

mod the_identity {
    use super::*;

    fn of(params: CertificateParams) -> (esp_tls::PeerIdentity, Issued) {
        let issued = pki().authority.issue(params);
        let pair =
            Pair::connected(&config(ClientAuth::Required), &ClientSetup::identity(&issued).build());
        (pair.server.peer_identity().unwrap().expect("a certificate was shown"), issued)
    }

    #[test]
    fn says_who_it_is() {
        let mut params = client_params("sensor 7");
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        params.subject_alt_names = vec![
            SanType::DnsName(Ia5String::try_from("sensor-7.example").unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::7".parse().unwrap()),
            SanType::URI(Ia5String::try_from("spiffe://example/sensor/7").unwrap()),
            SanType::Rfc822Name(Ia5String::try_from("sensor@example").unwrap()),
            SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "upn".into())),
        ];
        params.not_before = rcgen::date_time_ymd(2021, 2, 3);
        params.not_after = rcgen::date_time_ymd(2089, 4, 5);
        let (identity, issued) = of(params);

        assert_eq!(identity.subject, "O=Example\\, Inc.,CN=sensor 7");
        assert_eq!(identity.common_name.as_deref(), Some("sensor 7"));
        assert_eq!(identity.issuer, "CN=test CA");
        assert_eq!(identity.issuer_common_name.as_deref(), Some("test CA"));
        assert_eq!(
            identity.alt_names,
            [
                AltName::Dns("sensor-7.example".into()),
                AltName::Ip("192.0.2.7".parse().unwrap()),
                AltName::Ip("2001:db8::7".parse().unwrap()),
                AltName::Uri("spiffe://example/sensor/7".into()),
                AltName::Email("sensor@example".into()),
            ]
        );
        assert_eq!(identity.dns_names().collect::<Vec<_>>(), ["sensor-7.example"]);
        assert_eq!(identity.not_before, Duration::from_secs(1_612_310_400));
        assert_eq!(identity.not_after, Duration::from_secs(3_763_497_600));
        let serial = issued.serial.to_be_bytes();
        assert_eq!(identity.serial, serial[serial.iter().position(|byte| *byte != 0).unwrap()..]);
        assert_eq!(identity.serial_hex(), format!("{:04X}", issued.serial));
        assert_eq!(identity.chain, [&issued.cert_der[..]]);
        let fingerprint = ring::digest::digest(&ring::digest::SHA256, &issued.cert_der);
        assert_eq!(identity.fingerprint, fingerprint.as_ref());
        assert_eq!(identity.fingerprint_hex().len(), 64);
        assert_eq!(identity.to_string(), "O=Example\\, Inc.,CN=sensor 7 (issued by CN=test CA)");
    }

    #[test]
    fn without_a_subject_is_that_of_its_other_names() {
        let mut params = client_params("");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names =
            vec![SanType::DnsName(Ia5String::try_from("sensor-7.example").unwrap())];
        let (identity, _) = of(params);
        assert_eq!((&identity.subject[..], identity.common_name.as_ref()), ("", None));
        assert_eq!(identity.to_string(), "DNS:sensor-7.example (issued by CN=test CA)");
    }

    #[test]
    fn puts_no_control_characters_into_a_log() {
        let (identity, _) = of(client_params("a\n2026 admin\u{1b}[31m"));
        assert_eq!(identity.subject, "CN=a\\0a2026 admin\\1b[31m");
        assert!(!identity.to_string().contains(char::is_control));
        assert_eq!(identity.common_name.as_deref(), Some("a\n2026 admin\u{1b}[31m"), "as it is");
    }

    #[test]
    fn is_there_when_the_handshake_is_over_and_only_if_there_is_a_certificate() {
        let optional = config(ClientAuth::Optional);
        let mut pair = Pair::new(&optional, &ClientSetup::identity(&pki().client).build());
        assert_eq!(pair.server.peer_identity(), Ok(None));
        pair.handshake().unwrap();
        assert!(pair.server.peer_identity().unwrap().is_some());
        let pair = Pair::connected(&optional, &ClientSetup::default().build());
        assert_eq!(pair.server.peer_identity(), Ok(None));
    }
}

/// Clients that present a good certificate and don't have its key, or lie about it in other ways.
/// They send a request together with their last flight, as a client may; it must not come through.
mod a_lying_client {
    use super::*;

    /// Presents one chain and signs with the key of another, or not at all.
    #[derive(Debug)]
    struct Liar {
        certified: Arc<CertifiedKey>,
    }

    impl ResolvesClientCert for Liar {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.certified))
        }

        fn has_certs(&self) -> bool {
            true
        }
    }

    type Sign = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

    /// A key that claims `scheme` and makes what `sign` returns of a message.
    struct FakeKey {
        scheme: SignatureScheme,
        sign: Sign,
    }

    impl std::fmt::Debug for FakeKey {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("FakeKey")
        }
    }

    impl SigningKey for FakeKey {
        fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
            Some(Box::new(FakeKey { scheme: self.scheme, sign: Arc::clone(&self.sign) }))
        }

        fn algorithm(&self) -> SignatureAlgorithm {
            SignatureAlgorithm::ECDSA
        }
    }

    impl Signer for FakeKey {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
            Ok((self.sign)(message))
        }

        fn scheme(&self) -> SignatureScheme {
            self.scheme
        }
    }

    fn real_signature(issued: &Issued, scheme: SignatureScheme, message: &[u8]) -> Vec<u8> {
        let key = PrivateKeyDer::try_from(issued.key_der.clone()).unwrap();
        let key = any_supported_type(&key).unwrap();
        key.choose_scheme(&[scheme]).unwrap().sign(message).unwrap()
    }

    /// The server's error for a client that presents `chain` and signs like this.
    fn refused(
        chain: Vec<CertificateDer<'static>>,
        scheme: SignatureScheme,
        sign: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Vec<esp_tls::TlsError> {
        let sign: Sign = Arc::new(sign);
        let mut errors = Vec::new();
        for client_auth in [ClientAuth::Required, ClientAuth::Optional] {
            for versions in [TLS12, TLS13] {
                let key = Arc::new(FakeKey { scheme, sign: Arc::clone(&sign) });
                let certified = Arc::new(CertifiedKey::new(chain.clone(), key));
                let resolver: Arc<dyn ResolvesClientCert> = Arc::new(Liar { certified });
                let setup =
                    ClientSetup { versions, resolver: Some(resolver), ..ClientSetup::default() };
                let mut pair = Pair::new(&config(client_auth), &setup.build());
                let (result, received) = recv(&mut pair.server, &pair.client.take());
                result.unwrap();
                pair.client.give(&received.out).unwrap();
                // In TLS 1.3 the client is done and may speak; in TLS 1.2 it waits for us.
                let mut wire = pair.client.take();
                if !pair.client.tls.is_handshaking() {
                    wire.append(&mut pair.client.encrypt(b"GET /secret"));
                }
                let (result, received) = recv(&mut pair.server, &wire);
                assert_eq!(received.plain, b"", "not a byte");
                assert!(pair.server.is_handshaking());
                assert_eq!(pair.server.peer_identity(), Ok(None));
                let error = result.expect_err("must be refused");
                assert_eq!(error.blame(), Blame::Peer, "{error}");
                errors.push(error);
            }
        }
        errors
    }

    fn chain(issued: &Issued) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from(issued.cert_der.clone())]
    }

    const P256: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    const P384: SignatureScheme = SignatureScheme::ECDSA_NISTP384_SHA384;

    #[test]
    fn with_a_key_of_its_own_is_refused() {
        let errors = refused(chain(&pki().client), P256, |message| {
            real_signature(&pki().stranger, P256, message)
        });
        for error in errors {
            let bad = TlsErrorKind::ClientCertificate(CertificateProblem::BadSignature);
            assert_eq!(error.kind(), &bad);
        }
    }

    #[test]
    fn that_signs_something_else_is_refused() {
        refused(chain(&pki().client), P256, |_| {
            real_signature(&pki().client, P256, b"something else")
        });
    }

    #[test]
    fn with_garbage_or_nothing_for_a_signature_is_refused() {
        refused(chain(&pki().client), P256, |_| vec![]);
        refused(chain(&pki().client), P256, |_| vec![0x30, 0]);
        refused(chain(&pki().client), P256, |_| vec![0x30, 6, 2, 1, 0, 2, 1, 0]);
        refused(chain(&pki().client), P256, |_| vec![0xFF; 72]);
    }

    #[test]
    fn whose_signature_is_on_another_curve_than_its_certificate_is_refused() {
        let p384 =
            pki().authority.issue_with(client_params("P-384"), &rcgen::PKCS_ECDSA_P384_SHA384);
        // The signature isn't checked where curves are mixed up: CVE-2026-5246 in another server.
        refused(chain(&p384), P256, |message| real_signature(&pki().client, P256, message));
        let chain_of_p384 = chain(&p384);
        refused(chain(&pki().client), P384, move |message| real_signature(&p384, P384, message));
        refused(chain_of_p384, P384, |_| vec![0x30, 6, 2, 1, 1, 2, 1, 1]);
    }

    #[test]
    fn that_claims_a_scheme_nobody_offered_is_refused() {
        for scheme in [SignatureScheme::ECDSA_SHA1_Legacy, SignatureScheme::Unknown(0xFFFF)] {
            refused(chain(&pki().client), scheme, |message| {
                real_signature(&pki().client, P256, message)
            });
        }
    }

    #[test]
    fn with_a_certificate_that_is_none_is_refused() {
        for garbage in [vec![0x30, 0], vec![0xFF; 100], pki().client.cert_der[..100].to_vec()] {
            refused(vec![CertificateDer::from(garbage)], P256, |message| {
                real_signature(&pki().client, P256, message)
            });
        }
    }

    #[test]
    fn whose_certificate_was_changed_is_refused() {
        let mut changed = pki().client.cert_der.clone();
        let at = changed.windows(6).position(|part| part == b"client").unwrap();
        changed[at..at + 6].copy_from_slice(b"admin!");
        refused(vec![CertificateDer::from(changed)], P256, |message| {
            real_signature(&pki().client, P256, message)
        });
    }

    #[test]
    fn that_puts_its_own_ca_into_the_chain_is_refused() {
        let own = Authority::new("test CA");
        let issued = own.issue(client_params("client"));
        let chain = vec![
            CertificateDer::from(issued.cert_der.clone()),
            CertificateDer::from(own.certificate().cert_der),
        ];
        refused(chain, P256, move |message| real_signature(&issued, P256, message));
    }

    #[test]
    fn good_clients_of_all_curves_get_in() {
        for kind in
            [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519]
        {
            let issued = pki().authority.issue_with(client_params("client"), kind);
            let pair = Pair::connected(
                &config(ClientAuth::Required),
                &ClientSetup::identity(&issued).build(),
            );
            assert_eq!(pair.server.peer_certificates().count(), 1);
        }
    }
}
