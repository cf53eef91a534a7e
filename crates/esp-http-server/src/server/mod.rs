//! The engine: sessions, and what happens to them. No sockets, no threads, no clock.
//!
//! | for | in |
//! |---|---|
//! | the turn of the server: ready sessions, queued work, timers, accept | this file |
//! | what the sessions of a worker have in common | `worker.rs` |
//! | the turn of one session, its life as a state machine | `turn.rs`, `turn/` |
//! | the session table's row, phases, timers | `session.rs` |
//! | what travels to the handler and back | `conn.rs`; of it, what sessions share: `entrance.rs` |
//! | requests that are with another thread | `detached.rs`, `turn/detached.rs`, `conn/stand_in.rs` |
//! | who handles a URI, who an error | `router.rs`, `err_handlers.rs` |
//! | what is registered for a URI | `uri_handler.rs`, `ws_uri_handler.rs` |
//! | tables that change while the server runs | `published.rs`, `routes.rs` |
//! | who goes when the table is full, or has its place full | `lru.rs`, `clients.rs` |
//! | what sessions hold, and who gives it back | `memory.rs`; what they leave behind: `give_back.rs` |
//! | when to look at whom | `deadlines.rs`; who waits for a handshake: `openings.rs` |
//! | how much each may do in a turn, and who waits to do more | `share.rs` |
//! | what other threads may ask for | `shared.rs`, `reach.rs`, `ws_client.rs`, `work.rs`; how it is done: `run_work.rs` |
//! | the application's hooks, what they and queued work may do | `hooks.rs`, `context.rs` |
//! | what a session's bytes pass through | `transport.rs` |
//! | the time of day in responses | `date.rs` |

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

#[cfg(feature = "deflate")]
use crate::handler::ws::SharedDeflater;
use crate::handler::{Stacks, contain};
use crate::net::{Net, NetId};
use crate::pool::Pool;
use crate::time::Instant;

mod builder;
mod clients;
mod config;
mod conn;
mod context;
mod date;
mod deadlines;
#[cfg(feature = "std")]
mod detached;
mod entrance;
mod err_handlers;
mod event;
mod give_back;
mod hooks;
mod lru;
mod memory;
mod openings;
mod published;
mod reach;
mod router;
mod routes;
mod run_work;
mod session;
mod share;
mod shared;
#[cfg(all(test, feature = "std"))]
mod tests;
mod transport;
mod turn;
mod uri_handler;
mod work;
mod worker;
#[cfg(feature = "std")]
mod worker_thread;
mod ws_client;
mod ws_uri_handler;

pub use builder::{ServerBuilder, Transport};
use clients::Clients;
pub use clients::client_of;
pub use config::{HandlerMode, HttpConfig, ListenAddr};
pub use conn::Peer;
pub(crate) use conn::{Conn, Exchange, Reply};
pub use context::{OpenSession, ServerContext};
use date::DateCache;
#[cfg(feature = "std")]
pub(crate) use date::date_now;
use deadlines::Deadlines;
use entrance::Entrances;
pub(crate) use err_handlers::{ErrHandler, ErrHandlers};
pub(crate) use event::Lifetime;
pub use event::{
    Events, HTTP_SERVER_EVENT, HttpEvent, HttpEvents, Notice, Observer, SessionNotice,
};
use lru::{Line, Links, Ranks};
use memory::Memory;
use openings::Openings;
use published::Snapshot;
#[cfg(feature = "std")]
pub(crate) use reach::Reach;
pub(crate) use routes::Found;
use routes::RoutesView;
pub use session::SessionId;
use session::{Phase, Rank, Session, Timer, Timers};
use share::{BUDGET, InLine, READY_SHARE, Share};
pub use shared::ServerHandle;
pub(crate) use shared::Shared;
pub use transport::{SessionSocket, SessionTransport};
use turn::{Fate, Turn, Used};
pub use uri_handler::UriHandler;
use work::Mailbox;
pub use work::SessionKind;
pub(crate) use work::Work;
#[cfg(feature = "std")]
use worker_thread::WorkerThread;
#[cfg(feature = "std")]
pub(crate) use worker_thread::is_worker_thread;
pub use ws_client::WsClient;
pub use ws_uri_handler::WsUriHandler;

/// One worker of a server: the sessions it serves and everything it needs for that.
///
/// Its methods are of two kinds:
/// - [`poll`](Self::poll) is the only door: it is told the time and what is ready, does a bounded
///   amount of work, and says when it wants to be called again at the latest;
/// - [`is_stopped`](Self::is_stopped) says when there is nothing left to call it for.
///
/// Everything else, also from other threads, goes through the [`ServerHandle`].
pub struct Server<S: Stacks> {
    slots: Vec<Slot<S>>,
    worker: Worker<S>,
    /// Queued work that is being done; kept for its memory.
    batch: VecDeque<Work>,
    /// Where the rows that are added to `slots` begin to count.
    first_generation: u32,
    /// Dropped last, when no session is left, nor anything of this worker that holds what is the
    /// application's.
    _lifetime: Arc<Lifetime>,
    #[cfg(feature = "std")]
    _thread: WorkerThread,
}

struct Slot<S: Stacks> {
    generation: u32,
    session: Option<Session<S::Stack>>,
}

/// What the sessions of a worker have in common.
struct Worker<S: Stacks> {
    number: u16,
    shared: Arc<Shared>,
    routes: RoutesView,
    err_handlers: Snapshot<ErrHandlers>,
    observer: Box<dyn Observer + Send>,
    /// What the observer has said of that in this turn.
    hears_traffic: bool,
    stacks: S,
    /// Exchanges that nobody uses. A box is lent whole, without moving what is in it.
    spare: Pool<Box<Exchange>>,
    /// Whether something has come back since it was last looked at what could be freed.
    came_back: bool,
    /// When it is looked at next.
    give_back_at: Instant,
    memory: Memory,
    entrances: Entrances,
    limit: usize,
    open: usize,
    /// Turns of the server so far.
    turns: u32,
    /// Handlers that are under way.
    running: usize,
    /// Sessions whose handlers wait for a turn or a stack, in order.
    queued: VecDeque<SessionId>,
    /// What a session may do now before others have their turn.
    share: Share,
    openings: Openings,
    in_line: InLine,
    deadlines: Deadlines,
    date: DateCache,
    /// For all its WebSockets that need none of their own.
    #[cfg(feature = "deflate")]
    deflater: SharedDeflater,
    /// Sessions that may be closed for a new one.
    ranks: Ranks,
    links: Links,
    /// Present if one client may have fewer sessions than there are places.
    clients: Option<Box<Clients>>,
    stop_at: Option<Instant>,
}

/// Connections accepted in one turn.
const ACCEPT_BUDGET: usize = 64;
/// Exchanges kept for later, so that a burst does not keep its memory for ever.
const SPARE_MAX: usize = 64;

impl<S: Stacks> Server<S>
where
    S::Stack: 'static,
{
    /// Worker number `number` of the server that `shared` belongs to.
    pub(crate) fn new(
        shared: Arc<Shared>,
        number: u16,
        stacks: S,
        observer: Box<dyn Observer + Send>,
        lifetime: Arc<Lifetime>,
    ) -> Self {
        let limit = shared.config.sockets_of(number.into(), shared.reach.mailboxes.len());
        let of_client = shared.config.sockets_of_client(shared.reach.mailboxes.len());
        let memory = Memory::new(shared.config.buffer_memory_of(shared.reach.mailboxes.len()));
        let worker = Worker {
            number,
            err_handlers: Snapshot::of(&shared.reach.err_handlers),
            routes: RoutesView::of(&shared.reach.routes),
            shared,
            hears_traffic: observer.hears_traffic(),
            observer,
            stacks,
            spare: Pool::new(SPARE_MAX),
            came_back: false,
            give_back_at: Instant::NEVER,
            memory,
            entrances: Entrances::default(),
            limit,
            open: 0,
            turns: 0,
            running: 0,
            queued: VecDeque::new(),
            share: READY_SHARE,
            openings: Openings::default(),
            in_line: InLine::default(),
            deadlines: Deadlines::default(),
            date: DateCache::new(),
            #[cfg(feature = "deflate")]
            deflater: None,
            ranks: [Line::EMPTY; Rank::COUNT],
            links: Links::default(),
            clients: (of_client < limit).then(|| Box::new(Clients::new(of_client))),
            stop_at: None,
        };
        Self {
            slots: Vec::new(),
            worker,
            batch: VecDeque::new(),
            first_generation: 0,
            _lifetime: lifetime,
            #[cfg(feature = "std")]
            _thread: WorkerThread::enter(),
        }
    }

    /// One turn: ready sessions, queued work, sessions in line for more, some handshakes, due timers,
    /// handlers that waited for others, new connections.
    ///
    /// Gives the moment at which it wants to be called again even if nothing is ready; `None` if
    /// only the network or another thread can bring something to do.
    pub fn poll<N: Net>(&mut self, now: Instant, net: &mut N, ready: &[NetId]) -> Option<Instant> {
        self.worker.turns = self.worker.turns.wrapping_add(1);
        self.worker.hears_traffic = self.worker.observer.hears_traffic();
        self.worker.routes.refresh(&self.worker.shared.reach.routes);
        let busy = self.count_busy(ready);
        self.worker.share = self.worker.share_of(busy, READY_SHARE);
        self.worker.openings.begin_turn();
        for id in ready {
            self.run_or_line_up(*id, now, net);
        }
        // For whoever else may have something to do.
        self.worker.share = self.worker.share_of(0, READY_SHARE);
        self.do_work(Mailbox::take, now, net);
        self.save_memory(now, net);
        self.run_again(busy, now, net);
        self.open_next(now, net);
        // Behind everything that is there already: who was in time need not pay for others having
        // kept this worker busy.
        while let Some(slot) = self.worker.deadlines.pop_due(now) {
            self.turn(slot, now, net, |turn| turn.run_timers());
            self.save_memory(now, net);
        }
        if self.worker.shared.reach.is_stopping() {
            self.stop(now, net);
        }
        let more_to_start = self.start_queued(now, net);
        // Behind everything that may have made room.
        let more_to_accept = self.accept(now, net);
        if self.worker.give_back_at <= now {
            self.give_back(now);
        }
        if more_to_start || more_to_accept || self.has_more() {
            return Some(now);
        }
        let give_back_at = self.worker.plan_to_give_back(now);
        let next = self.next_of_sessions().unwrap_or(Instant::NEVER).min(give_back_at);
        (next != Instant::NEVER).then_some(next)
    }

    /// When a session wants to be looked at, or the time is up in which they may come to their end.
    fn next_of_sessions(&self) -> Option<Instant> {
        [self.worker.deadlines.next(), self.worker.stop_at.filter(|_| self.worker.open > 0)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether this turn has left something to do at once: sessions over their budget, and what
    /// handlers and work functions have asked for meanwhile.
    fn has_more(&self) -> bool {
        let worker = &self.worker;
        let stops = worker.shared.reach.is_stopping() && worker.stop_at.is_none();
        stops
            || worker.in_line.len() > 0
            || !worker.openings.is_empty()
            || worker.mailbox().is_filled()
    }

    /// Says how to wake whoever calls [`poll`](Self::poll) out of [`Net::wait`], for when another
    /// thread has queued work or stops the server.
    pub fn set_waker(&self, waker: impl Fn() + Send + Sync + 'static) {
        self.worker.mailbox().set_waker(Arc::new(waker));
    }

    /// Whether the server was told to stop and has no session left.
    pub fn is_stopped(&self) -> bool {
        self.worker.stop_at.is_some() && self.worker.open == 0
    }

    /// How to reach this server from elsewhere.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(self.worker.shared.reach.clone())
    }

    /// Lets a session do `step`, and closes it if that was its end. What it has used up.
    fn turn<N: Net>(
        &mut self,
        slot: u32,
        now: Instant,
        net: &mut N,
        step: impl FnOnce(&mut Turn<'_, S, N>) -> Fate,
    ) -> Used {
        let Some(Slot { session: Some(session), .. }) = self.slots.get_mut(slot as usize) else {
            return Used::default();
        };
        let mut turn = Turn { session, worker: &mut self.worker, net, now, used: Used::default() };
        let fate = step(&mut turn);
        let used = turn.used;
        if fate == Fate::Closed {
            self.remove(slot, net);
        }
        used
    }

    /// Gives back what can be given back while more memory is held than may be.
    fn save_memory<N: Net>(&mut self, now: Instant, net: &mut N) {
        while self.worker.memory.is_short() {
            if let Some(exchange) = self.worker.spare.take() {
                self.worker.memory.release(exchange.kept_len);
            } else if let Some(slot) = self.worker.memory.first_to_go() {
                log::debug!("too little memory: cutting {slot}, which is not being served");
                self.close(slot, now, net);
            } else {
                return;
            }
        }
    }

    /// Cuts a session off, whatever it is doing.
    fn close<N: Net>(&mut self, slot: u32, now: Instant, net: &mut N) {
        self.turn(slot, now, net, |turn| turn.cut());
    }

    /// Takes a session that has ended out of the table.
    fn remove<N: Net>(&mut self, slot: u32, net: &mut N) {
        let Some(session) = self.slots[slot as usize].session.take() else { return };
        net.close(NetId(slot));
        self.worker.removed(session);
    }

    /// Takes new connections while there are places for them.
    ///
    /// Whether there may be more of them.
    fn accept<N: Net>(&mut self, now: Instant, net: &mut N) -> bool {
        for _ in 0..ACCEPT_BUDGET {
            // Behind each of them, too: what it has sent is in its buffers.
            self.save_memory(now, net);
            if self.worker.stop_at.is_some() || self.worker.memory.is_short() {
                return false;
            }
            let victim = match self.worker.open < self.worker.limit {
                true => None,
                false => match self.worker.victim() {
                    None => return false,
                    victim => victim,
                },
            };
            if victim.is_some_and(|slot| self.is_new(slot)) {
                return true; // Let it say first what it came for.
            }
            let Some(id) = net.accept() else { return false };
            match self.worker.full_client(net.peer_addr(id)) {
                None => {}
                Some(own) => match own.filter(|slot| !self.is_new(*slot)) {
                    // Its own session makes room, also in the table.
                    Some(slot) => {
                        self.evict(slot, now, net);
                        self.open(id, now, net);
                        continue;
                    }
                    None => {
                        log::debug!("{:?} has too many sessions", net.peer_addr(id));
                        net.close(id);
                        continue;
                    }
                },
            }
            if let Some(slot) = victim {
                self.evict(slot, now, net);
            }
            self.open(id, now, net);
        }
        true
    }

    /// Closes a session for a new one.
    fn evict<N: Net>(&mut self, slot: u32, now: Instant, net: &mut N) {
        log::debug!("no room for another session: closing {slot} for a new one");
        self.turn(slot, now, net, |turn| turn.evict());
    }

    fn open<N: Net>(&mut self, id: NetId, now: Instant, net: &mut N) {
        while self.slots.len() <= id.index() {
            self.slots.push(Slot { generation: self.first_generation, session: None });
        }
        debug_assert!(self.slots[id.index()].session.is_none(), "{id:?} was not closed");
        let slot = &mut self.slots[id.index()];
        slot.generation = slot.generation.wrapping_add(1);
        let session = SessionId::new(self.worker.number, id.0, slot.generation);
        let peer = net.peer_addr(id);
        if let (Some(clients), Some(peer)) = (&mut self.worker.clients, peer) {
            clients.opened(id.0, peer.ip());
        }
        let conn = Conn::new(session, peer, self.worker.shared.clone());
        let mut timers = Timers::new();
        timers.set(Timer::Handshake, now + self.worker.shared.config.handshake_timeout);
        slot.session = Some(Session {
            id: session,
            phase: Phase::Opening { is_lined_up: false },
            conn: Some(Box::new(conn)),
            ws_handler: None,
            timers,
            rank: None,
            used: true,
            again: None,
            is_in_line: false,
            connected: false,
            requests: 0,
            opened_in: self.worker.turns,
        });
        self.worker.open += 1;
        self.turn(id.0, now, net, |turn| turn.run());
    }

    /// Whether a session was accepted in this turn, so that nobody can know yet what it has sent.
    fn is_new(&self, slot: u32) -> bool {
        let session = &self.slots[slot as usize].session;
        session.as_ref().is_some_and(|session| session.opened_in == self.worker.turns)
    }

    fn is_current(&self, id: SessionId) -> bool {
        self.session(id.slot()).is_some_and(|session| session.id == id)
    }

    /// The session in that row of the table, if there is one.
    fn session(&self, slot: u32) -> Option<&Session<S::Stack>> {
        self.slots.get(slot as usize)?.session.as_ref()
    }

    /// Starts handlers that had to wait for others to end, in the order in which they came.
    ///
    /// Whether more of them could start at once.
    fn start_queued<N: Net>(&mut self, now: Instant, net: &mut N) -> bool {
        let mut used = Used::default();
        for _ in 0..self.worker.queued.len() {
            if !self.worker.has_turn() {
                return false;
            }
            if used.is_beyond(BUDGET) {
                return true;
            }
            let Some(session) = self.worker.queued.pop_front() else { return false };
            if !self.is_current(session) {
                continue;
            }
            used += self.turn(session.slot(), now, net, |turn| turn.start_queued());
            if self.worker.queued.front() == Some(&session) {
                return false; // There is no stack for it.
            }
        }
        self.worker.has_turn() && !self.worker.queued.is_empty()
    }

    /// Moves a stopping server on.
    fn stop<N: Net>(&mut self, now: Instant, net: &mut N) {
        let slots = 0..self.slots.len() as u32;
        match self.worker.stop_at {
            None => {
                // What was queued before is done before anybody has to leave.
                self.do_work(Mailbox::take_last, now, net);
                net.stop_listening();
                self.worker.stop_at = Some(now + self.worker.shared.config.stop_timeout);
                slots.for_each(|slot| {
                    self.turn(slot, now, net, |turn| turn.wind_down());
                });
            }
            Some(at) if now >= at => slots.for_each(|slot| self.close(slot, now, net)),
            Some(_) => {}
        }
    }
}

impl<S: Stacks> Drop for Server<S> {
    /// A server that is dropped while handlers wait tells them to end, because a suspended task is
    /// never dropped. Its sessions end as all do.
    fn drop(&mut self) {
        for slot in &mut self.slots {
            if let Some(mut session) = slot.session.take() {
                session.abandon_task();
                // It may be a panic that has brought us here, and another one must not come of it.
                contain(|| self.worker.removed(session));
            }
        }
        self.worker.mailbox().abandon();
    }
}

impl<S: Stacks> core::fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Server")
            .field("worker", &self.worker.number)
            .field("open", &self.worker.open)
            .finish_non_exhaustive()
    }
}
