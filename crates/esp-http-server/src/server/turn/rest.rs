//! What happens to a session without its peer's doing: timers go off, and a session that waits gives
//! back what it does not need.

use core::time::Duration;

use super::super::Stacks;
use super::super::memory::Worth;
use super::super::session::{Phase, Rank, Session, Timer};
use super::super::transport::Line;
use super::{Fate, Step, Turn};
use crate::handler::ws::{Closing, send_ping};
use crate::handler::{Failure, Wait, Wake};
use crate::net::Net;
use crate::proto::status::Status;

/// The shortest time there is.
const TICK: Duration = Duration::from_micros(1);

/// How long a session has to go on until its transport settles: longer than a client that comes for one
/// answer takes to leave, and short, so that of a crowd that comes at once few hold more than they need.
const SETTLE_AFTER: Duration = Duration::from_millis(100);

impl<S: Stacks, N: Net> Turn<'_, S, N>
where
    S::Stack: 'static,
{
    /// Lets timers go off that are due, then moves the session on.
    pub(in crate::server) fn run_timers(&mut self) -> Fate {
        if let Phase::Opening { is_lined_up: true } = self.session.phase {
            // What it has sent is there, and nobody has looked at it. It is late behind that.
            self.set_deadline();
            return Fate::Open;
        }
        // Nor has anybody looked at all that a session has sent that is in line for more. What it could
        // put off by sending on and on is due all the same.
        let waits = self.session.has_had_its_share();
        // Each timer once: one that is set anew for this very moment waits for the next turn, or a
        // handler that sleeps for no time at all would never let go of the worker.
        for timer in Timer::ALL {
            if waits && !matches!(timer, Timer::Send | Timer::Linger) {
                continue;
            }
            if self.session.timers.take_due(timer, self.now) && self.on_timer(timer) == Step::Closed
            {
                self.end_task();
                return Fate::Closed;
            }
        }
        if waits {
            self.rest();
            return Fate::Open;
        }
        self.run()
    }

    fn on_timer(&mut self, timer: Timer) -> Step {
        let id = self.session.id;
        if timer != Timer::Task {
            log::debug!("session {id}: {timer:?} timer");
        }
        match timer {
            Timer::Handshake => {
                let error = self.net.open_timed_out(self.id());
                self.open_failed(&error);
                Step::Closed
            }
            Timer::Head => self.bad_head(Failure::new(Status::REQUEST_TIMEOUT)),
            Timer::Queue => self.queued_too_long(),
            Timer::Recv => self.recv_timed_out(),
            Timer::Purge => self.begin_closing(),
            Timer::Send => self.send_timed_out(),
            Timer::Task => self.resume(Wake::Ready),
            // A handler is at work on what the peer has sent.
            Timer::Ping | Timer::Pong if !self.is_listening() => Step::Again,
            Timer::Ping => {
                self.lend();
                send_ping(self.conn());
                let keep_alive = self.worker.shared.hooks.ws_keep_alive;
                if let Some(keep_alive) = keep_alive {
                    self.session.timers.set(Timer::Pong, self.now + keep_alive.close_after);
                }
                Step::Again
            }
            Timer::Settle => {
                self.net.settle(self.id());
                Step::Again
            }
            Timer::Idle | Timer::Pong | Timer::Linger => Step::Closed,
        }
    }

    /// The session waits: sets its timers, gives back what it does not need, takes its LRU place.
    pub(super) fn rest(&mut self) {
        let rank = match self.session.phase {
            Phase::Opening { .. } => Some(Rank::New),
            Phase::Head => self.rest_in_head(),
            Phase::WebSocket => Some(self.rest_as_ws()),
            Phase::Closing { shut: true } => Some(Rank::Closing),
            Phase::Handling { wait: Wait::For(_), .. } => {
                self.ping_in_time();
                None
            }
            _ => None,
        };
        let session = &mut *self.session;
        if let Phase::Head | Phase::WebSocket = session.phase
            && let Some(conn) = &mut session.conn
            && conn.exchange.as_ref().is_some_and(|exchange| exchange.is_idle())
        {
            self.worker.reclaim(conn);
        }
        self.worker.set_rank(session, rank);
        if let Phase::Head | Phase::WebSocket = self.session.phase
            && self.net.can_settle(self.id())
        {
            self.session.timers.start(Timer::Settle, self.now + SETTLE_AFTER);
        }
        self.weigh(rank);
        self.set_deadline();
    }

    /// Has the timers looked at when the first one goes off. What is due now comes up in the next turn, not
    /// again in this one.
    fn set_deadline(&mut self) {
        let next = self.session.timers.next().max(self.now + TICK);
        self.worker.deadlines.at_most(self.session.id.slot(), next);
    }

    /// Says what the session holds, now that it waits.
    fn weigh(&mut self, rank: Option<Rank>) {
        let id = self.id();
        let conn = self.session.conn.as_ref().expect("a resting session has its connection");
        let buffers = conn.exchange.as_ref().map_or(0, |exchange| exchange.held_len());
        let queue = conn.ws.as_ref().map_or(0, |ws| ws.kept_len());
        let worth = match rank {
            Some(Rank::Closing | Rank::New | Rank::Http) => Worth::Dispensable,
            Some(Rank::WebSocket) | None => Worth::Served,
        };
        let held_len = buffers + queue + self.net.buffered(id);
        #[cfg(feature = "std")]
        let held_len = match &self.session.phase {
            Phase::Detached(detached) => held_len + detached.held_len(),
            _ => held_len,
        };
        self.worker.memory.note(id.0, held_len, worth);
    }

    /// Between requests or in the middle of a head: which of the two, and whether the session may
    /// be closed for a new one.
    fn rest_in_head(&mut self) -> Option<Rank> {
        let config = &self.worker.shared.config;
        let (idle_timeout, head_timeout) = (config.idle_timeout, config.head_timeout);
        let id = self.id();
        let Session { conn, timers, again, requests, .. } = &mut *self.session;
        let conn = conn.as_mut().expect("a resting session has its connection");
        let (exchange, transport) = conn.line();
        let waiting = exchange.as_ref().map_or(0, |exchange| exchange.tx.len());
        let is_sending = waiting + Line::new(self.net, id, transport).unsent() > 0;
        if exchange.is_some_and(|exchange| exchange.head.has_begun()) {
            timers.stop(Timer::Idle);
            timers.start(Timer::Head, self.now + head_timeout);
        } else {
            timers.stop(Timer::Head);
            match is_sending {
                true => timers.stop(Timer::Idle),
                false => timers.start(Timer::Idle, self.now + idle_timeout),
            }
        }
        let rank = if *requests > 0 { Rank::Http } else { Rank::New };
        (again.is_none() && !is_sending).then_some(rank)
    }

    fn rest_as_ws(&mut self) -> Rank {
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        self.worker.tell_waiting_len(conn);
        if conn.ws.as_ref().is_none_or(|ws| ws.closing() != Closing::No) {
            return Rank::Closing;
        }
        self.ping_in_time();
        Rank::WebSocket
    }

    /// Has a WebSocket client pinged when nothing has come from it for long enough.
    fn ping_in_time(&mut self) {
        let keep_alive = self.worker.shared.hooks.ws_keep_alive;
        if let Some(keep_alive) = keep_alive
            && self.is_listening()
            && !self.session.timers.is_running(Timer::Pong)
        {
            self.session.timers.start(Timer::Ping, self.now + keep_alive.ping_every);
        }
    }

    /// Whether the answer to a ping would be heard: between messages, and while a handler sleeps that
    /// has left nothing unread.
    fn is_listening(&self) -> bool {
        let conn = self.session.conn.as_ref();
        let Some(ws) = conn.and_then(|conn| conn.ws.as_ref()) else { return false };
        match self.session.phase {
            Phase::WebSocket => true,
            Phase::Handling { wait: Wait::For(_), .. } => {
                let exchange = conn.and_then(|conn| conn.exchange.as_ref());
                ws.closing() == Closing::No && exchange.is_some_and(|io| io.rx.is_empty())
            }
            _ => false,
        }
    }
}
