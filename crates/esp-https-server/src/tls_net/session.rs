//! One connection's TLS session, and what of its bytes is on the way.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use esp_http_server::{Net, NetError, NetId, RxBuf, TxBuf};
use esp_tls::{TlsConfig, TlsError, TlsSession};

use super::{SEND_LEN, failed};
use crate::open_error::{Cause, HandshakeError, OpenError, OpenStage};
use crate::tls_info::{TlsInfo, TlsInfos};
use crate::tls_server::Admission;
use crate::tls_stats::Counters;

/// The answer to a client that speaks plain HTTP to the TLS port; a person may be reading it.
const PLAIN_HTTP_REPLY: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain\r\n\
    Connection: close\r\n\
    Content-Length: 57\r\n\r\n\
    This port speaks HTTPS: use https:// instead of http://.\n";

/// A connection from its first byte on.
pub(super) struct Session {
    pub(super) tls: TlsSession,
    pub(super) stage: Stage,
    /// Until the handshake has ended.
    admission: Option<Box<Admission>>,
    /// What the handshake has agreed on, once it is done.
    pub(super) info: Option<Arc<TlsInfo>>,
    /// Plain text that came together with the end of the handshake.
    pub(super) early: Vec<u8>,
    /// Ciphertext that the inner net has not taken. Owns no memory while empty.
    pub(super) unsent: TxBuf,
    /// `unsent` was not offered to the inner net yet: it waits for the first response, to leave
    /// in one write with it.
    pub(super) held: bool,
    /// `wait` must report the connection although the inner net has no reason to.
    pub(super) revisit: bool,
}

/// How far a connection is.
///
/// ```text
/// Handshake ──open──▶ Open ──shutdown──▶ Closing ──unsent is empty──▶ Shut
///   │ └─────────────────┴──── an error, truncation ────┴─────▶ Broken ──shutdown──▶ Draining
///   └──a newer one needs its place──▶ GaveWay ──open──▶ Broken
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Handshake,
    /// The engine doesn't know yet that this handshake will not go on.
    GaveWay,
    Open,
    /// close_notify is in `unsent`; the inner net's `shutdown` follows when that has left.
    Closing,
    /// Nothing more will be sent; receiving goes on.
    Shut,
    /// Neither direction can be used.
    Broken,
    /// As `Broken`, and the peer is told so, if there is room; what it still sends is dropped.
    Draining,
}

/// How the handshake is getting on.
#[derive(PartialEq, Eq)]
pub(super) enum Progress {
    UnderWay,
    Done,
}

impl Session {
    /// A session for a connection that has sent its first bytes.
    pub(super) fn begin(config: &TlsConfig, admission: Box<Admission>) -> Box<Self> {
        Box::new(Self {
            tls: TlsSession::new(config),
            stage: Stage::Handshake,
            admission: Some(admission),
            info: None,
            early: Vec::new(),
            unsent: TxBuf::new(),
            held: false,
            revisit: false,
        })
    }

    /// Answers a client whose first bytes are plain HTTP.
    pub(super) fn refuse_plain_http(
        &mut self,
        id: NetId,
        inner: &mut impl Net,
        received: &RxBuf,
    ) -> Result<(), NetError> {
        // Every HTTP method starts with a capital letter, no TLS record does.
        if !received.as_slice()[0].is_ascii_uppercase() {
            return Ok(());
        }
        self.unsent.storage().extend_from_slice(PLAIN_HTTP_REPLY);
        offer(id, inner, &mut self.unsent).ok();
        Err(self.fail_open(Cause::Handshake(HandshakeError::PlainHttp)))
    }

    /// How far a connection is that isn't open yet.
    pub(super) fn open_stage(&self) -> OpenStage {
        if self.tls.has_answered() { OpenStage::Answered } else { OpenStage::ClientHello }
    }

    /// The place among the handshakes that it has, while it has one.
    pub(super) fn admission(&self) -> Option<&Admission> {
        self.admission.as_deref()
    }

    /// Makes room for another. The engine hears of it when it next looks.
    pub(super) fn give_way(&mut self) {
        self.admission = None;
        self.stage = Stage::GaveWay;
        self.revisit = true;
    }

    fn fail_open(&mut self, cause: Cause) -> NetError {
        let stage = self.open_stage();
        self.break_with(OpenError { stage, cause }.into())
    }

    /// Says whether the handshake is done, and if not, whether it may go on: `WouldBlock` if the
    /// client has to take what the server said so far.
    pub(super) fn progress(
        &mut self,
        id: NetId,
        inner: &mut impl Net,
    ) -> Result<Progress, NetError> {
        match self.stage {
            Stage::Handshake => {}
            Stage::GaveWay => {
                return Err(self.fail_open(Cause::Handshake(HandshakeError::GaveWay)));
            }
            Stage::Broken | Stage::Draining => return Err(NetError::Closed),
            Stage::Open | Stage::Closing | Stage::Shut => return Ok(Progress::Done),
        }
        if let Err(error) = self.flush(id, inner) {
            return Err(self.lost(error));
        }
        if self.unsent.is_empty() { Ok(Progress::UnderWay) } else { Err(NetError::WouldBlock) }
    }

    /// Takes the handshake one read further.
    pub(super) fn handshake(
        &mut self,
        id: NetId,
        inner: &mut impl Net,
        received: &mut RxBuf,
        produced: &mut TxBuf,
    ) -> Result<(), NetError> {
        let outcome = self.tls.recv(received.as_mut_slice(), &mut self.early, produced.storage());
        if outcome.is_ok() && !self.tls.is_handshaking() {
            self.stage = Stage::Open;
            if !self.early.is_empty() {
                // The request is here already: session tickets leave in one write with the response.
                self.park(produced);
                self.held = !self.unsent.is_empty();
                self.revisit = true;
                return Ok(());
            }
            if produced.is_empty() {
                // No ticket tells the client that its Finished has come. One that leaves TCP_NODELAY
                // off holds back its request until something does, which is 40 ms on Linux.
                inner.acknowledge(id);
            }
        }
        let sent = if produced.is_empty() { Ok(()) } else { self.transmit(id, inner, produced) };
        match outcome {
            Ok(()) => sent.map_err(|error| self.lost(error)),
            Err(error) => Err(self.fail_open(Cause::Tls(error))),
        }
    }

    /// What it means before the end of the handshake that the network carries nothing any more.
    pub(super) fn lost(&mut self, error: NetError) -> NetError {
        match error {
            NetError::Failed(_) => {
                let cause = Cause::Network(error.to_string());
                self.fail_open(cause)
            }
            _ => self.fail_open(Cause::Handshake(HandshakeError::PeerClosed)),
        }
    }

    /// The handshake is done: counts it, and notes what was agreed on.
    pub(super) fn establish(
        &mut self,
        infos: &mut TlsInfos,
        counters: &Counters,
    ) -> Result<(), NetError> {
        self.admission = None;
        match infos.share(&self.tls) {
            Ok(info) => self.info = info,
            Err(error) => return Err(self.fail_open(Cause::Tls(error))),
        }
        if self.tls.is_resumed() {
            counters.count_resumed();
        } else {
            counters.count_full();
        }
        Ok(())
    }

    /// Whether bytes may move: the handshake is done and nothing has failed since.
    pub(super) fn is_established(&self) -> bool {
        !matches!(self.stage, Stage::Handshake | Stage::GaveWay | Stage::Broken | Stage::Draining)
    }

    /// Bytes of memory in buffers.
    pub(super) fn buffered_len(&self) -> usize {
        self.early.capacity() + self.unsent.capacity() + self.tls.buffered_len()
    }

    pub(super) fn wants_revisit(&self) -> bool {
        self.revisit || self.held
    }

    /// Last call before a sleep: moves what was held back and says whether the connection must be
    /// reported.
    pub(super) fn must_be_reported(&mut self, id: NetId, inner: &mut impl Net) -> bool {
        // An error has no one to go to here; the report makes the engine call and meet it.
        let failed = self.held && self.flush(id, inner).is_err();
        self.revisit || failed
    }

    /// Hands on what came with the end of the handshake, and says how many bytes that was.
    pub(super) fn deliver_early(&mut self, rx: &mut RxBuf) -> usize {
        self.revisit = false;
        let early = core::mem::take(&mut self.early);
        rx.storage().extend_from_slice(&early);
        early.len()
    }

    /// Decrypts what one read gave, and says how many bytes were appended to `rx`.
    pub(super) fn decrypt(
        &mut self,
        id: NetId,
        inner: &mut impl Net,
        received: &mut RxBuf,
        rx: &mut RxBuf,
        produced: &mut TxBuf,
    ) -> Result<usize, NetError> {
        let plain = rx.storage();
        let before = plain.len();
        let outcome = self.tls.recv(received.as_mut_slice(), plain, produced.storage());
        let outcome = self.answer(id, inner, outcome, produced);
        if outcome.is_err() {
            // The caller is told of no byte, so it must not find any.
            plain.truncate(before);
        }
        outcome.map(|()| plain.len() - before)
    }

    /// Encrypts the front of `tx` behind what was held back, and says how many bytes that was.
    pub(super) fn encrypt(
        &mut self,
        tx: &mut TxBuf,
        produced: &mut TxBuf,
    ) -> Result<usize, NetError> {
        if self.stage != Stage::Open {
            return Err(NetError::Closed);
        }
        if core::mem::take(&mut self.held) {
            produced.storage().extend_from_slice(self.unsent.as_slice());
            self.unsent = TxBuf::new();
        }
        let len = tx.len().min(SEND_LEN);
        match self.tls.send(&tx.as_slice()[..len], produced.storage()) {
            Ok(()) => {
                tx.advance(len);
                Ok(len)
            }
            Err(error) => Err(self.break_with(failed(error))),
        }
    }

    /// As [`TlsSession::settle`]; the engine hears of a failure when it next looks.
    pub(super) fn settle(&mut self) -> Result<(), NetError> {
        let settled = self.tls.settle().map_err(|error| self.break_with(failed(error)));
        self.revisit |= settled.is_err();
        settled
    }

    /// close_notify, and the inner net's `shutdown` as soon as it has left.
    pub(super) fn shut_down(&mut self, id: NetId, inner: &mut impl Net, produced: &mut TxBuf) {
        match self.stage {
            Stage::Open => {
                self.tls.close(produced.storage());
                self.stage = Stage::Closing;
                // Should this fail, the session is broken, and the next call says so.
                self.transmit(id, inner, produced).ok();
            }
            Stage::Handshake | Stage::GaveWay | Stage::Broken => {
                offer(id, inner, &mut self.unsent).ok();
                self.stage = Stage::Draining;
                self.shut_when_drained(id, inner);
            }
            Stage::Closing | Stage::Shut | Stage::Draining => {}
        }
    }

    /// Offers the inner net what is left to say, once: there will be no other occasion.
    pub(super) fn say_goodbye(&mut self, id: NetId, inner: &mut impl Net, produced: &mut TxBuf) {
        if self.stage == Stage::Open {
            self.tls.close(produced.storage());
        }
        self.park(produced);
        offer(id, inner, &mut self.unsent).ok();
    }

    /// Sends what receiving produced, be it an error's alert, and breaks the session if it was one.
    fn answer(
        &mut self,
        id: NetId,
        inner: &mut impl Net,
        outcome: Result<(), TlsError>,
        produced: &mut TxBuf,
    ) -> Result<(), NetError> {
        let sent = if produced.is_empty() { Ok(()) } else { self.transmit(id, inner, produced) };
        match outcome {
            Ok(()) => sent,
            Err(error) => Err(self.break_with(failed(error))),
        }
    }

    pub(super) fn break_with(&mut self, error: NetError) -> NetError {
        self.admission = None;
        self.stage = Stage::Broken;
        error
    }

    /// Sends what is parked and then what was produced; what the inner net doesn't take is parked.
    pub(super) fn transmit(
        &mut self,
        id: NetId,
        inner: &mut impl Net,
        produced: &mut TxBuf,
    ) -> Result<(), NetError> {
        if self.unsent.is_empty() {
            offer(id, inner, produced).map_err(|error| self.break_with(error))?;
            self.park(produced);
            self.shut_when_drained(id, inner);
            return Ok(());
        }
        self.park(produced);
        self.flush(id, inner)
    }

    /// Sends what is parked, and what was to happen when it has left.
    pub(super) fn flush(&mut self, id: NetId, inner: &mut impl Net) -> Result<(), NetError> {
        self.held = false;
        if self.unsent.is_empty() {
            return Ok(());
        }
        offer(id, inner, &mut self.unsent).map_err(|error| self.break_with(error))?;
        if self.unsent.is_empty() {
            self.unsent = TxBuf::new();
        }
        self.shut_when_drained(id, inner);
        Ok(())
    }

    fn shut_when_drained(&mut self, id: NetId, inner: &mut impl Net) {
        match self.stage {
            Stage::Closing if self.unsent.is_empty() => {
                self.stage = Stage::Shut;
                inner.shutdown(id);
            }
            // The alert had found no room before.
            Stage::Draining if self.unsent.is_empty() => inner.shutdown(id),
            _ => {}
        }
    }

    fn park(&mut self, produced: &TxBuf) {
        self.unsent.storage().extend_from_slice(produced.as_slice());
    }
}

/// Sends until everything is taken or the inner net says `WouldBlock` and so owes a report.
fn offer(id: NetId, inner: &mut impl Net, tx: &mut TxBuf) -> Result<(), NetError> {
    while !tx.is_empty() {
        match inner.send(id, tx) {
            Ok(1..) => {}
            Ok(0) | Err(NetError::WouldBlock) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
