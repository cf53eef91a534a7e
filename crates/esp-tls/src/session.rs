//! One TLS session of the server's side, between the socket's bytes and the application's.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::backend::{Fault, contain_panic};
use crate::cipher_suite::CipherSuite;
use crate::config::TlsConfig;
use crate::error::{Stage, TlsError, TlsErrorKind, esp_code};
use crate::hello::{HANDSHAKE_RECORD, RECORD_HEADER_LEN};
use crate::identity::PeerIdentity;
use crate::link::{Link, Listening};
use crate::resumption::HandshakeKind;

/// A record's header, its largest payload and what encryption may add to it (RFC 5246, 6.2.3).
const MAX_RECORD_LEN: usize = RECORD_HEADER_LEN + 16_384 + 2_048;
/// A handshake message may be cut into any number of records, each as small as a byte, and nothing
/// but the caller's patience would limit how much of them has to be held.
const MAX_HANDSHAKE_LEN: usize = 64 * 1024;

/// A server's side of one TLS connection: ciphertext in, plaintext out, and back.
///
/// Create it when the first byte of a connection is readable; until then a connection needs none.
/// Its methods are of three kinds:
///
/// - Bytes: [`recv`](Self::recv) for whatever the socket delivered, [`send`](Self::send) for what the
///   application says, [`close`](Self::close) at the end. All of them append to `out`, which must go
///   to the socket in that order, whether the call succeeded or not: an error's alert is in there.
/// - State: [`has_answered`](Self::has_answered), [`is_handshaking`](Self::is_handshaking),
///   [`peer_has_closed`](Self::peer_has_closed), [`needed_len`](Self::needed_len),
///   [`can_settle`](Self::can_settle).
/// - What the handshake agreed on: [`version`](Self::version), [`cipher_suite`](Self::cipher_suite),
///   [`alpn_protocol`](Self::alpn_protocol), [`server_name`](Self::server_name),
///   [`peer_identity`](Self::peer_identity), [`peer_certificates`](Self::peer_certificates),
///   [`is_resumed`](Self::is_resumed).
///
/// An idle session holds no buffer: only an incomplete record is kept, until its rest arrives. What only
/// the handshake needed goes with [`settle`](Self::settle), which comes by itself.
pub struct TlsSession {
    link: Link,
    /// Bytes received and not consumed, exactly as the backend left them: part of a record, or of a
    /// handshake message that spans records, in which case they are decrypted already.
    leftover: Vec<u8>,
    failure: Option<Box<TlsError>>,
    is_closed: bool,
    /// Nothing was received since data was sent last, so that rustls owes no reply to a KeyUpdate.
    sent_last: bool,
    /// Data was sent before.
    has_sent: bool,
    /// The ClientHello was answered with more than the wish for another one.
    has_answered: bool,
}

impl TlsSession {
    /// A session in its first state, waiting for a ClientHello.
    ///
    /// Nothing is chosen yet: the rules are those that `config` has when the ClientHello is complete.
    pub fn new(config: &TlsConfig) -> TlsSession {
        Self {
            link: Link::Listening(Box::new(Listening::new(config))),
            leftover: Vec::new(),
            failure: None,
            is_closed: false,
            sent_last: false,
            has_sent: false,
            has_answered: false,
        }
    }

    /// Takes bytes from the socket, any number, cut anywhere.
    ///
    /// Appends what the application is to read to `plain`, and what the peer is to get (handshake,
    /// alerts) to `out`. `input` is scratch afterwards: complete records are decrypted in place, and
    /// of an incomplete one a copy is kept. Bytes after the peer's close_notify are dropped.
    ///
    /// # Errors
    ///
    /// Any but the caller's. The session is over then: send `out`, close the socket. `plain` may
    /// have received good data before the error.
    pub fn recv(
        &mut self,
        input: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        self.check_alive()?;
        self.sent_last = false;
        let (stage, start) = (self.stage(), out.len());
        let received = self.recv_all(input, plain, out);
        // Also if what came behind the hello was wrong.
        if !self.has_answered {
            self.has_answered = is_answered_in(&out[start..]);
        }
        received.map_err(|fault| self.fail(fault, stage, Direction::Recv))
    }

    /// Encrypts `plain` and appends the records, each as full as they get (16 KiB), to `out`.
    ///
    /// What is sent together should be passed together: a head and its body in one slice are one
    /// record. An empty slice sends nothing.
    ///
    /// # Errors
    ///
    /// [`TlsErrorKind::Handshaking`] and [`TlsErrorKind::Closed`] if it isn't the time to send, which
    /// leave the session as it is; or the error that ended the session.
    pub fn send(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        self.check_alive()?;
        if self.is_closed {
            return Err(self.misuse(TlsErrorKind::Closed));
        }
        if self.is_handshaking() {
            return Err(self.misuse(TlsErrorKind::Handshaking));
        }
        if plain.is_empty() {
            return Ok(());
        }
        self.write(out, |link, leftover, out| link.encrypt(leftover, plain, out))?;
        // Who sends a second time goes on sending.
        self.sent_last = true;
        if core::mem::replace(&mut self.has_sent, true) { self.settle() } else { Ok(()) }
    }

    /// Gives back what only the handshake needed, of a session that has sent data and goes on.
    ///
    /// A session does so by itself when it sends a second time, because it costs as much as some
    /// requests, and half of a session's memory is not worth that to one that ends at once. Call it
    /// for a session that has had its first answer and is silent since. Without effect where there is
    /// nothing to give back: in TLS 1.2, and as long as something else came after what was sent.
    ///
    /// # Errors
    ///
    /// Any but the caller's and the peer's. The session is over then.
    pub fn settle(&mut self) -> Result<(), TlsError> {
        self.check_alive()?;
        if !self.can_settle() {
            return Ok(());
        }
        self.link.settle().map_err(|fault| self.fail(fault, Stage::Connected, Direction::Send))
    }

    /// Whether [`settle`](Self::settle) would give back something now.
    pub fn can_settle(&self) -> bool {
        self.sent_last
            && !self.is_closed
            && self.leftover.is_empty()
            && self.failure.is_none()
            && self.link.can_settle()
    }

    /// Ends our direction with a close_notify alert (RFC 8446, section 6.1), appended to `out`.
    ///
    /// Only the first call does so, and none before the handshake is complete or after a failure.
    /// Receiving goes on: the peer may still be sending.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.is_closed || self.failure.is_some() {
            return;
        }
        self.is_closed = true;
        if self.is_handshaking() {
            return;
        }
        // Should it fail, later calls return the error.
        self.write(out, Link::close_notify).ok();
    }

    /// Whether the handshake is still going on. Data can be sent from the call of
    /// [`recv`](Self::recv) on that ended it.
    pub fn is_handshaking(&self) -> bool {
        self.link.is_handshaking()
    }

    /// Whether the ClientHello was answered, and not with the wish for another one (HelloRetryRequest, RFC
    /// 8446 section 4.1.4). That is the server's part of a handshake, and what it costs most.
    pub fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Whether the peer sent its close_notify: `plain` has got all there was, and an end of the
    /// TCP stream from now on is no truncation.
    pub fn peer_has_closed(&self) -> bool {
        self.link.peer_has_closed()
    }

    /// How many more bytes complete the record that has begun to arrive; 0 when none has.
    ///
    /// A hint for the size of the next read, and the sign that the peer owes us something. While
    /// less than a header is there it counts to the end of the header.
    pub fn needed_len(&self) -> usize {
        needed_len(&self.leftover)
    }

    /// Bytes of memory that are held for what has not arrived whole yet.
    pub fn buffered_len(&self) -> usize {
        self.leftover.capacity()
    }

    /// The application protocol agreed on (ALPN), if one was.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.link.alpn_protocol()
    }

    /// The host name that the client asked for (SNI, RFC 6066 section 3), in lower case.
    pub fn server_name(&self) -> Option<&str> {
        self.link.server_name()
    }

    /// The TLS version, once it is agreed on.
    pub fn version(&self) -> Option<TlsVersion> {
        self.link.version()
    }

    /// The cipher suite, once it is agreed on.
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.link.cipher_suite()
    }

    /// The client's certificates as DER, its own first; none if it presented none. They are
    /// verified once [`is_handshaking`](Self::is_handshaking) is false.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.link.peer_certificates().iter().map(|der| der.as_ref())
    }

    /// Who the client is by its certificate, or `None` if it presented none, or isn't done yet.
    ///
    /// It is read from the certificate anew with each call, so that a session holds nothing for it.
    ///
    /// # Errors
    ///
    /// The certificate was verified, and yet can't be taken apart
    /// ([`CertificateProblem::Malformed`](crate::CertificateProblem::Malformed)).
    pub fn peer_identity(&self) -> Result<Option<PeerIdentity>, TlsError> {
        if self.is_handshaking() {
            return Ok(None);
        }
        if matches!(self.link, Link::Lost) {
            self.check_alive()?;
        }
        PeerIdentity::of_chain(self.peer_certificates()).map_err(|problem| TlsError {
            kind: TlsErrorKind::ClientCertificate(problem),
            stage: self.stage(),
            alert: None,
            esp_code: esp_code::X509_PARSE_FAILED,
        })
    }

    /// Whether the handshake was shortened because the client has been here before.
    pub fn is_resumed(&self) -> bool {
        self.link.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Completes what is left over first, then decrypts the rest of `input` where it lies.
    fn recv_all(
        &mut self,
        mut input: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if !self.listen(&mut input, plain, out)? {
            return self.check_leftover();
        }
        let Self { link, leftover, .. } = self;
        while !leftover.is_empty() && !input.is_empty() {
            // Not more than completes the record, so that the next ones need no copy. A complete
            // record is left only as part of a message: what follows must then join it.
            let take = match needed_len(leftover) {
                0 => input.len(),
                needed_len => needed_len.min(input.len()),
            };
            let (head, rest) = input.split_at_mut(take);
            input = rest;
            leftover.extend_from_slice(head);
            let consumed = link.process(leftover, plain, out)?;
            discard(leftover, consumed);
        }
        if !input.is_empty() {
            let consumed = link.process(input, plain, out)?;
            leftover.extend_from_slice(&input[consumed..]);
        }
        if link.peer_has_closed() {
            *leftover = Vec::new();
        }
        self.check_leftover()
    }

    /// Collects the ClientHello and has the rules for this client chosen. Returns whether that is
    /// done; until then everything that came is in `leftover`.
    fn listen(
        &mut self,
        input: &mut &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Fault> {
        let Link::Listening(listening) = &mut self.link else {
            return Ok(true);
        };
        // Most often it comes in one piece, which can be read where it lies.
        let is_first_piece = self.leftover.is_empty();
        if !is_first_piece {
            self.leftover.extend_from_slice(core::mem::take::<&mut [u8]>(input));
        }
        let received: &[u8] = if is_first_piece { input } else { &self.leftover };
        // The client has heard nothing of us yet, so a refusal can still be told in the clear.
        let heard = contain_panic(|| listening.hear(received))?.map_err(|fault| fault.say(out))?;
        let Some(mut connection) = heard else {
            self.leftover.extend_from_slice(core::mem::take::<&mut [u8]>(input));
            return Ok(false);
        };
        if !is_first_piece {
            let consumed = connection.process(&mut self.leftover, plain, out)?;
            discard(&mut self.leftover, consumed);
        }
        self.link = Link::Connected(Box::new(connection));
        Ok(true)
    }

    fn check_leftover(&self) -> Result<(), Fault> {
        let limit_len = match self.stage() {
            Stage::Handshake => MAX_HANDSHAKE_LEN,
            Stage::Connected => MAX_RECORD_LEN,
        };
        match self.leftover.len() {
            held_len if held_len > limit_len => {
                Err(TlsErrorKind::TooMuchUnfinished { held_len, limit_len }.into())
            }
            _ => Ok(()),
        }
    }

    /// Lets the backend write, which may consume what is left over.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Link, &mut [u8], &mut Vec<u8>) -> Result<usize, Fault>,
    ) -> Result<(), TlsError> {
        match write(&mut self.link, &mut self.leftover, out) {
            Ok(consumed) => {
                discard(&mut self.leftover, consumed);
                Ok(())
            }
            Err(fault) => Err(self.fail(fault, Stage::Connected, Direction::Send)),
        }
    }

    fn stage(&self) -> Stage {
        if self.is_handshaking() { Stage::Handshake } else { Stage::Connected }
    }

    fn check_alive(&self) -> Result<(), TlsError> {
        match &self.failure {
            Some(error) => Err(TlsError::clone(error)),
            None => Ok(()),
        }
    }

    fn fail(&mut self, fault: Fault, stage: Stage, direction: Direction) -> TlsError {
        let esp_code = match (&fault.kind, stage, direction) {
            (TlsErrorKind::NoRandomness, ..) => esp_code::CTR_DRBG_SEED_FAILED,
            (_, Stage::Handshake, _) => esp_code::SSL_HANDSHAKE_FAILED,
            (_, Stage::Connected, Direction::Recv) => esp_code::SSL_READ_FAILED,
            (_, Stage::Connected, Direction::Send) => esp_code::SSL_WRITE_FAILED,
        };
        let error = TlsError { kind: fault.kind, stage, alert: fault.alert, esp_code };
        self.failure = Some(Box::new(error.clone()));
        self.leftover = Vec::new();
        error
    }

    fn misuse(&self, kind: TlsErrorKind) -> TlsError {
        let esp_code = esp_code::SSL_WRITE_FAILED;
        TlsError { kind, stage: self.stage(), alert: None, esp_code }
    }
}

/// Whether there is more in these records than a HelloRetryRequest, which costs nothing: a ServerHello whose
/// random value says so (RFC 8446, section 4.1.3).
fn is_answered_in(mut records: &[u8]) -> bool {
    /// Behind the header of the message, and the version.
    const RANDOM_AT: usize = 4 + 2;
    /// The SHA-256 of "HelloRetryRequest".
    const RETRY: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8,
        0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8,
        0x33, 0x9c,
    ];
    while let [kind, _, _, high, low, rest @ ..] = records {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (message, behind) = rest.split_at(len);
        let is_retry = message.get(RANDOM_AT..).is_some_and(|random| random.starts_with(&RETRY));
        if *kind == HANDSHAKE_RECORD && !is_retry {
            return true;
        }
        records = behind;
    }
    false
}

/// As [`TlsSession::needed_len`].
fn needed_len(leftover: &[u8]) -> usize {
    match leftover {
        [] => 0,
        [_, _, _, high, low, ..] => {
            let record_len = RECORD_HEADER_LEN + usize::from(u16::from_be_bytes([*high, *low]));
            record_len.saturating_sub(leftover.len())
        }
        _ => RECORD_HEADER_LEN - leftover.len(),
    }
}

/// Drops bytes from the front, and the buffer with the last of them.
fn discard(leftover: &mut Vec<u8>, len: usize) {
    if len == leftover.len() {
        *leftover = Vec::new();
    } else {
        leftover.drain(..len);
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Recv,
    Send,
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("stage", &self.stage())
            .field("version", &self.version())
            .field("leftover_len", &self.leftover.len())
            .field("failure", &self.failure)
            .field("is_closed", &self.is_closed)
            .finish_non_exhaustive()
    }
}

/// The TLS version of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsVersion::Tls12 => "TLS 1.2",
            TlsVersion::Tls13 => "TLS 1.3",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello::ClientHello;
    use crate::select::{Refusal, Selection};

    #[derive(Debug)]
    struct NoTime;

    impl crate::Clock for NoTime {
        fn unix_time(&self) -> Option<core::time::Duration> {
            None
        }
    }

    #[test]
    fn a_failure_has_the_number_that_esp_idf_has_for_it() {
        use Direction::{Recv, Send};
        use Stage::{Connected, Handshake};
        let nobody = |_: &ClientHello<'_>| Selection::refuse(Refusal::AccessDenied);
        let config = TlsConfig::from_selector(nobody, NoTime).unwrap();
        for (kind, stage, direction, number) in [
            (TlsErrorKind::NotTls, Handshake, Recv, 0x801A),
            (TlsErrorKind::NotTls, Connected, Recv, 0x801D),
            (TlsErrorKind::NotTls, Connected, Send, 0x8018),
            (TlsErrorKind::NoRandomness, Handshake, Recv, 0x8011),
            (TlsErrorKind::NoRandomness, Connected, Send, 0x8011),
        ] {
            let error = TlsSession::new(&config).fail(kind.into(), stage, direction);
            assert_eq!(error.esp_code(), number, "{error}");
        }
    }
}
