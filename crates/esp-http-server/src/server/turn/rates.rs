//! How long a peer may keep a session waiting: no single wait may be longer than its timeout, and what
//! drips slower than the least rate doesn't start the time anew with every byte.
//!
//! Towards the server (`Timer::Recv`) the peer has an account of `recv_wait_timeout`. Waits are taken
//! from it, each received byte pays for 1 / `recv_min_rate` of a second, and it never holds more than
//! it began with; what a handler does between two waits costs the peer nothing. The account is the
//! timer while a wait lasts, and `Exchange::recv_spent` between two waits. From the server
//! (`Timer::Send`) bytes wait for nobody but the peer, so the moment of the timer is the account.

use core::time::Duration;

use super::super::Stacks;
use super::super::session::{Phase, Timer};
use super::super::transport::Line;
use super::{Flushed, Step, Turn};
use crate::handler::Wake;
use crate::handler::ws::send_close;
use crate::net::Net;
use crate::proto::ws::frame::CloseCode;

impl<S: Stacks, N: Net> Turn<'_, S, N>
where
    S::Stack: 'static,
{
    /// Somebody waits for the peer, unless it does so already.
    pub(super) fn await_peer(&mut self) {
        let timeout = self.worker.shared.config.recv_wait_timeout;
        let left = timeout.saturating_sub(self.conn().io().recv_spent);
        self.session.timers.start(Timer::Recv, self.now + left);
    }

    /// So many bytes have come: ends a wait, and has them pay for it.
    pub(super) fn end_wait(&mut self, len: usize) {
        let config = &self.worker.shared.config;
        let (timeout, rate) = (config.recv_wait_timeout, config.recv_min_rate);
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        let was_silent = conn.ws.as_ref().is_some_and(|ws| ws.is_between_messages());
        let io = conn.exchange.as_mut().expect("a session that reads has buffers");
        if let Some(at) = self.session.timers.take(Timer::Recv) {
            io.recv_spent = timeout.saturating_sub(at - self.now);
        }
        // The first bytes of a message: to be silent before it was the peer's right.
        if was_silent && io.rx.len() == len {
            io.recv_spent = Duration::ZERO;
        }
        io.pay_for_waits(len, rate);
    }

    /// The peer has kept somebody waiting for too long.
    pub(super) fn recv_timed_out(&mut self) -> Step {
        if let Phase::WebSocket = self.session.phase {
            // In the middle of a frame between two messages, or of a message that nobody reads.
            self.lend();
            send_close(self.conn(), CloseCode::POLICY_VIOLATION, "");
            self.await_close();
            return Step::Again;
        }
        // Who goes on waiting all the same has decided so.
        self.conn().io_mut().recv_spent = Duration::ZERO;
        self.resume(Wake::TimedOut)
    }

    /// How much waits for the peer.
    pub(super) fn backlog_len(&mut self) -> usize {
        let id = self.id();
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        let (exchange, transport) = conn.line();
        let waiting_len = exchange.map_or(0, |exchange| exchange.tx.len());
        waiting_len + Line::new(self.net, id, transport).unsent()
    }

    /// The peer, which has kept bytes waiting, has taken so many of them.
    pub(super) fn put_off_send(&mut self, taken_len: usize) {
        let config = &self.worker.shared.config;
        let latest = self.now + config.send_wait_timeout;
        let timers = &mut self.session.timers;
        if let Some(at) = timers.take(Timer::Send) {
            let at = match config.send_min_rate {
                0 => latest,
                rate => latest.min(at + time_for(taken_len, rate)),
            };
            timers.set(Timer::Send, at);
        }
    }

    /// Nothing was reported for so long that the peer seems not to read; but the system may only have
    /// had too little to report.
    pub(super) fn send_timed_out(&mut self) -> Step {
        self.net.look_again(self.id());
        // So that what is taken now puts it off.
        self.session.timers.set(Timer::Send, self.now);
        let is_lost = matches!(self.flush(), Flushed::Lost);
        if !is_lost && self.session.timers.at(Timer::Send) > self.now {
            return Step::Again;
        }
        self.conn().peer = super::Peer::Gone;
        self.resume(Wake::TimedOut);
        Step::Closed
    }
}

/// How long so many bytes may take at `rate` bytes per second, which is not 0.
pub(in crate::server) fn time_for(len: usize, rate: usize) -> Duration {
    Duration::from_micros((len as u64).saturating_mul(1_000_000) / rate as u64)
}
