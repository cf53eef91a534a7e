//! What client and server agree on, and how they part when they can't.

mod support;

use esp_tls::{
    Alert, AlertCode, Blame, CertificateProblem, ClientAuth, SessionTickets, Stage, TlsConfig,
    TlsErrorKind, TlsSession, TlsVersion, TlsVersions,
};
use rustls::AlertDescription;
use support::raw::{self, records};
use support::{Client, ClientSetup, Pair, TLS12, TLS13, pki, recv, server_config};

mod versions_and_suites {
    use super::*;

    #[test]
    fn aes_128_gcm_is_preferred_whatever_the_client_prefers() {
        let suites = [
            (TLS13, TlsVersion::Tls13, 0x1301, "TLS_AES_128_GCM_SHA256"),
            (TLS12, TlsVersion::Tls12, 0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        ];
        for (versions, version, id, name) in suites {
            // rustls' client lists AES-256 first.
            let pair = Pair::connected(&server_config(), &ClientSetup::versions(versions).build());
            assert_eq!(pair.server.version(), Some(version));
            let suite = pair.server.cipher_suite().unwrap();
            assert_eq!((suite.id, suite.name), (id, name));
        }
    }

    #[test]
    fn an_rsa_server_prefers_aes_128_gcm_too() {
        let key = include_str!("data/rsa2048.pem");
        let config = TlsConfig::new(support::pki::for_key(key), key).unwrap();
        let mut pair = Pair::new(&config, &ClientSetup::versions(TLS12).build());
        let (result, _) = recv(&mut pair.server, &pair.client.take());
        result.unwrap();
        let suite = pair.server.cipher_suite().unwrap();
        assert_eq!((suite.id, suite.name), (0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
    }

    #[test]
    fn any_version_means_the_newest() {
        let pair = Pair::connected(&server_config(), &ClientSetup::default().build());
        assert_eq!(pair.server.version(), Some(TlsVersion::Tls13));
        assert!(!pair.server.is_resumed());
    }

    #[test]
    fn a_client_of_another_version_is_refused() {
        for (ours, theirs) in [(TlsVersions::Tls12, TLS13), (TlsVersions::Tls13, TLS12)] {
            let config = server_config().versions(ours).unwrap();
            let mut pair = Pair::new(&config, &ClientSetup::versions(theirs).build());
            let error = pair.handshake().unwrap_err();
            assert!(matches!(error.kind(), TlsErrorKind::Incompatible(_)), "{error}");
            assert_eq!(error.alert(), Some(Alert::Sent(AlertCode::PROTOCOL_VERSION)));
            assert_eq!((error.blame(), error.stage()), (Blame::Peer, Stage::Handshake));
            assert_eq!(error.esp_code(), 0x801A);
        }
    }

    #[test]
    fn a_client_that_cannot_verify_our_key_is_incompatible() {
        for versions in [TLS12, TLS13] {
            let setup = ClientSetup { rsa_only: true, ..ClientSetup::versions(versions) };
            let error = Pair::new(&server_config(), &setup.build()).handshake().unwrap_err();
            assert!(matches!(error.kind(), TlsErrorKind::Incompatible(_)), "{error}");
        }
    }

    #[test]
    fn one_version_is_enough() {
        for (ours, version) in
            [(TlsVersions::Tls12, TlsVersion::Tls12), (TlsVersions::Tls13, TlsVersion::Tls13)]
        {
            let config = server_config().versions(ours).unwrap();
            let pair = Pair::connected(&config, &ClientSetup::default().build());
            assert_eq!(pair.server.version(), Some(version));
        }
    }
}

mod alpn {
    use super::*;

    fn agree(ours: &[&str], theirs: &[&str]) -> (Pair, Result<(), esp_tls::TlsError>) {
        let config = server_config().alpn(ours).unwrap();
        let mut pair = Pair::new(&config, &ClientSetup::alpn(theirs).build());
        let result = pair.handshake();
        (pair, result)
    }

    #[test]
    fn the_servers_order_decides() {
        let (pair, result) = agree(&["b", "a"], &["a", "x", "b"]);
        result.unwrap();
        assert_eq!(pair.server.alpn_protocol(), Some(&b"b"[..]));
        assert_eq!(pair.client.tls.alpn_protocol(), Some(&b"b"[..]));
    }

    #[test]
    fn no_overlap_is_refused() {
        let (mut pair, result) = agree(&["http/1.1"], &["h2"]);
        let error = result.unwrap_err();
        assert_eq!(error.kind(), &TlsErrorKind::NoApplicationProtocol);
        assert_eq!(error.alert(), Some(Alert::Sent(AlertCode::NO_APPLICATION_PROTOCOL)));
        assert_eq!(
            pair.client.tls.process_new_packets().map(|_| ()),
            Err(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol))
        );
    }

    #[test]
    fn a_client_without_alpn_is_served() {
        let (pair, result) = agree(&["http/1.1"], &[]);
        result.unwrap();
        assert_eq!(pair.server.alpn_protocol(), None);
    }

    #[test]
    fn a_server_without_alpn_ignores_it() {
        let (pair, result) = agree(&[], &["h2"]);
        result.unwrap();
        assert_eq!(pair.server.alpn_protocol(), None);
    }
}

mod client_certificates {
    use super::*;

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
                (
                    &pki().expired_client,
                    CertificateProblem::Expired,
                    AlertCode::CERTIFICATE_EXPIRED,
                ),
                // The server's own certificate is of the right CA and for the wrong purpose.
                (
                    &pki().server,
                    CertificateProblem::WrongPurpose,
                    AlertCode::UNSUPPORTED_CERTIFICATE,
                ),
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
}

mod session_tickets {
    use super::*;

    /// Whether the second session of a client that would like to is a resumed one.
    fn second_is_resumed(
        config: &TlsConfig,
        versions: &'static [&'static rustls::SupportedProtocolVersion],
    ) -> bool {
        let client = ClientSetup { resumption: true, ..ClientSetup::versions(versions) }.build();
        assert!(!Pair::connected(config, &client).server.is_resumed());
        let second = Pair::connected(config, &client);
        let theirs = second.client.tls.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        assert_eq!(second.server.is_resumed(), theirs);
        assert_eq!(second.server.server_name(), Some("localhost"));
        theirs
    }

    #[test]
    fn on_the_second_session_is_resumed() {
        let config = server_config().session_tickets(SessionTickets::On).unwrap();
        assert!(second_is_resumed(&config, TLS13));
        assert!(second_is_resumed(&config, TLS12));
    }

    #[test]
    fn off_no_session_is_resumed() {
        let on_and_off = server_config()
            .session_tickets(SessionTickets::On)
            .and_then(|config| config.session_tickets(SessionTickets::Off))
            .unwrap();
        for config in [server_config(), on_and_off] {
            assert!(!second_is_resumed(&config, TLS13));
            assert!(!second_is_resumed(&config, TLS12));
        }
    }

    #[test]
    fn off_nothing_follows_the_handshake() {
        let client = ClientSetup { resumption: true, ..ClientSetup::versions(TLS13) }.build();
        let mut pair = Pair::new(&server_config(), &client);
        let (_, flight) = recv(&mut pair.server, &pair.client.take());
        pair.client.give(&flight.out).unwrap();
        let (result, received) = recv(&mut pair.server, &pair.client.take());
        result.unwrap();
        assert!(!pair.server.is_handshaking());
        assert_eq!(received, Default::default(), "no ticket");
    }

    #[test]
    fn off_the_server_hello_of_tls_1_2_has_no_session_id() {
        let mut pair = Pair::new(&server_config(), &ClientSetup::versions(TLS12).build());
        let (_, received) = recv(&mut pair.server, &pair.client.take());
        let (content_type, server_hello) = &records(&received.out)[0];
        assert_eq!((*content_type, server_hello[0]), (raw::HANDSHAKE, 2));
        // Type, length, version, random; then the id's length.
        assert_eq!(server_hello[1 + 3 + 2 + 32], 0);
    }

    #[test]
    fn a_ticket_of_another_server_is_no_ticket() {
        let client = ClientSetup { resumption: true, ..ClientSetup::default() }.build();
        for _ in 0..2 {
            let config = server_config().session_tickets(SessionTickets::On).unwrap();
            assert!(!Pair::connected(&config, &client).server.is_resumed());
        }
    }
}

#[test]
fn the_clients_alert_is_reported() {
    let untrusted = support::pki::self_signed(2020, 2090);
    let config = TlsConfig::new(&untrusted.cert_pem, &untrusted.key_pem).unwrap();
    let mut pair = Pair::new(&config, &ClientSetup::default().build());
    let error = pair.handshake().unwrap_err();
    assert_eq!(error.kind(), &TlsErrorKind::AlertReceived(AlertCode::UNKNOWN_CA));
    assert_eq!(error.alert(), Some(Alert::Received(AlertCode::UNKNOWN_CA)));
    assert_eq!(error.to_string(), "TLS handshake failed: the peer gave up with alert unknown_ca");
}

#[test]
fn one_configuration_serves_many_sessions_and_its_clones() {
    let config = server_config().alpn(["http/1.1"]).unwrap();
    let plainer = config.clone().alpn([""; 0]).unwrap();
    let client = ClientSetup::alpn(&["http/1.1"]).build();
    for _ in 0..3 {
        let pair = Pair::connected(&config.clone(), &client);
        assert_eq!(pair.server.alpn_protocol(), Some(&b"http/1.1"[..]));
        let pair = Pair::connected(&plainer, &client);
        assert_eq!(pair.server.alpn_protocol(), None);
    }
}

#[test]
fn both_sides_speak_once_the_handshake_is_over() {
    for versions in [TLS12, TLS13] {
        let mut pair = Pair::connected(&server_config(), &ClientSetup::versions(versions).build());
        let wire = pair.client.encrypt(b"question");
        assert_eq!(recv(&mut pair.server, &wire).1.plain, b"question");
        let out = support::send(&mut pair.server, b"answer");
        assert_eq!(pair.client.give(&out).unwrap(), b"answer");
    }
}

#[test]
fn a_session_knows_nothing_before_the_handshake() {
    let session = TlsSession::new(&server_config());
    assert!(session.is_handshaking() && !session.peer_has_closed() && !session.is_resumed());
    assert_eq!((session.version(), session.cipher_suite()), (None, None));
    assert_eq!((session.alpn_protocol(), session.server_name()), (None, None));
    assert_eq!(session.peer_certificates().count(), 0);
    assert_eq!(Client::new(&ClientSetup::default().build()).tls.alpn_protocol(), None);
}
