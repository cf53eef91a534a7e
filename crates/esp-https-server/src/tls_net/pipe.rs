//! A [`Net`] in memory, for tests: each connection is two queues of bytes with adjustable windows,
//! and everything that is done to it is on record.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

use esp_http_server::{Instant, Net, NetError, NetId, RxBuf, TxBuf};

/// Connections by number; all of them were accepted already.
#[derive(Default)]
pub(super) struct Pipe {
    pub(super) wires: Vec<Wire>,
    /// What each `wait` was told.
    pub(super) waits: Vec<Option<Instant>>,
}

/// One connection.
pub(super) struct Wire {
    pub(super) to_server: VecDeque<u8>,
    pub(super) to_client: Vec<u8>,
    /// The most that one `recv` gives and one `send` takes, in bytes.
    pub(super) step: usize,
    /// How many bytes fit into `to_client`.
    pub(super) window: usize,
    /// How the client's direction ends, once `to_server` is empty.
    pub(super) end: End,
    /// The length of every `send` that took something.
    pub(super) sends: Vec<usize>,
    /// How many times `recv` was called.
    pub(super) recvs: usize,
    /// How many times `acknowledge` was called.
    pub(super) acknowledged: usize,
    pub(super) is_shut: bool,
    pub(super) is_closed: bool,
    /// Who is at the other end.
    pub(super) peer: Option<SocketAddr>,
    owes_readable: bool,
    owes_writable: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum End {
    Open,
    Finished,
    Reset,
}

impl Pipe {
    pub(super) fn with_wires(count: usize) -> Self {
        Self { wires: (0..count).map(|_| Wire::new()).collect(), waits: Vec::new() }
    }
}

impl Wire {
    pub(super) fn new() -> Self {
        Self {
            to_server: VecDeque::new(),
            to_client: Vec::new(),
            step: usize::MAX,
            window: usize::MAX,
            end: End::Open,
            sends: Vec::new(),
            recvs: 0,
            acknowledged: 0,
            is_shut: false,
            is_closed: false,
            peer: None,
            owes_readable: true,
            owes_writable: true,
        }
    }

    fn is_readable(&self) -> bool {
        !self.to_server.is_empty() || self.end != End::Open
    }

    fn is_writable(&self) -> bool {
        self.to_client.len() < self.window || self.end == End::Reset
    }

    /// Edge-triggered, and no more generous than the contract: a report that is not owed is not
    /// made, so that a test hangs where a real server would.
    fn take_report(&mut self) -> bool {
        let readable = self.owes_readable && self.is_readable();
        let writable = self.owes_writable && self.is_writable();
        self.owes_readable &= !readable;
        self.owes_writable &= !writable;
        (readable || writable) && !self.is_closed
    }
}

impl Net for Pipe {
    fn accept(&mut self) -> Option<NetId> {
        None
    }

    fn recv(&mut self, id: NetId, rx: &mut RxBuf) -> Result<usize, NetError> {
        let wire = &mut self.wires[id.index()];
        assert!(!wire.is_closed, "recv after close");
        wire.recvs += 1;
        if wire.to_server.is_empty() {
            return match wire.end {
                End::Open => {
                    wire.owes_readable = true;
                    Err(NetError::WouldBlock)
                }
                End::Finished => Ok(0),
                End::Reset => Err(NetError::Closed),
            };
        }
        let storage = rx.storage();
        let room = storage.capacity() - storage.len();
        assert!(room > 0, "recv without spare capacity");
        let len = wire.to_server.len().min(wire.step).min(room);
        storage.extend(wire.to_server.drain(..len));
        Ok(len)
    }

    fn send(&mut self, id: NetId, tx: &mut TxBuf) -> Result<usize, NetError> {
        let wire = &mut self.wires[id.index()];
        assert!(!wire.is_closed && !wire.is_shut, "send after close or shutdown");
        if wire.end == End::Reset {
            return Err(NetError::Closed);
        }
        let room = wire.window.saturating_sub(wire.to_client.len());
        let len = tx.len().min(wire.step).min(room);
        if len == 0 && !tx.is_empty() {
            wire.owes_writable = true;
            return Err(NetError::WouldBlock);
        }
        if len > 0 {
            wire.to_client.extend_from_slice(&tx.as_slice()[..len]);
            wire.sends.push(len);
            tx.advance(len);
        }
        Ok(len)
    }

    fn acknowledge(&mut self, id: NetId) {
        self.wires[id.index()].acknowledged += 1;
    }

    fn shutdown(&mut self, id: NetId) {
        self.wires[id.index()].is_shut = true;
    }

    fn close(&mut self, id: NetId) {
        self.wires[id.index()].is_closed = true;
    }

    fn stop_listening(&mut self) {}

    fn peer_addr(&self, id: NetId) -> Option<SocketAddr> {
        self.wires[id.index()].peer
    }

    fn wait(&mut self, until: Option<Instant>, ready: &mut Vec<NetId>) {
        self.waits.push(until);
        for (index, wire) in self.wires.iter_mut().enumerate() {
            if wire.take_report() {
                ready.push(NetId(index as u32));
            }
        }
    }
}
