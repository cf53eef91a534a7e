//! Sessions in line for a step of their opening that takes long: a TLS handshake costs as much as a
//! hundred requests. So that nobody waits for all of a crowd, each turn takes few of those steps, and
//! takes them for as many clients as it can.

use alloc::collections::VecDeque;
use core::net::IpAddr;

use super::session::{Phase, SessionId};
use super::{Server, Slot, Stacks, client_of};
use crate::net::{Net, NetId};
use crate::time::Instant;

/// Steps in one turn. Each takes a third of a millisecond or so on a large machine.
const PER_TURN: usize = 4;

/// In the order in which they came.
#[derive(Default)]
pub(super) struct Openings(VecDeque<Waiting>);

#[derive(Clone, Copy)]
struct Waiting {
    session: SessionId,
    client: Option<IpAddr>,
}

impl Openings {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are, for tests.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a session out of the line, which must not fill with those that have left.
    pub(super) fn remove(&mut self, session: SessionId) {
        if let Some(at) = self.0.iter().position(|waiting| waiting.session == session) {
            self.0.remove(at);
        }
    }

    /// The oldest one of a client that isn't among those `served`; the oldest of all if there is none.
    fn next(&mut self, served: &[Option<IpAddr>]) -> Option<Waiting> {
        let fair = self.0.iter().position(|waiting| !served.contains(&waiting.client));
        self.0.remove(fair.unwrap_or(0))
    }
}

impl<S: Stacks> Server<S>
where
    S::Stack: 'static,
{
    /// Has a session get in line if the next step of its opening may take long. Whether it has to wait.
    pub(super) fn lines_up<N: Net>(&mut self, id: NetId, net: &N) -> bool {
        let Some(Slot { session: Some(session), .. }) = self.slots.get_mut(id.index()) else {
            return false;
        };
        let Phase::Opening { in_line } = &mut session.phase else { return false };
        if !*in_line && !net.is_dear_to_open(id) {
            return false;
        }
        if !core::mem::replace(in_line, true) {
            let client = net.peer_addr(id).map(|peer| client_of(peer.ip()));
            self.worker.openings.0.push_back(Waiting { session: session.id, client });
        }
        true
    }

    /// Moves on those whose turn it is.
    pub(super) fn open_next<N: Net>(&mut self, now: Instant, net: &mut N) {
        let mut served = [None; PER_TURN];
        for turn in 0..PER_TURN {
            let Some(Waiting { session, client }) = self.worker.openings.next(&served[..turn])
            else {
                return;
            };
            served[turn] = client;
            let slot = session.slot();
            if let Some(Slot { session: Some(session), .. }) = self.slots.get_mut(slot as usize) {
                session.phase = Phase::Opening { in_line: false };
            }
            self.turn(slot, now, net, |turn| turn.run());
            self.save_memory(now, net);
        }
    }
}
