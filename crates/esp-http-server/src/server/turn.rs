//! The turn of one session: as far as it comes without waiting, within a budget.
//!
//! Each phase has one method, which moves the session on and says how: [`Step::Again`] if there may
//! be more to do, [`Step::Rest`] if the session must wait, [`Step::Closed`] if it has ended. The
//! diagram of the phases is in `session.rs`. What concerns handlers is in `turn/handler.rs`, detached
//! requests in `turn/detached.rs`, WebSockets in `turn/web_socket.rs`, errors that are answered in
//! `turn/errors.rs`; timers, and what a waiting session gives back, in `turn/rest.rs`; how long a peer
//! may take in `turn/rates.rs`.

use alloc::boxed::Box;
use alloc::string::ToString;
use core::ops::AddAssign;

use super::conn::{Conn, Peer};
use super::event::Notice;
use super::router::Routed;
use super::session::{Again, Job, Phase, Session, Timer};
use super::share::Share;
use super::transport::{Line, SessionTransport, Still};
use super::uri_handler::Handler;
use super::{Stacks, Worker};
use crate::handler::ws::release;
use crate::handler::{Failure, contain, write_simple};
use crate::net::{Net, NetError, NetId, TxBuf};
use crate::proto::head::Parsed;
use crate::proto::method::MethodSet;
use crate::proto::status::Status;
use crate::proto::ws::frame::CloseCode;
use crate::time::Instant;

#[cfg(feature = "std")]
mod detached;
mod errors;
mod handler;
mod rates;
mod rest;
mod web_socket;

pub(super) use rates::time_for;

/// One session, its worker and the network, for the length of a turn.
pub(super) struct Turn<'a, S: Stacks, N> {
    pub(super) session: &'a mut Session<S::Stack>,
    pub(super) worker: &'a mut Worker<S>,
    pub(super) net: &'a mut N,
    pub(super) now: Instant,
    pub(super) used: Used,
}

/// What a session has used up of its turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) steps: usize,
    /// Requests and WebSocket messages that were begun.
    requests: usize,
    /// Bytes that were received and sent.
    len: usize,
    /// Bytes that were received.
    received: usize,
}

impl Used {
    /// Whether that is `share`, or more than one session moves in a turn.
    pub(super) fn is_beyond(self, share: Share) -> bool {
        let Self { requests, len, received, .. } = self;
        received >= share.recv_len || requests >= share.requests || len >= TURN_LEN
    }
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Used) {
        self.steps += other.steps;
        self.requests += other.requests;
        self.len += other.len;
        self.received += other.received;
    }
}

/// What became of a session in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Closed,
}

/// How a phase has moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Again,
    Rest,
    Closed,
}

enum Flushed {
    All,
    Blocked,
    Lost,
}

enum Arrived {
    Some,
    Nothing,
    Finished,
    Lost,
}

/// Steps of one session before others have their turn, besides one for each request.
const TURN_STEPS: usize = 32;
/// Bytes that one session receives and sends before others have their turn. The step that goes beyond
/// is finished: it may send what the system takes at once. What it may receive is less, the more others
/// there are: `Worker::share`.
const TURN_LEN: usize = 128 * 1024;

impl<S: Stacks, N: Net> Turn<'_, S, N>
where
    S::Stack: 'static,
{
    /// Moves the session on as far as it comes.
    pub(super) fn run(&mut self) -> Fate {
        self.session.again = None;
        while !self.is_used_up() {
            self.used.steps += 1;
            let step = match self.session.phase {
                Phase::Opening { .. } => self.opening(),
                Phase::Head => self.head(),
                Phase::Queued { .. } => self.queued(),
                Phase::Handling { wait, .. } => self.handling(wait),
                #[cfg(feature = "std")]
                Phase::Detached(_) => self.detached(),
                Phase::Draining { left } => self.draining(left),
                Phase::WebSocket => self.web_socket(),
                Phase::Closing { shut } => self.closing(shut),
            };
            match step {
                Step::Again => {}
                Step::Rest => {
                    self.rest();
                    return Fate::Open;
                }
                Step::Closed => {
                    self.end_task();
                    return Fate::Closed;
                }
            }
        }
        self.worker.again(self.session, Again::Later(self.worker.turns));
        self.rest();
        Fate::Open
    }

    fn is_used_up(&self) -> bool {
        let Used { steps, requests, .. } = self.used;
        self.used.is_beyond(self.worker.share) || steps >= TURN_STEPS + requests
    }

    /// Before HTTP: the TLS handshake.
    fn opening(&mut self) -> Step {
        match self.net.open(self.id()) {
            Ok(()) => {
                self.session.timers.stop(Timer::Handshake);
                self.opened()
            }
            Err(NetError::WouldBlock) => Step::Rest,
            // Whoever leaves without a word, a port scanner or a browser's preconnection, has not
            // failed at anything.
            Err(NetError::Closed) => Step::Closed,
            Err(error) => {
                self.open_failed(&error);
                self.session.timers.stop(Timer::Handshake);
                self.linger()
            }
        }
    }

    /// The connection is open: a session begins, unless the application refuses it.
    fn opened(&mut self) -> Step {
        let (id, net_id) = (self.session.id, self.id());
        let local_addr = self.net.local_addr(net_id);
        let entrance = self.worker.entrances.share(local_addr, self.net.transport_ctx(net_id));
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        conn.set_entrance(entrance);
        // Before the hook, so that others can do something with the name that it may give them.
        self.worker.mailbox().session_opened(id);
        if !self.worker.shared.hooks.admit(conn) {
            self.worker.mailbox().session_closed(id);
            return Step::Closed;
        }
        self.session.connected = true;
        self.worker.observer.notice(Notice::Connected(conn.notice()));
        self.session.phase = Phase::Head;
        Step::Again
    }

    fn open_failed(&mut self, error: &(dyn core::error::Error + 'static)) {
        let peer = self.conn().peer_addr;
        match peer {
            Some(peer) => log::debug!("connection from {peer} failed to open: {error}"),
            None => log::debug!("a connection failed to open: {error}"),
        }
        self.notice(Notice::OpenFailed { session: self.session.id, peer, error });
    }

    /// Between requests, or in the middle of a head.
    fn head(&mut self) -> Step {
        self.lend();
        let limits = self.worker.shared.config.head_limits();
        let high = self.worker.shared.config.send_high();
        loop {
            let io = self.conn().io_mut();
            let may_answer = io.tx.len() < high;
            if may_answer && !io.rx.is_empty() {
                match io.head.parse(io.rx.as_slice(), &limits) {
                    Ok(Parsed::Complete { len }) => {
                        io.rx.consume(len);
                        return self.request();
                    }
                    Ok(Parsed::Partial) => {}
                    Err(error) => {
                        let text = alloc::format!("{error}");
                        return self.bad_head(Failure::with_text(error.status(), text));
                    }
                }
            }
            match self.flush() {
                Flushed::Lost => return Step::Closed,
                Flushed::Blocked if !may_answer => return Step::Rest,
                _ if !may_answer => continue,
                _ => {}
            }
            if self.is_used_up() {
                return Step::Again;
            }
            match self.recv() {
                Arrived::Some => {}
                Arrived::Nothing if self.worker.stop_at.is_none() => return Step::Rest,
                Arrived::Nothing if self.conn().io().head.has_begun() => return Step::Rest,
                Arrived::Nothing | Arrived::Finished => return self.begin_closing(),
                Arrived::Lost => return Step::Closed,
            }
        }
    }

    /// A whole head is there.
    fn request(&mut self) -> Step {
        self.session.used = true;
        self.session.timers.stop(Timer::Head);
        self.session.timers.stop(Timer::Idle);
        self.session.requests += 1;
        self.used.requests += 1;
        self.worker.tell_traffic(Notice::OnHeader(self.session.id));
        let last = self.worker.stop_at.is_some()
            || self.session.requests >= self.worker.shared.config.max_requests_per_session;
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        conn.keep_alive = !last && conn.io().head.keep_alive();
        conn.io_mut().begin();
        if self.worker.memory.is_short() {
            log::debug!("session {}: refusing its request, too little memory", self.session.id);
            return self.unavailable();
        }
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        let head = &conn.io().head;
        match self.worker.route(head.method(), head.path()) {
            Some(Routed::To(found)) => match found.handler {
                Handler::Http(_) => self.start(Job::Uri(found)),
                Handler::WebSocket(_) => self.upgrade(found),
            },
            Some(Routed::NotFound) => self.fail(Failure::new(Status::NOT_FOUND)),
            Some(Routed::MethodNotAllowed(methods)) => {
                self.field("Allow", &methods.to_string());
                self.fail(Failure::new(Status::METHOD_NOT_ALLOWED))
            }
            Some(Routed::Options(methods)) => self.options(methods),
            None => self.fail(Failure::new(Status::INTERNAL_SERVER_ERROR)),
        }
    }

    /// Says what the resource can be asked for (RFC 9110, section 9.3.7).
    fn options(&mut self, methods: MethodSet) -> Step {
        self.field("Allow", &methods.to_string());
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        self.worker.stamp(conn, self.now);
        write_simple(conn, Status::NO_CONTENT, "");
        self.worker.tell_of_response(self.session.id, Status::NO_CONTENT);
        self.after_response()
    }

    /// The whole response is written.
    fn after_response(&mut self) -> Step {
        let left = self.worker.shared.config.purge_len;
        let conn = self.conn();
        if !conn.keep_alive {
            return self.begin_closing();
        }
        let io = conn.io_mut();
        if io.body.is_done() {
            io.head.clear();
            self.session.phase = Phase::Head;
        } else {
            self.session.phase = Phase::Draining { left };
        }
        Step::Again
    }

    /// Drops the rest of a body that its handler did not read.
    fn draining(&mut self, mut left: usize) -> Step {
        let limits = self.worker.shared.config.body_limits();
        let io = self.conn().io_mut();
        while !io.rx.is_empty() && !io.body.is_done() {
            let Ok(decoded) = io.body.decode(io.rx.as_slice(), &limits) else {
                return self.begin_closing();
            };
            io.rx.consume(decoded.consumed);
            let Some(rest) = left.checked_sub(decoded.consumed) else {
                return self.begin_closing();
            };
            left = rest;
        }
        self.session.phase = Phase::Draining { left };
        if self.conn().io().body.is_done() {
            self.session.timers.stop(Timer::Purge);
            return self.after_response();
        }
        if let Flushed::Lost = self.flush() {
            return Step::Closed;
        }
        match self.recv() {
            Arrived::Some => Step::Again,
            Arrived::Finished => self.begin_closing(),
            Arrived::Lost => Step::Closed,
            Arrived::Nothing => {
                let timeout = self.worker.shared.config.purge_timeout;
                self.session.timers.start(Timer::Purge, self.now + timeout);
                Step::Rest
            }
        }
    }

    fn begin_closing(&mut self) -> Step {
        if self.conn().ws.is_some() {
            self.worker.mailbox().session_closing(self.session.id);
        }
        self.session.timers.stop_all_but(Timer::Send);
        self.session.phase = Phase::Closing { shut: false };
        Step::Again
    }

    /// Nothing more is to be said. A peer that may still be sending is given a moment to read what
    /// was said: closing at once would make the system throw that away (RFC 9112, section 9.6).
    fn closing(&mut self, shut: bool) -> Step {
        if shut {
            return match self.discard() {
                Arrived::Some => Step::Again,
                Arrived::Nothing => Step::Rest,
                Arrived::Finished | Arrived::Lost => Step::Closed,
            };
        }
        self.lend();
        match self.flush() {
            Flushed::Lost => Step::Closed,
            Flushed::Blocked => Step::Rest,
            Flushed::All if !self.expects_more() => Step::Closed,
            Flushed::All => self.linger(),
        }
    }

    /// Sends nothing more, and waits for the peer to see that.
    fn linger(&mut self) -> Step {
        self.net.shutdown(self.id());
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        if let Some(exchange) = &mut conn.exchange {
            exchange.discard();
            self.worker.reclaim(conn);
        }
        let linger = self.worker.shared.config.linger_timeout;
        self.session.timers.start(Timer::Linger, self.now + linger);
        self.session.phase = Phase::Closing { shut: true };
        Step::Again
    }

    /// Whether the peer may be in the middle of something, or the end of this session would take away
    /// what it has not received yet.
    fn expects_more(&mut self) -> bool {
        let resets = self.worker.shared.config.enable_so_linger;
        let conn = self.conn();
        let io = conn.io();
        let is_clean =
            conn.ws.is_none() && io.rx.is_empty() && io.body.is_done() && !io.head.has_begun();
        resets && conn.peer != Peer::Gone || conn.peer == Peer::Sending && !is_clean
    }

    /// Sends what waits to be sent.
    fn flush(&mut self) -> Flushed {
        let id = self.id();
        let mut nothing = TxBuf::new();
        let mut has_sent = false;
        loop {
            // Only of a peer that keeps bytes waiting it matters how many it takes.
            let is_slow = self.session.timers.is_running(Timer::Send);
            let backlog_len = if is_slow { self.backlog_len() } else { 0 };
            let conn = self.session.conn.as_mut().expect("a resting session has its connection");
            if conn.ws.is_some() && conn.exchange.is_some() {
                release(conn);
            }
            let (exchange, transport) = conn.line();
            let tx = exchange.map_or(&mut nothing, |exchange| &mut exchange.tx);
            let mut line = Line::new(self.net, id, transport);
            if tx.is_empty() && line.unsent() == 0 {
                self.session.timers.stop(Timer::Send);
                return Flushed::All;
            }
            if has_sent && self.used.len >= TURN_LEN {
                self.worker.again(self.session, Again::Later(self.worker.turns));
                return Flushed::Blocked;
            }
            let waiting_len = tx.len();
            match line.send(tx) {
                Ok(len) => {
                    let taken_len = waiting_len - tx.len();
                    if let Some(ws) = &mut conn.ws {
                        ws.note_taken(taken_len);
                    }
                    has_sent = true;
                    self.used.len += len;
                    if is_slow {
                        let left_len = self.backlog_len();
                        self.put_off_send(backlog_len.saturating_sub(left_len));
                    }
                    if len > 0 {
                        self.worker.tell_traffic(Notice::SentData(self.session.id, len));
                    }
                }
                Err(Still::Blocked) => {
                    let timeout = self.worker.shared.config.send_wait_timeout;
                    self.session.timers.start(Timer::Send, self.now + timeout);
                    return Flushed::Blocked;
                }
                Err(Still::AskAgain) => {
                    self.session.timers.stop(Timer::Send);
                    self.worker.again(self.session, Again::Soon);
                    return Flushed::Blocked;
                }
                Err(Still::Failed(error)) => {
                    log::debug!("session {}: sending failed: {error}", self.session.id);
                    conn.peer = Peer::Gone;
                    return Flushed::Lost;
                }
            }
        }
    }

    /// Reads once.
    fn recv(&mut self) -> Arrived {
        let id = self.id();
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        if conn.peer != Peer::Sending {
            return Arrived::Finished;
        }
        let (exchange, transport) = conn.line();
        let exchange = exchange.expect("a session that reads has buffers");
        let most = self.worker.shared.config.recv_buffer_len;
        exchange.reserve_read(most, self.worker.share.recv_len);
        match Line::new(self.net, id, transport).recv(&mut exchange.rx) {
            Ok(0) => {
                conn.peer = Peer::Finished;
                Arrived::Finished
            }
            Ok(len) => {
                exchange.note_read(len, most);
                self.used.len += len;
                self.used.received += len;
                let has_waited = !exchange.recv_spent.is_zero();
                if let Some(ws) = &mut conn.ws {
                    let most = self.worker.shared.config.ws_control_frames_per_sec;
                    ws.control_budget.refill(most, self.now);
                }
                if has_waited || self.session.timers.is_running(Timer::Recv) {
                    self.end_wait(len);
                }
                self.session.timers.stop(Timer::Ping);
                self.session.timers.stop(Timer::Pong);
                self.worker.tell_traffic(Notice::OnData(self.session.id, len));
                Arrived::Some
            }
            Err(Still::Blocked) => Arrived::Nothing,
            Err(Still::AskAgain) => {
                self.worker.again(self.session, Again::Soon);
                Arrived::Nothing
            }
            Err(Still::Failed(error)) => {
                log::debug!("session {}: receiving failed: {error}", self.session.id);
                conn.peer = Peer::Gone;
                Arrived::Lost
            }
        }
    }

    /// Drops what has arrived of which nothing will be read.
    fn discard(&mut self) -> Arrived {
        let id = self.id();
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        if conn.peer != Peer::Sending {
            return Arrived::Finished;
        }
        match self.net.discard(id) {
            Ok(0) => {
                conn.peer = Peer::Finished;
                Arrived::Finished
            }
            Ok(len) => {
                self.used.len += len;
                self.used.received += len;
                Arrived::Some
            }
            Err(NetError::WouldBlock) => Arrived::Nothing,
            Err(_) => {
                conn.peer = Peer::Gone;
                Arrived::Lost
            }
        }
    }

    /// The server stops: ends what is idle, lets the rest finish.
    pub(super) fn wind_down(&mut self) -> Fate {
        if let Phase::Opening { .. } = self.session.phase {
            return Fate::Closed;
        }
        self.conn().keep_alive = false;
        self.run()
    }

    /// Has the session's bytes pass through `transport` from now on. What it holds already nobody
    /// reports, so the session is looked at.
    pub(super) fn set_transport(&mut self, transport: Box<dyn SessionTransport>) -> Fate {
        if contain(|| self.conn().set_transport(transport)).is_none() {
            log::error!("session {}: its transport panicked when it was dropped", self.session.id);
        }
        self.run()
    }

    /// Makes room for another session.
    pub(super) fn evict(&mut self) -> Fate {
        self.say_goodbye(CloseCode::TRY_AGAIN_LATER);
        Fate::Closed
    }

    /// Ends the session now, whatever it is doing.
    pub(super) fn cut(&mut self) -> Fate {
        self.cut_with(CloseCode::GOING_AWAY)
    }

    /// As [`cut`](Self::cut); a WebSocket is told why, if it still listens.
    pub(super) fn cut_with(&mut self, code: CloseCode) -> Fate {
        self.end_task();
        self.say_goodbye(code);
        self.flush();
        Fate::Closed
    }

    fn lend(&mut self) {
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        self.worker.lend(conn);
    }

    fn conn(&mut self) -> &mut Conn {
        self.session.conn.as_mut().expect("a resting session has its connection")
    }

    fn id(&self) -> NetId {
        NetId(self.session.id.slot())
    }

    fn notice(&mut self, notice: Notice<'_>) {
        self.worker.observer.notice(notice);
    }
}
