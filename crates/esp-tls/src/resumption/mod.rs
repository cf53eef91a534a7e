//! What lets a client shorten its next handshake: session tickets, and sessions known by id.
//!
//! `tickets.rs` holds the keys of tickets and changes them in time, `cache.rs` remembers sessions.
//! Sealing itself is cryptography and in `backend/`.
//!
//! Both are bound to who vouches for clients: a session that was set up under one client CA or mode
//! can't be resumed under another, be it of another server with the same ticket keys, of another
//! choice of a selector, or after a reload. Otherwise a client could bring in an identity that nobody
//! verified here. CRLs are no part of it, because a resumed client is verified again.

mod cache;
mod tickets;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use cache::SessionCache;
pub(crate) use tickets::TicketRing;
pub use tickets::{TicketKey, TicketKeys};

/// Whose clients a resumable session belongs to: a digest of the client CA and its rules.
pub(crate) type Binding = [u8; 32];

/// What a configuration remembers of past sessions, or can read of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resumption {
    pub(crate) tickets: Option<Arc<TicketRing>>,
    pub(crate) cache: Option<Arc<SessionCache>>,
}

impl Resumption {
    /// For a configuration that takes the place of one with `earlier`: what both make up themselves
    /// goes on, so that clients don't notice. Keys that the application gave are the new ones.
    pub(crate) fn following(&self, earlier: &Resumption) -> Resumption {
        let tickets = match (&self.tickets, &earlier.tickets) {
            (Some(new), Some(old)) if new.is_rotating() && old.is_rotating() => Some(old),
            (new, _) => new.as_ref(),
        };
        let cache = match (&self.cache, &earlier.cache) {
            (Some(new), Some(old)) if new.max_len() == old.max_len() => Some(old),
            (new, _) => new.as_ref(),
        };
        Resumption { tickets: tickets.cloned(), cache: cache.cloned() }
    }
}

/// How many handshakes a configuration has completed; failed ones are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandshakeCounts {
    /// Full handshakes.
    pub full: usize,
    /// Handshakes that resumed a session, by a ticket or an id.
    pub resumed: usize,
}

/// The counters behind [`HandshakeCounts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    full: AtomicUsize,
    resumed: AtomicUsize,
}

/// How a handshake came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeKind {
    Full,
    Resumed,
}

impl Counters {
    pub(crate) fn count(&self, kind: HandshakeKind) {
        let counter = match kind {
            HandshakeKind::Full => &self.full,
            HandshakeKind::Resumed => &self.resumed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> HandshakeCounts {
        HandshakeCounts {
            full: self.full.load(Ordering::Relaxed),
            resumed: self.resumed.load(Ordering::Relaxed),
        }
    }
}
