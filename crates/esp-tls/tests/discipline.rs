//! What a server does not put up with, and the small rules of its records.

mod support;

use esp_tls::{
    Alert, AlertCode, Blame, ConfigProblem, FailureClass, Input, TlsErrorKind, TlsSession,
};
use support::raw::{self, RawClient, records};
use support::{Client, ClientSetup, Pair, TLS12, TLS13, recv, send, server_config};

mod renegotiation {
    use super::*;

    /// A ClientHello as a handshake message, without its record.
    fn hello() -> Vec<u8> {
        Client::new(&ClientSetup::versions(TLS12).build()).take()[5..].to_vec()
    }

    #[test]
    fn is_answered_with_a_warning_and_does_not_happen() {
        let client = ClientSetup::versions(TLS12).build();
        let (mut client, mut server) =
            RawClient::take_over(Pair::connected(&server_config(), &client));
        let (result, received) = recv(&mut server, &client.encrypt(raw::HANDSHAKE, &hello()));
        result.unwrap();
        // Encrypted, so only its type and length can be seen: two bytes, nonce and tag.
        let [(kind, payload)] = &records(&received.out)[..] else {
            panic!("one record, not {} bytes", received.out.len());
        };
        assert_eq!((*kind, payload.len()), (raw::ALERT, 8 + 2 + 16), "no ServerHello");
        let data = client.encrypt(raw::APPLICATION_DATA, b"still here");
        assert_eq!(recv(&mut server, &data).1.plain, b"still here");
    }

    #[test]
    fn asked_for_again_ends_the_session() {
        let client = ClientSetup::versions(TLS12).build();
        let (mut client, mut server) =
            RawClient::take_over(Pair::connected(&server_config(), &client));
        recv(&mut server, &client.encrypt(raw::HANDSHAKE, &hello())).0.unwrap();
        let error = recv(&mut server, &client.encrypt(raw::HANDSHAKE, &hello())).0.unwrap_err();
        assert!(matches!(error.kind(), TlsErrorKind::Protocol(_)), "{error}");
        assert_eq!(error.blame(), Blame::Peer);
    }

    #[test]
    fn in_tls_1_3_ends_the_session() {
        let client = ClientSetup::versions(TLS13).build();
        let (mut client, mut server) =
            RawClient::take_over(Pair::connected(&server_config(), &client));
        let error = recv(&mut server, &client.encrypt(raw::HANDSHAKE, &hello())).0.unwrap_err();
        assert_eq!(error.alert(), Some(Alert::Sent(AlertCode::UNEXPECTED_MESSAGE)));
    }
}

mod the_size_of_records {
    use super::*;

    #[test]
    fn is_limited_as_configured() {
        for (limit_len, sent_len, counts) in [(32, 33, 2), (512, 1024, 2), (4096, 16_384, 4)] {
            let config = server_config().max_fragment_len(limit_len).unwrap();
            for versions in [TLS12, TLS13] {
                let mut pair = Pair::connected(&config, &ClientSetup::versions(versions).build());
                let said = vec![b'x'; sent_len];
                let out = send(&mut pair.server, &said);
                let sizes: Vec<usize> = records(&out).iter().map(|(_, data)| data.len()).collect();
                assert_eq!(sizes.len(), counts, "{sizes:?}");
                // Nonce, content type and tag take at most 24 bytes more.
                assert!(sizes.iter().all(|len| *len <= limit_len + 24), "{sizes:?}");
                assert_eq!(pair.client.give(&out).unwrap(), said);
            }
        }
    }

    #[test]
    fn holds_for_the_handshake_too() {
        let config = server_config().max_fragment_len(64).unwrap();
        for versions in [TLS12, TLS13] {
            let mut pair = Pair::new(&config, &ClientSetup::versions(versions).build());
            let (_, received) = recv(&mut pair.server, &pair.client.take());
            assert!(records(&received.out).iter().all(|(_, data)| data.len() <= 64 + 17));
            pair.client.give(&received.out).unwrap();
            pair.handshake().unwrap();
            assert!(!pair.client.tls.is_handshaking());
        }
    }

    #[test]
    fn has_bounds() {
        for len in [0, 31, 16_385] {
            let error = server_config().max_fragment_len(len).unwrap_err();
            assert_eq!(error.input(), Input::MaxFragment);
            assert_eq!(error.problem(), &ConfigProblem::FragmentLen(len));
        }
        for len in [32, 16_384] {
            let config = server_config().max_fragment_len(len).unwrap();
            let pair = Pair::connected(&config, &ClientSetup::default().build());
            assert!(!pair.client.tls.is_handshaking());
        }
    }
}

mod classes_of_failures {
    use super::*;

    fn class(config: &esp_tls::TlsConfig, setup: ClientSetup<'_>) -> FailureClass {
        Pair::new(config, &setup.build()).handshake().unwrap_err().kind().class()
    }

    #[test]
    fn tell_what_went_wrong() {
        let alpn = server_config().alpn(["http/1.1"]).unwrap();
        assert_eq!(class(&alpn, ClientSetup::alpn(&["h2"])), FailureClass::ApplicationProtocol);
        let tls13 = server_config().versions(esp_tls::TlsVersions::Tls13).unwrap();
        assert_eq!(class(&tls13, ClientSetup::versions(TLS12)), FailureClass::Incompatible);

        let mut session = TlsSession::new(&server_config());
        let error = recv(&mut session, b"GET / HTTP/1.1\r\n\r\n").0.unwrap_err();
        assert_eq!(error.kind().class(), FailureClass::NotTls);
        let mut session = TlsSession::new(&server_config());
        let error = session.send(b"early", &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind().class(), FailureClass::Misuse);
    }

    #[test]
    fn have_names_for_metrics() {
        let names: Vec<&str> = FailureClass::ALL.iter().map(|class| class.name()).collect();
        for name in ["alert_received", "not_tls", "certificate_missing", "certificate_revoked"] {
            assert!(names.contains(&name), "{name}");
        }
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
