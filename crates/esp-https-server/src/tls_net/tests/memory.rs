//! What a connection holds, and what a peer can make it hold.

use super::*;
use crate::tls_net::session::Session;

#[test]
fn a_silent_connection_costs_a_slot() {
    let mut rig = Rig::new(&TLS13);
    assert_would_block(rig.net.open(ID));
    assert!(rig.net.sessions[ID.index()].is_none());
    assert_eq!(size_of_val(&rig.net.sessions[ID.index()]), size_of::<usize>());
}

#[test]
fn a_connection_at_rest_holds_no_buffer() {
    for_both_versions(|version| {
        let mut rig = Rig::new(version);
        rig.reach_finished();
        rig.say(&pattern(20_000));
        while rig.net.open(ID).is_err() {}
        while rig.recv().is_ok() {}
        rig.wire().window = 1000;
        rig.send(&pattern(70_000));
        assert!(rig.net.buffered(ID) >= 69_000, "{}", rig.net.buffered(ID));
        while rig.net.unsent(ID) > 0 {
            rig.exchange();
            rig.push().unwrap();
        }
        let session = rig.net.slot(ID).unwrap();
        assert_eq!((session.unsent.capacity(), session.early.capacity()), (0, 0));
        assert_eq!(rig.net.buffered(ID), 0);
    });
}

#[test]
fn a_connection_that_goes_on_settles_when_it_is_told_to() {
    for_both_versions(|version| {
        let mut rig = Rig::connected(version);
        assert!(!rig.net.can_settle(ID), "nothing was said");
        rig.say(b"question");
        assert_eq!(rig.recv().unwrap(), b"question");
        rig.send(b"answer");
        assert_eq!(rig.net.can_settle(ID), *version == TLS13);
        rig.net.settle(ID);
        assert!(!rig.net.can_settle(ID));
        rig.say(b"and another");
        assert_eq!(rig.recv().unwrap(), b"and another");
        rig.send(&pattern(70_000));
        rig.exchange();
        assert_eq!(rig.peer.received, [&b"answer"[..], &pattern(70_000)].concat());
    });
}

#[test]
fn a_session_adds_little_to_its_tls_session() {
    assert!(size_of::<Session>() - size_of::<esp_tls::TlsSession>() <= 80);
}

#[test]
fn what_one_read_held_is_the_most_that_waits_for_the_engine() {
    let mut rig = Rig::new(&TLS13);
    rig.reach_finished();
    rig.say(&pattern(200_000));
    rig.net.open(ID).unwrap();
    assert!(rig.net.pending(ID) <= super::super::RECV_LEN);

    let mut received = Vec::new();
    while let Ok(plain) = rig.recv() {
        assert!(plain.len() <= 2 * super::super::RECV_LEN);
        received.extend(plain);
    }
    assert_eq!(received, pattern(200_000));
}

#[test]
fn a_peer_that_never_reads_is_not_read_either() {
    let mut rig = Rig::connected(&TLS13);
    // No peer can make rustls answer this much; another library might.
    rig.wire().window = 0;
    let session = rig.net.sessions[ID.index()].as_mut().unwrap();
    session.unsent.storage().extend(vec![0; UNSENT_MAX + 1]);
    rig.say(b"one more reason to answer");
    let recvs = rig.wire().recvs;
    assert_would_block(rig.recv());
    assert_eq!(rig.wire().recvs, recvs);

    rig.wire().window = usize::MAX;
    assert_eq!(rig.recv().unwrap(), b"one more reason to answer");
}

#[test]
fn numbers_that_come_back_do_not_grow_the_list_of_revisits() {
    let mut rig = Rig::new(&TLS13);
    for _ in 0..20 {
        *rig.wire() = Wire::new();
        rig.peer = Peer::new(&TLS13);
        rig.reach_finished();
        rig.say(b"GET");
        rig.net.open(ID).unwrap();
        rig.net.close(ID);
        rig.net.wait(None, &mut Vec::new());
        assert!(rig.net.revisit.is_empty());
    }
}
