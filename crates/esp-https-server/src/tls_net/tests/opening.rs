//! How far connections were that failed to open, how many may open at once, and what is counted.

use alloc::sync::Arc;
use core::net::SocketAddr;

use esp_tls::FailureClass;

use super::*;
use crate::tls_server::{Limits, TlsServer};
use crate::tls_stats::FailureKind;

/// A ClientHello without its end.
const HALF: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00";

fn stage<T: core::fmt::Debug>(result: Result<T, NetError>) -> OpenStage {
    failure::<OpenError>(result).stage
}

fn net(connections: usize, limits: Limits) -> (TlsNet<Pipe>, Arc<TlsServer>) {
    let server = TlsServer::new(limits);
    let pipe = Pipe::with_wires(connections);
    (TlsNet::of_server(pipe, server_config(), server.clone()), server)
}

#[test]
fn a_failure_says_how_far_the_handshake_was() {
    let mut rig = Rig::new(&TLS13);
    rig.wire().to_server.extend(b"\x16\x03\x01\x00\x04\x63\x00\x00\x00");
    assert_eq!(stage(rig.net.open(ID)), OpenStage::ClientHello);

    let mut rig = Rig::new(&TLS13);
    rig.wire().to_server.extend(HALF);
    assert_would_block(rig.net.open(ID));
    rig.wire().end = End::Finished;
    assert_eq!(stage(rig.net.open(ID)), OpenStage::ClientHello);

    let mut rig = Rig::with_peer(Peer::distrustful());
    rig.reach_finished();
    rig.exchange();
    assert_eq!(stage(rig.net.open(ID)), OpenStage::Answered);
}

#[test]
fn a_timeout_says_how_far_the_handshake_was() {
    let timed_out = |rig: &mut Rig| {
        let error = failure::<OpenError>(Err::<(), _>(rig.net.open_timed_out(ID)));
        assert!(matches!(error.cause, Cause::TimedOut));
        error.stage
    };
    let mut rig = Rig::new(&TLS13);
    assert_would_block(rig.net.open(ID));
    assert_eq!(timed_out(&mut rig), OpenStage::Accepted);
    rig.wire().to_server.extend(HALF);
    assert_would_block(rig.net.open(ID));
    assert_eq!(timed_out(&mut rig), OpenStage::ClientHello);
    let mut rig = Rig::new(&TLS13);
    rig.reach_finished();
    assert_eq!(timed_out(&mut rig), OpenStage::Answered);
}

#[test]
fn a_handshake_counts_from_its_first_byte_to_its_end() {
    let (mut net, server) = net(4, Limits::NONE);
    assert_would_block(net.open(ID));
    assert_eq!(server.stats().under_way, 0, "silent");

    // One that is completed, one that fails, one that is cut off.
    let ids = [NetId(1), NetId(2), NetId(3)];
    let mut peer = Peer::new(&TLS13);
    peer.exchange(&mut net.inner.wires[1]);
    for id in &ids[1..] {
        net.inner.wires[id.index()].to_server.extend(HALF);
    }
    ids.iter().for_each(|id| assert_would_block(net.open(*id)));
    assert_eq!(server.stats().under_way, 3);

    peer.exchange(&mut net.inner.wires[1]);
    net.open(NetId(1)).unwrap();
    assert_eq!(server.stats().under_way, 2);
    net.inner.wires[2].end = End::Reset;
    failure::<HandshakeError>(net.open(NetId(2)));
    assert_eq!(server.stats().under_way, 1);
    net.close(NetId(3));
    let stats = server.stats();
    assert_eq!((stats.full, stats.resumed, stats.under_way), (1, 0, 0));
}

#[test]
fn above_the_limit_a_connection_is_refused_before_any_cryptography() {
    let (mut net, server) = net(3, Limits { server: 1, addr: usize::MAX });
    net.inner.wires[0].to_server.extend(HALF);
    assert_would_block(net.open(ID));
    let refused = NetId(1);
    Peer::new(&TLS13).exchange(&mut net.inner.wires[1]);
    let error = failure::<OpenError>(net.open(refused));
    assert_eq!(error.stage, OpenStage::Accepted);
    assert!(matches!(error.cause, Cause::Handshake(HandshakeError::TooMany(1))));
    assert!(net.session(refused).is_none(), "nothing was made for it");
    assert!(net.inner.wires[1].to_client.is_empty());
    net.shutdown(refused);
    assert_closed(net.recv(refused, &mut RxBuf::new()));
    net.close(refused);

    net.close(ID);
    Peer::new(&TLS13).exchange(&mut net.inner.wires[2]);
    assert_would_block(net.open(NetId(2)));
    assert_eq!(server.stats().under_way, 1);
}

#[test]
fn above_its_own_limit_an_address_is_refused_and_others_are_not() {
    let (mut net, _) = net(3, Limits { server: usize::MAX, addr: 1 });
    for (index, host) in [1, 1, 2].into_iter().enumerate() {
        net.inner.wires[index].peer = Some(SocketAddr::from(([192, 0, 2, host], 1000)));
        net.inner.wires[index].to_server.extend(HALF);
    }
    assert_would_block(net.open(ID));
    let error = failure::<HandshakeError>(net.open(NetId(1)));
    assert_eq!(error, HandshakeError::TooManyOfAddr(1));
    assert_would_block(net.open(NetId(2)));
}

#[test]
fn resumed_handshakes_are_counted_as_such() {
    let (mut net, server) = net(2, Limits::NONE);
    let config = Peer::config(&TLS13);
    for id in [NetId(0), NetId(1)] {
        let mut peer = Peer::with_config(config.clone(), "localhost");
        peer.exchange(&mut net.inner.wires[id.index()]);
        assert_would_block(net.open(id));
        peer.exchange(&mut net.inner.wires[id.index()]);
        net.open(id).unwrap();
        peer.exchange(&mut net.inner.wires[id.index()]);
    }
    let stats = server.stats();
    assert_eq!((stats.full, stats.resumed), (1, 1));
}

#[test]
fn every_cause_has_its_kind() {
    let mut rig = Rig::with_peer(Peer::distrustful());
    rig.reach_finished();
    rig.exchange();
    let error = failure::<OpenError>(rig.net.open(ID));
    assert_eq!(error.cause.kind(), FailureKind::Tls(FailureClass::AlertReceived));
    for (cause, kind) in [
        (Cause::Handshake(HandshakeError::PlainHttp), FailureKind::PlainHttp),
        (Cause::Handshake(HandshakeError::PeerClosed), FailureKind::PeerClosed),
        (Cause::Handshake(HandshakeError::TooMany(1)), FailureKind::TooMany),
        (Cause::Handshake(HandshakeError::TooManyOfAddr(1)), FailureKind::TooManyOfAddr),
        (Cause::TimedOut, FailureKind::TimedOut),
        (Cause::Network("broken".into()), FailureKind::Network),
    ] {
        assert_eq!(cause.kind(), kind);
    }
}
