//! The network in memory.

use std::any::Any;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use crate::net::{Net, NetError, NetId, RxBuf, TxBuf};
use crate::time::Instant;

/// How a client behaves.
#[derive(Clone, Debug)]
pub(in crate::server::tests) struct Peer {
    /// Bytes that it still takes.
    pub(in crate::server::tests) window: usize,
    /// Bytes that one `send` takes at most.
    pub(in crate::server::tests) send_len: usize,
    /// Bytes that one `recv` gives at most.
    pub(in crate::server::tests) recv_len: usize,
    pub(in crate::server::tests) handshake: Handshake,
    /// Whether there is a layer, as TLS, that takes whatever it is given and keeps it inside.
    pub(in crate::server::tests) layered: bool,
    /// Whether there is something to give back when the connection goes on.
    pub(in crate::server::tests) can_settle: bool,
    /// Whether its handshake takes long.
    pub(in crate::server::tests) dear: bool,
    pub(in crate::server::tests) addr: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server::tests) enum Handshake {
    Done,
    UnderWay,
    Failed,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            window: usize::MAX,
            send_len: usize::MAX,
            recv_len: usize::MAX,
            handshake: Handshake::Done,
            layered: false,
            can_settle: false,
            dear: false,
            addr: None,
        }
    }
}

/// The context of a session that has a layer.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server::tests) struct Layer(pub(in crate::server::tests) usize);

/// Where all clients connect to.
pub(in crate::server::tests) const LOCAL_ADDR: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80));

/// Connections in memory, with readiness as edge-triggered as the contract of [`Net`] allows: one
/// report, and no other before the engine was told `WouldBlock`.
#[derive(Default)]
pub(in crate::server::tests) struct MemoryNet {
    /// All there ever were.
    pub(super) pipes: Vec<Pipe>,
    /// The pipe behind each [`NetId`].
    pub(super) ids: Vec<Option<usize>>,
    pub(super) backlog: VecDeque<usize>,
    pub(super) ready: Vec<NetId>,
    pub(super) listening: bool,
}

pub(super) struct Pipe {
    pub(super) peer: Peer,
    pub(super) to_server: VecDeque<u8>,
    pub(super) to_client: Vec<u8>,
    /// Taken by the layer, and not yet by the client.
    inside: VecDeque<u8>,
    pub(super) sends: Vec<usize>,
    pub(super) finished: bool,
    pub(super) reset: bool,
    armed: bool,
    pub(super) shut: bool,
    pub(super) closed: bool,
    has_opened: bool,
}

impl Pipe {
    fn blocked<T>(&mut self) -> Result<T, NetError> {
        self.armed = true;
        Err(NetError::WouldBlock)
    }

    fn move_on(&mut self) -> usize {
        let len = self.inside.len().min(self.peer.window).min(self.peer.send_len);
        self.to_client.extend(self.inside.drain(..len));
        self.peer.window -= len;
        len
    }
}

impl MemoryNet {
    pub(super) fn connect(&mut self, peer: Peer) -> usize {
        self.pipes.push(Pipe {
            peer,
            to_server: VecDeque::new(),
            to_client: Vec::new(),
            inside: VecDeque::new(),
            sends: Vec::new(),
            finished: false,
            reset: false,
            armed: false,
            shut: false,
            closed: false,
            has_opened: false,
        });
        let number = self.pipes.len() - 1;
        if self.listening {
            self.backlog.push_back(number);
        }
        number
    }

    pub(super) fn report(&mut self, number: usize) {
        let id = self.ids.iter().position(|id| *id == Some(number));
        if let Some(id) = id
            && std::mem::take(&mut self.pipes[number].armed)
        {
            self.ready.push(NetId(id as u32));
        }
    }

    fn pipe(&mut self, id: NetId) -> &mut Pipe {
        let number = self.ids[id.index()].expect("an open connection");
        &mut self.pipes[number]
    }
}

impl Net for MemoryNet {
    fn accept(&mut self) -> Option<NetId> {
        assert!(self.listening || self.backlog.is_empty());
        let number = self.backlog.pop_front()?;
        let free = self.ids.iter().position(Option::is_none);
        let id = free.unwrap_or_else(|| {
            self.ids.push(None);
            self.ids.len() - 1
        });
        self.ids[id] = Some(number);
        Some(NetId(id as u32))
    }

    fn open(&mut self, id: NetId) -> Result<(), NetError> {
        let pipe = self.pipe(id);
        pipe.has_opened = pipe.peer.handshake != Handshake::UnderWay;
        match pipe.peer.handshake {
            _ if pipe.reset || pipe.finished => Err(NetError::Closed),
            Handshake::Done => Ok(()),
            Handshake::UnderWay => pipe.blocked(),
            Handshake::Failed => Err(NetError::Failed("no cipher suite in common".into())),
        }
    }

    fn is_dear_to_open(&self, id: NetId) -> bool {
        // As nothing is known of a connection that is not there, that one is, too.
        self.ids[id.index()].is_none_or(|number| {
            let Pipe { peer, has_opened, .. } = &self.pipes[number];
            peer.dear && !has_opened
        })
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
        let len = room.min(pipe.peer.recv_len).min(pipe.to_server.len());
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
        let len = pipe.to_server.len().min(pipe.peer.recv_len);
        if len == 0 && !pipe.finished {
            return pipe.blocked();
        }
        pipe.to_server.drain(..len);
        Ok(len)
    }

    fn send(&mut self, id: NetId, tx: &mut TxBuf) -> Result<usize, NetError> {
        let pipe = self.pipe(id);
        assert!(!pipe.shut || tx.is_empty(), "bytes behind the end");
        if pipe.reset {
            return Err(NetError::Closed);
        }
        if pipe.peer.layered {
            let len = tx.len();
            pipe.inside.extend(tx.as_slice());
            tx.advance(len);
            return match pipe.move_on() {
                0 if len == 0 => pipe.blocked(),
                _ => Ok(len),
            };
        }
        let len = tx.len().min(pipe.peer.window).min(pipe.peer.send_len);
        if len == 0 {
            return pipe.blocked();
        }
        pipe.to_client.extend_from_slice(&tx.as_slice()[..len]);
        pipe.peer.window -= len;
        pipe.sends.push(len);
        tx.advance(len);
        Ok(len)
    }

    fn can_settle(&self, id: NetId) -> bool {
        self.ids[id.index()].is_some_and(|number| self.pipes[number].peer.can_settle)
    }

    fn settle(&mut self, id: NetId) {
        self.pipe(id).peer.can_settle = false;
    }

    fn pending(&self, id: NetId) -> usize {
        self.ids[id.index()].map_or(0, |number| self.pipes[number].to_server.len())
    }

    fn unsent(&self, id: NetId) -> usize {
        self.ids[id.index()].map_or(0, |number| self.pipes[number].inside.len())
    }

    fn buffered(&self, id: NetId) -> usize {
        self.unsent(id)
    }

    fn shutdown(&mut self, id: NetId) {
        let pipe = self.pipe(id);
        assert!(!pipe.shut, "the end is said once");
        pipe.shut = true;
    }

    fn close(&mut self, id: NetId) {
        let pipe = self.pipe(id);
        assert!(!pipe.closed);
        pipe.closed = true;
        self.ids[id.index()] = None;
    }

    fn stop_listening(&mut self) {
        self.listening = false;
        self.backlog.clear();
    }

    fn peer_addr(&self, id: NetId) -> Option<SocketAddr> {
        self.pipes[self.ids[id.index()]?].peer.addr
    }

    fn local_addr(&self, id: NetId) -> Option<SocketAddr> {
        self.ids[id.index()].map(|_| LOCAL_ADDR)
    }

    /// A layer says which number of pipe it is around.
    fn transport_ctx(&mut self, id: NetId) -> Option<Arc<dyn Any + Send + Sync>> {
        let number = self.ids[id.index()]?;
        self.pipes[number].peer.layered.then(|| Arc::new(Layer(number)) as _)
    }

    fn wait(&mut self, _: Option<Instant>, ready: &mut Vec<NetId>) {
        ready.append(&mut self.ready);
    }
}
