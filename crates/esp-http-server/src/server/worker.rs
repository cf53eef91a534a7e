//! What the sessions of a worker have in common: buffers that are lent, handlers, places in the order in
//! which they may be closed, and how it is told that one has gone.

use alloc::boxed::Box;
use core::net::SocketAddr;

use super::event::{Notice, SessionNotice};
use super::memory::Worth;
use super::published::Kept;
use super::router::Routed;
use super::session::{Phase, Rank, Session, SessionId};
use super::work::Mailbox;
use super::{Conn, ErrHandlers, Exchange, Found, HandlerMode, Worker};
use crate::handler::{Stacks, contain};
use crate::proto::method::Method;
use crate::proto::status::Status;
use crate::time::Instant;

impl<S: Stacks> Worker<S> {
    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.shared.reach.mailboxes[usize::from(self.number)]
    }

    /// Makes sure that `conn` has buffers.
    pub(super) fn lend(&mut self, conn: &mut Conn) {
        if conn.exchange.is_none() {
            let exchange = match self.spare.take() {
                Some(exchange) => {
                    self.memory.release(exchange.kept_len);
                    exchange
                }
                None => Box::new(Exchange::new()),
            };
            conn.exchange = Some(exchange);
        }
    }

    /// Takes the buffers of `conn` back.
    pub(super) fn reclaim(&mut self, conn: &mut Conn) {
        self.came_back = true;
        if let Some(mut exchange) = conn.exchange.take()
            && exchange.recycle()
            && !self.spare.is_full()
        {
            exchange.kept_len = exchange.held_len();
            self.memory.keep(exchange.kept_len);
            self.spare.give(exchange);
        }
    }

    /// Finds the handler for a request; `None` if the application's match function panicked.
    pub(super) fn route(&mut self, method: Method, path: &str) -> Option<Routed<Found>> {
        self.routes.route(&self.shared.reach.routes, method, path)
    }

    /// The error handlers, as they are registered now.
    pub(super) fn err_handlers(&mut self) -> &Kept<ErrHandlers> {
        self.err_handlers.newest(&self.shared.reach.err_handlers)
    }

    /// Lets a response that is written now tell the date.
    pub(super) fn stamp(&mut self, conn: &mut Conn, now: Instant) {
        conn.io_mut().date = self.date.at(now, self.shared.hooks.wall_clock.as_ref()).copied();
    }

    /// A response has begun.
    pub(super) fn tell_of_response(&mut self, session: SessionId, status: Status) {
        if status.is_error() {
            self.observer.notice(Notice::Error(session, status));
        }
        self.tell_traffic(Notice::HeadersSent(session));
    }

    /// Tells of what happens all the time, if anybody listens.
    pub(super) fn tell_traffic(&mut self, notice: Notice<'_>) {
        if self.hears_traffic {
            self.observer.notice(notice);
        }
    }

    /// Whether another handler may start.
    pub(super) fn has_turn(&self) -> bool {
        self.running == 0 || self.shared.config.handler_mode == HandlerMode::Concurrent
    }

    /// Takes a session out of the queue, which must not fill with those that have left while one
    /// handler holds up all others.
    pub(super) fn dequeue(&mut self, session: SessionId) {
        // Those that leave are mostly those that have waited for longest, at the front.
        if let Some(at) = self.queued.iter().position(|queued| *queued == session) {
            self.queued.remove(at);
        }
    }

    /// The session to close for a new one.
    pub(super) fn victim(&self) -> Option<u32> {
        // A flood of connections that say nothing gets a quarter of the places from sessions that
        // have been served, and then only its own. New ones have that quarter to begin in.
        let spared = self.limit.div_ceil(4);
        let first_to_go = || self.links.first_to_go(&self.ranks, spared, self.turns);
        self.shared.config.lru_purge_enable.then(first_to_go)?
    }

    /// Whether whoever is at `peer` has as many sessions as it may, and which of them may be closed
    /// for a new one.
    pub(super) fn full_client(&self, peer: Option<SocketAddr>) -> Option<Option<u32>> {
        let own = self.clients.as_ref()?.full(peer?.ip(), self.turns)?;
        Some(own.filter(|_| self.shared.config.lru_purge_enable))
    }

    /// Puts a session where it belongs among those that may be closed for a new one.
    pub(super) fn set_rank(&mut self, session: &mut Session<S::Stack>, rank: Option<Rank>) {
        let slot = session.id.slot();
        let before = core::mem::replace(&mut session.rank, rank);
        if !core::mem::take(&mut session.used) && before == rank {
            return;
        }
        if let Some(before) = before.filter(|_| before != rank) {
            self.links.remove(&mut self.ranks[before as usize], slot);
        }
        if let Some(rank) = rank {
            self.links.touch(&mut self.ranks[rank as usize], slot, self.turns);
        }
        if let Some(clients) = &mut self.clients {
            clients.ranked(slot, before, rank, self.turns);
        }
    }

    pub(super) fn removed(&mut self, mut session: Session<S::Stack>) {
        debug_assert!(!matches!(session.phase, Phase::Handling { .. }), "a task is never dropped");
        self.open -= 1;
        match session.phase {
            Phase::Queued { .. } => self.dequeue(session.id),
            Phase::Opening { is_lined_up: true } => self.openings.remove(&session),
            _ => {}
        }
        self.deadlines.remove(session.id.slot());
        if session.is_in_line {
            self.in_line.remove(session.id.slot());
        }
        self.set_rank(&mut session, None);
        self.memory.note(session.id.slot(), 0, Worth::Served);
        if let Some(clients) = &mut self.clients {
            clients.closed(session.id.slot());
        }
        if let Some(conn) = session.own_conn() {
            if let Some(exchange) = &mut conn.exchange {
                exchange.discard();
            }
            self.reclaim(conn);
        }
        if session.connected {
            self.mailbox().session_closed(session.id);
            self.end_ws(&mut session);
            self.shared.hooks.tell_closed(session.id);
        }
        // Observers are told last, and yet of whom.
        let peer = session.conn.as_ref().and_then(|conn| conn.peer_addr);
        let entrance = session.conn.as_ref().and_then(|conn| conn.entrance());
        if let Some(conn) = session.own_conn() {
            conn.drop_attached();
        }
        if session.connected {
            let transport_ctx = entrance.as_ref().and_then(|entrance| entrance.transport_ctx());
            let notice = SessionNotice { session: session.id, peer, transport_ctx };
            self.observer.notice(Notice::Disconnected(notice));
        }
        if contain(|| drop(entrance)).is_none() {
            log::error!("session {}: its transport's context panicked when dropped", session.id);
        }
    }

    /// Tells how a WebSocket has ended, and those who wait for what it was sent that it is gone.
    pub(super) fn end_ws(&self, session: &mut Session<S::Stack>) {
        if let Some(ws) = session.conn.as_mut().and_then(|conn| conn.ws.as_mut()) {
            let closed = ws.take_closed();
            self.shared.hooks.tell_ws_closed(session.id, closed);
        }
    }
}
