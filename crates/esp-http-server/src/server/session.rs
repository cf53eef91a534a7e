//! One client: its identity, what it is doing, and its timers.
//!
//! ```text
//!            accept                 handshake done              whole head
//!   (free) ─────────▶ Opening ───────────────────▶ Head ──────────────────▶ Queued
//!     ▲                  │                        ▲   │ bad head              │ a turn and a stack
//!     │                  │ failed, late           │   ▼                       ▼
//!     └───────────── Closing ◀────────────────────┼─ error ◀──────────── Handling ──▶ Detached
//!                        ▲                        │ body drained             │    │
//!                        │                        └──── Draining ◀───────────┘    │ upgraded
//!                        │ closed by either side                                  ▼
//!                        └──────────────────────────────────────────────── WebSocket ⇄ Queued
//! ```
//!
//! `Detached` is a handler that has moved to another thread, and goes on as `Handling` does. An error
//! handler is queued and handled as any handler is, also from `Head` for a bad head.

use alloc::boxed::Box;
use core::fmt;

use super::conn::Conn;
#[cfg(feature = "std")]
use super::detached::Detached;
use super::routes::Found;
use crate::handler::{Resumed, Task, Wait, Wake, contain};
use crate::time::Instant;

/// A client's name, for as long as it is connected and for ever after: a number that was one
/// client's is never another's, so a late message or close can't reach the wrong one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    worker: u16,
    slot: u32,
    generation: u32,
}

impl SessionId {
    pub(crate) const fn new(worker: u16, slot: u32, generation: u32) -> Self {
        Self { worker, slot, generation }
    }

    pub(crate) const fn worker(self) -> usize {
        self.worker as usize
    }

    pub(crate) const fn slot(self) -> u32 {
        self.slot
    }
}

impl fmt::Display for SessionId {
    /// `worker.slot.generation`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.worker, self.slot, self.generation)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// A row of the session table that is taken.
pub(super) struct Session<S: corosensei::stack::Stack> {
    pub(super) id: SessionId,
    pub(super) phase: Phase<S>,
    /// Absent only inside [`Task`]'s `resume`: then the handler has it. While a detached request has
    /// it, another one stands in for it.
    pub(super) conn: Option<Box<Conn>>,
    /// The handler of its messages, once it is a WebSocket or a hook is asked whether it may be.
    pub(super) ws_handler: Option<Found>,
    pub(super) timers: Timers,
    /// Where it stands among those that may be closed for a new one.
    pub(super) rank: Option<Rank>,
    /// Whether it did something worth a new LRU stamp since the last one.
    pub(super) used: bool,
    /// Whether and when it is looked at again although nothing is reported of it.
    pub(super) again: Option<Again>,
    /// Whether it has a place among those that are.
    pub(super) is_in_line: bool,
    /// Whether the application was told of it.
    pub(super) connected: bool,
    /// Requests so far.
    pub(super) requests: usize,
    /// The turn of the server in which it was accepted.
    pub(super) opened_in: u32,
}

impl<S: corosensei::stack::Stack> Session<S> {
    /// The connection, unless it is a thread's that waits for it.
    pub(super) fn own_conn(&mut self) -> Option<&mut Conn> {
        #[cfg(feature = "std")]
        if self.is_awaited() {
            return None;
        }
        self.conn.as_deref_mut()
    }

    /// Lets a handler that waits run to its end, with nobody left to serve it.
    pub(super) fn abandon_task(&mut self) {
        let Phase::Handling { task, .. } = &mut self.phase else { return };
        let mut ended = false;
        while !ended && let Some(mut conn) = self.conn.take() {
            conn.set_closing();
            self.conn = Some(match task.resume(conn, Wake::Closing) {
                Resumed::Waiting(conn, _) => conn,
                Resumed::Finished(conn, outcome) => {
                    ended = true;
                    // The error in it is the application's.
                    contain(|| drop(outcome));
                    conn
                }
            });
        }
        self.phase = Phase::Closing { shut: true };
    }
}

/// When a session is looked at again before the worker waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// Behind all that are ready.
    Soon,
    /// In a later turn of the server than this one, in which it has had its share.
    Later(u32),
}

/// Which sessions are closed first when a new one needs the place; within a rank, the least recently
/// used. A session that is being served has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// Lingering: all is said.
    Closing,
    /// Has not asked for anything yet.
    New,
    /// Idle between requests, or in the middle of a request's head.
    Http,
    /// WebSocket: losing it is noticed.
    WebSocket,
}

impl Rank {
    pub(super) const COUNT: usize = 4;
}

/// What a task is started for.
#[derive(Clone)]
pub(super) enum Job {
    /// A request, or a WebSocket message.
    Uri(Found),
    /// The hook before a WebSocket's handshake.
    PreHandshake(Found),
    /// The hook behind it.
    PostHandshake(Found),
    /// The failure at hand, which an error handler is to answer; and which handler has failed, if it
    /// was one.
    Failure(Option<Found>),
}

/// Where a session is in its life.
pub(super) enum Phase<S: corosensei::stack::Stack> {
    /// Whatever comes before HTTP: the TLS handshake.
    Opening {
        /// Whether it waits for its turn, see `openings.rs`.
        is_lined_up: bool,
    },
    /// Between requests, or in the middle of a request's head.
    Head,
    /// A whole head or the start of a WebSocket message is there, and waits for its handler's turn.
    Queued { job: Job },
    /// Its handler is under way, and waits for something.
    Handling { task: Task<S>, wait: Wait },
    /// The handler has returned and left its request to another thread.
    #[cfg(feature = "std")]
    Detached(Box<Detached>),
    /// The handler has returned; the rest of the body that it did not read is dropped.
    Draining { left: usize },
    /// Upgraded, between messages.
    WebSocket,
    /// The last bytes leave; then the peer is given a moment to finish.
    Closing { shut: bool },
}

/// What a session may be waiting for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    Handshake,
    Head,
    Idle,
    /// For its handler's turn.
    Queue,
    Recv,
    /// For the rest of a body that nobody wants.
    Purge,
    Send,
    /// A handler's own wait.
    Task,
    Ping,
    Pong,
    Linger,
    /// For what only the opening of the connection needed.
    Settle,
}

/// The moments at which a session's timers go off.
///
/// Of the many timers a session has two running, seldom three. So it has room for those, and only one
/// that ever needs more has a place for each.
#[derive(Debug)]
pub(super) struct Timers {
    /// One bit for each that runs: most questions are about those that don't.
    running: u16,
    /// Which goes off at the moment in the same place; in a free place that is `NEVER`.
    timers: [Timer; FEW],
    moments: [Instant; FEW],
    all: Option<Box<[Instant; Timer::ALL.len()]>>,
}

const FEW: usize = 3;

impl Timer {
    pub(super) const ALL: [Self; 12] = [
        Self::Handshake,
        Self::Head,
        Self::Idle,
        Self::Queue,
        Self::Recv,
        Self::Purge,
        Self::Send,
        Self::Task,
        Self::Ping,
        Self::Pong,
        Self::Linger,
        Self::Settle,
    ];
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self {
            running: 0,
            timers: [Timer::Handshake; FEW],
            moments: [Instant::NEVER; FEW],
            all: None,
        }
    }

    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        self.stop(timer);
        if at == Instant::NEVER {
            return;
        }
        self.running |= 1 << timer as u16;
        if let Some(all) = &mut self.all {
            all[timer as usize] = at;
            return;
        }
        match self.moments.iter().position(|moment| *moment == Instant::NEVER) {
            Some(place) => (self.timers[place], self.moments[place]) = (timer, at),
            None => self.give_each_a_place()[timer as usize] = at,
        }
    }

    #[cold]
    fn give_each_a_place(&mut self) -> &mut [Instant; Timer::ALL.len()] {
        let mut all = Box::new([Instant::NEVER; Timer::ALL.len()]);
        self.timers.iter().zip(self.moments).for_each(|(timer, at)| all[*timer as usize] = at);
        self.all.insert(all)
    }

    /// Where `timer` is, which runs.
    fn place(&self, timer: Timer) -> usize {
        let is_it =
            |&place: &usize| self.timers[place] == timer && self.moments[place] != Instant::NEVER;
        (0..FEW).find(is_it).expect("a timer that runs has a place")
    }

    /// The moment at which `timer` goes off.
    pub(super) fn at(&self, timer: Timer) -> Instant {
        match &self.all {
            _ if !self.is_running(timer) => Instant::NEVER,
            Some(all) => all[timer as usize],
            None => self.moments[self.place(timer)],
        }
    }

    /// Starts `timer` unless it runs already.
    pub(super) fn start(&mut self, timer: Timer, at: Instant) {
        if !self.is_running(timer) {
            self.set(timer, at);
        }
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        if !self.is_running(timer) {
            return;
        }
        self.running &= !(1 << timer as u16);
        match &mut self.all {
            Some(all) => all[timer as usize] = Instant::NEVER,
            None => self.moments[self.place(timer)] = Instant::NEVER,
        }
    }

    pub(super) fn stop_all_but(&mut self, timer: Timer) {
        let at = self.at(timer);
        *self = Self::new();
        self.set(timer, at);
    }

    pub(super) fn is_running(&self, timer: Timer) -> bool {
        self.running & 1 << timer as u16 != 0
    }

    /// The moment at which the first timer goes off.
    pub(super) fn next(&self) -> Instant {
        let moments = match &self.all {
            Some(all) => &all[..],
            None => &self.moments[..],
        };
        moments.iter().copied().min().unwrap_or(Instant::NEVER)
    }

    /// Stops `timer`, and gives the moment at which it would have gone off.
    pub(super) fn take(&mut self, timer: Timer) -> Option<Instant> {
        let at = self.at(timer);
        self.stop(timer);
        (at != Instant::NEVER).then_some(at)
    }

    /// Whether `timer` has gone off; if so it is stopped.
    pub(super) fn take_due(&mut self, timer: Timer, now: Instant) -> bool {
        let is_due = self.at(timer) <= now;
        if is_due {
            self.stop(timer);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn any_number_of_timers_runs_and_each_goes_off_once() {
        for count in 0..=Timer::ALL.len() {
            let mut timers = Timers::new();
            for (index, timer) in Timer::ALL[..count].iter().enumerate() {
                timers.set(*timer, at(100 - index as u64));
                timers.start(*timer, at(1));
            }
            let first = if count == 0 { Instant::NEVER } else { at(101 - count as u64) };
            assert_eq!(timers.next(), first);
            assert_eq!(timers.all.is_some(), count > FEW);
            for (index, timer) in Timer::ALL.into_iter().enumerate() {
                let moment = if index < count { at(100 - index as u64) } else { Instant::NEVER };
                assert_eq!(timers.at(timer), moment, "{timer:?} of {count}");
                assert!(!timers.take_due(timer, at(100 - index as u64 - 1)));
                assert_eq!(timers.take_due(timer, at(100 - index as u64)), index < count);
                assert!(!timers.is_running(timer));
            }
            assert_eq!(timers.next(), Instant::NEVER);
        }
    }

    #[test]
    fn a_place_is_used_again_and_one_timer_can_be_kept() {
        let mut timers = Timers::new();
        for round in 0..5 {
            for timer in Timer::ALL {
                timers.set(timer, at(round));
                timers.stop(timer);
            }
        }
        assert!(timers.all.is_none(), "never more than one ran");
        timers.set(Timer::Send, at(3));
        timers.set(Timer::Ping, at(1));
        timers.set(Timer::Recv, at(2));
        timers.set(Timer::Send, at(4));
        assert!(timers.all.is_none(), "three have room");
        timers.stop_all_but(Timer::Send);
        assert_eq!((timers.next(), timers.at(Timer::Ping)), (at(4), Instant::NEVER));
        assert_eq!(timers.at(Timer::Send), at(4));
    }
}
