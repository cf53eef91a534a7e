//! What the engine goes on with while a detached request has the connection: one that stands in for
//! it.
//!
//! The peer does not know that the connection is away. So the stand-in receives what comes, within a
//! bound, and sends what waits to be sent; with the session's transport, if it has one. When the
//! connection is back it gets all of that.

use super::{Conn, Exchange};
use crate::handler::contain;

impl Conn {
    /// A connection of the same session that can stand in for this one, once it has buffers.
    pub(in crate::server) fn stand_in(&self) -> Self {
        let mut stand_in = Self::new(self.id, self.peer_addr, self.shared.clone());
        stand_in.stands_in = true;
        stand_in.entrance = self.entrance.clone();
        stand_in
    }

    /// Whether it stands in for one that is away.
    pub(in crate::server) fn stands_in(&self) -> bool {
        self.stands_in
    }

    /// Goes away: leaves to `stand_in` what can go on meanwhile.
    pub(in crate::server) fn leave(&mut self, stand_in: &mut Self) {
        stand_in.peer = self.peer;
        stand_in.keep_alive = true;
        if let Some(attached) = &mut self.attached
            && let Some(transport) = attached.transport.take()
        {
            stand_in.attached().transport = Some(transport);
        }
        let (here, there) = (self.io_mut(), stand_in.io_mut());
        core::mem::swap(&mut here.tx, &mut there.tx);
        here.tx_ahead_len = there.tx.len();
    }

    /// Comes back: takes over what `stand_in` has done meanwhile. Says how many bytes it has received.
    pub(in crate::server) fn rejoin(&mut self, stand_in: &mut Self) -> usize {
        self.peer = stand_in.peer;
        self.keep_alive &= stand_in.keep_alive;
        let transport = stand_in.attached.as_mut().and_then(|attached| attached.transport.take());
        if let Some(transport) = transport {
            // One that it was given while it was away is the newer one.
            match &mut self.attached().transport {
                Some(_) => drop(contain(|| drop(transport))),
                none => *none = Some(transport),
            }
        }
        self.io_mut().rejoin(stand_in.io_mut())
    }
}

impl Exchange {
    fn rejoin(&mut self, stand_in: &mut Self) -> usize {
        let received_len = stand_in.rx.len();
        self.rx.storage().extend_from_slice(stand_in.rx.as_slice());
        // What was there before goes first.
        if !stand_in.tx.is_empty() {
            stand_in.tx.storage().extend_from_slice(self.tx.as_slice());
            core::mem::swap(&mut self.tx, &mut stand_in.tx);
        }
        self.tx_ahead_len = 0;
        stand_in.discard();
        received_len
    }
}
