//! [`EpollNet`]: sockets by Linux's epoll, for one worker.

use core::cmp::Reverse;
use core::fmt;
use core::mem::MaybeUninit;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{self, RecvFlags, SendFlags, Shutdown, SocketAddrAny, SocketFlags};

use self::backlog::Backlogs;
use super::clock::Clock;
use super::listen::Listener;
use super::wake::{Sleep, Sleeper, Waker};
use crate::net::{Net, NetError, NetId, RxBuf, TxBuf};
use crate::time::Instant;

mod backlog;

/// The [`Net`] of one worker: one epoll instance, its listeners, and the connections they gave.
///
/// A small request on a connection that stays open costs one recv, one send, and its share of an
/// epoll_wait. Each socket is registered once, for edges; what the edges said is remembered with it,
/// so that a call which could only answer "not now" is never made. Edges of room to send are asked
/// for when a socket has had none for the first time: most never do, and would end waits for nothing.
///
/// It moves into the thread of its worker; a [`Waker`] made before ends its waits from outside.
pub struct EpollNet {
    epoll: OwnedFd,
    backlogs: Backlogs,
    /// Whether running out of file descriptors or memory was logged; said once per shortage.
    short: bool,
    sockets: Sockets,
    sleeper: Sleeper,
    clock: Clock,
}

/// The events of the kernel carry a [`NetId`], which is shorter, this plus the number of a listener,
const LISTENERS: u64 = 1 << 32;
/// or this.
const WAKER: u64 = u64::MAX;

/// How many events one wait takes from the kernel at most; 12 bytes of stack each.
const EVENTS_LEN: usize = 256;
/// How long a shortage of file descriptors or memory keeps the listener from being tried again.
const SHORTAGE: Duration = Duration::from_millis(100);
/// The longest sleep asked of the kernel. epoll counts milliseconds in an `int`, and waking once a
/// day for nothing hurts nobody.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// How much is offered at once to a socket that may have no room, in bytes: the kernel takes all of a
/// segment where there is room for one byte, and what it took says how much its peer has read.
const MORSEL: usize = 1024;
/// Room made for a read if there is none, in bytes. A read of no bytes looks like the peer's end.
const LEAST_READ: usize = 1024;
/// How much is dropped at once, in bytes; as much of the stack.
const DISCARD_LEN: usize = 32 * 1024;

impl EpollNet {
    /// Takes the connections of `listeners`, from each in its turn. `clock` is the one by which the
    /// engine is told the time.
    ///
    /// # Errors
    ///
    /// If the process or the system has no file descriptors or memory left for it.
    pub fn new(listeners: Vec<Listener>, clock: Clock) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let sleeper = Sleeper::new()?;
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, sleeper.as_fd(), epoll::EventData::new_u64(WAKER), edge)?;
        for (number, listener) in (LISTENERS..).zip(&listeners) {
            epoll::add(&epoll, listener, epoll::EventData::new_u64(number), edge)?;
        }
        Ok(Self {
            epoll,
            backlogs: Backlogs::new(listeners),
            short: false,
            sockets: Sockets::default(),
            sleeper,
            clock,
        })
    }

    /// What ends this net's [`wait`](Net::wait) from another thread.
    pub fn waker(&self) -> Waker {
        self.sleeper.waker()
    }

    /// Makes an accepted connection one of ours.
    fn adopt(&mut self, fd: OwnedFd, peer: Option<SocketAddrAny>) -> Result<NetId, Errno> {
        let id = self.sockets.lowest_free();
        epoll::add(&self.epoll, &fd, epoll::EventData::new_u64(u64::from(id.0)), RECEIVING)?;
        // A registration reports at once what is there, so a read is not tried before: it would be
        // wasted whenever the client's first bytes are still on their way.
        let ready = epoll::EventFlags::OUT;
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).map(unmapped);
        let (is_watched, is_suspect) = (false, false);
        self.sockets.insert(id, Socket { fd, ready, is_watched, is_suspect, peer });
        Ok(id)
    }

    /// Has the kernel report when there is room to send again. If there is some by now, it does so at
    /// once.
    fn watch_sending(&mut self, id: NetId) -> Result<(), NetError> {
        let socket = self.sockets.of(id);
        if socket.is_watched {
            return Ok(());
        }
        let interest = RECEIVING | epoll::EventFlags::OUT;
        let data = epoll::EventData::new_u64(u64::from(id.0));
        epoll::modify(&self.epoll, &socket.fd, data, interest)
            .map_err(|error| NetError::Failed(io::Error::from(error).into()))?;
        socket.is_watched = true;
        Ok(())
    }

    /// Leaves connections in the backlog while there is nothing to hold them with. Trying again at
    /// once would fail again, and a worker that spins serves nobody.
    fn pause_accepting(&mut self, error: Errno) {
        if !self.short {
            log::warn!(
                "connections have to wait, {} are open: {}; file descriptors are limited by \
                 `ulimit -n` and fs.file-max",
                self.sockets.len(),
                io::Error::from(error),
            );
        }
        self.short = true;
        self.backlogs.pause(self.clock.now() + SHORTAGE);
    }

    /// For how long the kernel may let us sleep; `None`: until something happens.
    fn sleep_len(&mut self, until: Option<Instant>) -> Option<Duration> {
        if self.sleeper.fall_asleep() == Sleep::None {
            return Some(Duration::ZERO);
        }
        let until = [until, self.backlogs.paused_until()].into_iter().flatten().min()?;
        Some(until.saturating_since(self.clock.now()).min(LONGEST_SLEEP))
    }

    /// Takes note of what the kernel reported. Says whether any of it is new to the engine.
    fn note_events(&mut self, events: &[epoll::Event], ready: &mut Vec<NetId>) -> bool {
        let mut news = false;
        for event in events {
            match event.data.u64() {
                WAKER => {}
                number @ LISTENERS.. => {
                    news |= self.backlogs.reported((number - LISTENERS) as usize);
                }
                number => {
                    let id = NetId(number as u32);
                    if self.sockets.note(id, event.flags) {
                        ready.push(id);
                        news = true;
                    }
                }
            }
        }
        news
    }
}

impl Net for EpollNet {
    fn accept(&mut self) -> Option<NetId> {
        while let Some((number, listener)) = self.backlogs.turn() {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let accepted = net::acceptfrom_with(listener, flags);
            match accepted.and_then(|(fd, peer)| self.adopt(fd, peer)) {
                Ok(id) => {
                    self.backlogs.given(number);
                    return Some(id);
                }
                Err(Errno::WOULDBLOCK) => {
                    self.backlogs.emptied(number);
                    self.short = false;
                }
                Err(error) if is_of_one_connection(error) => {}
                Err(error) => self.pause_accepting(error),
            }
        }
        None
    }

    fn recv(&mut self, id: NetId, rx: &mut RxBuf) -> Result<usize, NetError> {
        let socket = self.sockets.of(id);
        if !socket.ready.contains(epoll::EventFlags::IN) {
            return Err(NetError::WouldBlock);
        }
        if rx.storage().spare_capacity_mut().is_empty() {
            rx.reserve(LEAST_READ);
        }
        let storage = rx.storage();
        let room = storage.spare_capacity_mut().len();
        let received = retry(|| net::recv(&socket.fd, spare_capacity(storage), RecvFlags::empty()));
        socket.received(received.map(|(len, _)| len), room)
    }

    /// The kernel frees what it has received and copies nothing (`MSG_TRUNC`, tcp(7)).
    fn discard(&mut self, id: NetId) -> Result<usize, NetError> {
        let socket = self.sockets.of(id);
        if !socket.ready.contains(epoll::EventFlags::IN) {
            return Err(NetError::WouldBlock);
        }
        // Nothing is written to it, so that it must not be memory that counts as written afterwards.
        let mut untouched = [0; DISCARD_LEN];
        let dropped = retry(|| net::recv(&socket.fd, &mut untouched[..], RecvFlags::TRUNC));
        socket.received(dropped.map(|(_, len)| len), DISCARD_LEN)
    }

    fn send(&mut self, id: NetId, tx: &mut TxBuf) -> Result<usize, NetError> {
        let socket = self.sockets.of(id);
        if tx.is_empty() {
            return Ok(0); // Nothing is ever kept here.
        }
        if !socket.ready.contains(epoll::EventFlags::OUT) {
            return Err(NetError::WouldBlock);
        }
        let offered = match socket.is_suspect {
            true => &tx.as_slice()[..tx.len().min(MORSEL)],
            false => tx.as_slice(),
        };
        match retry(|| net::send(&socket.fd, offered, SendFlags::NOSIGNAL)) {
            Ok(len) => {
                let is_full = len < offered.len();
                tx.advance(len);
                if tx.is_empty() {
                    socket.is_suspect = false;
                }
                if is_full {
                    socket.blocked(epoll::EventFlags::OUT);
                    self.watch_sending(id)?;
                }
                Ok(len)
            }
            Err(error) => {
                let error = socket.blocked_or_dead(error, epoll::EventFlags::OUT);
                if let NetError::WouldBlock = error {
                    self.watch_sending(id)?;
                }
                Err(error)
            }
        }
    }

    fn acknowledge(&mut self, id: NetId) {
        // Fails only if the connection is gone already.
        let _ = net::sockopt::set_tcp_quickack(&self.sockets.of(id).fd, true);
    }

    fn look_again(&mut self, id: NetId) {
        let socket = self.sockets.of(id);
        if !socket.ready.contains(epoll::EventFlags::OUT) {
            socket.ready |= epoll::EventFlags::OUT;
            socket.is_suspect = true;
        }
    }

    fn shutdown(&mut self, id: NetId) {
        // Fails only if the connection is gone already, which recv and send will tell.
        let _ = net::shutdown(&self.sockets.of(id).fd, Shutdown::Write);
    }

    fn close(&mut self, id: NetId) {
        // Closing the descriptor also ends its registration.
        self.sockets.remove(id);
        self.backlogs.resume();
    }

    fn stop_listening(&mut self) {
        self.backlogs.close();
    }

    fn peer_addr(&self, id: NetId) -> Option<SocketAddr> {
        self.sockets.get(id)?.peer
    }

    fn local_addr(&self, id: NetId) -> Option<SocketAddr> {
        let addr = net::getsockname(&self.sockets.get(id)?.fd).ok()?;
        SocketAddr::try_from(addr).ok().map(unmapped)
    }

    fn wait(&mut self, until: Option<Instant>, ready: &mut Vec<NetId>) {
        let mut events = [const { MaybeUninit::uninit() }; EVENTS_LEN];
        // One report of each connection has room in so many more: who is ready must be known before
        // the engine looks who is late.
        let mut rounds_left = self.sockets.len() / EVENTS_LEN;
        let (mut until, mut news) = (until, false);
        loop {
            let timeout = self.sleep_len(until).map(timespec);
            let outcome = epoll::wait(&self.epoll, &mut events, timeout.as_ref());
            let woken = self.sleeper.rise();
            let events: &[epoll::Event] = match outcome {
                Ok((events, _)) => events,
                Err(Errno::INTR) if woken => return,
                Err(Errno::INTR) => continue,
                // Only wrong arguments are left, and they are all ours.
                Err(error) => panic!("epoll_wait: {error}"),
            };
            let timed_out = events.is_empty();
            news |= self.note_events(events, ready) || woken;
            if events.len() == EVENTS_LEN && rounds_left > 0 {
                rounds_left -= 1;
                until = Some(Instant::START);
                continue;
            }
            let paused_until = self.backlogs.paused_until();
            let resumed = paused_until.is_some_and(|until| until <= self.clock.now());
            if resumed {
                self.backlogs.resume();
            }
            if news || resumed || timed_out {
                return;
            }
        }
    }
}

impl fmt::Debug for EpollNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpollNet")
            .field("backlogs", &self.backlogs)
            .field("open", &self.sockets.len())
            .finish_non_exhaustive()
    }
}

/// The connections by their numbers.
#[derive(Debug, Default)]
struct Sockets {
    /// The last one is in use.
    slots: Vec<Option<Socket>>,
    /// Numbers of slots that are free, and of some that are gone.
    free: BinaryHeap<Reverse<u32>>,
    open: usize,
}

/// Slots whose memory is kept in any case.
const SLOTS_KEPT: usize = 64;

#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    /// What was reported and has not been used up since: IN and OUT say that a call may succeed,
    /// [`ENDED`] stays.
    ready: epoll::EventFlags,
    /// Whether the kernel reports room to send.
    is_watched: bool,
    /// Whether OUT was not reported but is [tried](Net::look_again).
    is_suspect: bool,
    peer: Option<SocketAddr>,
}

/// What each socket is registered for.
const RECEIVING: epoll::EventFlags =
    epoll::EventFlags::IN.union(epoll::EventFlags::RDHUP).union(epoll::EventFlags::ET);

/// The peer is done sending, or the connection is over; whatever still comes is there already.
const ENDED: epoll::EventFlags =
    epoll::EventFlags::RDHUP.union(epoll::EventFlags::HUP).union(epoll::EventFlags::ERR);

impl Sockets {
    fn len(&self) -> usize {
        self.open
    }

    /// The number that the next [`insert`](Self::insert) must use.
    fn lowest_free(&self) -> NetId {
        let next = self.slots.len() as u32; // Bounded by the number of file descriptors.
        NetId(self.free.peek().map_or(next, |lowest| lowest.0.min(next)))
    }

    fn insert(&mut self, id: NetId, socket: Socket) {
        self.open += 1;
        match self.slots.get_mut(id.index()) {
            Some(slot) => {
                let lowest = self.free.pop();
                debug_assert_eq!(lowest, Some(Reverse(id.0)));
                *slot = Some(socket);
            }
            None => {
                debug_assert_eq!(id.index(), self.slots.len());
                // Whatever is in there is the number of a slot that is gone.
                self.free.clear();
                self.slots.push(Some(socket));
            }
        }
    }

    fn remove(&mut self, id: NetId) {
        let socket = self.slots.get_mut(id.index()).and_then(Option::take);
        assert!(socket.is_some(), "connection {} is closed, but was not open", id.0);
        self.open -= 1;
        self.free.push(Reverse(id.0));
        if id.index() + 1 == self.slots.len() {
            self.shorten();
        }
    }

    /// Takes out the slots behind the last one that is in use, and gives back their memory if those
    /// that are left need a quarter of it.
    #[cold]
    fn shorten(&mut self) {
        while self.slots.pop_if(|last| last.is_none()).is_some() {}
        let room = SLOTS_KEPT.max(2 * self.slots.len());
        if self.slots.capacity() > 2 * room {
            self.slots.shrink_to(room);
            self.free.retain(|free| (free.0 as usize) < self.slots.len());
            self.free.shrink_to(room);
        }
    }

    fn get(&self, id: NetId) -> Option<&Socket> {
        self.slots.get(id.index())?.as_ref()
    }

    /// # Panics
    ///
    /// If `id` is not open: then the engine confuses connections, which nothing may paper over.
    fn of(&mut self, id: NetId) -> &mut Socket {
        match self.slots.get_mut(id.index()) {
            Some(Some(socket)) => socket,
            _ => panic!("connection {} is used, but is not open", id.0),
        }
    }

    /// Adds what the kernel reported about a socket. Says whether any of it is new.
    ///
    /// A socket that was closed while a forked child still held it may be reported under a number
    /// that has another owner by now. To that one it is a report without a reason.
    fn note(&mut self, id: NetId, mut flags: epoll::EventFlags) -> bool {
        let Some(Some(socket)) = self.slots.get_mut(id.index()) else {
            return false;
        };
        if flags.intersects(ENDED) {
            flags |= epoll::EventFlags::IN; // There is an end, or an error, to be received.
        }
        if flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            flags |= epoll::EventFlags::OUT;
        }
        if flags.contains(epoll::EventFlags::OUT) {
            socket.is_suspect = false;
        }
        let news = !socket.ready.contains(flags);
        socket.ready |= flags;
        news
    }
}

impl Socket {
    /// What came of a read for which there was this much room.
    fn received(&mut self, received: Result<usize, Errno>, room: usize) -> Result<usize, NetError> {
        let len = received.map_err(|error| self.blocked_or_dead(error, epoll::EventFlags::IN))?;
        // The socket is empty, and the next byte will be an edge. Not so if the peer is done: its end
        // lies behind these bytes, and was reported already.
        if len < room && !self.ready.intersects(ENDED) {
            self.ready.remove(epoll::EventFlags::IN);
        }
        Ok(len)
    }

    /// The kernel will report when a call in this direction may succeed again.
    fn blocked(&mut self, direction: epoll::EventFlags) {
        self.ready.remove(direction);
        if direction == epoll::EventFlags::OUT {
            self.is_suspect = false;
        }
    }

    fn blocked_or_dead(&mut self, error: Errno, direction: epoll::EventFlags) -> NetError {
        match error {
            Errno::WOULDBLOCK => {
                self.blocked(direction);
                NetError::WouldBlock
            }
            Errno::CONNRESET
            | Errno::PIPE
            | Errno::NOTCONN
            | Errno::CONNABORTED
            | Errno::TIMEDOUT
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH => NetError::Closed,
            _ => NetError::Failed(Box::new(io::Error::from(error))),
        }
    }
}

/// Whether accepting failed for the one connection that was next, and the one after it may do
/// better: Linux hands over network errors that were pending on it (accept(2)).
fn is_of_one_connection(error: Errno) -> bool {
    matches!(
        error,
        Errno::INTR
            | Errno::CONNABORTED
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::OPNOTSUPP
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::NONET
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
    )
}

/// Calls again what a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// An IPv4 client of an IPv6 socket, by the address it would call its own.
fn unmapped(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => addr,
        },
        SocketAddr::V4(_) => addr,
    }
}

/// rustix rounds it up to what the kernel counts in, so that no wait ends before its deadline.
fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs() as i64, // LONGEST_SLEEP fits.
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests;
