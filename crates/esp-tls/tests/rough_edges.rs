//! The edges of rustls' unbuffered API, each of which cost somebody a session or a server. The
//! numbers are those of the list in the notes on that API; where a test has none it is about what
//! this crate adds.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use esp_tls::{Alert, AlertCode, Blame, Stage, TlsErrorKind, TlsSession};
use support::raw::{self, RawClient, record, records};
use support::{Client, ClientSetup, Pair, TLS12, TLS13, recv, send, server_config};

/// A KeyUpdate that asks for none in return (RFC 8446, section 4.6.3).
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

fn connected(versions: &'static [&'static rustls::SupportedProtocolVersion]) -> Pair {
    Pair::connected(&server_config(), &ClientSetup::versions(versions).build())
}

fn fresh() -> TlsSession {
    TlsSession::new(&server_config())
}

/// The client's first flight, which is one record.
fn client_hello() -> Vec<u8> {
    Client::new(&ClientSetup::default().build()).take()
}

/// The handshake message of [`client_hello`], in records of `len` bytes each.
fn client_hello_in_records_of(len: usize) -> Vec<u8> {
    let hello = client_hello();
    hello[5..].chunks(len).flat_map(|part| record(raw::HANDSHAKE, part)).collect()
}

mod edge_1_an_unfinished_message_followed_by_another_record {
    use super::*;

    /// The bytes that ended a server: the start of a ClientHello, then any other record.
    fn killers() -> Vec<Vec<u8>> {
        let started = record(raw::HANDSHAKE, &[1, 0, 2, 0, 3, 3, 0, 0]);
        [
            record(raw::CHANGE_CIPHER_SPEC, &[1]),
            record(raw::ALERT, &[1, 0]),
            record(raw::ALERT, &[2, 40]),
            record(raw::APPLICATION_DATA, &[0; 7]),
            record(raw::APPLICATION_DATA, &[]),
            record(raw::HANDSHAKE, &[]),
            record(99, &[1, 2]),
        ]
        .iter()
        .map(|second| [&started[..], second].concat())
        .collect()
    }

    #[test]
    fn is_survived_however_it_is_cut() {
        let killers = killers();
        assert_eq!(killers[3].len(), 25, "the historic one");
        for killer in killers {
            for cut in 0..=killer.len() {
                let mut session = fresh();
                let (first, rest) = killer.split_at(cut);
                let result = recv(&mut session, first).0.and_then(|()| recv(&mut session, rest).0);
                if let Err(error) = result {
                    assert_eq!(error.blame(), Blame::Peer, "cut at {cut}: {error}");
                }
                session.close(&mut Vec::new());
                let late = session.send(b"late", &mut Vec::new()).unwrap_err();
                assert_ne!(late.kind(), &TlsErrorKind::Panicked);
            }
        }
    }

    #[test]
    fn is_survived_byte_by_byte() {
        for killer in killers() {
            let mut session = fresh();
            for byte in killer {
                if let Err(error) = recv(&mut session, &[byte]).0 {
                    assert_eq!(error.blame(), Blame::Peer, "{error}");
                }
            }
        }
    }

    #[test]
    fn half_a_key_update_does_not_stop_a_push() {
        let (mut client, mut server) = RawClient::take_over(connected(TLS13));
        for cut in 1..KEY_UPDATE.len() {
            let half = client.encrypt(raw::HANDSHAKE, &KEY_UPDATE[..cut]);
            // Only the first half ever comes; after the first the others make it a longer start.
            if cut == 1 {
                recv(&mut server, &half).0.unwrap();
            }
            assert_eq!(records(&send(&mut server, b"push")).len(), 1);
            assert_eq!(records(&send(&mut server, &[7; 20_000])).len(), 2);
        }
        let mut out = Vec::new();
        server.close(&mut out);
        assert_eq!(records(&out).len(), 1, "a close_notify");
    }
}

#[test]
fn edge_2_a_key_update_in_two_records_is_put_together() {
    let (mut client, mut server) = RawClient::take_over(connected(TLS13));
    let halves = [
        client.encrypt(raw::HANDSHAKE, &KEY_UPDATE[..3]),
        client.encrypt(raw::HANDSHAKE, &KEY_UPDATE[3..]),
    ];
    for half in &halves {
        for byte in half {
            recv(&mut server, &[*byte]).0.unwrap();
            assert_eq!(records(&send(&mut server, b"push")).len(), 1);
        }
    }
    assert_eq!(server.needed_len(), 0, "nothing is left over");
    // The client's keys are new now: a record under the old ones can't be read any more.
    let old_keys = client.encrypt(raw::APPLICATION_DATA, b"hello");
    let error = recv(&mut server, &old_keys).0.unwrap_err();
    assert!(matches!(error.kind(), TlsErrorKind::Protocol(_)), "{error}");
    assert_eq!(error.alert(), Some(Alert::Sent(AlertCode::BAD_RECORD_MAC)));
}

#[test]
fn edge_2_a_client_hello_cut_into_records_is_put_together() {
    for len in [1, 2, 3, 50, 100] {
        let mut session = fresh();
        let (result, received) = recv(&mut session, &client_hello_in_records_of(len));
        result.unwrap();
        assert_eq!(records(&received.out)[0].0, raw::HANDSHAKE, "a ServerHello");

        let mut session = fresh();
        let mut out = Vec::new();
        for byte in client_hello_in_records_of(len) {
            session.recv(&mut [byte], &mut Vec::new(), &mut out).unwrap();
        }
        assert_eq!(records(&out)[0].0, raw::HANDSHAKE, "a ServerHello");
    }
}

#[test]
fn edge_3_an_endless_client_hello_is_capped_at_64_kib() {
    let endless: Vec<u8> = std::iter::once([1, 0, 0xFF, 0xF0])
        .chain(std::iter::repeat([0; 4]))
        .flatten()
        .take(60_000)
        .flat_map(|byte| record(raw::HANDSHAKE, &[byte]))
        .collect();
    for piece_len in [6, 1_000, 16_384] {
        let mut session = fresh();
        let mut taken_len = 0;
        let error = endless
            .chunks(piece_len)
            .find_map(|piece| {
                taken_len += piece.len();
                recv(&mut session, piece).0.err()
            })
            .expect("refused");
        let TlsErrorKind::TooMuchUnfinished { held_len, limit_len } = *error.kind() else {
            panic!("{error}");
        };
        assert_eq!(limit_len, 64 * 1024);
        assert!((limit_len + 1..=limit_len + piece_len).contains(&held_len));
        assert_eq!(held_len, taken_len);
    }
}

#[test]
fn edge_3_an_endless_message_after_the_handshake_is_capped_at_one_record() {
    let (mut client, mut server) = RawClient::take_over(connected(TLS13));
    let first = client.encrypt(raw::HANDSHAKE, &[24, 0, 0xFF, 0xF0]);
    recv(&mut server, &first).0.unwrap();
    let error = (0..2_000)
        .find_map(|_| recv(&mut server, &client.encrypt(raw::HANDSHAKE, &[0])).0.err())
        .expect("refused");
    assert!(
        matches!(error.kind(), TlsErrorKind::TooMuchUnfinished { limit_len: 18_437, .. }),
        "{error}"
    );
    assert_eq!(error.stage(), Stage::Connected);
}

#[test]
fn edge_4_an_error_sends_one_alert_and_is_final() {
    let mut pair = connected(TLS13);
    let mut forged = pair.client.encrypt(b"hello");
    *forged.last_mut().unwrap() ^= 1;
    let good = pair.client.encrypt(b"more");

    let (result, received) = recv(&mut pair.server, &forged);
    let error = result.unwrap_err();
    assert_eq!(error.blame(), Blame::Peer);
    assert_eq!(records(&received.out).len(), 1, "the alert");
    let seen = pair.client.give(&received.out).unwrap_err();
    assert_eq!(seen, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac));

    for input in [&forged[..], &good, &[]] {
        let (again, received) = recv(&mut pair.server, input);
        assert_eq!(again, Err(error.clone()));
        assert_eq!(received, Default::default(), "nothing is done any more");
    }
    let mut out = Vec::new();
    assert_eq!(pair.server.send(b"late", &mut out), Err(error));
    pair.server.close(&mut out);
    assert!(out.is_empty());
}

#[test]
fn edge_4_an_alert_in_the_clear_is_named() {
    let mut session = fresh();
    let (result, received) = recv(&mut session, &record(raw::HANDSHAKE, &[1, 0, 0, 2, 3, 3]));
    let error = result.unwrap_err();
    assert_eq!(error.stage(), Stage::Handshake);
    assert_eq!(error.alert(), Some(Alert::Sent(AlertCode::DECODE_ERROR)));
    assert_eq!(records(&received.out), [(raw::ALERT, vec![2, 50])]);
    assert_eq!(error.esp_code(), 0x801A);
}

#[test]
fn edge_5_a_flight_larger_than_the_room_for_it_arrives_whole() {
    let pki = support::pki();
    let chain = pki.server.cert_pem.clone() + &pki.ca.cert_pem.repeat(60);
    let config = esp_tls::TlsConfig::new(chain, &pki.server.key_pem).unwrap();
    for versions in [TLS12, TLS13] {
        let mut pair = Pair::new(&config, &ClientSetup::versions(versions).build());
        let (result, received) = recv(&mut pair.server, &pair.client.take());
        result.unwrap();
        assert!(received.out.len() > 18 * 1024, "{} bytes", received.out.len());
        pair.client.give(&received.out).unwrap();
        pair.handshake().unwrap();
        assert!(!pair.client.tls.is_handshaking() && !pair.server.is_handshaking());
    }
}

#[test]
fn edge_6_tickets_and_the_answer_to_the_first_request_leave_together() {
    let config = server_config().session_tickets(esp_tls::SessionTickets::On).unwrap();
    let client = ClientSetup { resumption: true, ..ClientSetup::versions(TLS13) }.build();
    let mut pair = Pair::new(&config, &client);
    let (_, flight) = recv(&mut pair.server, &pair.client.take());
    pair.client.give(&flight.out).unwrap();
    let finished_and_request = [pair.client.take(), pair.client.encrypt(b"GET")].concat();

    let (result, mut received) = recv(&mut pair.server, &finished_and_request);
    result.unwrap();
    assert_eq!(received.plain, b"GET");
    assert_eq!(records(&received.out).len(), 1, "a ticket");
    pair.server.send(b"answer", &mut received.out).unwrap();
    assert_eq!(pair.client.give(&received.out).unwrap(), b"answer");
}

#[test]
fn edge_7_and_8_the_reply_to_a_key_update_rides_on_the_next_send() {
    let mut pair = connected(TLS13);
    pair.client.tls.refresh_traffic_keys().unwrap();
    let (result, received) = recv(&mut pair.server, &pair.client.take());
    result.unwrap();
    assert_eq!(received, Default::default(), "not yet");

    let out = send(&mut pair.server, b"hello");
    assert_eq!(records(&out).len(), 2, "KeyUpdate and data");
    assert_eq!(pair.client.give(&out).unwrap(), b"hello");
    let back = pair.client.encrypt(b"back");
    assert_eq!(recv(&mut pair.server, &back).1.plain, b"back");
}

#[test]
fn edge_8_more_than_32_key_updates_without_data_are_refused() {
    support::only_32_key_updates_may_come_in_a_row(connected(TLS13));
}

#[test]
fn edge_9_what_is_sent_together_is_in_full_records() {
    for versions in [TLS12, TLS13] {
        let mut pair = connected(versions);
        for (plain_len, record_count) in
            [(1, 1), (16_384, 1), (16_385, 2), (40_000, 3), (65_536, 4)]
        {
            let plain = vec![b'x'; plain_len];
            let out = send(&mut pair.server, &plain);
            assert_eq!(records(&out).len(), record_count, "{plain_len} bytes");
            assert_eq!(pair.client.give(&out).unwrap(), plain);
        }
        assert!(send(&mut pair.server, b"").is_empty(), "nothing sends nothing");
    }
}

#[test]
fn edge_10_and_14_all_complete_records_are_delivered_by_one_call() {
    let mut pair = connected(TLS13);
    let words: Vec<String> = (0..100).map(|number| format!("word {number};")).collect();
    let wire: Vec<u8> =
        words.iter().flat_map(|word| pair.client.encrypt(word.as_bytes())).collect();
    let (result, received) = recv(&mut pair.server, &wire);
    result.unwrap();
    assert_eq!(received.plain, words.concat().as_bytes());
    assert_eq!(recv(&mut pair.server, &[]).1, Default::default(), "and none comes twice");
}

mod edge_11_the_end {
    use super::*;

    #[test]
    fn bytes_after_a_close_notify_are_dropped() {
        for versions in [TLS12, TLS13] {
            let mut pair = connected(versions);
            let mut wire = pair.client.encrypt(b"last words");
            pair.client.tls.send_close_notify();
            wire.extend(pair.client.take());
            wire.extend([0xAA; 30_000]);
            let (result, received) = recv(&mut pair.server, &wire);
            result.unwrap();
            assert_eq!(received.plain, b"last words");
            assert!(pair.server.peer_has_closed());
            assert_eq!(pair.server.needed_len(), 0, "nothing is kept of them");

            recv(&mut pair.server, &[0xBB; 30_000]).0.unwrap();
            let out = send(&mut pair.server, b"our last words");
            assert_eq!(pair.client.give(&out).unwrap(), b"our last words");
        }
    }

    #[test]
    fn a_closed_session_sends_nothing_more_and_still_receives() {
        for versions in [TLS12, TLS13] {
            let mut pair = connected(versions);
            let mut out = send(&mut pair.server, b"bye");
            pair.server.close(&mut out);
            assert_eq!(records(&out).len(), 2);
            pair.server.close(&mut out);
            assert_eq!(records(&out).len(), 2, "one close_notify");
            let error = pair.server.send(b"more", &mut out).unwrap_err();
            assert_eq!(error.kind(), &TlsErrorKind::Closed);
            assert_eq!(error.blame(), Blame::Caller);
            assert_eq!(records(&out).len(), 2);

            assert_eq!(pair.client.give(&out).unwrap(), b"bye");
            let answer = pair.client.encrypt(b"bye too");
            assert_eq!(recv(&mut pair.server, &answer).1.plain, b"bye too");
        }
    }

    #[test]
    fn a_close_in_the_handshake_sends_nothing() {
        let mut session = fresh();
        let mut out = Vec::new();
        session.close(&mut out);
        assert!(out.is_empty());
        assert_eq!(session.send(b"x", &mut out).unwrap_err().kind(), &TlsErrorKind::Closed);
    }
}

#[test]
fn edge_12_needed_len_counts_down_to_the_end_of_the_record() {
    let mut pair = connected(TLS13);
    let wire = pair.client.encrypt(&[b'x'; 1_000]);
    assert_eq!(pair.server.needed_len(), 0);
    for (index, byte) in wire.iter().enumerate() {
        let (result, received) = recv(&mut pair.server, &[*byte]);
        result.unwrap();
        let taken_len = index + 1;
        let end = if taken_len < 5 { 5 } else { wire.len() };
        assert_eq!(pair.server.needed_len(), end - taken_len);
        assert_eq!(received.plain.is_empty(), taken_len < wire.len());
    }
}

#[test]
fn edge_13_many_small_records_are_decrypted_where_they_lie() {
    // Moving the rest to the front after each record would cost each of them the length of the rest:
    // quadratic, and to be seen in where the plain text of the records is in the end.
    const COUNT: usize = 30_000;
    let (mut client, mut server) = RawClient::take_over(connected(TLS13));
    let mut wire: Vec<u8> =
        (0..COUNT).flat_map(|_| client.encrypt(raw::APPLICATION_DATA, b"x")).collect();
    let record_len = wire.len() / COUNT;
    let mut plain = Vec::new();
    // Also behind one of which the first half is held.
    let (half, rest) = wire.split_at_mut(record_len / 2);
    server.recv(half, &mut plain, &mut Vec::new()).unwrap();
    server.recv(rest, &mut plain, &mut Vec::new()).unwrap();
    assert_eq!(plain, vec![b'x'; COUNT]);

    // What is in a record behind its header: the text, and that it is application data.
    let decrypted = [b'x', raw::APPLICATION_DATA];
    for (number, record) in wire.chunks(record_len).enumerate().skip(1) {
        assert_eq!(record[5..7], decrypted, "record {number} was decrypted elsewhere");
    }
}

#[test]
fn edge_15_early_data_is_off() {
    let config = server_config().session_tickets(esp_tls::SessionTickets::On).unwrap();
    let client = ClientSetup { resumption: true, ..ClientSetup::versions(TLS13) }.build();
    let mut client = (*client).clone();
    client.enable_early_data = true;
    let client = Arc::new(client);
    Pair::connected(&config, &client);

    let mut second = Pair::new(&config, &client);
    assert!(second.client.tls.early_data().is_none(), "the ticket allows none");
    second.handshake().unwrap();
    assert!(second.server.is_resumed());
}

#[test]
fn edge_16_the_server_name_is_known() {
    for versions in [TLS12, TLS13] {
        let mut pair = Pair::new(&server_config(), &ClientSetup::versions(versions).build());
        assert_eq!(pair.server.server_name(), None);
        pair.handshake().unwrap();
        assert_eq!(pair.server.server_name(), Some("localhost"));
    }
}

#[test]
fn a_panic_below_is_contained() {
    /// A clock that can be broken once the configuration is built.
    #[derive(Clone, Debug, Default)]
    struct Breakable(Arc<AtomicBool>);
    impl esp_tls::Clock for Breakable {
        fn unix_time(&self) -> Option<Duration> {
            assert!(!self.0.load(Ordering::Relaxed), "the clock broke");
            esp_tls::SystemClock.unix_time()
        }
    }

    let pki = support::pki();
    let clock = Breakable::default();
    let config =
        esp_tls::TlsConfig::with_clock(&pki.server.cert_pem, &pki.server.key_pem, clock.clone())
            .and_then(|config| config.client_ca(&pki.ca.cert_pem, esp_tls::ClientAuth::Required))
            .unwrap();
    clock.0.store(true, Ordering::Relaxed);

    let mut pair = Pair::new(&config, &ClientSetup::identity(&pki.client).build());
    let error = pair.handshake().unwrap_err();
    assert_eq!(error.kind(), &TlsErrorKind::Panicked);
    assert_eq!(error.blame(), Blame::Internal);
    let (again, received) = recv(&mut pair.server, b"more");
    assert_eq!(again, Err(error));
    assert_eq!(received, Default::default());
}

#[test]
fn plain_http_on_the_tls_port_is_called_by_its_name() {
    let mut session = fresh();
    let error = recv(&mut session, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").0.unwrap_err();
    assert_eq!(error.kind(), &TlsErrorKind::NotTls);
    assert_eq!(error.blame(), Blame::Peer);
    assert!(error.to_string().contains("plain HTTP"), "{error}");
}

#[test]
fn a_session_can_move_to_another_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<TlsSession>();
    assert_send::<esp_tls::TlsConfig>();
    assert!(size_of::<TlsSession>() <= 64, "{} bytes", size_of::<TlsSession>());
}

#[test]
fn sending_in_the_handshake_is_the_callers_error_and_harms_nothing() {
    let mut pair = Pair::new(&server_config(), &ClientSetup::default().build());
    let error = pair.server.send(b"too early", &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), &TlsErrorKind::Handshaking);
    pair.handshake().unwrap();
    let out = send(&mut pair.server, b"in time");
    assert_eq!(pair.client.give(&out).unwrap(), b"in time");
}
