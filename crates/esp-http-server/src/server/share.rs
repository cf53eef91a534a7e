//! What a session may do before others have their turn, and those that wait for theirs.
//!
//! A session that is ready begins at once, but gets little of a turn. If that is not enough it gets in
//! line for more, and then in line for more again, behind others that took as much: so who asks for a page,
//! or sends a form, waits for none of a crowd that sends without pause.

use alloc::collections::VecDeque;

use super::session::{Again, Session};
use super::turn::Used;
use super::{Server, Slot, Stacks, Worker};
use crate::net::{Net, NetId};
use crate::time::Instant;

/// What may be done in a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// Bytes to receive. Handlers work on them, where what is sent is only copied: 16 kB of WebSocket fragments
    /// of a byte each, or of chunks for a handler that reads a byte at a time, are thousands of reads.
    pub(super) recv_len: usize,
    /// Requests and WebSocket messages to begin.
    pub(super) requests: usize,
}

/// What is shared in a turn by those that are ready, if their least shares are not more, and by those of each
/// line: half a millisecond of reads of one byte on a large machine, where a new client waits for two or three
/// turns.
pub(super) const BUDGET: Share = Share { recv_len: 16 * 1024, requests: 64 };
/// The least share of one that is ready: so little that a crowd's first words keep nobody waiting, and enough
/// to see that nothing follows a request.
pub(super) const READY_SHARE: Share = Share { recv_len: 2048, requests: 2 };
/// The least share of one in line. They take turns instead: who reads a lot at once has the peer send large
/// segments, and answers them with few.
pub(super) const AGAIN_SHARE: Share = Share { recv_len: 16 * 1024, requests: 8 };
/// Bytes for one that is alone: whoever comes meanwhile waits.
pub(super) const LONE_RECV_LEN: usize = 32 * 1024;

/// Steps for the sessions of a line, which may be long without any bytes: of what is inflated and dropped, say.
const LINE_STEPS: usize = 512;

/// Sessions that have more to do and let others go first, each at most once.
#[derive(Default)]
pub(super) struct InLine {
    /// Those that have had the share of one that is ready, or got something to send from elsewhere.
    first: VecDeque<u32>,
    /// Those that have had more than that.
    rest: VecDeque<u32>,
    /// Whether it is these that are being served.
    are_served: bool,
}

impl InLine {
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    /// Takes out a session that ends.
    pub(super) fn remove(&mut self, slot: u32) {
        for line in [&mut self.first, &mut self.rest] {
            if let Some(at) = line.iter().position(|in_line| *in_line == slot) {
                line.remove(at);
            }
        }
    }
}

impl<S: Stacks> Worker<S> {
    /// What each of so many sessions may do.
    pub(super) fn share_of(&self, busy: usize, least: Share) -> Share {
        let most = self.shared.config.max_requests_per_turn.max(1);
        let share = match busy {
            0 => least,
            1 => Share { recv_len: LONE_RECV_LEN, ..BUDGET },
            _ => Share {
                recv_len: (BUDGET.recv_len / busy).max(least.recv_len),
                requests: (BUDGET.requests / busy).max(least.requests),
            },
        };
        Share { requests: share.requests.min(most), ..share }
    }

    /// Has a session looked at again before the worker waits.
    pub(super) fn again(&mut self, session: &mut Session<S::Stack>, when: Again) {
        if !session.has_had_its_share() {
            session.again = Some(when);
        }
        if core::mem::replace(&mut session.is_in_line, true) {
            return;
        }
        match when {
            Again::Later(_) if self.in_line.are_served => &mut self.in_line.rest,
            _ => &mut self.in_line.first,
        }
        .push_back(session.id.slot());
    }
}

impl<S: corosensei::stack::Stack> Session<S> {
    /// Whether it has used up what it may do, and waits for more.
    pub(super) fn has_had_its_share(&self) -> bool {
        matches!(self.again, Some(Again::Later(_)))
    }
}

impl<S: Stacks> Server<S>
where
    S::Stack: 'static,
{
    /// How many sessions have something to do.
    pub(super) fn count_busy(&self, ready: &[NetId]) -> usize {
        let in_line = self.worker.in_line.len();
        if in_line == 0 {
            return ready.len();
        }
        let is_in_line = |id: &&NetId| self.session(id.0).is_some_and(|session| session.is_in_line);
        in_line + ready.len() - ready.iter().filter(is_in_line).count()
    }

    /// Moves a session on that is ready, if it is not in line for more already.
    pub(super) fn run_ready<N: Net>(&mut self, id: NetId, now: Instant, net: &mut N) {
        if self.session(id.0).is_some_and(|session| !session.has_had_its_share()) {
            self.turn(id.0, now, net, |turn| turn.run());
            self.save_memory(now, net);
        }
    }

    /// Lets sessions in line go on, as many as fit a turn, of each line at least one. Those that are left
    /// come first in the next turn.
    pub(super) fn run_again<N: Net>(&mut self, busy: usize, now: Instant, net: &mut N) {
        let share = self.worker.share;
        self.worker.share = self.worker.share_of(busy, AGAIN_SHARE);
        self.worker.in_line.are_served = true;
        self.run_line(|in_line| &mut in_line.first, now, net);
        self.run_line(|in_line| &mut in_line.rest, now, net);
        self.worker.in_line.are_served = false;
        self.worker.share = share;
    }

    fn run_line<N: Net>(
        &mut self,
        line: fn(&mut InLine) -> &mut VecDeque<u32>,
        now: Instant,
        net: &mut N,
    ) {
        let mut used = Used::default();
        for _ in 0..line(&mut self.worker.in_line).len() {
            if used.is_beyond(BUDGET) || used.steps >= LINE_STEPS {
                return;
            }
            let Some(number) = line(&mut self.worker.in_line).pop_front() else { return };
            let Some(Slot { session: Some(session), .. }) = self.slots.get_mut(number as usize)
            else {
                continue;
            };
            if session.again == Some(Again::Later(self.worker.turns)) {
                line(&mut self.worker.in_line).push_back(number);
                continue;
            }
            session.is_in_line = false;
            // It may have gone on since.
            if session.again.is_some() {
                used += self.turn(number, now, net, |turn| turn.run());
                self.save_memory(now, net);
            }
        }
    }
}
