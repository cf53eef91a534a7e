//! What others have put into a worker's mailbox, done: between the turns of sessions, with nothing of
//! the application's running in this worker.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::context::{ServerContext, Sessions};
use super::session::{Phase, SessionId};
use super::work::{Mailbox, Order, Work};
use super::{Conn, Server, Slot};
use crate::handler::ws::queue_frame;
use crate::handler::{Stacks, contain};
use crate::net::Net;
use crate::time::Instant;

impl<S: Stacks> Server<S>
where
    S::Stack: 'static,
{
    /// Does what others have queued.
    pub(super) fn do_work<N: Net>(
        &mut self,
        take: impl FnOnce(&Mailbox, &mut VecDeque<Work>),
        now: Instant,
        net: &mut N,
    ) {
        let mut batch = core::mem::take(&mut self.batch);
        take(self.worker.mailbox(), &mut batch);
        for work in batch.drain(..) {
            match work {
                Work::Run(function) => self.run(function, now, net),
                Work::For(session, order) => self.obey(session, order, now, net),
                #[cfg(feature = "std")]
                Work::Return(back) => {
                    // One whose session has ended finds its own way when it is dropped.
                    if self.is_current(back.session()) {
                        let slot = back.session().slot();
                        self.turn(slot, now, net, |turn| turn.come_back(back));
                    }
                }
                Work::Broadcast(frame) => {
                    for slot in 0..self.slots.len() as u32 {
                        self.send_frame(slot, frame.clone(), now, net);
                    }
                }
            }
        }
        self.batch = batch;
    }

    /// Runs a work function, and does what it has asked for or passes it on to the worker that can.
    fn run<N: Net>(
        &mut self,
        function: impl FnOnce(&mut ServerContext<'_>),
        now: Instant,
        net: &mut N,
    ) {
        let mut orders = Vec::new();
        let mut context = ServerContext {
            handle: &self.handle(),
            now,
            sessions: &mut self.slots,
            orders: &mut orders,
        };
        if contain(|| function(&mut context)).is_none() {
            log::error!("a queued work function panicked");
        }
        for (session, order) in orders {
            if session.worker() == usize::from(self.worker.number) {
                self.obey(session, order, now, net);
                continue;
            }
            let shared = &self.worker.shared;
            // What is refused is dropped, which may panic as in `obey`.
            let passed_on = contain(|| shared.push(session.worker(), Work::For(session, order)));
            if let Some(Err(error)) = passed_on {
                log::warn!("session {session}: {error}");
            }
        }
    }

    /// Does what somebody has asked for a session, if that is still there.
    fn obey<N: Net>(&mut self, session: SessionId, order: Order, now: Instant, net: &mut N) {
        if !self.is_current(session) {
            // It may be the application's, and panic when it is dropped.
            contain(|| drop(order));
            return;
        }
        let slot = session.slot();
        match order {
            Order::Close => self.close(slot, now, net),
            Order::Touch => self.touch(slot),
            Order::Frame(frame) => self.send_frame(slot, frame, now, net),
            Order::Send(bytes) => self.send(slot, bytes, now, net),
            Order::Transport(transport) => {
                self.turn(slot, now, net, |turn| turn.set_transport(transport));
            }
        }
    }

    /// Sends a frame to a session that is a WebSocket.
    fn send_frame<N: Net>(&mut self, slot: u32, frame: Arc<[u8]>, now: Instant, net: &mut N) {
        let session = self.slots.get(slot as usize).and_then(|slot| slot.session.as_ref());
        let conn = session.and_then(|session| session.conn.as_ref());
        if conn.is_some_and(|conn| conn.ws.is_some()) {
            self.send(slot, frame, now, net);
        }
    }

    /// Puts bytes behind what a session sends; one that does not take what it was sent is closed.
    fn send<N: Net>(&mut self, slot: u32, bytes: Arc<[u8]>, now: Instant, net: &mut N) {
        let Some(Slot { session: Some(session), .. }) = self.slots.get_mut(slot as usize) else {
            return;
        };
        // Nobody knows the name of one that opens, and to one that closes all is said.
        if let Phase::Opening | Phase::Closing { .. } = session.phase {
            return;
        }
        let Some(conn) = session.conn.as_mut() else { return };
        self.worker.lend(conn);
        session.used = true;
        let limit = self.worker.shared.config.ws_queue_len;
        let queued = match &mut session.phase {
            #[cfg(feature = "std")]
            Phase::Detached(detached) if conn.stands_in() => detached.push(&bytes, limit),
            _ if conn.ws.is_some() => queue_frame(conn, bytes),
            _ => conn.io_mut().push(&bytes, limit),
        };
        if queued {
            self.worker.again(session);
        } else {
            log::debug!(
                "session {}: closing, it does not read (ws_queue_len = {limit})",
                session.id
            );
            self.close(slot, now, net);
        }
    }

    /// Makes a session the most recently used of those that may be closed for a new one.
    fn touch(&mut self, slot: u32) {
        if let Some(Slot { session: Some(session), .. }) = self.slots.get_mut(slot as usize) {
            let rank = session.rank;
            session.used = true;
            self.worker.set_rank(session, rank);
        }
    }
}

impl<S: Stacks> Sessions for Vec<Slot<S>> {
    fn conn(&mut self, session: SessionId) -> Option<&mut Conn> {
        let row = self.get_mut(session.slot() as usize)?.session.as_mut()?;
        row.conn.as_deref_mut().filter(|conn| conn.id == session)
    }
}
