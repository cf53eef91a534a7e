//! What a session keeps while its request is detached.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Conn;
use super::session::{Phase, Session};
use crate::handler::{EngineSide, Wait};

/// A request that is with another thread.
pub(super) struct Detached {
    pub(super) thread: EngineSide,
    pub(super) place: Place,
    /// Bytes from elsewhere that came while the connection was away. What the thread has written
    /// meanwhile goes first, or they could land in the middle of it.
    pub(super) pushed: Vec<u8>,
    /// Received bytes that the thread took along and that it may not have read.
    pub(super) unread_len: usize,
    /// Bytes of memory that its buffers held when it went.
    pub(super) away_len: usize,
    /// Whether the response had begun when the connection went away.
    pub(super) had_head: bool,
    /// Whether it is an error handler's request: when that fails, the server answers.
    pub(super) answers_failure: bool,
}

/// Where the connection is.
pub(super) enum Place {
    /// With the thread; the session's own is the one that stands in for it.
    Away,
    /// Here: the thread is blocked until there is what it waits for.
    Here {
        wait: Wait,
        /// Kept for the next time.
        stand_in: Box<Conn>,
    },
}

impl Detached {
    /// Bytes of memory that are held besides the buffers of the session's own connection.
    pub(super) fn held_len(&self) -> usize {
        let other = match &self.place {
            Place::Away => self.away_len,
            Place::Here { stand_in, .. } => {
                stand_in.exchange.as_ref().map_or(0, |exchange| exchange.held_len())
            }
        };
        self.pushed.capacity() + other
    }

    /// Keeps bytes from elsewhere until the connection is back; `false` if there are more than
    /// `limit` already.
    pub(super) fn push(&mut self, bytes: &[u8], limit: usize) -> bool {
        // A single piece always fits, or nothing above the limit could be sent.
        if !self.pushed.is_empty() && self.pushed.len() + bytes.len() > limit {
            return false;
        }
        self.pushed.extend_from_slice(bytes);
        true
    }
}

impl<S: corosensei::stack::Stack> Session<S> {
    /// Whether a thread is blocked until it is given the session's connection.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(&self.phase, Phase::Detached(detached) if matches!(detached.place, Place::Here { .. }))
    }
}

impl<S: corosensei::stack::Stack> Drop for Session<S> {
    /// However a session ends, a thread that waits for its connection is told so, and can still look
    /// at its request.
    fn drop(&mut self) {
        if self.is_awaited()
            && let Phase::Detached(detached) = &self.phase
            && let Some(conn) = self.conn.take()
        {
            detached.thread.end(conn);
        }
    }
}
