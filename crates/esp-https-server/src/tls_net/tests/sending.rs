//! `send`, `shutdown`, `close`, and what the socket does not take.

use super::*;

const APPLICATION_DATA: u8 = 23;

#[test]
fn a_small_response_is_one_write_and_one_record() {
    for_both_versions(|version| {
        let mut rig = Rig::connected(version);
        rig.say(b"GET");
        rig.recv().unwrap();
        rig.send(&pattern(300));
        assert_eq!(rig.wire().sends.len(), 1);
        assert!(matches!(records(&rig.wire().to_client)[..], [(APPLICATION_DATA, 300..400)]));
        rig.exchange();
        assert_eq!(rig.peer.received, pattern(300));
    });
}

#[test]
fn a_head_and_64_kb_are_one_write_of_full_records() {
    let mut rig = Rig::connected(&TLS13);
    let response = pattern(64 * 1024 + 200);
    rig.send(&response);
    assert_eq!(rig.wire().sends.len(), 1);
    let lens: Vec<usize> = records(&rig.wire().to_client).iter().map(|record| record.1).collect();
    assert_eq!(lens, [16_401, 16_401, 16_401, 16_401, 217]);
    rig.exchange();
    assert_eq!(rig.peer.received, response);
}

#[test]
fn a_large_body_through_a_narrow_window_keeps_its_order() {
    for_both_versions(|version| {
        let mut rig = Rig::connected(version);
        let body = pattern(300_000);
        let mut tx = tx_of(&body);
        rig.wire().window = 1000;
        rig.wire().step = 700;
        while !tx.is_empty() || rig.net.unsent(ID) > 0 {
            match rig.net.send(ID, &mut tx) {
                Ok(taken) => assert!(taken <= SEND_LEN),
                Err(NetError::WouldBlock) => rig.exchange(),
                Err(error) => panic!("{error}"),
            }
            assert!(rig.net.unsent(ID) <= UNSENT_MAX);
        }
        rig.exchange();
        assert_eq!(rig.peer.received, body);
    });
}

#[test]
fn nothing_more_is_encrypted_while_something_waits() {
    let mut rig = Rig::connected(&TLS13);
    rig.wire().window = 10;
    rig.send(b"the first response");
    let unsent = rig.net.unsent(ID);
    assert!(unsent > 0);

    let mut tx = tx_of(b"the second response");
    assert_would_block(rig.net.send(ID, &mut tx));
    assert_eq!(tx.len(), 19);
    assert_eq!(rig.net.unsent(ID), unsent);

    // What waits gets a little further, which is progress, but nothing of `tx` is taken.
    rig.wire().window = 12;
    assert_eq!(rig.net.send(ID, &mut tx).unwrap(), 0);
    assert_eq!((tx.len(), rig.net.unsent(ID)), (19, unsent - 2));
    assert_would_block(rig.net.send(ID, &mut tx));

    rig.wire().window = usize::MAX;
    assert_eq!(rig.net.send(ID, &mut tx).unwrap(), 19);
    rig.exchange();
    assert_eq!(rig.peer.received, b"the first responsethe second response");
}

#[test]
fn an_empty_send_moves_on_what_waits_and_says_whether_it_did() {
    let mut rig = Rig::connected(&TLS13);
    assert_eq!(rig.push().unwrap(), 0);

    rig.wire().window = 10;
    rig.send(b"a response");
    let unsent = rig.net.unsent(ID);
    assert_would_block(rig.push());
    rig.wire().window = 12;
    assert_eq!(rig.push().unwrap(), 0);
    assert_eq!(rig.net.unsent(ID), unsent - 2);
    rig.wire().window = usize::MAX;
    assert_eq!(rig.push().unwrap(), 0);
    assert_eq!(rig.net.unsent(ID), 0);
    rig.exchange();
    assert_eq!(rig.peer.received, b"a response");
}

#[test]
fn close_and_shutdown_say_close_notify() {
    for_both_versions(|version| {
        let mut rig = Rig::connected(version);
        rig.net.close(ID);
        assert!(rig.wire().is_closed);
        rig.exchange();
        assert!(rig.peer.is_told_end);

        let mut rig = Rig::connected(version);
        rig.net.shutdown(ID);
        assert!(rig.wire().is_shut && !rig.wire().is_closed);
        rig.exchange();
        assert!(rig.peer.is_told_end);

        // Once is enough.
        rig.net.close(ID);
        assert_eq!(rig.wire().to_client, b"");
    });
}

#[test]
fn a_close_before_the_first_response_still_says_close_notify() {
    let mut rig = Rig::new(&TLS13);
    rig.reach_finished();
    rig.say(b"GET");
    rig.net.open(ID).unwrap();
    rig.net.close(ID);
    assert_eq!(rig.wire().sends.len(), 1);
    rig.exchange();
    assert!(rig.peer.is_told_end);
}

#[test]
fn a_shutdown_comes_after_all_that_was_taken() {
    let mut rig = Rig::connected(&TLS13);
    rig.wire().window = 100;
    rig.send(&pattern(5000));
    rig.net.shutdown(ID);
    while rig.net.unsent(ID) > 0 {
        assert!(!rig.wire().is_shut);
        rig.exchange();
        rig.push().unwrap();
    }
    assert!(rig.wire().is_shut);
    rig.exchange();
    assert_eq!(rig.peer.received, pattern(5000));
    assert!(rig.peer.is_told_end);
}

#[test]
fn close_notify_does_not_overtake_what_waits() {
    for end in [TlsNet::shutdown, TlsNet::close] {
        let mut rig = Rig::connected(&TLS13);
        rig.wire().window = 10;
        rig.send(b"a response");
        rig.wire().window = usize::MAX;
        end(&mut rig.net, ID);
        rig.exchange();
        assert_eq!(rig.peer.error, None);
        assert_eq!(rig.peer.received, b"a response");
        assert!(rig.peer.is_told_end);
    }
}

#[test]
fn after_shutdown_receiving_goes_on_and_sending_does_not() {
    let mut rig = Rig::connected(&TLS13);
    rig.net.shutdown(ID);
    rig.say(b"the rest of the upload");
    assert_eq!(rig.recv().unwrap(), b"the rest of the upload");
    let sends = rig.wire().sends.len();
    assert_closed(rig.net.send(ID, &mut tx_of(b"200")));
    assert_eq!(rig.wire().sends.len(), sends);
}

#[test]
fn a_close_with_a_full_socket_does_not_wait() {
    let mut rig = Rig::connected(&TLS13);
    rig.wire().window = 10;
    rig.send(b"a response nobody reads");
    rig.net.close(ID);
    assert!(rig.wire().is_closed);
}

#[test]
fn a_key_update_while_a_response_waits_is_answered_in_order() {
    let mut rig = Rig::connected(&TLS13);
    let body = pattern(50_000);
    rig.wire().window = 100;
    rig.send(&body);
    rig.peer.update_keys();
    rig.peer.say(b"ping");
    rig.peer.exchange_some(&mut rig.net.inner.wires[0], 0);
    assert_eq!(rig.recv().unwrap(), b"ping");

    rig.wire().window = usize::MAX;
    rig.push().unwrap();
    rig.send(b"and more under the new keys");
    rig.exchange();
    assert_eq!(rig.peer.error, None);
    assert_eq!(rig.peer.received, [&body[..], b"and more under the new keys"].concat());
}

#[test]
fn receiving_moves_on_what_waits_when_there_is_nothing_to_receive() {
    let mut rig = Rig::connected(&TLS13);
    rig.wire().window = 10;
    rig.send(b"a response");
    rig.wire().window = usize::MAX;
    assert_would_block(rig.recv());
    assert_eq!(rig.net.unsent(ID), 0);
}
