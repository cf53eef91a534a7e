//! What client and server agree on, and how they part when they can't.

mod support;

use esp_tls::{
    Alert, AlertCode, Blame, Stage, TlsConfig, TlsErrorKind, TlsSession, TlsVersion, TlsVersions,
};
use rustls::AlertDescription;
use support::odd::Groups;
use support::raw::{self, record, records};
use support::{Client, ClientSetup, Pair, TLS12, TLS13, recv, server_config};

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
    fn a_client_of_tls_1_1_hears_that_its_version_is_why() {
        for (minor, is_old) in [(1, true), (2, true), (3, false)] {
            // A ClientHello without a session, with one cipher suite, and without extensions.
            let hello =
                [&[1, 0, 0, 41, 3, minor][..], &[7; 32], &[0, 0, 2, 0xC0, 9, 1, 0]].concat();
            let mut session = TlsSession::new(&server_config());
            let (result, received) = recv(&mut session, &record(raw::HANDSHAKE, &hello));
            let error = result.unwrap_err();
            assert!(matches!(error.kind(), TlsErrorKind::Incompatible(_)), "{error}");
            let is_version = error.alert() == Some(Alert::Sent(AlertCode::PROTOCOL_VERSION));
            assert_eq!(is_version, is_old, "{error}");
            assert_eq!(records(&received.out).len(), 1, "the alert");
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

#[test]
fn a_hello_is_answered_but_not_by_the_wish_for_another_one() {
    let server = server_config();
    for (groups, retries) in [(Groups::Usual, 0), (Groups::FirstGuessIsWrong, 1)] {
        let client = ClientSetup { versions: TLS13, groups, ..ClientSetup::default() }.build();
        let mut pair = Pair::new(&server, &client);
        for _ in 0..retries {
            let (result, received) = recv(&mut pair.server, &pair.client.take());
            result.unwrap();
            assert!(!received.out.is_empty() && !pair.server.has_answered());
            pair.client.give(&received.out).unwrap();
        }
        let hello = pair.client.take();
        // Nor by the first bytes of one.
        let (first, rest) = hello.split_at(hello.len() / 2);
        recv(&mut pair.server, first).0.unwrap();
        assert!(!pair.server.has_answered());
        recv(&mut pair.server, rest).0.unwrap();
        assert!(pair.server.has_answered() && pair.server.is_handshaking());
    }
}

#[test]
fn an_answer_is_one_whatever_comes_together_with_the_hello() {
    let server = server_config();
    let client = ClientSetup { versions: TLS13, ..ClientSetup::default() };
    let mut pair = Pair::new(&server, &client.build());
    let junk = record(raw::APPLICATION_DATA, &[0; 100]);
    let (result, _) = recv(&mut pair.server, &[pair.client.take(), junk].concat());
    result.unwrap_err();
    assert!(pair.server.has_answered());

    // Both hellos at once: what the second one has to be can be known before.
    let groups = Groups::FirstGuessIsWrong;
    let client = ClientSetup { versions: TLS13, groups, ..ClientSetup::default() }.build();
    let mut asking = Pair::new(&server, &client);
    let first = asking.client.take();
    let wish = recv(&mut asking.server, &first).1.out;
    asking.client.give(&wish).unwrap();
    let mut session = TlsSession::new(&server);
    recv(&mut session, &[first, asking.client.take()].concat()).0.unwrap();
    assert!(session.has_answered());

    // An alert is none.
    let mut session = TlsSession::new(&server);
    recv(&mut session, &record(raw::HANDSHAKE, &[0; 100])).0.unwrap_err();
    assert!(!session.has_answered());
}
