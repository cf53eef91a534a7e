//! `TlsNet` between an in-memory net and a rustls client.

use alloc::vec;
use alloc::vec::Vec;

use esp_http_server::{Instant, Net, NetError, NetId, RxBuf, TxBuf};
use esp_tls::TlsError;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::peer::{Peer, server_config};
use super::pipe::{End, Pipe, Wire};
use super::{READS_PER_CALL, SEND_LEN, TlsNet, UNSENT_MAX};
use crate::open_error::{Cause, HandshakeError, OpenError, OpenStage};

mod failures;
mod handshake;
mod info;
mod memory;
mod opening;
mod sending;
mod soak;

/// The connection of tests that need only one.
const ID: NetId = NetId(0);

/// A server's net, a connection and the client at its other end.
struct Rig {
    net: TlsNet<Pipe>,
    peer: Peer,
}

impl Rig {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        Self::with_peer(Peer::new(version))
    }

    fn with_peer(peer: Peer) -> Self {
        Self { net: TlsNet::secure(Pipe::with_wires(1), server_config()), peer }
    }

    /// One whose handshake is over, tickets and all.
    fn connected(version: &'static SupportedProtocolVersion) -> Self {
        let mut rig = Self::new(version);
        rig.connect();
        rig
    }

    fn connect(&mut self) {
        for _ in 0..4 {
            self.exchange();
            if self.net.open(ID).is_ok() {
                self.exchange();
                assert!(self.peer.is_connected());
                self.wire().sends.clear();
                return;
            }
        }
        panic!("no connection after four flights");
    }

    /// Takes the handshake to where only the client's Finished is missing.
    fn reach_finished(&mut self) {
        self.exchange();
        assert!(matches!(self.net.open(ID), Err(NetError::WouldBlock)));
        self.wire().sends.clear();
    }

    fn wire(&mut self) -> &mut Wire {
        &mut self.net.inner.wires[ID.index()]
    }

    fn exchange(&mut self) {
        self.peer.exchange(&mut self.net.inner.wires[ID.index()]);
    }

    fn say(&mut self, plain: &[u8]) {
        self.peer.say(plain);
        self.exchange();
    }

    /// What one `recv` gives.
    fn recv(&mut self) -> Result<Vec<u8>, NetError> {
        let mut rx = RxBuf::new();
        rx.reserve(4096);
        let len = self.net.recv(ID, &mut rx)?;
        assert_eq!(len, rx.len());
        Ok(rx.as_slice().to_vec())
    }

    /// Sends all of `plain`, which must be taken in one call.
    fn send(&mut self, plain: &[u8]) {
        let mut tx = tx_of(plain);
        assert_eq!(self.net.send(ID, &mut tx).unwrap(), plain.len());
        assert!(tx.is_empty());
    }

    /// What waits inside is moved on.
    fn push(&mut self) -> Result<usize, NetError> {
        self.net.send(ID, &mut TxBuf::new())
    }
}

fn tx_of(plain: &[u8]) -> TxBuf {
    let mut tx = TxBuf::new();
    tx.storage().extend_from_slice(plain);
    tx
}

/// Bytes in which a lost, repeated or moved part shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).flat_map(|n| n.to_be_bytes()).take(len).collect()
}

/// Type and length of every record in `ciphertext`, which must be whole.
fn records(mut ciphertext: &[u8]) -> Vec<(u8, usize)> {
    let mut records = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = ciphertext {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        records.push((*kind, len));
        ciphertext = &rest[len..];
    }
    assert!(ciphertext.is_empty());
    records
}

fn for_both_versions(test: impl Fn(&'static SupportedProtocolVersion)) {
    test(&TLS12);
    test(&TLS13);
}

#[track_caller]
fn assert_would_block<T: core::fmt::Debug>(result: Result<T, NetError>) {
    assert!(matches!(result, Err(NetError::WouldBlock)), "{result:?}");
}

#[track_caller]
fn assert_closed<T: core::fmt::Debug>(result: Result<T, NetError>) {
    assert!(matches!(result, Err(NetError::Closed)), "{result:?}");
}

/// The error of that type inside `NetError::Failed`.
#[track_caller]
fn failure<E: core::error::Error + Clone + 'static>(
    result: Result<impl core::fmt::Debug, NetError>,
) -> E {
    let Err(NetError::Failed(error)) = result else { panic!("{result:?}") };
    let mut next: Option<&(dyn core::error::Error + 'static)> = Some(&*error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return found.clone();
        }
        next = error.source();
    }
    panic!("another error: {error:?}")
}
