//! The connections that wait to be accepted, at one listener or several.

use crate::front::Listener;
use crate::time::Instant;

/// The listeners of a worker, and what is known about their backlogs.
#[derive(Debug)]
pub(super) struct Backlogs {
    all: Vec<Backlog>,
    /// The one that is asked next. They take turns, so that a busy one can't keep the clients of the
    /// others waiting.
    next: usize,
    /// There is nothing to hold another connection with until a socket is closed. Other parts of the
    /// program may give something back, unseen, so the moment also comes by itself.
    paused_until: Option<Instant>,
}

#[derive(Debug)]
struct Backlog {
    listener: Listener,
    /// Whether connections wait, or did when last heard of. Stays so while the engine does not ask,
    /// as no second edge would tell.
    waits: bool,
}

impl Backlogs {
    pub(super) fn new(listeners: Vec<Listener>) -> Self {
        let all = listeners.into_iter().map(|listener| Backlog { listener, waits: false });
        Self { all: all.collect(), next: 0, paused_until: None }
    }

    /// Connections wait at the listener of that number, from 0. Says whether they are worth a try.
    pub(super) fn reported(&mut self, index: usize) -> bool {
        if let Some(backlog) = self.all.get_mut(index) {
            backlog.waits = true;
        }
        self.paused_until.is_none()
    }

    /// Whose turn it is to give a connection, if anybody may have one.
    pub(super) fn turn(&self) -> Option<(usize, &Listener)> {
        if self.paused_until.is_some() {
            return None;
        }
        let (before, from_next) = self.all.split_at(self.next.min(self.all.len()));
        let in_turn = (self.next..).zip(from_next).chain((0..).zip(before));
        let mut waiting = in_turn.filter(|(_, backlog)| backlog.waits);
        waiting.next().map(|(index, backlog)| (index, &backlog.listener))
    }

    /// A listener has given a connection; the next one is due.
    pub(super) fn given(&mut self, index: usize) {
        self.next = index + 1;
    }

    /// A listener has no more of them.
    pub(super) fn emptied(&mut self, index: usize) {
        self.all[index].waits = false;
    }

    /// Leaves connections where they are until then.
    pub(super) fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    /// When to try again, if there is a pause.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Something to hold a connection with was given back, or may have been.
    pub(super) fn resume(&mut self) {
        self.paused_until = None;
    }

    /// Closes the listeners.
    pub(super) fn close(&mut self) {
        self.all.clear();
        self.resume();
    }

    /// Whether connections are known to wait at a listener.
    #[cfg(test)]
    pub(super) fn waits(&self, index: usize) -> bool {
        self.all[index].waits
    }
}
