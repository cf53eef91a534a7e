//! What others have put into a worker's mailbox, done: between the turns of sessions, with nothing of
//! the application's running in this worker.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::context::{ServerContext, Sessions};
use super::session::{Again, Phase, SessionId};
use super::work::{Mailbox, Order, Work};
use super::{Conn, Server, Slot, Worker};
use crate::handler::ws::{Admission, Completion, Push, Pushed, push};
use crate::handler::{Stacks, WsQueuePolicy, contain};
use crate::net::Net;
use crate::proto::ws::frame::CloseCode;
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
                Work::Broadcast(message, uri) => {
                    for slot in 0..self.slots.len() as u32 {
                        if self.is_ws_of(slot, uri.as_deref()) {
                            let push = Push::Message(message.clone());
                            self.send(slot, push, None, Admission::Asked, now, net);
                        }
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
            shared: &self.worker.shared,
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
            let reach = &self.worker.shared.reach;
            // What is refused is dropped, which may panic as in `obey`.
            let passed_on = contain(|| reach.push(session.worker(), Work::For(session, order)));
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
            Order::Message(message, done) => {
                if self.worker.shared.config.ws_queue_policy == WsQueuePolicy::Refuse {
                    self.worker.mailbox().settle(session, message.frame().len());
                }
                if self.is_ws_of(slot, None) {
                    self.send(slot, Push::Message(message), done, Admission::Granted, now, net);
                }
            }
            Order::Send(bytes) => {
                self.send(slot, Push::Bytes(bytes), None, Admission::Granted, now, net);
            }
            Order::WsClose(code, reason) => {
                self.turn(slot, now, net, |turn| turn.close_ws(code, &reason));
            }
            Order::Transport(transport) => {
                self.turn(slot, now, net, |turn| turn.set_transport(transport));
            }
        }
    }

    /// Whether the session is a WebSocket, one that came to that URI if one is named.
    fn is_ws_of(&self, slot: u32, uri: Option<&str>) -> bool {
        let Some(session) = self.session(slot) else { return false };
        session.conn.as_ref().is_some_and(|conn| conn.ws.is_some())
            && session.ws_handler.as_ref().is_some_and(|of| uri.is_none_or(|uri| *of.uri == *uri))
    }

    /// Puts a message or bytes behind what a session sends; one that does not take what it was sent
    /// is closed, as far as the policy is that.
    fn send<N: Net>(
        &mut self,
        slot: u32,
        push: Push,
        done: Option<Completion>,
        admission: Admission,
        now: Instant,
        net: &mut N,
    ) {
        let Some(Slot { session: Some(session), .. }) = self.slots.get_mut(slot as usize) else {
            return;
        };
        // Nobody knows the name of one that opens, and to one that closes all is said.
        if let Phase::Opening { .. } | Phase::Closing { .. } = session.phase {
            return;
        }
        let Some(conn) = session.conn.as_mut() else { return };
        self.worker.lend(conn);
        session.used = true;
        let limit = self.worker.shared.config.ws_queue_len;
        let is_taken = match (&mut session.phase, &push) {
            #[cfg(feature = "std")]
            (Phase::Detached(detached), Push::Bytes(bytes)) if conn.stands_in() => {
                detached.push(bytes, limit)
            }
            _ if conn.ws.is_some() => {
                self.worker.push(conn, push, done, admission) == Pushed::Taken
            }
            (_, Push::Bytes(bytes)) => conn.io_mut().push(bytes, limit),
            (_, Push::Message(_)) => true,
        };
        if is_taken {
            self.worker.again(session, Again::Soon);
        } else {
            log::debug!(
                "session {}: closing, it does not read (ws_queue_len = {limit})",
                session.id
            );
            self.turn(slot, now, net, |turn| turn.cut_with(CloseCode::POLICY_VIOLATION));
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

impl<S: Stacks> Worker<S> {
    /// Puts a message or bytes behind what a WebSocket sends.
    fn push(
        &mut self,
        conn: &mut Conn,
        what: Push,
        done: Option<Completion>,
        admission: Admission,
    ) -> Pushed {
        let pushed = push(
            conn,
            what,
            done,
            admission,
            #[cfg(feature = "deflate")]
            &mut self.deflater,
        );
        self.tell_waiting_len(conn);
        pushed
    }

    /// Lets others know how much waits for a WebSocket client, where that decides whether they may
    /// send more.
    pub(super) fn tell_waiting_len(&self, conn: &mut Conn) {
        if self.shared.config.ws_queue_policy != WsQueuePolicy::Refuse {
            return;
        }
        let tx_len = conn.exchange.as_ref().map_or(0, |io| io.tx.len());
        let Some(ws) = &mut conn.ws else { return };
        let waiting_len = ws.waiting_len(tx_len);
        if core::mem::replace(&mut ws.told_waiting_len, waiting_len) != waiting_len {
            self.mailbox().note_waiting(conn.id, waiting_len);
        }
    }

    /// Lends a WebSocket's handler the worker's deflater, or takes it back.
    pub(super) fn swap_deflater(&mut self, conn: &mut Conn) {
        #[cfg(feature = "deflate")]
        if let Some(ws) = &mut conn.ws {
            ws.swap_deflater(&mut self.deflater);
        }
        #[cfg(not(feature = "deflate"))]
        let _ = conn;
    }
}

impl<S: Stacks> Sessions for Vec<Slot<S>> {
    fn conn(&mut self, session: SessionId) -> Option<&mut Conn> {
        let row = self.get_mut(session.slot() as usize)?.session.as_mut()?;
        row.conn.as_deref_mut().filter(|conn| conn.id == session)
    }
}
