//! Clients that come back: tickets, ids, and what must not be resumed.

mod support;

use std::sync::Arc;
use std::time::Duration;

use esp_tls::{
    CertificateProblem, ClientAuth, ClientCa, ConfigProblem, ExpiredCrl, HandshakeCounts, Input,
    SessionTickets, TicketKey, TicketKeys, TlsConfig, TlsErrorKind,
};
use support::odd::{Changeable, Groups};
use support::pki::{Authority, client_params};
use support::raw::{self, records};
use support::{ClientSetup, Issued, Pair, SetClock, TLS12, TLS13, pki, recv, server_config};

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

/// A key of the application, different for every number.
fn ticket_key(number: u8) -> TicketKey {
    let bytes: Vec<u8> = (0..80).map(|index: u8| index.wrapping_mul(number | 1) ^ number).collect();
    TicketKey::from_bytes(bytes).unwrap()
}

fn with_keys(keys: TicketKeys) -> TlsConfig {
    server_config().ticket_keys(keys).unwrap()
}

/// Whether a client that was at `first` is known at `second`.
fn carries_over(
    first: &TlsConfig,
    second: &TlsConfig,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
) -> bool {
    let client = ClientSetup { resumption: true, ..ClientSetup::versions(versions) }.build();
    Pair::connected(first, &client);
    let pair = Pair::connected(second, &client);
    assert_eq!(
        pair.client.tls.handshake_kind(),
        Some(match pair.server.is_resumed() {
            true => rustls::HandshakeKind::Resumed,
            false => rustls::HandshakeKind::Full,
        })
    );
    pair.server.is_resumed()
}

mod keys_of_the_application {
    use super::*;

    #[test]
    fn let_servers_resume_each_others_sessions() {
        let keys = || TicketKeys::new(ticket_key(1));
        for versions in [TLS12, TLS13] {
            assert!(carries_over(&with_keys(keys()), &with_keys(keys()), versions));
            let other = with_keys(TicketKeys::new(ticket_key(2)));
            assert!(!carries_over(&with_keys(keys()), &other, versions));
        }
    }

    #[test]
    fn can_be_changed_without_losing_sessions() {
        let (old, new) = (ticket_key(1), ticket_key(2));
        let yesterday = with_keys(TicketKeys::new(old.clone()));
        let today = with_keys(TicketKeys::new(new.clone()).accept(old.clone()));
        let tomorrow = with_keys(TicketKeys::new(new));
        assert!(carries_over(&yesterday, &today, TLS13));
        assert!(carries_over(&today, &tomorrow, TLS13), "new tickets are under the new key");
        assert!(!carries_over(&yesterday, &tomorrow, TLS13));

        let running = with_keys(TicketKeys::new(old.clone()));
        let clone = running.clone();
        clone.set_ticket_keys(TicketKeys::new(ticket_key(3)).accept(old)).unwrap();
        assert!(carries_over(&yesterday, &running, TLS13));
        running.set_ticket_keys(TicketKeys::new(ticket_key(3))).unwrap();
        assert!(!carries_over(&yesterday, &running, TLS13));
    }

    #[test]
    fn of_one_name_are_told_apart() {
        let key = |last: u8| {
            let mut bytes: Vec<u8> = (0..48).collect();
            bytes[47] = last;
            TicketKey::from_bytes(bytes).unwrap()
        };
        let old = with_keys(TicketKeys::new(key(1)));
        let new = with_keys(TicketKeys::new(key(2)).accept(key(1)));
        assert!(carries_over(&old, &new, TLS13));
        assert!(!carries_over(&old, &with_keys(TicketKeys::new(key(2))), TLS13));
    }

    #[test]
    fn can_be_changed_only_where_there_are_some() {
        let automatic = server_config().session_tickets(SessionTickets::On).unwrap();
        for config in [server_config(), automatic] {
            let error = config.set_ticket_keys(TicketKeys::new(ticket_key(1))).unwrap_err();
            assert_eq!(error.input(), Input::SessionTickets);
            assert_eq!(error.problem(), &ConfigProblem::NoTicketKeys);
        }
    }

    #[test]
    fn end_with_the_lifetime_of_their_tickets() {
        let clock = SetClock::at_year(2040);
        let server = support::pki::self_signed(2020, 2090);
        let keys = TicketKeys::new(ticket_key(1)).lifetime(Duration::from_secs(1000));
        let config = TlsConfig::with_clock(&server.cert_pem, &server.key_pem, clock.clone())
            .and_then(|config| config.ticket_keys(keys))
            .unwrap();
        let client = ClientSetup { resumption: true, ..ClientSetup::default() };
        let client = client.build_trusting(&server);
        Pair::connected(&config, &client);
        clock.advance(Duration::from_secs(1000));
        assert!(Pair::connected(&config, &client).server.is_resumed());
        clock.advance(Duration::from_secs(1001));
        assert!(!Pair::connected(&config, &client).server.is_resumed());
    }
}

#[test]
fn keys_of_our_own_change_and_their_tickets_end_with_them() {
    let clock = SetClock::at_year(2040);
    let server = support::pki::self_signed(2020, 2090);
    let config = TlsConfig::with_clock(&server.cert_pem, &server.key_pem, clock.clone())
        .and_then(|config| config.session_tickets(SessionTickets::On))
        .unwrap();
    let client = ClientSetup { resumption: true, ..ClientSetup::default() }.build_trusting(&server);
    let hour = Duration::from_secs(60 * 60);
    for (hours, resumed) in [(0, false), (1, true), (11, true), (11, true), (13, false), (11, true)]
    {
        clock.advance(hours * hour);
        assert_eq!(Pair::connected(&config, &client).server.is_resumed(), resumed, "{hours} h");
    }
}

#[test]
fn a_ticket_that_was_changed_anywhere_is_none() {
    let config = with_keys(TicketKeys::new(ticket_key(1)));
    let client = ClientSetup { resumption: true, ..ClientSetup::versions(TLS12) }.build();
    Pair::connected(&config, &client);
    let hello = support::Client::new(&client).take();
    // The ticket begins with its key's name.
    let name: Vec<u8> = (0..16).map(|index: u8| index ^ 1).collect();
    let at = hello.windows(16).position(|part| part == name).expect("a ticket in the hello");
    let resumed = |hello: &[u8]| {
        let mut session = esp_tls::TlsSession::new(&config);
        let (_, received) = recv(&mut session, hello);
        // A resumed handshake of TLS 1.2 has the server's ChangeCipherSpec in its first flight.
        records(&received.out).iter().any(|(kind, _)| *kind == raw::CHANGE_CIPHER_SPEC)
    };
    assert!(resumed(&hello));
    for byte in at..at + 100 {
        let mut changed = hello.clone();
        changed[byte] ^= 1;
        assert!(!resumed(&changed), "byte {byte}");
    }
}

mod ids {
    use super::*;

    /// A client of TLS 1.2 that knows no tickets.
    fn client() -> Arc<rustls::ClientConfig> {
        let setup = ClientSetup { resumption: true, ..ClientSetup::versions(TLS12) };
        let mut config = Arc::into_inner(setup.build()).unwrap();
        config.resumption =
            config.resumption.tls12_resumption(rustls::client::Tls12Resumption::SessionIdOnly);
        Arc::new(config)
    }

    #[test]
    fn resume_sessions_without_tickets() {
        let config = server_config().session_ids(10).unwrap();
        let client = client();
        assert!(!Pair::connected(&config, &client).server.is_resumed());
        for _ in 0..3 {
            assert!(Pair::connected(&config, &client).server.is_resumed());
        }
        assert!(
            !Pair::connected(&server_config().session_ids(10).unwrap(), &client)
                .server
                .is_resumed()
        );
        assert!(!Pair::connected(&server_config(), &client).server.is_resumed());
    }

    #[test]
    fn are_forgotten_when_there_are_too_many() {
        let config = server_config().session_ids(2).unwrap();
        let clients = [client(), client(), client()];
        for client in &clients {
            Pair::connected(&config, client);
        }
        let resumed = |client| Pair::connected(&config, client).server.is_resumed();
        assert!(resumed(&clients[2]) && resumed(&clients[1]));
        assert!(!resumed(&clients[0]));
    }

    #[test]
    fn are_for_tls_1_2_alone() {
        let config = server_config().session_ids(10).unwrap();
        let client = ClientSetup { resumption: true, ..ClientSetup::versions(TLS13) }.build();
        let mut pair = Pair::new(&config, &client);
        let (_, flight) = recv(&mut pair.server, &pair.client.take());
        pair.client.give(&flight.out).unwrap();
        let (_, received) = recv(&mut pair.server, &pair.client.take());
        assert_eq!(received, Default::default(), "no ticket");
        assert!(!Pair::connected(&config, &client).server.is_resumed());
    }

    #[test]
    fn go_together_with_tickets() {
        let config = server_config()
            .session_ids(10)
            .and_then(|config| config.session_tickets(SessionTickets::On))
            .unwrap();
        let with_tickets = ClientSetup { resumption: true, ..ClientSetup::default() }.build();
        for client in [client(), with_tickets] {
            assert!(!Pair::connected(&config, &client).server.is_resumed());
            assert!(Pair::connected(&config, &client).server.is_resumed());
        }
    }
}

#[test]
fn handshakes_are_counted() {
    let config = server_config().session_tickets(SessionTickets::On).unwrap();
    for versions in [TLS12, TLS13] {
        let client = ClientSetup { resumption: true, ..ClientSetup::versions(versions) }.build();
        for _ in 0..3 {
            Pair::connected(&config.clone(), &client);
        }
    }
    let failing = ClientSetup::alpn(&["x"]).build();
    Pair::new(&config.clone().alpn(["y"]).unwrap(), &failing).handshake().unwrap_err();
    Pair::new(&config, &failing).client.take();
    assert_eq!(config.handshake_counts(), HandshakeCounts { full: 2, resumed: 4 });
}

/// A ticket holds the client's certificate, so it must not get further than that would.
mod an_identity_in_a_ticket {
    use super::*;

    const BOTH: [&[&rustls::SupportedProtocolVersion]; 2] = [TLS12, TLS13];

    fn asking(ca: &str, client_auth: ClientAuth) -> TlsConfig {
        with_keys(TicketKeys::new(ticket_key(1))).client_ca(ca, client_auth).unwrap()
    }

    fn client(
        identity: Option<&Issued>,
        versions: &'static [&'static rustls::SupportedProtocolVersion],
    ) -> Arc<rustls::ClientConfig> {
        let setup = ClientSetup { versions, identity, resumption: true, ..ClientSetup::default() };
        setup.build()
    }

    #[test]
    fn is_known_in_the_next_session() {
        let config = asking(&pki().ca.cert_pem, ClientAuth::Required);
        for versions in BOTH {
            let client = client(Some(&pki().client), versions);
            let first = Pair::connected(&config, &client).server.peer_identity().unwrap();
            for _ in 0..3 {
                let again = Pair::connected(&config, &client);
                assert!(again.server.is_resumed());
                assert_eq!(again.server.peer_identity().unwrap(), first);
            }
            assert_eq!(first.unwrap().common_name.as_deref(), Some("client"));
        }
    }

    #[test]
    fn counts_only_where_the_same_ca_decides_in_the_same_way() {
        let ca = &pki().ca.cert_pem;
        let both_cas = ca.clone() + &Authority::new("another CA").certificate().cert_pem;
        let reversed = {
            let (first, second) = both_cas.split_at(ca.len());
            [second, first].concat()
        };
        let required = asking(ca, ClientAuth::Required);
        let open = with_keys(TicketKeys::new(ticket_key(1)));
        for versions in BOTH {
            let carries_over = |first: &TlsConfig, second: &TlsConfig| {
                let client = client(Some(&pki().client), versions);
                Pair::connected(first, &client);
                Pair::connected(second, &client).server.is_resumed()
            };
            assert!(carries_over(&required, &asking(ca, ClientAuth::Required)));
            assert!(!carries_over(&required, &asking(ca, ClientAuth::Optional)));
            assert!(!carries_over(&asking(ca, ClientAuth::Optional), &required));
            assert!(!carries_over(&required, &asking(&both_cas, ClientAuth::Required)));
            assert!(!carries_over(&open, &required), "that was nobody");
            assert!(!carries_over(&required, &open));
            assert!(carries_over(
                &asking(&both_cas, ClientAuth::Required),
                &asking(&reversed, ClientAuth::Required)
            ));
        }
    }

    #[test]
    fn nobody_becomes_somebody() {
        let open = with_keys(TicketKeys::new(ticket_key(1)));
        let ca = &pki().ca.cert_pem;
        for versions in BOTH {
            for first in [&open, &asking(ca, ClientAuth::Optional)] {
                let client = client(None, versions);
                Pair::connected(first, &client);
                let required = asking(ca, ClientAuth::Required);
                let error = Pair::new(&required, &client).handshake().unwrap_err();
                let missing = TlsErrorKind::ClientCertificate(CertificateProblem::Missing);
                assert_eq!(error.kind(), &missing);
            }
        }
    }

    #[test]
    fn is_nobody_any_more_when_it_was_revoked() {
        let revoked = pki().authority.issue(client_params("revoked"));
        let with_crl = |crl: String| {
            let ca = ClientCa::new(&pki().ca.cert_pem, ClientAuth::Required)
                .and_then(|ca| ca.crls(crl, ExpiredCrl::Refuse))
                .unwrap();
            with_keys(TicketKeys::new(ticket_key(1))).with_client_ca(ca).unwrap()
        };
        for versions in BOTH {
            let config = with_crl(pki().authority.crl(&[], 2090));
            let bad = client(Some(&revoked), versions);
            let good = client(Some(&pki().client), versions);
            for client in [&bad, &good] {
                Pair::connected(&config, client);
                assert!(Pair::connected(&config, client).server.is_resumed());
            }
            config.reload(with_crl(pki().authority.crl(&[&revoked], 2090))).unwrap();
            assert!(
                Pair::connected(&config, &good).server.is_resumed(),
                "new CRLs keep the others"
            );

            let mut pair = Pair::new(&config, &bad);
            let error = pair.handshake().unwrap_err();
            let expected = TlsErrorKind::ClientCertificate(CertificateProblem::Revoked);
            assert_eq!(error.kind(), &expected);
            let seen = pair.client.tls.process_new_packets().unwrap_err();
            let alert = rustls::AlertDescription::CertificateRevoked;
            assert_eq!(seen, rustls::Error::AlertReceived(alert));
        }
    }

    /// A client that has a new certificate, and still a ticket with the old one, isn't sent away.
    #[test]
    fn that_expired_gives_way_to_a_full_handshake() {
        let clock = SetClock::at_year(2040);
        let server = support::pki::self_signed(2020, 2090);
        let until = |year| {
            let mut params = client_params("client");
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            pki().authority.issue(params)
        };
        let config = TlsConfig::with_clock(&server.cert_pem, &server.key_pem, clock.clone())
            .and_then(|config| config.client_ca(&pki().ca.cert_pem, ClientAuth::Required))
            .and_then(|config| {
                let lifetime = Duration::from_secs(7 * 24 * 60 * 60);
                config.ticket_keys(TicketKeys::new(ticket_key(1)).lifetime(lifetime))
            })
            .unwrap();
        let (old, new) = (until(2041), until(2050));
        for versions in BOTH {
            for groups in [Groups::Usual, Groups::FirstGuessIsWrong] {
                clock.set_year(2040);
                clock.advance(Duration::from_secs(366 * 24 * 60 * 60 - 30));
                let identity = Changeable::new(&old);
                let setup = ClientSetup {
                    versions,
                    resolver: Some(identity.clone()),
                    resumption: true,
                    groups,
                    ..ClientSetup::default()
                };
                let client = setup.build_trusting(&server);
                Pair::connected(&config, &client);
                assert!(Pair::connected(&config, &client).server.is_resumed());

                clock.advance(Duration::from_secs(60));
                identity.change(&new);
                let mut pair = Pair::new(&config, &client);
                // The hello may come in any pieces; the handshake begins anew all the same.
                let hello = pair.client.take();
                let hello: Vec<u8> = hello[5..]
                    .chunks(100)
                    .flat_map(|part| raw::record(raw::HANDSHAKE, part))
                    .collect();
                let answer = hello.iter().fold(Vec::new(), |mut out, byte| {
                    pair.server.recv(&mut [*byte], &mut Vec::new(), &mut out).unwrap();
                    out
                });
                pair.client.give(&answer).unwrap();
                match (pair.handshake(), groups, versions == TLS13) {
                    (result, Groups::FirstGuessIsWrong, true) => {
                        // Too late to begin anew; the client tries again, without that ticket.
                        let error = result.unwrap_err();
                        let expired = TlsErrorKind::ClientCertificate(CertificateProblem::Expired);
                        assert_eq!(error.kind(), &expired);
                        let seen = pair.client.tls.process_new_packets().unwrap_err();
                        let alert = rustls::AlertDescription::CertificateExpired;
                        assert_eq!(seen, rustls::Error::AlertReceived(alert));
                        pair = Pair::new(&config, &client);
                        pair.handshake().unwrap();
                    }
                    (result, ..) => result.unwrap(),
                }
                assert!(!pair.server.is_resumed());
                let shown: Vec<&[u8]> = pair.server.peer_certificates().collect();
                assert_eq!(shown, [&new.cert_der[..]]);
                let wire = pair.client.encrypt(b"hello");
                assert_eq!(recv(&mut pair.server, &wire).1.plain, b"hello");
            }
        }
    }

    #[test]
    fn that_cannot_be_verified_because_the_clock_broke_costs_one_session() {
        /// A clock that breaks after so many more looks at it.
        #[derive(Clone, Debug)]
        struct Breaking(Arc<std::sync::atomic::AtomicIsize>);
        impl esp_tls::Clock for Breaking {
            fn unix_time(&self) -> Option<Duration> {
                let left = self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                assert_ne!(left, 0, "the clock broke");
                esp_tls::SystemClock.unix_time()
            }
        }
        let server = &pki().server;
        for versions in BOTH {
            // At each look in turn, whoever takes it.
            for looks in 0..8 {
                let clock = Breaking(Arc::new(std::sync::atomic::AtomicIsize::new(-1)));
                let config =
                    TlsConfig::with_clock(&server.cert_pem, &server.key_pem, clock.clone())
                        .and_then(|config| config.session_tickets(SessionTickets::On))
                        .and_then(|config| {
                            config.client_ca(&pki().ca.cert_pem, ClientAuth::Required)
                        })
                        .unwrap();
                let client = client(Some(&pki().client), versions);
                Pair::connected(&config, &client);
                clock.0.store(looks, std::sync::atomic::Ordering::Relaxed);
                if let Err(error) = Pair::new(&config, &client).handshake() {
                    assert_eq!(error.kind(), &TlsErrorKind::Panicked, "look {looks}");
                }
                clock.0.store(-1, std::sync::atomic::Ordering::Relaxed);
                Pair::connected(&config, &client);
            }
        }
    }
}
