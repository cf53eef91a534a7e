//! How far connections were that failed to open, how many may open at once, and what is counted.

use alloc::sync::Arc;
use core::net::SocketAddr;

use esp_tls::FailureClass;
use rustls::NamedGroup;
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup, aws_lc_rs};

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

/// Two workers of one server.
fn two_nets(limits: Limits) -> ([TlsNet<Pipe>; 2], Arc<TlsServer>) {
    let (first, server) = net(3, limits);
    let second = TlsNet::of_server(Pipe::with_wires(3), server_config(), server.clone());
    ([first, second], server)
}

fn begin(net: &mut TlsNet<Pipe>, id: NetId, bytes: &[u8]) {
    net.inner.wires[id.index()].to_server.extend(bytes);
    assert_would_block(net.open(id));
}

/// What `wait` reports of its own accord.
fn reported(net: &mut TlsNet<Pipe>) -> Vec<NetId> {
    let mut ready = Vec::new();
    net.wait(None, &mut ready); // what the wires owe
    ready.clear();
    net.wait(None, &mut ready);
    ready
}

#[test]
fn above_the_limit_the_oldest_handshake_gives_way_and_the_engine_hears_of_it() {
    let (mut net, server) = net(3, Limits { server: 2, addr: usize::MAX });
    let [first, second, third] = [NetId(0), NetId(1), NetId(2)];
    begin(&mut net, first, HALF);
    begin(&mut net, second, HALF);
    assert_eq!(server.stats().under_way, 2);
    let mut ready = Vec::new();
    net.wait(None, &mut ready);
    ready.clear();

    begin(&mut net, third, HALF);
    assert_eq!(server.stats().under_way, 2);
    net.wait(None, &mut ready);
    assert!(ready.contains(&first) && !ready.contains(&second), "{ready:?}");
    let error = failure::<OpenError>(net.open(first));
    assert_eq!((error.stage, error.cause.kind()), (OpenStage::ClientHello, FailureKind::GaveWay));
    // It is over for good, and was counted once.
    assert_closed(net.open(first));
    assert_eq!(server.stats().under_way, 2);
    net.shutdown(first);
    net.close(first);
    assert_eq!(server.stats().under_way, 2);
    assert_would_block(net.open(second));
}

#[test]
fn whom_the_server_has_answered_gives_way_last() {
    let (mut net, _) = net(3, Limits { server: 2, addr: usize::MAX });
    let mut peer = Peer::new(&TLS13);
    peer.exchange(&mut net.inner.wires[0]);
    assert_would_block(net.open(NetId(0)));
    begin(&mut net, NetId(1), HALF);
    begin(&mut net, NetId(2), HALF);
    let gone = failure::<OpenError>(net.open(NetId(1)));
    assert_eq!(gone.cause.kind(), FailureKind::GaveWay);
    peer.exchange(&mut net.inner.wires[0]);
    net.open(NetId(0)).unwrap();
}

#[test]
fn who_is_connected_never_gives_way() {
    let (mut net, server) = net(3, Limits { server: 1, addr: usize::MAX });
    let mut peer = Peer::new(&TLS13);
    for _ in 0..2 {
        peer.exchange(&mut net.inner.wires[0]);
        net.open(NetId(0)).ok();
    }
    net.open(NetId(0)).unwrap();
    begin(&mut net, NetId(1), HALF);
    begin(&mut net, NetId(2), HALF);
    net.open(NetId(0)).unwrap();
    assert_eq!((server.stats().full, server.stats().under_way), (1, 1));
}

#[test]
fn a_number_that_is_used_again_is_another_handshake() {
    let (mut net, _) = net(3, Limits { server: 2, addr: usize::MAX });
    begin(&mut net, NetId(0), HALF);
    begin(&mut net, NetId(1), HALF);
    net.close(NetId(0));
    net.inner.wires[0] = Wire::new();
    begin(&mut net, NetId(0), HALF);
    begin(&mut net, NetId(2), HALF);
    assert_would_block(net.open(NetId(0)));
    let gone = failure::<OpenError>(net.open(NetId(1)));
    assert_eq!(gone.cause.kind(), FailureKind::GaveWay, "the oldest now");
}

#[test]
fn where_no_handshake_can_give_way_a_connection_is_refused_before_any_cryptography() {
    let ([mut busy, mut net], server) = two_nets(Limits { server: 1, addr: usize::MAX });
    begin(&mut busy, ID, HALF);
    Peer::new(&TLS13).exchange(&mut net.inner.wires[0]);
    let error = failure::<OpenError>(net.open(ID));
    assert_eq!(error.stage, OpenStage::Accepted);
    assert!(matches!(error.cause, Cause::Handshake(HandshakeError::TooMany(1))));
    assert!(net.session(ID).is_none(), "nothing was made for it");
    assert!(net.inner.wires[0].to_client.is_empty());
    net.shutdown(ID);
    assert_closed(net.recv(ID, &mut RxBuf::new()));
    net.close(ID);
    assert!(reported(&mut busy).is_empty());

    busy.close(ID);
    Peer::new(&TLS13).exchange(&mut net.inner.wires[2]);
    assert_would_block(net.open(NetId(2)));
    assert_eq!(server.stats().under_way, 1);
}

#[test]
fn above_its_own_limit_an_address_has_its_oldest_handshake_give_way_and_no_other() {
    let ([mut net, mut other], _) = two_nets(Limits { server: usize::MAX, addr: 1 });
    let from = |net: &mut TlsNet<Pipe>, index: usize, host: u8| {
        net.inner.wires[index].peer = Some(SocketAddr::from(([192, 0, 2, host], 1000)));
        net.inner.wires[index].to_server.extend(HALF);
    };
    from(&mut net, 0, 2);
    from(&mut net, 1, 1);
    from(&mut net, 2, 1);
    for id in [NetId(0), NetId(1), NetId(2)] {
        assert_would_block(net.open(id));
    }
    let gone = failure::<OpenError>(net.open(NetId(1)));
    assert_eq!(gone.cause.kind(), FailureKind::GaveWay);
    for id in [NetId(0), NetId(2)] {
        assert_would_block(net.open(id));
    }
    from(&mut other, 0, 1);
    let error = failure::<HandshakeError>(other.open(NetId(0)));
    assert_eq!(error, HandshakeError::TooManyOfAddr(1), "the other worker has it");
}

#[test]
fn what_is_noted_of_handshakes_does_not_grow_with_those_that_are_over() {
    let (mut net, _) = net(2, Limits::NONE);
    begin(&mut net, NetId(1), HALF);
    for _ in 0..1000 {
        begin(&mut net, NetId(0), HALF);
        net.close(NetId(0));
        net.inner.wires[0] = Wire::new();
    }
    assert!(net.under_way.len() < 100, "{}", net.under_way.len());
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
        (Cause::Handshake(HandshakeError::GaveWay), FailureKind::GaveWay),
        (Cause::Handshake(HandshakeError::TooMany(1)), FailureKind::TooMany),
        (Cause::Handshake(HandshakeError::TooManyOfAddr(1)), FailureKind::TooManyOfAddr),
        (Cause::TimedOut, FailureKind::TimedOut),
        (Cause::Network("broken".into()), FailureKind::Network),
    ] {
        assert_eq!(cause.kind(), kind);
    }
}

/// A group that the server doesn't know, whose key share costs a second hello.
#[derive(Debug)]
struct UnknownGroup;

const UNKNOWN: NamedGroup = NamedGroup::Unknown(0x9999);

impl SupportedKxGroup for UnknownGroup {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        Ok(Box::new(UnknownShare))
    }

    fn name(&self) -> NamedGroup {
        UNKNOWN
    }
}

struct UnknownShare;

impl ActiveKeyExchange for UnknownShare {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, rustls::Error> {
        unreachable!("the server chooses another group")
    }

    fn pub_key(&self) -> &[u8] {
        &[7; 32]
    }

    fn group(&self) -> NamedGroup {
        UNKNOWN
    }
}

#[test]
fn a_step_is_dear_until_the_server_has_agreed_on_keys() {
    let mut rig = Rig::new(&TLS13);
    assert!(rig.net.is_dear_to_open(ID));
    rig.reach_finished();
    assert!(!rig.net.is_dear_to_open(ID));

    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups.insert(0, &UnknownGroup);
    let config = Peer::config_with(provider, &TLS13);
    let mut rig = Rig::with_peer(Peer::with_config(config, "localhost"));
    rig.reach_finished();
    assert!(rig.net.is_dear_to_open(ID), "a HelloRetryRequest costs nothing");
    rig.reach_finished();
    assert!(!rig.net.is_dear_to_open(ID));
    rig.connect();

    assert!(!TlsNet::insecure(Pipe::with_wires(1)).is_dear_to_open(ID));
}
