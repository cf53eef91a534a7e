//! New certificates, keys and rules while the server runs.

mod support;

use esp_tls::{
    CertifiedKey, ClientAuth, FailureClass, PrivateKey, SessionTickets, TlsConfig, TlsSession,
};
use support::{ClientSetup, Issued, Pair, TLS12, TLS13, pki, recv, send, server_config};

fn renewed() -> Issued {
    pki().authority.server(&["localhost"])
}

fn certified(issued: &Issued) -> CertifiedKey {
    CertifiedKey::new(&issued.cert_pem, PrivateKey::new(&issued.key_pem).unwrap()).unwrap()
}

/// The certificate that a new client gets to see.
fn shown(config: &TlsConfig) -> Vec<u8> {
    let pair = Pair::connected(config, &ClientSetup::default().build());
    assert!(!pair.client.tls.is_handshaking());
    pair.client.tls.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn new_handshakes_see_the_new_certificate_and_open_sessions_go_on() {
    let config = server_config();
    let in_the_server = config.clone();
    for versions in [TLS12, TLS13] {
        let client = ClientSetup::versions(versions).build();
        let mut open = Pair::connected(&in_the_server, &client);
        let mut under_way = Pair::new(&in_the_server, &client);
        let (_, flight) = recv(&mut under_way.server, &under_way.client.take());
        let not_begun = TlsSession::new(&in_the_server);

        let new = renewed();
        config.reload(config.clone().certified_key(certified(&new)).unwrap()).unwrap();
        assert_eq!(shown(&in_the_server), new.cert_der);

        let wire = open.client.encrypt(b"question");
        assert_eq!(recv(&mut open.server, &wire).1.plain, b"question");
        let out = send(&mut open.server, b"answer");
        assert_eq!(open.client.give(&out).unwrap(), b"answer");

        under_way.client.give(&flight.out).unwrap();
        under_way.handshake().unwrap();
        assert_ne!(under_way.client.tls.peer_certificates().unwrap()[0].to_vec(), new.cert_der);

        let mut late = Pair { client: support::Client::new(&client), server: not_begun };
        late.handshake().unwrap();
        assert_eq!(late.client.tls.peer_certificates().unwrap()[0].to_vec(), new.cert_der);
    }
}

#[test]
fn a_bad_certificate_changes_nothing() {
    let config = server_config();
    let before = shown(&config);
    let old = support::pki::self_signed(2001, 2011);
    TlsConfig::new(&old.cert_pem, &old.key_pem).unwrap_err();
    TlsConfig::new(renewed().cert_pem, &pki().server.key_pem).unwrap_err();
    assert_eq!(shown(&config), before);
}

#[test]
fn all_rules_can_change() {
    let config = server_config();
    let new = TlsConfig::new(&pki().server.cert_pem, &pki().server.key_pem)
        .and_then(|config| config.client_ca(&pki().ca.cert_pem, ClientAuth::Required))
        .and_then(|config| config.alpn(["http/1.1"]))
        .unwrap();
    config.reload(new).unwrap();
    let error = Pair::new(&config, &ClientSetup::default().build()).handshake().unwrap_err();
    assert_eq!(error.kind().class(), FailureClass::CertificateMissing);
    let setup = ClientSetup { identity: Some(&pki().client), ..ClientSetup::alpn(&["http/1.1"]) };
    let pair = Pair::connected(&config, &setup.build());
    assert_eq!(pair.server.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn a_configuration_made_from_another_is_independent_of_it() {
    let config = server_config();
    let other = config.clone().alpn(["http/1.1"]).unwrap();
    let new = renewed();
    config.reload(config.clone().certified_key(certified(&new)).unwrap()).unwrap();
    assert_eq!(shown(&config), new.cert_der);
    assert_eq!(shown(&other), pki().server.cert_der);
    let later = config.clone().alpn(["http/1.1"]).unwrap();
    assert_eq!(shown(&later), new.cert_der, "made of what is in force");
}

mod resumption {
    use super::*;

    #[test]
    fn goes_on_with_a_new_certificate() {
        for config in [
            server_config().session_tickets(SessionTickets::On).unwrap(),
            server_config().session_ids(10).unwrap(),
        ] {
            let client = ClientSetup { resumption: true, ..ClientSetup::versions(TLS12) }.build();
            Pair::connected(&config, &client);
            // Whether the new one is made from the old one or from scratch.
            let new = renewed();
            let scratch = TlsConfig::new(&new.cert_pem, &new.key_pem)
                .and_then(|config| config.session_tickets(SessionTickets::On))
                .and_then(|config| config.session_ids(10))
                .unwrap();
            for new in [config.clone().certified_key(certified(&new)).unwrap(), scratch] {
                config.reload(new).unwrap();
                assert!(Pair::connected(&config, &client).server.is_resumed());
            }
        }
    }

    #[test]
    fn ends_where_it_is_turned_off_or_the_client_ca_changes() {
        let tickets = || server_config().session_tickets(SessionTickets::On).unwrap();
        let ca = &pki().ca.cert_pem;
        for new in [server_config(), tickets().client_ca(ca, ClientAuth::Optional).unwrap()] {
            for versions in [TLS12, TLS13] {
                let config = tickets();
                let client =
                    ClientSetup { resumption: true, ..ClientSetup::versions(versions) }.build();
                Pair::connected(&config, &client);
                config.reload(new.clone()).unwrap();
                assert!(!Pair::connected(&config, &client).server.is_resumed());
            }
        }
    }

    #[test]
    fn counts_go_on() {
        let config = server_config();
        shown(&config);
        config.reload(config.clone().certified_key(certified(&renewed())).unwrap()).unwrap();
        shown(&config);
        assert_eq!(config.handshake_counts().full, 2);
    }
}

#[test]
fn threads_may_connect_while_it_reloads() {
    let config = server_config();
    let certificates = [certified(&renewed()), certified(&renewed())];
    std::thread::scope(|scope| {
        let servers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..50 {
                        shown(&config);
                    }
                })
            })
            .collect();
        let mut next = certificates.iter().cycle();
        while servers.iter().any(|server| !server.is_finished()) {
            let certified = next.next().unwrap().clone();
            config.reload(config.clone().certified_key(certified).unwrap()).unwrap();
        }
    });
    assert_eq!(config.handshake_counts().full, 100);
}
