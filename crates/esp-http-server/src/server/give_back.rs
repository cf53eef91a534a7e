//! What a crowd leaves behind when it goes, and how that is given back: buffers and stacks that are kept
//! for the next session, and the rows of the tables.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Server, Worker};
use crate::handler::Stacks;
use crate::time::Instant;

/// How long something is kept that nobody needs, before it is freed; at most twice that.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// Rows that a table keeps in any case.
const ROWS_KEPT: usize = 64;

impl<S: Stacks> Server<S> {
    /// Frees what nobody has needed for a while.
    pub(super) fn give_back(&mut self, now: Instant) {
        self.shorten_tables();
        let worker = &mut self.worker;
        worker.came_back = false;
        let unneeded_len = worker.spare.surplus().map(|exchange| exchange.kept_len).sum();
        worker.memory.release(unneeded_len);
        let stacks = worker.stacks.free_unneeded();
        let keeps_any = stacks + worker.spare.len() > 0;
        worker.give_back_at = if keeps_any { now + KEPT_FOR } else { Instant::NEVER };
    }

    /// Takes the rows behind the last session out of the tables, if most are not used.
    fn shorten_tables(&mut self) {
        let capacity = self.slots.capacity();
        if capacity <= ROWS_KEPT || self.worker.open > capacity / 4 {
            return;
        }
        let last = self.slots.iter().rposition(|slot| slot.session.is_some());
        let rows = last.map_or(0, |last| last + 1);
        // A row that comes back goes on counting where the furthest has stopped, so that the names of
        // those that were there stay theirs.
        let gone = self.slots[rows..].iter().map(|slot| slot.generation).max();
        self.first_generation = self.first_generation.max(gone.unwrap_or(0));
        shorten(&mut self.slots, rows);
        self.worker.shorten_tables(rows);
    }
}

impl<S: Stacks> Worker<S> {
    /// When to [give back](Server::give_back), if there is something that could be.
    pub(super) fn plan_to_give_back(&mut self, now: Instant) -> Instant {
        if self.came_back && self.give_back_at == Instant::NEVER {
            self.give_back_at = now + KEPT_FOR;
        }
        self.give_back_at
    }

    fn shorten_tables(&mut self, rows: usize) {
        self.deadlines.shorten(rows);
        self.links.shorten(rows);
        self.memory.shorten(rows);
        if let Some(clients) = &mut self.clients {
            clients.shorten(rows);
        }
        self.mailbox().shorten(rows);
    }
}

/// Takes all but so many rows out of a table, and gives back their memory where that is worth it.
pub(super) fn shorten<T>(table: &mut Vec<T>, rows: usize) {
    table.truncate(rows);
    let room = ROWS_KEPT.max(2 * rows);
    if table.capacity() > 2 * room {
        table.shrink_to(room);
    }
}
