//! The records of a TLS 1.3 session whose handshake is over (RFC 8446, section 5).
//!
//! rustls does the handshake. What is left of it behind the handshake takes more memory than all else
//! of an idle session, and it makes a `Vec` of each record that it sends. So a session that goes on is
//! taken over: rustls hands out the keys and stays only to derive the next ones
//! ([`KernelConnection`], made for kernels that encrypt by themselves).
//!
//! What may still come from a client is data, alerts, and KeyUpdates. Everything else ends the session
//! with the alert that the RFC has for it.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{CipherSuite, Error, ExtractedSecrets, SupportedCipherSuite, Tls13CipherSuite};
use rustls_pki_types::CertificateDer;

use super::errors::{self, Fault};
use super::{MAX_FRAGMENT_LEN, provider};
use crate::alert::AlertCode;
use crate::error::TlsErrorKind;
use crate::resumption::HandshakeKind;

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
use self::in_place::{Opener, Sealer};
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
use self::through_rustls::{Opener, Sealer};

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod in_place;
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
mod through_rustls;

/// Type, version and length in front of a record.
const HEADER_LEN: usize = 5;
/// What every cipher suite of TLS 1.3 adds to authenticate a record.
const TAG_LEN: usize = 16;
/// The longest ciphertext of a record: what padding and tag may add is limited, too.
const MAX_CIPHERTEXT_LEN: usize = MAX_FRAGMENT_LEN + 256;

/// Types of content.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// The KeyUpdate without its last byte, which asks for one in return or doesn't (section 4.6.3).
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];
const NOT_REQUESTED: u8 = 0;
const REQUESTED: u8 = 1;

/// Levels of alerts (section 6); only two descriptions may come as warnings.
const WARNING: u8 = 1;
const FATAL: u8 = 2;

/// How many KeyUpdates may come in a row without data: each costs a few derivations.
const MAX_KEY_UPDATES: u8 = 32;
/// How many records without content, and warnings, may come in a row without data.
const MAX_IDLE_RECORDS: u8 = 32;

pub(crate) struct Records {
    sealer: Sealer,
    opener: Opener,
    /// Derives the keys after a KeyUpdate.
    keys: KernelConnection<ServerConnectionData>,
    suite: &'static Tls13CipherSuite,
    agreed: Agreed,
    max_fragment_len: u16,
    /// How much of a KeyUpdate has come, which may be cut into several records.
    key_update_len: u8,
    /// Since there was data.
    key_updates: u8,
    idle_records: u8,
    /// The client asked for a KeyUpdate in return. It goes in front of what is sent next, so that a
    /// client that only asks makes nothing grow.
    owes_key_update: bool,
    has_closed: bool,
    peer_has_closed: bool,
}

/// What the handshake has agreed on, for those who ask later.
pub(super) struct Agreed {
    pub(super) server_name: Option<Box<str>>,
    pub(super) alpn_protocol: Option<Box<[u8]>>,
    pub(super) peer_certificates: Box<[CertificateDer<'static>]>,
    pub(super) handshake_kind: Option<HandshakeKind>,
}

/// A record that was opened.
struct Opened<'r> {
    content_type: u8,
    content: &'r [u8],
}

impl Records {
    /// Goes on where rustls has stopped.
    pub(super) fn take_over(
        secrets: ExtractedSecrets,
        keys: KernelConnection<ServerConnectionData>,
        agreed: Agreed,
        max_fragment_len: u16,
    ) -> Result<Self, Error> {
        let SupportedCipherSuite::Tls13(suite) = keys.negotiated_cipher_suite() else {
            return Err(Error::General("only TLS 1.3 is taken over".into()));
        };
        Ok(Self {
            sealer: Sealer::new(suite, secrets.tx.1, secrets.tx.0)?,
            opener: Opener::new(suite, secrets.rx.1, secrets.rx.0)?,
            keys,
            suite,
            agreed,
            max_fragment_len,
            key_update_len: 0,
            key_updates: 0,
            idle_records: 0,
            owes_key_update: false,
            has_closed: false,
            peer_has_closed: false,
        })
    }

    /// Opens the complete records at the front of `buffer`, which are scratch then, and returns how
    /// many bytes those were. Data goes to `plain`, an alert of ours to `out`.
    pub(crate) fn process(
        &mut self,
        buffer: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        let mut consumed = 0;
        while !self.peer_has_closed {
            let (header, rest) = match buffer[consumed..].split_first_chunk_mut() {
                Some((header, rest)) => (*header, rest),
                None => break,
            };
            let len = payload_len(header).map_err(|problem| self.refuse(problem, out))?;
            let Some(payload) = rest.get_mut(..len) else { break };
            self.receive(payload, plain).map_err(|problem| self.refuse(problem, out))?;
            consumed += HEADER_LEN + len;
        }
        Ok(consumed)
    }

    /// Appends `plain` in records as full as they get.
    pub(crate) fn encrypt(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let max_fragment_len = usize::from(self.max_fragment_len);
        let records = plain.len().div_ceil(max_fragment_len);
        out.reserve(plain.len() + records * (HEADER_LEN + 1 + TAG_LEN));
        for content in plain.chunks(max_fragment_len) {
            self.seal(APPLICATION_DATA, content, out).map_err(errors::internal)?;
        }
        Ok(())
    }

    /// Appends a close_notify.
    pub(crate) fn close_notify(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.has_closed = true;
        let alert = [WARNING, AlertCode::CLOSE_NOTIFY.0];
        self.seal(ALERT, &alert, out).map_err(errors::internal)
    }

    pub(crate) fn peer_has_closed(&self) -> bool {
        self.peer_has_closed
    }

    pub(crate) fn alpn_protocol(&self) -> Option<&[u8]> {
        self.agreed.alpn_protocol.as_deref()
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        self.agreed.server_name.as_deref()
    }

    pub(crate) fn cipher_suite(&self) -> crate::CipherSuite {
        provider::named(self.suite.common.suite)
    }

    pub(crate) fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        &self.agreed.peer_certificates
    }

    pub(crate) fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.agreed.handshake_kind
    }

    fn receive(&mut self, payload: &mut [u8], plain: &mut Vec<u8>) -> Result<(), Problem> {
        let Opened { content_type, content } = self.opener.open(payload)?;
        if self.key_update_len > 0 && content_type != HANDSHAKE {
            return Err(Problem::unexpected("MessageInterleavedWithHandshakeMessage"));
        }
        match content_type {
            APPLICATION_DATA if content.is_empty() => self.count_idle_record(),
            APPLICATION_DATA => {
                plain.extend_from_slice(content);
                self.key_updates = 0;
                self.idle_records = 0;
                Ok(())
            }
            ALERT => match content {
                [level, code] => self.receive_alert(*level, AlertCode(*code)),
                [] => Err(Problem::unexpected("an alert record without an alert")),
                _ => Err(Problem::new("an alert of another length", AlertCode::DECODE_ERROR)),
            },
            HANDSHAKE => self.receive_handshake(content),
            _ => Err(Problem::unexpected("a record of a type that can't come now")),
        }
    }

    fn receive_alert(&mut self, level: u8, code: AlertCode) -> Result<(), Problem> {
        match (level, code) {
            (WARNING | FATAL, AlertCode::CLOSE_NOTIFY) => {
                self.peer_has_closed = true;
                Ok(())
            }
            (WARNING, AlertCode::USER_CANCELED) => self.count_idle_record(),
            // Whatever its level, it is the end (section 6).
            (WARNING | FATAL, _) => Err(Problem::Alert(code)),
            _ => Err(Problem::new("an alert of an unknown level", AlertCode::ILLEGAL_PARAMETER)),
        }
    }

    /// Takes a part of a KeyUpdate, which has to end with its record: what follows has other keys.
    fn receive_handshake(&mut self, part: &[u8]) -> Result<(), Problem> {
        if part.is_empty() {
            return Err(Problem::unexpected("an empty handshake record"));
        }
        let mut is_requested = false;
        for byte in part {
            let at = usize::from(self.key_update_len);
            match (KEY_UPDATE.get(at), *byte) {
                (Some(expected), byte) if *expected == byte => {}
                (Some(_), _) if at > 0 => {
                    let problem = "a KeyUpdate of another length";
                    return Err(Problem::new(problem, AlertCode::DECODE_ERROR));
                }
                (None, NOT_REQUESTED | REQUESTED) if at == KEY_UPDATE.len() => {
                    is_requested = *byte == REQUESTED;
                }
                (None, _) if at == KEY_UPDATE.len() => {
                    let problem = "a KeyUpdate that neither asks nor doesn't";
                    return Err(Problem::new(problem, AlertCode::ILLEGAL_PARAMETER));
                }
                _ => return Err(Problem::unexpected("a message other than one KeyUpdate")),
            }
            self.key_update_len += 1;
        }
        if usize::from(self.key_update_len) > KEY_UPDATE.len() {
            self.key_update_len = 0;
            self.update_opener()?;
            self.owes_key_update |= is_requested;
        }
        Ok(())
    }

    fn update_opener(&mut self) -> Result<(), Problem> {
        if self.key_updates == MAX_KEY_UPDATES {
            return Err(Problem::unexpected("TooManyKeyUpdateRequests"));
        }
        self.key_updates += 1;
        let (sequence, secrets) = self.keys.update_rx_secret()?;
        self.opener = Opener::new(self.suite, secrets, sequence)?;
        Ok(())
    }

    fn update_sealer(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let (sequence, secrets) = self.keys.update_tx_secret()?;
        let next = Sealer::new(self.suite, secrets, sequence)?;
        let [kind, high, middle, low] = KEY_UPDATE;
        self.sealer.seal(HANDSHAKE, &[kind, high, middle, low, NOT_REQUESTED], out)?;
        self.sealer = next;
        self.owes_key_update = false;
        Ok(())
    }

    fn count_idle_record(&mut self) -> Result<(), Problem> {
        if self.idle_records == MAX_IDLE_RECORDS {
            return Err(Problem::unexpected("TooManyEmptyFragments"));
        }
        self.idle_records += 1;
        Ok(())
    }

    /// Appends one record, behind a KeyUpdate if the client has asked for it, or if the key has
    /// sealed as many records as its cipher is safe for (section 5.5).
    fn seal(&mut self, content_type: u8, content: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        // The KeyUpdate itself is the last of them.
        let is_used_up = self.sealer.sealed() + 1 >= max_sealed(self.suite);
        if self.owes_key_update || is_used_up {
            self.update_sealer(out)?;
        }
        self.sealer.seal(content_type, content, out)
    }

    /// Tells the client what was wrong, unless it was told the end before, and makes a fault of it.
    fn refuse(&mut self, problem: Problem, out: &mut Vec<u8>) -> Fault {
        let (kind, code) = match problem {
            Problem::Alert(code) => return Fault::heard(code),
            Problem::Other(kind, code) => (kind, code),
        };
        if self.has_closed || self.seal(ALERT, &[FATAL, code.0], out).is_err() {
            return kind.into();
        }
        Fault::told(kind, code)
    }
}

/// Why a session can't go on.
enum Problem {
    /// The client has ended it.
    Alert(AlertCode),
    /// What is wrong, and the alert that says so.
    Other(TlsErrorKind, AlertCode),
}

impl Problem {
    fn new(what: &str, alert: AlertCode) -> Self {
        Problem::Other(TlsErrorKind::Protocol(what.to_string()), alert)
    }

    fn unexpected(what: &str) -> Self {
        Self::new(what, AlertCode::UNEXPECTED_MESSAGE)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let alert = match error {
            Error::DecryptError => AlertCode::BAD_RECORD_MAC,
            Error::PeerSentOversizedRecord => AlertCode::RECORD_OVERFLOW,
            Error::PeerMisbehaved(_) => AlertCode::UNEXPECTED_MESSAGE,
            _ => AlertCode::INTERNAL_ERROR,
        };
        Problem::Other(errors::kind(error), alert)
    }
}

/// How long the ciphertext behind this header is. The version in it means nothing (section 5.1).
fn payload_len([content_type, _, _, high, low]: [u8; HEADER_LEN]) -> Result<usize, Problem> {
    let len = usize::from(u16::from_be_bytes([high, low]));
    if content_type != APPLICATION_DATA {
        return Err(Problem::unexpected("a record in the clear"));
    }
    if len > MAX_CIPHERTEXT_LEN {
        return Err(Error::PeerSentOversizedRecord.into());
    }
    Ok(len)
}

/// How many records a key may seal. Not every provider says so of AES-GCM (section 5.5: 2^24.5).
fn max_sealed(suite: &Tls13CipherSuite) -> u64 {
    const AES_GCM: u64 = 1 << 24;
    match suite.common.suite {
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => suite.common.confidentiality_limit,
        _ => suite.common.confidentiality_limit.min(AES_GCM),
    }
}

/// Counts records, each of which has a nonce of its own by its number.
struct Sequence(u64);

impl Sequence {
    fn advance(&mut self) -> Result<u64, Error> {
        let number = self.0;
        // Long before this the key is used up.
        self.0 = number.checked_add(1).ok_or(Error::EncryptError)?;
        Ok(number)
    }
}

fn unknown_cipher() -> Error {
    Error::General("a cipher that isn't known here".into())
}

#[cfg(test)]
mod tests;
