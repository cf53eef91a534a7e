//! `open`, and what comes together with its end.

use super::*;
use esp_tls::SessionTickets;

#[test]
fn a_handshake_in_single_bytes_succeeds() {
    for_both_versions(|version| {
        let mut rig = Rig::new(version);
        rig.wire().step = 1;
        rig.wire().window = 1;
        let mut opened = false;
        for _ in 0..20_000 {
            rig.exchange();
            if !opened {
                match rig.net.open(ID) {
                    Ok(()) => opened = true,
                    Err(NetError::WouldBlock) => {}
                    Err(error) => panic!("{error}"),
                }
            } else if rig.net.unsent(ID) == 0 {
                break;
            } else {
                rig.push().ok();
            }
        }
        rig.exchange();
        assert!(opened && rig.peer.is_connected());
        assert_eq!(rig.net.unsent(ID), 0);

        rig.wire().step = usize::MAX;
        rig.wire().window = usize::MAX;
        rig.say(b"GET");
        assert_eq!(rig.recv().unwrap(), b"GET");
        rig.send(b"200");
        rig.exchange();
        assert_eq!(rig.peer.received, b"200");
    });
}

#[test]
fn a_request_in_the_last_flight_is_pending_and_needs_no_read() {
    let mut rig = Rig::new(&TLS13);
    rig.reach_finished();
    rig.say(b"GET / HTTP/1.1\r\n\r\n");
    rig.net.open(ID).unwrap();
    assert_eq!(rig.net.pending(ID), 18);

    let recvs = rig.wire().recvs;
    assert_eq!(rig.recv().unwrap(), b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(rig.wire().recvs, recvs);
    assert_eq!(rig.net.pending(ID), 0);
    assert_would_block(rig.recv());
}

#[test]
fn pending_data_is_reported_once_without_a_sleep() {
    let mut rig = Rig::new(&TLS13);
    rig.reach_finished();
    rig.say(b"GET");
    rig.net.open(ID).unwrap();
    // The pipe has no reason of its own to report anything from here on.
    let mut ready = Vec::new();
    rig.net.inner.wait(None, &mut ready);
    ready.clear();

    rig.net.wait(None, &mut ready);
    assert_eq!(ready, [ID]);
    assert_eq!(rig.net.inner.waits.last(), Some(&Some(Instant::START)));

    // Whoever was told and does not want the data yet may sleep.
    ready.clear();
    rig.net.wait(None, &mut ready);
    assert_eq!(ready, []);
    assert_eq!(rig.net.inner.waits.last(), Some(&None));
    assert_eq!(rig.recv().unwrap(), b"GET");
}

#[test]
fn pending_data_that_was_received_is_not_reported() {
    let mut rig = Rig::new(&TLS13);
    rig.reach_finished();
    rig.say(b"GET");
    rig.net.open(ID).unwrap();
    rig.recv().unwrap();
    rig.send(b"200");
    let mut ready = Vec::new();
    rig.net.wait(None, &mut ready);
    assert_eq!(rig.net.inner.waits, [None]);
}

#[test]
fn session_tickets_leave_in_one_write_with_the_first_response() {
    let mut rig = Rig::new(&TLS13);
    rig.reach_finished();
    rig.say(b"GET");
    rig.net.open(ID).unwrap();
    assert_eq!(rig.wire().sends, []);
    assert!(rig.net.unsent(ID) > 0);

    rig.recv().unwrap();
    rig.send(b"200");
    assert_eq!(rig.wire().sends.len(), 1);
    assert!(records(&rig.wire().to_client).len() > 1);
    rig.exchange();
    assert_eq!(rig.peer.received, b"200");
}

#[test]
fn session_tickets_leave_before_the_next_sleep_if_there_is_no_response_yet() {
    let mut rig = Rig::new(&TLS13);
    rig.reach_finished();
    rig.say(b"GE");
    rig.net.open(ID).unwrap();
    rig.recv().unwrap();
    rig.net.wait(None, &mut Vec::new());
    assert_eq!(rig.wire().sends.len(), 1);
    assert_eq!(rig.net.unsent(ID), 0);
}

#[test]
fn session_tickets_that_found_no_room_hold_up_the_response() {
    let mut rig = Rig::new(&TLS13);
    rig.reach_finished();
    rig.say(b"GE");
    rig.net.open(ID).unwrap();
    rig.recv().unwrap();
    rig.wire().window = 10;
    rig.net.wait(None, &mut Vec::new());
    assert!(rig.net.unsent(ID) > 0);

    let mut tx = tx_of(b"200");
    assert_would_block(rig.net.send(ID, &mut tx));
    rig.wire().window = usize::MAX;
    assert_eq!(rig.net.send(ID, &mut tx).unwrap(), 3);
    rig.exchange();
    assert_eq!((&rig.peer.error, &rig.peer.received[..]), (&None, &b"200"[..]));
}

#[test]
fn session_tickets_leave_at_once_if_no_request_came_along() {
    let mut rig = Rig::new(&TLS13);
    rig.reach_finished();
    rig.exchange();
    rig.net.open(ID).unwrap();
    assert_eq!(rig.wire().sends.len(), 1);
    assert_eq!(rig.net.unsent(ID), 0);
}

#[test]
fn a_finished_that_nothing_answers_is_acknowledged_at_once() {
    let mut rig = Rig::new(&TLS13);
    let no_tickets = server_config().session_tickets(SessionTickets::Off).unwrap();
    rig.net = TlsNet::secure(Pipe::with_wires(1), no_tickets.clone());
    rig.reach_finished();
    assert_eq!(rig.wire().acknowledged, 0, "the server's flight does it");
    rig.exchange();
    rig.net.open(ID).unwrap();
    assert_eq!((rig.wire().sends.len(), rig.wire().acknowledged), (0, 1));

    let mut with_request = Rig::new(&TLS13);
    with_request.net = TlsNet::secure(Pipe::with_wires(1), no_tickets);
    with_request.reach_finished();
    with_request.say(b"GET");
    with_request.net.open(ID).unwrap();
    assert_eq!(with_request.wire().acknowledged, 0, "the response does it");

    let mut with_tickets = Rig::new(&TLS13);
    with_tickets.connect();
    assert_eq!(with_tickets.wire().acknowledged, 0, "the tickets do it");
}

#[test]
fn the_servers_flight_waits_for_room_and_the_handshake_with_it() {
    let mut rig = Rig::new(&TLS13);
    rig.wire().window = 100;
    rig.exchange();
    assert_would_block(rig.net.open(ID));
    let recvs = rig.wire().recvs;
    assert_would_block(rig.net.open(ID));
    assert_eq!(rig.wire().recvs, recvs, "nothing is read while the flight has not left");

    rig.wire().window = usize::MAX;
    rig.connect();
}

#[test]
fn open_can_be_asked_again() {
    let mut rig = Rig::connected(&TLS13);
    rig.net.open(ID).unwrap();
}

#[test]
fn the_session_tells_what_was_negotiated() {
    let mut rig = Rig::new(&TLS13);
    assert!(rig.net.session(ID).is_none());
    rig.connect();
    assert!(!rig.net.session(ID).unwrap().is_handshaking());
    rig.net.close(ID);
    assert!(rig.net.session(ID).is_none());
}

#[test]
fn a_number_that_comes_back_is_a_new_connection() {
    let mut rig = Rig::connected(&TLS13);
    rig.wire().window = 0;
    rig.send(b"for the first client only");
    rig.net.close(ID);

    *rig.wire() = Wire::new();
    rig.peer = Peer::new(&TLS12);
    assert_closed(rig.recv());
    assert_eq!(rig.net.unsent(ID), 0);
    rig.connect();
    rig.send(b"200");
    rig.exchange();
    assert_eq!(rig.peer.received, b"200");
}

#[test]
fn without_tls_everything_passes_through() {
    let mut net = TlsNet::insecure(Pipe::with_wires(1));
    net.inner.wires[0].to_server.extend(b"GET");
    net.open(ID).unwrap();
    let mut rx = RxBuf::new();
    rx.reserve(16);
    assert_eq!(net.recv(ID, &mut rx).unwrap(), 3);
    assert_eq!(rx.as_slice(), b"GET");
    assert_eq!(net.send(ID, &mut tx_of(b"200")).unwrap(), 3);
    assert_eq!(net.inner.wires[0].to_client, b"200");
    assert!(net.session(ID).is_none());
    net.shutdown(ID);
    net.close(ID);
    assert!(net.inner.wires[0].is_shut && net.inner.wires[0].is_closed);
    assert_eq!(net.inner.wires[0].to_client, b"200");
}
