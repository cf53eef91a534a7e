//! A TLS 1.3 session that goes on: rustls has handed over the keys, and the records are ours.

mod support;

use esp_tls::{Alert, AlertCode, Blame, TlsErrorKind, TlsSession};
use support::raw::{self, RawClient, record, records};
use support::{ClientSetup, Pair, Rng, TLS12, TLS13, recv, send, server_config};

/// KeyUpdates that ask for none in return, and for one (RFC 8446, section 4.6.3).
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];
const KEY_UPDATE_REQUESTED: [u8; 5] = [24, 0, 0, 1, 1];

const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// Sends twice, which is what settles a session.
fn settle(pair: &mut Pair) {
    for said in ["one", "two"] {
        let out = send(&mut pair.server, said.as_bytes());
        assert_eq!(pair.client.give(&out).unwrap(), said.as_bytes());
    }
    assert!(!pair.server.can_settle(), "it has");
}

fn settled() -> Pair {
    let mut pair = Pair::connected(&server_config(), &ClientSetup::versions(TLS13).build());
    settle(&mut pair);
    pair
}

fn raw() -> (RawClient, TlsSession) {
    RawClient::take_over(settled())
}

/// One that ends with this alert of ours, which is sent encrypted, and with the peer's blame.
#[track_caller]
fn assert_refused(server: &mut TlsSession, wire: &[u8], alert: AlertCode) {
    let (result, received) = recv(server, wire);
    let error = result.unwrap_err();
    assert_eq!(error.alert(), Some(Alert::Sent(alert)), "{error}");
    assert_eq!(error.blame(), Blame::Peer);
    let [(kind, payload)] = &records(&received.out)[..] else { panic!("one alert") };
    assert_eq!((*kind, payload.len()), (raw::APPLICATION_DATA, 2 + 1 + 16));
    assert_eq!(recv(server, wire).0.unwrap_err(), error, "and that is final");
    assert_eq!(server.send(b"late", &mut Vec::new()).unwrap_err(), error);
}

#[test]
fn data_of_all_lengths_goes_both_ways_with_every_cipher() {
    for suite in [0x1301, 0x1302, 0x1303] {
        let config = server_config().cipher_suites([suite]).unwrap();
        let mut pair = Pair::connected(&config, &ClientSetup::versions(TLS13).build());
        settle(&mut pair);
        assert_eq!(pair.server.cipher_suite().unwrap().id, suite);
        let mut rng = Rng::new(u64::from(suite));
        for len in [1, 2, 15, 16, 17, 255, 1000, 16_383, 16_384, 16_385, 32_768, 65_536, 100_001] {
            let said = rng.bytes(len);
            let out = send(&mut pair.server, &said);
            assert_eq!(records(&out).len(), len.div_ceil(16_384), "{len} bytes");
            assert_eq!(pair.client.give(&out).unwrap(), said);
            let wire = pair.client.encrypt(&said);
            assert_eq!(recv(&mut pair.server, &wire).1.plain, said);
        }
    }
}

#[test]
fn records_are_as_long_as_was_configured() {
    for max_len in [32, 1024] {
        let config = server_config().max_fragment_len(max_len).unwrap();
        let mut pair = Pair::connected(&config, &ClientSetup::versions(TLS13).build());
        settle(&mut pair);
        let out = send(&mut pair.server, &[7; 3000]);
        let lens: Vec<_> = records(&out).iter().map(|(_, payload)| payload.len() - 17).collect();
        assert_eq!(lens.len(), 3000_usize.div_ceil(max_len));
        assert!(lens.iter().all(|len| *len <= max_len), "{lens:?}");
        assert_eq!(pair.client.give(&out).unwrap(), [7; 3000]);
    }
}

#[test]
fn what_was_agreed_on_is_known_as_before() {
    let setup = || ClientSetup { alpn: vec![b"http/1.1".to_vec()], ..ClientSetup::versions(TLS13) };
    let config = server_config().alpn(["http/1.1"]).unwrap();
    let mut pair = Pair::connected(&config, &setup().build());
    let agreed = |server: &TlsSession| {
        (
            server.alpn_protocol().map(<[u8]>::to_vec),
            server.server_name().map(str::to_string),
            server.version(),
            server.cipher_suite(),
            server.is_resumed(),
            server.is_handshaking(),
            server.peer_certificates().map(<[u8]>::to_vec).collect::<Vec<_>>(),
        )
    };
    let before = agreed(&pair.server);
    assert_eq!(before.0.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(before.1.as_deref(), Some("localhost"));
    settle(&mut pair);
    assert_eq!(agreed(&pair.server), before);
}

mod when_it_settles {
    use super::*;

    #[test]
    fn is_behind_the_second_thing_that_was_sent_or_when_it_is_told_to() {
        let mut pair = Pair::connected(&server_config(), &ClientSetup::versions(TLS13).build());
        assert!(!pair.server.can_settle(), "nothing was sent");
        let out = send(&mut pair.server, b"one");
        assert!(pair.server.can_settle());
        pair.server.settle().unwrap();
        assert!(!pair.server.can_settle(), "once is enough");
        assert_eq!(pair.client.give(&out).unwrap(), b"one");
        let out = send(&mut pair.server, b"two");
        assert_eq!(pair.client.give(&out).unwrap(), b"two");
    }

    #[test]
    fn is_not_while_a_reply_to_a_key_update_may_be_owed() {
        let mut pair = Pair::connected(&server_config(), &ClientSetup::versions(TLS13).build());
        let out = send(&mut pair.server, b"one");
        assert_eq!(pair.client.give(&out).unwrap(), b"one");
        pair.client.tls.refresh_traffic_keys().unwrap();
        recv(&mut pair.server, &pair.client.take()).0.unwrap();
        assert!(!pair.server.can_settle());
        pair.server.settle().unwrap();
        let out = send(&mut pair.server, b"two");
        assert_eq!(records(&out).len(), 2, "the reply, and the data");
        assert_eq!(pair.client.give(&out).unwrap(), b"two");
        let out = send(&mut pair.server, b"three");
        assert_eq!(pair.client.give(&out).unwrap(), b"three");
    }

    #[test]
    fn is_not_while_a_record_has_come_in_part() {
        let mut pair = Pair::connected(&server_config(), &ClientSetup::versions(TLS13).build());
        let wire = pair.client.encrypt(b"question");
        let (start, rest) = wire.split_at(9);
        recv(&mut pair.server, start).0.unwrap();
        for said in [b"one", b"two"] {
            let out = send(&mut pair.server, said);
            assert!(!pair.server.can_settle());
            assert_eq!(pair.client.give(&out).unwrap(), said);
        }
        assert_eq!(recv(&mut pair.server, rest).1.plain, b"question");
        let out = send(&mut pair.server, b"three");
        assert!(!pair.server.can_settle(), "now it has");
        assert_eq!(pair.client.give(&out).unwrap(), b"three");
    }

    #[test]
    fn is_never_in_tls_1_2_in_the_handshake_and_behind_the_end() {
        let mut pair = Pair::connected(&server_config(), &ClientSetup::versions(TLS12).build());
        send(&mut pair.server, b"one");
        assert!(!pair.server.can_settle());
        pair.server.settle().unwrap();
        let mut fresh = TlsSession::new(&server_config());
        assert!(!fresh.can_settle());
        fresh.settle().unwrap();
        let mut pair = Pair::connected(&server_config(), &ClientSetup::versions(TLS13).build());
        send(&mut pair.server, b"one");
        pair.server.close(&mut Vec::new());
        assert!(!pair.server.can_settle());
        pair.server.settle().unwrap();
    }
}

mod key_updates {
    use super::*;

    #[test]
    fn of_the_client_are_answered_in_front_of_what_is_sent_next() {
        let mut pair = settled();
        for round in 0..100 {
            pair.client.tls.refresh_traffic_keys().unwrap();
            let (result, received) = recv(&mut pair.server, &pair.client.take());
            result.unwrap();
            assert_eq!(received, Default::default(), "nothing to hear, nothing to say yet");
            let said = format!("round {round}");
            let out = send(&mut pair.server, said.as_bytes());
            assert_eq!(records(&out).len(), 2, "KeyUpdate and data");
            assert_eq!(pair.client.give(&out).unwrap(), said.as_bytes());
            let wire = pair.client.encrypt(said.as_bytes());
            assert_eq!(recv(&mut pair.server, &wire).1.plain, said.as_bytes());
        }
        pair.client.tls.refresh_traffic_keys().unwrap();
        recv(&mut pair.server, &pair.client.take()).0.unwrap();
        let mut out = Vec::new();
        pair.server.close(&mut out);
        assert_eq!(records(&out).len(), 2, "KeyUpdate and close_notify");
        assert!(pair.client.give(&out).unwrap().is_empty());
    }

    #[test]
    fn may_come_in_pieces_and_change_the_clients_keys_only() {
        let (mut client, mut server) = raw();
        for cut in 1..KEY_UPDATE.len() {
            let (mut client, mut server) = raw();
            for part in [&KEY_UPDATE[..cut], &KEY_UPDATE[cut..]] {
                for byte in client.encrypt(raw::HANDSHAKE, part) {
                    recv(&mut server, &[byte]).0.unwrap();
                    assert_eq!(records(&send(&mut server, b"push")).len(), 1);
                }
            }
            let old_keys = client.encrypt(raw::APPLICATION_DATA, b"hello");
            assert_refused(&mut server, &old_keys, AlertCode::BAD_RECORD_MAC);
        }
        for byte in KEY_UPDATE {
            recv(&mut server, &client.encrypt(raw::HANDSHAKE, &[byte])).0.unwrap();
        }
        let old_keys = client.encrypt(raw::APPLICATION_DATA, b"hello");
        assert_refused(&mut server, &old_keys, AlertCode::BAD_RECORD_MAC);
    }

    #[test]
    fn more_than_32_without_data_are_refused() {
        support::only_32_key_updates_may_come_in_a_row(settled());
    }

    #[test]
    fn that_share_their_record_or_say_something_else_are_refused() {
        for (message, alert) in [
            (&[24, 0, 0, 1, 0, 24][..], AlertCode::UNEXPECTED_MESSAGE),
            (&[24, 0, 0, 1, 0, 24, 0, 0, 1, 0], AlertCode::UNEXPECTED_MESSAGE),
            (&[24, 0, 0, 1, 2], AlertCode::ILLEGAL_PARAMETER),
            (&[24, 0, 0, 1, 1, 24], AlertCode::UNEXPECTED_MESSAGE),
            (&[24, 0, 0, 2, 0, 0], AlertCode::DECODE_ERROR),
            (&[24, 0, 0, 0], AlertCode::DECODE_ERROR),
            (&[24, 0, 1], AlertCode::DECODE_ERROR),
            (&[1, 0, 0, 1, 0], AlertCode::UNEXPECTED_MESSAGE),
            (&[4, 0, 0, 0], AlertCode::UNEXPECTED_MESSAGE),
            (&[], AlertCode::UNEXPECTED_MESSAGE),
        ] {
            let (mut client, mut server) = raw();
            assert_refused(&mut server, &client.encrypt(raw::HANDSHAKE, message), alert);
        }
    }

    #[test]
    fn that_others_come_between_are_refused() {
        for (kind, content) in [
            (raw::APPLICATION_DATA, &b"data"[..]),
            (raw::ALERT, &[WARNING, 0]),
            (raw::ALERT, &[2, 80]),
        ] {
            let (mut client, mut server) = raw();
            let start = client.encrypt(raw::HANDSHAKE, &KEY_UPDATE_REQUESTED[..3]);
            recv(&mut server, &start).0.unwrap();
            assert_refused(
                &mut server,
                &client.encrypt(kind, content),
                AlertCode::UNEXPECTED_MESSAGE,
            );
        }
    }
}

mod records_that_cannot_be {
    use super::*;

    #[test]
    fn in_the_clear_are_refused() {
        let hello = [1, 0, 0, 1, 0];
        for (kind, content) in [
            (raw::CHANGE_CIPHER_SPEC, &[1][..]),
            (raw::ALERT, &[WARNING, 0]),
            (raw::ALERT, &[FATAL, 80]),
            (raw::HANDSHAKE, &hello),
            (99, &[0]),
            (b'G', b"ET / HTTP/1.1"),
        ] {
            let (_, mut server) = raw();
            assert_refused(&mut server, &record(kind, content), AlertCode::UNEXPECTED_MESSAGE);
        }
    }

    #[test]
    fn of_unknown_or_no_type_are_refused() {
        for (kind, content) in
            [(raw::CHANGE_CIPHER_SPEC, &[1][..]), (24, b"heartbeat"), (0, &[0; 100]), (0, &[])]
        {
            let (mut client, mut server) = raw();
            let wire = client.encrypt(kind, content);
            assert_refused(&mut server, &wire, AlertCode::UNEXPECTED_MESSAGE);
        }
    }

    #[test]
    fn damaged_repeated_or_out_of_order_are_refused() {
        let (mut client, mut server) = raw();
        let [first, second] =
            [b"first", b"other"].map(|it| client.encrypt(raw::APPLICATION_DATA, it));
        assert_refused(&mut server, &second, AlertCode::BAD_RECORD_MAC);
        let (mut client, mut server) = raw();
        let again = client.encrypt(raw::APPLICATION_DATA, b"again");
        recv(&mut server, &again).0.unwrap();
        assert_refused(&mut server, &again, AlertCode::BAD_RECORD_MAC);
        for at in 5..first.len() {
            let (mut client, mut server) = raw();
            let mut wire = client.encrypt(raw::APPLICATION_DATA, b"first");
            wire[at] ^= 1;
            assert_refused(&mut server, &wire, AlertCode::BAD_RECORD_MAC);
        }
        for len in 0..16 {
            let (_, mut server) = raw();
            let wire = record(raw::APPLICATION_DATA, &vec![0; len]);
            assert_refused(&mut server, &wire, AlertCode::BAD_RECORD_MAC);
        }
    }

    #[test]
    fn longer_than_allowed_are_refused_before_they_have_come() {
        // Content, type and tag: 2^14 bytes of content are the most, 2^14 + 256 with all else.
        for padding_len in [0, 256 - 17] {
            let (mut client, mut server) = raw();
            let content = [&[7; 16_384][..], &[raw::APPLICATION_DATA][..]].concat();
            let padded = [&content[..], &vec![0; padding_len]].concat();
            let wire = match padding_len {
                0 => client.encrypt(raw::APPLICATION_DATA, &content[..16_384]),
                // The last of the padding is what `encrypt` appends as the type.
                _ => client.encrypt(0, &padded[..padded.len() - 1]),
            };
            let received = recv(&mut server, &wire);
            match padding_len {
                0 => assert_eq!(received.1.plain.len(), 16_384),
                // The limit of what is inside counts padding (section 5.4).
                _ => assert_eq!(
                    received.0.unwrap_err().alert(),
                    Some(Alert::Sent(AlertCode::RECORD_OVERFLOW))
                ),
            }
        }
        let (mut client, mut server) = raw();
        let wire = client.encrypt(raw::APPLICATION_DATA, &[7; 16_385]);
        assert_refused(&mut server, &wire, AlertCode::RECORD_OVERFLOW);
        let (_, mut server) = raw();
        let header = [raw::APPLICATION_DATA, 3, 3, 0x41, 0x00];
        recv(&mut server, &header).0.unwrap();
        let (_, mut server) = raw();
        let header = [raw::APPLICATION_DATA, 3, 3, 0x41, 0x01];
        assert_refused(&mut server, &header, AlertCode::RECORD_OVERFLOW);
    }

    #[test]
    fn empty_may_be_32_in_a_row() {
        let (mut client, mut server) = raw();
        let empty = |server: &mut TlsSession, client: &mut RawClient| {
            recv(server, &client.encrypt(raw::APPLICATION_DATA, b"")).0
        };
        for _ in 0..32 {
            empty(&mut server, &mut client).unwrap();
        }
        let data = client.encrypt(raw::APPLICATION_DATA, b"data");
        assert_eq!(recv(&mut server, &data).1.plain, b"data");
        for _ in 0..32 {
            empty(&mut server, &mut client).unwrap();
        }
        let wire = client.encrypt(raw::APPLICATION_DATA, b"");
        assert_refused(&mut server, &wire, AlertCode::UNEXPECTED_MESSAGE);
    }
}

#[test]
fn padding_is_taken_off() {
    let (mut client, mut server) = raw();
    for padding_len in [0, 1, 100, 10_000] {
        let padded = [&b"data"[..], &[raw::APPLICATION_DATA], &vec![0; padding_len]].concat();
        assert_eq!(recv(&mut server, &client.encrypt(0, &padded)).1.plain, b"data");
    }
    assert_eq!(recv(&mut server, &client.encrypt(raw::APPLICATION_DATA, &[0; 9])).1.plain, [0; 9]);
}

mod alerts {
    use super::*;

    #[test]
    fn close_notify_ends_the_clients_direction_whatever_its_level() {
        for level in [WARNING, FATAL] {
            let (mut client, mut server) = raw();
            let wire = [
                client.encrypt(raw::APPLICATION_DATA, b"last words"),
                client.encrypt(raw::ALERT, &[level, 0]),
                client.encrypt(raw::APPLICATION_DATA, b"from the grave"),
                b"and nonsense".to_vec(),
            ]
            .concat();
            let (result, received) = recv(&mut server, &wire);
            result.unwrap();
            assert_eq!(received.plain, b"last words");
            assert!(server.peer_has_closed());
            assert_eq!(server.buffered_len(), 0);
            assert_eq!(records(&send(&mut server, b"answer")).len(), 1, "ours is open");
        }
    }

    #[test]
    fn others_are_the_end_and_are_not_answered() {
        for (level, code) in [(FATAL, 80), (WARNING, 80), (WARNING, 100), (FATAL, 90), (FATAL, 255)]
        {
            let (mut client, mut server) = raw();
            let (result, received) = recv(&mut server, &client.encrypt(raw::ALERT, &[level, code]));
            let error = result.unwrap_err();
            assert_eq!(error.kind(), &TlsErrorKind::AlertReceived(AlertCode(code)));
            assert_eq!(error.alert(), Some(Alert::Received(AlertCode(code))));
            assert!(received.out.is_empty());
        }
    }

    #[test]
    fn user_canceled_means_nothing_by_itself() {
        let (mut client, mut server) = raw();
        let canceled = client.encrypt(raw::ALERT, &[WARNING, AlertCode::USER_CANCELED.0]);
        recv(&mut server, &canceled).0.unwrap();
        let data = client.encrypt(raw::APPLICATION_DATA, b"still here");
        assert_eq!(recv(&mut server, &data).1.plain, b"still here");
    }

    #[test]
    fn that_are_none_are_refused() {
        for (alert, answer) in [
            (&[][..], AlertCode::UNEXPECTED_MESSAGE),
            (&[FATAL], AlertCode::DECODE_ERROR),
            (&[FATAL, 80, 0], AlertCode::DECODE_ERROR),
            (&[WARNING, 0, WARNING, 0], AlertCode::DECODE_ERROR),
            (&[0, 80], AlertCode::ILLEGAL_PARAMETER),
            (&[3, 0], AlertCode::ILLEGAL_PARAMETER),
        ] {
            let (mut client, mut server) = raw();
            assert_refused(&mut server, &client.encrypt(raw::ALERT, alert), answer);
        }
    }

    #[test]
    fn do_not_follow_our_own_close_notify() {
        let (mut client, mut server) = raw();
        server.close(&mut Vec::new());
        let update = client.encrypt(raw::HANDSHAKE, &KEY_UPDATE_REQUESTED);
        recv(&mut server, &update).0.unwrap();
        let (result, received) = recv(&mut server, &client.encrypt(24, b"heartbeat"));
        assert_eq!(result.unwrap_err().alert(), None);
        assert!(received.out.is_empty());
    }
}
