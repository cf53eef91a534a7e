//! Peers that go, lie, or speak something else.

use super::*;

const ALERT: u8 = 21;

#[test]
fn garbage_is_answered_with_an_alert() {
    let mut rig = Rig::new(&TLS13);
    // A handshake record that holds no ClientHello.
    rig.wire().to_server.extend(b"\x16\x03\x01\x00\x04\x63\x00\x00\x00");
    failure::<TlsError>(rig.net.open(ID));
    assert!(matches!(records(&rig.wire().to_client)[..], [(ALERT, 2)]));

    // What is broken stays broken.
    assert_closed(rig.net.open(ID));
    assert_closed(rig.recv());
    assert_closed(rig.net.send(ID, &mut tx_of(b"200")));
    rig.net.close(ID);
    assert_eq!(records(&rig.wire().to_client).len(), 1);
}

#[test]
fn an_alert_that_found_no_room_leaves_with_close() {
    let mut rig = Rig::new(&TLS13);
    rig.wire().window = 3;
    rig.wire().to_server.extend(b"\x16\x03\x01\x00\x04\x63\x00\x00\x00");
    failure::<TlsError>(rig.net.open(ID));
    rig.wire().window = usize::MAX;
    rig.net.close(ID);
    assert!(matches!(records(&rig.wire().to_client)[..], [(ALERT, 2)]));
}

#[test]
fn plain_http_is_told_to_use_https() {
    for request in [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], b"P"] {
        let mut rig = Rig::new(&TLS13);
        rig.wire().to_server.extend(request);
        let error = failure::<HandshakeError>(rig.net.open(ID));
        assert_eq!(error, HandshakeError::PlainHttp);
        assert!(alloc::format!("{error}").contains("plain HTTP"));

        let reply = core::str::from_utf8(&rig.wire().to_client).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 "));
        assert!(head.contains(&alloc::format!("Content-Length: {}", body.len())));
        assert!(body.contains("https://"));
        rig.net.close(ID);
    }
}

#[test]
fn a_client_that_distrusts_the_certificate_is_reported_with_its_alert() {
    let mut rig = Rig::with_peer(Peer::distrustful());
    rig.reach_finished();
    rig.exchange();
    let error = failure::<TlsError>(rig.net.open(ID));
    assert!(alloc::format!("{error}").to_lowercase().contains("alert"), "{error}");
}

#[test]
fn a_peer_that_goes_during_the_handshake_is_reported_as_such() {
    for end in [End::Finished, End::Reset] {
        let mut rig = Rig::new(&TLS13);
        rig.reach_finished();
        rig.wire().end = end;
        let error = failure::<HandshakeError>(rig.net.open(ID));
        assert_eq!(error, HandshakeError::PeerClosed);
        assert!(alloc::format!("{error}").contains("during the TLS handshake"));
        rig.net.close(ID);
    }
}

#[test]
fn a_peer_that_goes_without_a_byte_is_no_failed_handshake() {
    for end in [End::Finished, End::Reset] {
        let mut rig = Rig::new(&TLS13);
        rig.wire().end = end;
        assert_closed(rig.net.open(ID));
    }
}

#[test]
fn before_open_nothing_moves() {
    let mut rig = Rig::new(&TLS13);
    assert_closed(rig.net.send(ID, &mut tx_of(b"200")));
    assert_closed(rig.recv());
    rig.reach_finished();
    assert_closed(rig.net.send(ID, &mut tx_of(b"200")));
    assert_closed(rig.recv());
    assert_eq!(rig.wire().sends, []);
}

#[test]
fn close_notify_is_the_end_and_needs_no_more_reads() {
    for_both_versions(|version| {
        let mut rig = Rig::connected(version);
        rig.peer.say(b"the last words");
        rig.peer.say_goodbye();
        rig.exchange();
        rig.wire().end = End::Finished;
        assert_eq!(rig.recv().unwrap(), b"the last words");
        let recvs = rig.wire().recvs;
        assert_eq!(rig.recv().unwrap(), b"");
        assert_eq!(rig.recv().unwrap(), b"");
        assert_eq!(rig.wire().recvs, recvs);

        // Our direction is still open.
        rig.send(b"goodbye");
        rig.exchange();
        assert_eq!(rig.peer.received, b"goodbye");
    });
}

#[test]
fn an_end_without_close_notify_is_never_a_regular_end() {
    for_both_versions(|version| {
        let mut rig = Rig::connected(version);
        rig.say(b"half of the bo");
        rig.wire().end = End::Finished;
        assert_eq!(rig.recv().unwrap(), b"half of the bo");
        assert_closed(rig.recv());
        assert_closed(rig.recv());
        let sends = rig.wire().sends.len();
        rig.net.close(ID);
        assert_eq!(rig.wire().sends.len(), sends, "there is nobody to say goodbye to");
    });
}

#[test]
fn a_forged_record_gives_no_byte_of_the_read_it_came_with() {
    let mut rig = Rig::connected(&TLS13);
    rig.say(b"genuine");
    rig.say(b"forged");
    *rig.wire().to_server.back_mut().unwrap() ^= 1;
    let mut rx = RxBuf::new();
    rx.storage().extend_from_slice(b"kept");
    failure::<TlsError>(rig.net.recv(ID, &mut rx));
    assert_eq!(rx.as_slice(), b"kept");
    rig.exchange();
    assert!(matches!(rig.peer.error, Some(rustls::Error::AlertReceived(_))));
}

#[test]
fn a_forged_record_behind_a_request_in_the_last_flight_fails_the_handshake() {
    let mut rig = Rig::new(&TLS13);
    rig.reach_finished();
    rig.say(b"GET");
    rig.say(b"forged");
    *rig.wire().to_server.back_mut().unwrap() ^= 1;
    failure::<TlsError>(rig.net.open(ID));
    assert_closed(rig.recv());
    rig.exchange();
    assert!(matches!(rig.peer.error, Some(rustls::Error::AlertReceived(_))));
}

#[test]
fn bytes_of_a_connection_that_failed_never_reach_another() {
    let other = NetId(1);
    let mut rig = Rig::connected(&TLS13);
    let mut wire = Wire::new();
    let mut peer = Peer::new(&TLS13);
    peer.exchange(&mut wire);
    rig.net.inner.wires.push(wire);

    rig.wire().end = End::Reset;
    assert_closed(rig.net.send(ID, &mut tx_of(b"for a client that is gone")));
    assert_would_block(rig.net.open(other));
    peer.exchange(&mut rig.net.inner.wires[1]);
    rig.net.open(other).unwrap();
    rig.net.send(other, &mut tx_of(b"200")).unwrap();
    peer.exchange(&mut rig.net.inner.wires[1]);
    assert_eq!((peer.error, &peer.received[..]), (None, &b"200"[..]));
}

#[test]
fn a_peer_that_dribbles_gets_its_turn_and_no_more() {
    let mut rig = Rig::connected(&TLS13);
    rig.say(b"a record of several dozen bytes");
    rig.wire().step = 1;
    rig.wire().recvs = 0;
    assert_would_block(rig.recv());
    assert_eq!(rig.wire().recvs, READS_PER_CALL);

    // The pipe did not say that it has nothing, so `TlsNet` must report the connection itself.
    let mut ready = Vec::new();
    rig.net.inner.wait(None, &mut ready);
    ready.clear();
    rig.net.wait(None, &mut ready);
    assert_eq!(ready, [ID]);
    rig.wire().step = usize::MAX;
    assert_eq!(rig.recv().unwrap(), b"a record of several dozen bytes");
}

#[test]
fn what_a_peer_sends_behind_its_failure_is_dropped_until_it_is_done() {
    for first in [&b"\x16\x03\x01\x00\x04\x63\x00\x00\x00"[..], b"POST / HTTP/1.1\r\n"] {
        let mut rig = Rig::new(&TLS13);
        rig.wire().to_server.extend(first);
        assert!(matches!(rig.net.open(ID), Err(NetError::Failed(_))));
        rig.net.shutdown(ID);
        assert!(rig.wire().is_shut);
        rig.wire().to_server.extend([0; 40_000]);
        while !rig.wire().to_server.is_empty() {
            rig.net.discard(ID).unwrap();
        }
        assert_would_block(rig.net.discard(ID));
        rig.wire().end = End::Finished;
        assert_eq!(rig.net.discard(ID).unwrap(), 0);
    }
}

#[test]
fn an_alert_that_finds_no_room_is_followed_by_the_end_when_it_has_left() {
    let mut rig = Rig::new(&TLS13);
    rig.wire().window = 0;
    rig.wire().to_server.extend(b"\x16\x03\x01\x00\x04\x63\x00\x00\x00");
    assert!(matches!(rig.net.open(ID), Err(NetError::Failed(_))));
    rig.net.shutdown(ID);
    assert_would_block(rig.net.discard(ID));
    assert!(!rig.wire().is_shut);
    rig.wire().window = usize::MAX;
    assert_would_block(rig.net.discard(ID));
    assert!(rig.wire().is_shut);
    assert!(!rig.wire().to_client.is_empty());
}
