//! A network in memory that does what a fuzzer wants, and checks what the engine does to it.

use std::collections::VecDeque;

use arbitrary::Arbitrary;
use esp_http_server::{Instant, Net, NetError, NetId, RxBuf, TxBuf};

/// How a client behaves.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Peer {
    /// Bytes that it takes before it is asked to take more.
    pub window: u16,
    /// Bytes that one `send` takes, and one `recv` gives, at most; 0 for as many as there are.
    pub send_len: u8,
    pub recv_len: u8,
    /// Whether its handshake takes time.
    pub handshake: bool,
    /// Whether there is a layer, as TLS, that takes whatever it is given and keeps it inside.
    pub layered: bool,
}

/// How far the handshake of a client is.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    Done,
    UnderWay,
    Failed,
}

/// Connections in memory. Readiness is as edge-triggered as the contract of [`Net`] allows: one
/// report, and no other before the engine was told `WouldBlock`.
#[derive(Default)]
pub struct MemoryNet {
    pub pipes: Vec<Pipe>,
    /// The pipe behind each [`NetId`].
    ids: Vec<Option<usize>>,
    backlog: VecDeque<usize>,
    pub ready: Vec<NetId>,
    stopped: bool,
}

pub struct Pipe {
    peer: Peer,
    window: usize,
    handshake: Handshake,
    to_server: VecDeque<u8>,
    /// Bytes that the client has taken; what they are does not matter.
    pub received: usize,
    /// Taken by the layer, and not yet by the client.
    inside: usize,
    finished: bool,
    reset: bool,
    armed: bool,
    shut: bool,
    pub closed: bool,
}

impl Pipe {
    fn blocked<T>(&mut self) -> Result<T, NetError> {
        self.armed = true;
        Err(NetError::WouldBlock)
    }

    fn move_on(&mut self) -> usize {
        let len = self.inside.min(self.window).min(at_most(self.peer.send_len));
        self.inside -= len;
        self.window -= len;
        self.received += len;
        len
    }
}

fn at_most(len: u8) -> usize {
    if len == 0 { usize::MAX } else { len.into() }
}

/// What clients do.
impl MemoryNet {
    pub fn connect(&mut self, peer: Peer) {
        let number = self.pipes.len();
        let handshake = if peer.handshake { Handshake::UnderWay } else { Handshake::Done };
        self.pipes.push(Pipe {
            peer,
            window: peer.window.into(),
            handshake,
            to_server: VecDeque::new(),
            received: 0,
            inside: 0,
            finished: false,
            reset: false,
            armed: false,
            shut: false,
            closed: false,
        });
        if !self.stopped {
            self.backlog.push_back(number);
        }
    }

    pub fn put(&mut self, number: usize, bytes: &[u8]) {
        self.change(number, |pipe| pipe.to_server.extend(bytes));
    }

    pub fn take(&mut self, number: usize, len: usize) {
        self.change(number, |pipe| pipe.window = pipe.window.saturating_add(len));
    }

    pub fn shake_hands(&mut self, number: usize, outcome: Handshake) {
        self.change(number, |pipe| pipe.handshake = outcome);
    }

    pub fn finish(&mut self, number: usize) {
        self.change(number, |pipe| pipe.finished = true);
    }

    pub fn reset(&mut self, number: usize) {
        self.change(number, |pipe| pipe.reset = true);
    }

    /// Says of all connections, and of some that are none, that they are ready.
    pub fn report_everything(&mut self) {
        self.ready.extend((0..40).map(NetId));
    }

    fn change(&mut self, number: usize, change: impl FnOnce(&mut Pipe)) {
        let Some(pipe) = self.pipes.get_mut(number) else { return };
        change(pipe);
        let id = self.ids.iter().position(|id| *id == Some(number));
        if let Some(id) = id
            && std::mem::take(&mut pipe.armed)
        {
            self.ready.push(NetId(id as u32));
        }
    }

    fn pipe(&mut self, id: NetId) -> &mut Pipe {
        let number = self.ids.get(id.index()).copied().flatten();
        &mut self.pipes[number.expect("the engine names an open connection")]
    }
}

impl Net for MemoryNet {
    fn accept(&mut self) -> Option<NetId> {
        assert!(!self.stopped, "accepted by a server that stops");
        let number = self.backlog.pop_front()?;
        let free = self.ids.iter().position(Option::is_none).unwrap_or(self.ids.len());
        if free == self.ids.len() {
            self.ids.push(None);
        }
        self.ids[free] = Some(number);
        Some(NetId(free as u32))
    }

    fn open(&mut self, id: NetId) -> Result<(), NetError> {
        let pipe = self.pipe(id);
        match pipe.handshake {
            _ if pipe.reset || pipe.finished => Err(NetError::Closed),
            Handshake::Done => Ok(()),
            Handshake::UnderWay => pipe.blocked(),
            Handshake::Failed => Err(NetError::Failed("no cipher suite in common".into())),
        }
    }

    /// Every other one's.
    fn is_dear_to_open(&self, id: NetId) -> bool {
        self.ids[id.index()].is_some_and(|number| number % 2 == 1)
    }

    fn recv(&mut self, id: NetId, rx: &mut RxBuf) -> Result<usize, NetError> {
        let pipe = self.pipe(id);
        assert!(!pipe.shut, "received what nobody will read");
        if pipe.reset {
            return Err(NetError::Closed);
        }
        let storage = rx.storage();
        let room = storage.capacity() - storage.len();
        assert!(room > 0, "the engine makes sure of some room");
        assert!(storage.capacity() <= 4 << 20, "the engine hoards what it receives");
        let len = room.min(at_most(pipe.peer.recv_len)).min(pipe.to_server.len());
        if len == 0 && !pipe.finished {
            return pipe.blocked();
        }
        storage.extend(pipe.to_server.drain(..len));
        Ok(len)
    }

    fn discard(&mut self, id: NetId) -> Result<usize, NetError> {
        let pipe = self.pipe(id);
        if pipe.reset {
            return Err(NetError::Closed);
        }
        let len = pipe.to_server.len().min(at_most(pipe.peer.recv_len));
        if len == 0 && !pipe.finished {
            return pipe.blocked();
        }
        pipe.to_server.drain(..len);
        Ok(len)
    }

    fn send(&mut self, id: NetId, tx: &mut TxBuf) -> Result<usize, NetError> {
        let pipe = self.pipe(id);
        assert!(!pipe.shut || tx.is_empty(), "bytes behind the end");
        assert!(tx.capacity() <= 4 << 20, "the engine hoards what it is to send");
        if pipe.reset {
            return Err(NetError::Closed);
        }
        if pipe.peer.layered {
            let len = tx.len();
            pipe.inside += len;
            tx.advance(len);
            return match pipe.move_on() {
                0 if len == 0 => pipe.blocked(),
                _ => Ok(len),
            };
        }
        let len = tx.len().min(pipe.window).min(at_most(pipe.peer.send_len));
        if len == 0 {
            return pipe.blocked();
        }
        pipe.received += len;
        pipe.window -= len;
        tx.advance(len);
        Ok(len)
    }

    fn pending(&self, id: NetId) -> usize {
        self.ids[id.index()].map_or(0, |number| self.pipes[number].to_server.len())
    }

    fn unsent(&self, id: NetId) -> usize {
        self.ids[id.index()].map_or(0, |number| self.pipes[number].inside)
    }

    fn shutdown(&mut self, id: NetId) {
        let pipe = self.pipe(id);
        assert!(!pipe.shut, "the end is said twice");
        pipe.shut = true;
    }

    fn close(&mut self, id: NetId) {
        let pipe = self.pipe(id);
        assert!(!pipe.closed, "closed twice");
        pipe.closed = true;
        self.ids[id.index()] = None;
    }

    fn stop_listening(&mut self) {
        self.stopped = true;
        self.backlog.clear();
    }

    fn wait(&mut self, _: Option<Instant>, ready: &mut Vec<NetId>) {
        ready.append(&mut self.ready);
    }
}

/// What is to be known at the end.
impl MemoryNet {
    /// Connections that the engine has open.
    pub fn open(&self) -> usize {
        self.ids.iter().flatten().count()
    }

    /// Connections that wait to be accepted.
    pub fn waiting(&self) -> usize {
        self.backlog.len()
    }
}
