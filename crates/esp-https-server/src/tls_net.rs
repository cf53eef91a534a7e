//! TLS as a [`Net`] around a [`Net`].
//!
//! ESP-IDF's HTTPS server is its HTTP server with five hooks put into every session: open, recv,
//! send, pending, close. [`TlsNet`] is those hooks. The engine above it reads and writes plain text
//! and knows nothing of TLS; the front below it moves ciphertext and knows nothing of TLS either;
//! the protocol itself is [`TlsSession`], bytes in and bytes out.
//!
//! What is decided here is when bytes move and who holds them:
//!
//! - A connection gets a TLS session with its first byte, so a silent one costs a table slot.
//! - Ciphertext is received and produced in two buffers that all connections of a `TlsNet` (of a
//!   worker) share. A connection owns memory only for what the socket did not take.
//! - Nothing waits unseen. Whatever stays in `unsent` does so because the inner net answered
//!   `WouldBlock` and owes a report, or it stands in `revisit`, which [`wait`](Net::wait) looks
//!   through before it sleeps.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::net::SocketAddr;

use esp_http_server::{Instant, Net, NetError, NetId, RxBuf, TxBuf};
use esp_tls::{TlsConfig, TlsSession};

use self::session::{Progress, Session};
use self::under_way::UnderWay;
use crate::open_error::{Cause, OpenError, OpenStage};
use crate::tls_info::TlsInfos;
use crate::tls_server::{Limits, TlsServer};

#[cfg(test)]
mod peer;
#[cfg(test)]
mod pipe;
mod session;
#[cfg(test)]
mod tests;
mod under_way;

/// How much ciphertext one read of the inner net asks for, in bytes: the longest record of TLS 1.2
/// (RFC 5246, section 6.2.3).
const RECV_LEN: usize = 5 + RECORD_LEN + 2048;

/// How much plain text is encrypted at once, in bytes: five full records, so that a body of 64 kB
/// leaves in the same write as its head.
const SEND_LEN: usize = 5 * RECORD_LEN;

/// The most plain text in one record, in bytes (RFC 8446, section 5.1).
const RECORD_LEN: usize = 16 * 1024;

/// How many bytes may wait for the socket before receiving stops. [`TlsNet::send`] alone stays
/// below it; what goes beyond was provoked by a peer that sends and never reads.
const UNSENT_MAX: usize = SEND_LEN + RECORD_LEN;

/// How many reads one call may make while they give nothing to hand on, so that a peer who dribbles
/// records that mean nothing has its turn like everybody else.
const READS_PER_CALL: usize = 16;

/// TLS around another [`Net`], or nothing around it.
///
/// [`open`](Net::open) is the handshake, [`recv`](Net::recv) and [`send`](Net::send) move plain
/// text, [`shutdown`](Net::shutdown) and [`close`](Net::close) send close_notify first.
///
/// # Truncation
///
/// `recv` answers `Ok(0)` only after the peer's close_notify. A connection that ends without one
/// gives [`NetError::Closed`], always, because what was received may have been cut by a third party
/// (RFC 8446, section 6.1). Many clients drop an idle connection like that; whether something was
/// under way, and so whether it is worth a word, the engine knows.
///
/// # Errors
///
/// [`NetError::Failed`] holds an [`OpenError`] while the connection opens, a
/// [`TlsError`](esp_tls::TlsError) afterwards. The alert that tells the peer has been sent by then, or
/// is sent by `close`, as far as the socket takes it.
pub struct TlsNet<N> {
    inner: N,
    /// `None`: plain text, by the user's explicit wish.
    config: Option<TlsConfig>,
    /// Who may begin a handshake, and how they have ended.
    server: Arc<TlsServer>,
    /// By [`NetId::index`]; empty before a connection's first byte.
    sessions: Vec<Option<Box<Session>>>,
    under_way: UnderWay,
    scratch: Scratch,
    infos: TlsInfos,
    /// Connections to look at before the next sleep. One whose session does not ask for it any
    /// more is skipped, so an entry never has to be searched for.
    revisit: Vec<NetId>,
}

impl<N: Net> TlsNet<N> {
    /// Every connection of `inner` speaks TLS as `config` says, and as many at once as there are.
    pub fn secure(inner: N, config: TlsConfig) -> Self {
        Self::of_server(inner, config, TlsServer::new(Limits::NONE))
    }

    /// The same, as one worker of `server`.
    pub(crate) fn of_server(inner: N, config: TlsConfig, server: Arc<TlsServer>) -> Self {
        Self::new(inner, Some(config), server)
    }

    /// Every connection of `inner` speaks plain text: all calls pass through.
    pub fn insecure(inner: N) -> Self {
        Self::new(inner, None, TlsServer::new(Limits::NONE))
    }

    fn new(inner: N, config: Option<TlsConfig>, server: Arc<TlsServer>) -> Self {
        Self {
            inner,
            config,
            server,
            sessions: Vec::new(),
            under_way: UnderWay::default(),
            scratch: Scratch::new(),
            infos: TlsInfos::default(),
            revisit: Vec::new(),
        }
    }

    /// The TLS session of a connection: what was negotiated and who the peer is.
    ///
    /// `None` if the connection has not sent anything yet, or without TLS.
    pub fn session(&self, id: NetId) -> Option<&TlsSession> {
        self.slot(id).map(|session| &session.tls)
    }

    fn slot(&self, id: NetId) -> Option<&Session> {
        self.sessions.get(id.index())?.as_deref()
    }
}

impl<N: Net> Net for TlsNet<N> {
    fn accept(&mut self) -> Option<NetId> {
        self.inner.accept()
    }

    /// Takes the TLS handshake as far as the received bytes allow.
    ///
    /// # Errors
    ///
    /// `WouldBlock` while it is under way; `Closed` if the peer went without having sent a byte;
    /// `Failed` with an [`OpenError`].
    fn open(&mut self, id: NetId) -> Result<(), NetError> {
        let Self { inner, config, server, sessions, under_way, scratch, infos, revisit } = self;
        let Some(config) = config else {
            return inner.open(id);
        };
        let index = id.index();
        if sessions.len() <= index {
            sessions.resize_with(index + 1, || None);
        }
        if sessions[index].is_none() {
            inner.open(id)?;
        }
        for _ in 0..READS_PER_CALL {
            let slot = &mut sessions[index];
            if let Some(session) = slot
                && session.progress(id, inner)? == Progress::Done
            {
                return Ok(());
            }
            let (received, produced) = scratch.parts();
            match inner.recv(id, received) {
                Ok(1..) => {}
                Err(NetError::WouldBlock) => return Err(NetError::WouldBlock),
                Ok(0) => return Err(broken_off(slot, NetError::Closed)),
                Err(error) => return Err(broken_off(slot, error)),
            }
            if slot.is_none() {
                let peer = inner.peer_addr(id);
                let admission = under_way.admit(id, peer, server, sessions, revisit)?;
                let session = sessions[index].insert(Session::begin(config, admission));
                session.refuse_plain_http(id, inner, received)?;
            }
            let session = session_of(sessions, id).ok_or(NetError::Closed)?;
            session.handshake(id, inner, received, produced)?;
            if session.tls.is_handshaking() {
                continue;
            }
            session.establish(infos, server.counters())?;
            if session.wants_revisit() {
                revisit.push(id);
            }
        }
        // The inner net did not say `WouldBlock`, so it owes no report.
        if let Some(session) = session_of(sessions, id) {
            session.revisit = true;
            revisit.push(id);
        }
        Err(NetError::WouldBlock)
    }

    fn is_dear_to_open(&self, id: NetId) -> bool {
        self.config.is_some() && !self.slot(id).is_some_and(|session| session.tls.has_answered())
    }

    fn open_timed_out(&mut self, id: NetId) -> NetError {
        if self.config.is_none() {
            return self.inner.open_timed_out(id);
        }
        let stage = self.slot(id).map_or(OpenStage::Accepted, Session::open_stage);
        OpenError { stage, cause: Cause::TimedOut }.into()
    }

    /// Receives until there is plain text, and appends it to `rx`.
    ///
    /// Of one read all that can be decrypted is appended, so that no plain text waits here while
    /// the socket is silent; only what came together with the end of the handshake does.
    ///
    /// # Errors
    ///
    /// As in [`Net::recv`]; see [truncation](TlsNet#truncation) for `Closed`. A connection that has
    /// failed receives nothing.
    fn recv(&mut self, id: NetId, rx: &mut RxBuf) -> Result<usize, NetError> {
        if self.config.is_none() {
            return self.inner.recv(id, rx);
        }
        let session = established(&mut self.sessions, id)?;
        if let early @ 1.. = session.deliver_early(rx) {
            return Ok(early);
        }
        if session.tls.peer_has_closed() {
            return Ok(0);
        }
        if session.unsent.len() > UNSENT_MAX {
            session.flush(id, &mut self.inner)?;
            if session.unsent.len() > UNSENT_MAX {
                return Err(NetError::WouldBlock);
            }
        }
        for _ in 0..READS_PER_CALL {
            let (received, produced) = self.scratch.parts();
            match self.inner.recv(id, received) {
                Ok(1..) => {}
                Err(NetError::WouldBlock) => {
                    // Perhaps the report that brought the caller here was for the other direction.
                    session.flush(id, &mut self.inner)?;
                    return Err(NetError::WouldBlock);
                }
                Ok(0) => return Err(session.break_with(NetError::Closed)),
                Err(error) => return Err(session.break_with(error)),
            }
            let len = session.decrypt(id, &mut self.inner, received, rx, produced)?;
            if len > 0 || session.tls.peer_has_closed() {
                return Ok(len);
            }
        }
        session.revisit = true;
        self.revisit.push(id);
        Err(NetError::WouldBlock)
    }

    /// Drops ciphertext as it is, also of a connection that has failed: closed with bytes unread, it
    /// would take the alert that is on its way with it.
    fn discard(&mut self, id: NetId) -> Result<usize, NetError> {
        if let Some(session) = session_of(&mut self.sessions, id) {
            // Perhaps the report that brought the caller here was for the other direction.
            session.flush(id, &mut self.inner)?;
        }
        self.inner.discard(id)
    }

    /// Encrypts up to 80 kB of `tx` and hands it to the inner net, usually in one call.
    ///
    /// What the inner net does not take counts as [`unsent`](Net::unsent), and nothing more is
    /// encrypted until that has left. `Ok(0)` means that it got further, so that a caller who times
    /// a slow reader sees the progress behind a `tx` that stays as it is.
    fn send(&mut self, id: NetId, tx: &mut TxBuf) -> Result<usize, NetError> {
        if self.config.is_none() {
            return self.inner.send(id, tx);
        }
        let session = established(&mut self.sessions, id)?;
        let parked = session.unsent.len();
        if parked > 0 && (tx.is_empty() || !session.held) {
            session.flush(id, &mut self.inner)?;
            match session.unsent.len() {
                0 => {}
                left if left < parked => return Ok(0),
                _ => return Err(NetError::WouldBlock),
            }
        }
        if tx.is_empty() {
            return if parked > 0 { Ok(0) } else { self.inner.send(id, tx) };
        }
        let (_, produced) = self.scratch.parts();
        let taken = session.encrypt(tx, produced)?;
        session.transmit(id, &mut self.inner, produced)?;
        Ok(taken)
    }

    fn acknowledge(&mut self, id: NetId) {
        self.inner.acknowledge(id);
    }

    fn look_again(&mut self, id: NetId) {
        self.inner.look_again(id);
    }

    fn can_settle(&self, id: NetId) -> bool {
        let session = self.slot(id);
        session.is_some_and(|session| session.is_established() && session.tls.can_settle())
            || self.inner.can_settle(id)
    }

    /// Has the TLS session give back what only its handshake needed.
    fn settle(&mut self, id: NetId) {
        self.inner.settle(id);
        if let Some(session) = session_of(&mut self.sessions, id)
            && session.is_established()
            && let Err(error) = session.settle()
        {
            log::error!("a TLS session could not be settled: {error}");
            self.revisit.push(id);
        }
    }

    fn pending(&self, id: NetId) -> usize {
        self.slot(id).map_or(0, |session| session.early.len()) + self.inner.pending(id)
    }

    fn unsent(&self, id: NetId) -> usize {
        self.slot(id).map_or(0, |session| session.unsent.len()) + self.inner.unsent(id)
    }

    fn buffered(&self, id: NetId) -> usize {
        self.slot(id).map_or(0, Session::buffered_len) + self.inner.buffered(id)
    }

    fn shutdown(&mut self, id: NetId) {
        let Some(session) = session_of(&mut self.sessions, id) else {
            return self.inner.shutdown(id);
        };
        let (_, produced) = self.scratch.parts();
        session.shut_down(id, &mut self.inner, produced);
    }

    fn close(&mut self, id: NetId) {
        if let Some(mut session) = self.sessions.get_mut(id.index()).and_then(Option::take) {
            let (_, produced) = self.scratch.parts();
            session.say_goodbye(id, &mut self.inner, produced);
        }
        self.inner.close(id);
    }

    fn stop_listening(&mut self) {
        self.inner.stop_listening();
    }

    fn peer_addr(&self, id: NetId) -> Option<SocketAddr> {
        self.inner.peer_addr(id)
    }

    fn local_addr(&self, id: NetId) -> Option<SocketAddr> {
        self.inner.local_addr(id)
    }

    /// A [`TlsInfo`](crate::TlsInfo), which sessions share that have agreed on the same.
    fn transport_ctx(&mut self, id: NetId) -> Option<Arc<dyn Any + Send + Sync>> {
        if self.config.is_none() {
            return self.inner.transport_ctx(id);
        }
        let session = established(&mut self.sessions, id).ok()?;
        Some(session.info.clone()?)
    }

    fn wait(&mut self, until: Option<Instant>, ready: &mut Vec<NetId>) {
        let Self { inner, sessions, revisit, .. } = self;
        revisit.retain(|id| {
            session_of(sessions, *id).is_some_and(|session| session.must_be_reported(*id, inner))
        });
        // With something to report there is no sleep, only a look at what else is ready.
        let until = if revisit.is_empty() { until } else { Some(Instant::START) };
        inner.wait(until, ready);
        ready.append(revisit);
    }
}

/// The session of a connection that has gone through [`TlsNet::open`] and not failed since.
///
/// Anything else must not move a byte: plain text never reaches a socket by mistake.
fn established(sessions: &mut [Option<Box<Session>>], id: NetId) -> Result<&mut Session, NetError> {
    session_of(sessions, id).filter(|session| session.is_established()).ok_or(NetError::Closed)
}

fn session_of(sessions: &mut [Option<Box<Session>>], id: NetId) -> Option<&mut Session> {
    sessions.get_mut(id.index())?.as_deref_mut()
}

/// What a peer that went away before the end of the handshake is reported as.
///
/// Without a single byte nothing was begun: port scans, health checks and a browser's spare
/// connections look like that, and are no handshake that failed.
fn broken_off(slot: &mut Option<Box<Session>>, error: NetError) -> NetError {
    match (slot, error) {
        (Some(session), error) => session.lost(error),
        (None, error @ NetError::Failed(_)) => {
            let (stage, cause) = (OpenStage::Accepted, Cause::Network(error.to_string()));
            OpenError { stage, cause }.into()
        }
        (None, _) => NetError::Closed,
    }
}

fn failed(error: impl core::error::Error + Send + Sync + 'static) -> NetError {
    NetError::Failed(Box::new(error))
}

/// Ciphertext on its way, of whichever connection is being served.
struct Scratch {
    received: RxBuf,
    produced: TxBuf,
}

impl Scratch {
    fn new() -> Self {
        Self { received: RxBuf::new(), produced: TxBuf::new() }
    }

    /// Both buffers, empty whatever the last use left in them: one connection's bytes must never
    /// reach another.
    fn parts(&mut self) -> (&mut RxBuf, &mut TxBuf) {
        self.received.consume(self.received.len());
        self.received.reserve(RECV_LEN);
        self.produced.advance(self.produced.len());
        (&mut self.received, &mut self.produced)
    }
}
