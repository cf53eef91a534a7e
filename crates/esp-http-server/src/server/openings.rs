//! Sessions in line for a step of their opening that takes long: the answer to a ClientHello costs as
//! much as dozens of requests. So that nobody waits for all of a crowd, each turn gives few of them, and
//! clients take turns.

use alloc::collections::{BTreeMap, VecDeque};
use core::net::IpAddr;

use super::conn::Conn;
use super::session::{Phase, Session, SessionId};
use super::{Server, Slot, Stacks, client_of};
use crate::net::{Net, NetId};
use crate::time::Instant;

/// Answers in one turn. Each takes a tenth of a millisecond on a large machine.
const PER_TURN: usize = 4;

/// A line of its own for each client, an IPv4 address or an IPv6 network.
#[derive(Default)]
pub(super) struct Openings {
    /// None is empty.
    lines: BTreeMap<Option<IpAddr>, VecDeque<SessionId>>,
    /// Those who have a line, in the order in which they come.
    clients: VecDeque<Option<IpAddr>>,
    /// Answers that this turn has given.
    answers: usize,
}

impl Openings {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A turn begins.
    pub(super) fn begin_turn(&mut self) {
        self.answers = 0;
    }

    /// How many sessions there are.
    pub(super) fn len(&self) -> usize {
        self.lines.values().map(VecDeque::len).sum()
    }

    fn push(&mut self, client: Option<IpAddr>, session: SessionId) {
        let line = self.lines.entry(client).or_default();
        if line.is_empty() {
            self.clients.push_back(client);
        }
        line.push_back(session);
    }

    /// The oldest one of the client whose turn it is.
    fn next(&mut self) -> Option<SessionId> {
        let client = self.clients.pop_front()?;
        let line = self.lines.get_mut(&client)?;
        let session = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&client);
        } else {
            self.clients.push_back(client);
        }
        session
    }

    /// Takes out a session that ends.
    pub(super) fn remove<S: corosensei::stack::Stack>(&mut self, session: &Session<S>) {
        let client = client(session.conn.as_deref());
        let Some(line) = self.lines.get_mut(&client) else { return };
        line.retain(|in_line| *in_line != session.id);
        if line.is_empty() {
            self.lines.remove(&client);
            self.clients.retain(|with_line| *with_line != client);
        }
    }
}

/// Who is at the other end.
fn client(conn: Option<&Conn>) -> Option<IpAddr> {
    Some(client_of(conn?.peer_addr?.ip()))
}

impl<S: Stacks> Server<S>
where
    S::Stack: 'static,
{
    /// Moves a session on that is ready, or has it get in line if that may take long.
    pub(super) fn run_or_line_up<N: Net>(&mut self, id: NetId, now: Instant, net: &mut N) {
        let Self { slots, worker, .. } = self;
        if let Some(Slot { session: Some(session), .. }) = slots.get_mut(id.index())
            && let Phase::Opening { is_lined_up } = &mut session.phase
            && (*is_lined_up || net.is_dear_to_open(id))
        {
            let is_free = worker.openings.is_empty() && worker.openings.answers < PER_TURN;
            if !*is_lined_up && is_free {
                return self.answer(id, now, net);
            }
            if !core::mem::replace(is_lined_up, true) {
                worker.openings.push(client(session.conn.as_deref()), session.id);
            }
            return;
        }
        self.run_ready(id, now, net);
    }

    /// Moves on those in line whose turn it is.
    pub(super) fn open_next<N: Net>(&mut self, now: Instant, net: &mut N) {
        // Those that have nothing to be answered are soon done, but may be many.
        for _ in 0..self.worker.openings.len() {
            if self.worker.openings.answers >= PER_TURN {
                return;
            }
            let Some(next) = self.worker.openings.next() else { return };
            if let Some(Slot { session: Some(session), .. }) =
                self.slots.get_mut(next.slot() as usize)
                && session.id == next
                && let Phase::Opening { is_lined_up } = &mut session.phase
            {
                *is_lined_up = false;
                self.answer(NetId(next.slot()), now, net);
            }
        }
    }

    fn answer<N: Net>(&mut self, id: NetId, now: Instant, net: &mut N) {
        self.turn(id.0, now, net, |turn| turn.run());
        // With a part of a hello there was nothing to answer. What has become of one that has ended nobody
        // knows any more.
        let session = self.session(id.0);
        let is_opening = session.is_some_and(|it| matches!(it.phase, Phase::Opening { .. }));
        let is_unanswered = is_opening && net.is_dear_to_open(id);
        self.worker.openings.answers += usize::from(!is_unanswered);
        self.save_memory(now, net);
    }
}
