//! Drives rustls' unbuffered connection. Its contract has edges that cost others a session, or a
//! server; each is noted where it is met.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, WriteTraffic,
};
use rustls::{HandshakeKind as RustlsKind, ProtocolVersion};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::errors::{self, Fault};
use super::records::{Agreed, Records};
use super::settings::{Reverification, Terms};
use super::{MAX_FRAGMENT_LEN, provider};
use crate::cipher_suite::CipherSuite;
use crate::config::TlsConfig;
use crate::hello::HANDSHAKE_RECORD;
use crate::resumption::HandshakeKind;
use crate::session::TlsVersion;

/// More than any suite adds to a record: header, explicit nonce, tag, content type.
const RECORD_OVERHEAD_LEN: usize = 64;
/// Room for what may ride along: the reply to a key update.
const QUEUED_LEN: usize = 256;

type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

pub(crate) struct Connection {
    tls: UnbufferedServerConnection,
    /// The connection keeps the name that the client asked for to itself.
    server_name: Option<Box<str>>,
    /// Until the handshake is complete, if its client may be one that was verified in the past.
    reverification: Option<Box<PendingReverification>>,
    /// Where the handshake is counted when it is complete.
    counted_by: Option<TlsConfig>,
    max_fragment_len: u16,
    peer_has_closed: bool,
}

struct PendingReverification {
    how: Arc<Reverification>,
    /// The records of the ClientHello, as long as the handshake can begin anew.
    hello: Option<Vec<u8>>,
}

impl Connection {
    /// A connection on these terms. `hello` is the message that it is about to receive, if it was
    /// understood.
    pub(crate) fn new(
        terms: Terms,
        counted_by: TlsConfig,
        server_name: Option<String>,
        hello: Option<&[u8]>,
    ) -> Result<Self, Fault> {
        let reverification = terms
            .reverification
            .map(|how| Box::new(PendingReverification { how, hello: hello.map(in_records) }));
        let tls = UnbufferedServerConnection::new(terms.server).map_err(errors::fault)?;
        Ok(Self {
            tls,
            server_name: server_name.map(String::into_boxed_str),
            reverification,
            counted_by: Some(counted_by),
            max_fragment_len: u16::try_from(terms.max_fragment_len).unwrap_or(u16::MAX),
            peer_has_closed: false,
        })
    }

    /// Runs the records in `buffer` and returns how many bytes of its front were consumed.
    ///
    /// `buffer` must hold everything that was received and not consumed, in front: an unfinished
    /// handshake message lies there, decrypted, and rustls panics if it is taken away.
    pub(crate) fn process(
        &mut self,
        buffer: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        let start = out.len();
        let consumed = self.guarded(out, |this, out| this.run(buffer, plain, out))?;
        if let Some(pending) = self.reverification.take() {
            self.reverify(*pending, plain, out, start)?;
        }
        if let Some(config) = self.counted_by.take_if(|_| !self.tls.is_handshaking())
            && let Some(kind) = self.handshake_kind()
        {
            config.counters().count(kind);
        }
        Ok(consumed)
    }

    fn run(
        &mut self,
        buffer: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        // An offset instead of moving bytes: with many small records that would be quadratic.
        let mut consumed = 0;
        loop {
            let status = self.tls.process_tls_records(&mut buffer[consumed..]);
            let discard = status.discard;
            match status.state.map_err(errors::fault)? {
                // A record dropped unread would reappear for ever.
                ConnectionState::ReadTraffic(mut records) => {
                    while let Some(record) = records.next_record() {
                        plain.extend_from_slice(record.map_err(errors::fault)?.payload);
                    }
                    // The next call would have nothing to look at and nothing to say.
                    if consumed + discard == buffer.len() && !self.tls.wants_write() {
                        return Ok(consumed + discard);
                    }
                }
                ConnectionState::EncodeTlsData(data) => encode(data, out)?,
                // Repeats until told that it's done; the bytes are in our buffer, so it is.
                ConnectionState::TransmitTlsData(data) => data.done(),
                // Comes once; what follows a close_notify is never consumed.
                ConnectionState::PeerClosed => self.peer_has_closed = true,
                ConnectionState::BlockedHandshake
                | ConnectionState::WriteTraffic(_)
                | ConnectionState::Closed => return Ok(consumed + discard),
                state => return Err(unexpected(&state)),
            }
            consumed += discard;
        }
    }

    /// Judges the client's identity if it comes out of a ticket: what was good then may have expired
    /// or been revoked, and each ticket leads to the next one. If it isn't good any more the
    /// handshake begins anew, without tickets; `start` is where our first answer begins in `out`.
    fn reverify(
        &mut self,
        mut pending: PendingReverification,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), Fault> {
        match self.tls.handshake_kind() {
            Some(RustlsKind::Full) => return Ok(()),
            Some(RustlsKind::Resumed) => {}
            // A second ClientHello (RFC 8446, section 4.1.2) decides, and then it is too late to
            // begin anew.
            Some(RustlsKind::FullWithHelloRetryRequest) | None => {
                pending.hello = None;
                self.reverification = self.is_handshaking().then(|| Box::new(pending));
                return Ok(());
            }
        }
        let Err(error) = contain_panic(|| self.verify_again(&pending.how))? else {
            return Ok(());
        };
        // Nothing of our answer has left yet.
        out.truncate(start);
        let Some(mut hello) = pending.hello else {
            return Err(errors::fault(error).say(out));
        };
        let server = Arc::clone(&pending.how.server);
        self.tls = UnbufferedServerConnection::new(server).map_err(errors::fault)?;
        self.guarded(out, |this, out| this.run(&mut hello, plain, out))?;
        Ok(())
    }

    fn verify_again(&self, how: &Reverification) -> Result<(), rustls::Error> {
        let now = how.clock.unix_time().ok_or(rustls::Error::FailedToGetCurrentTime)?;
        let chain = self.tls.peer_certificates().unwrap_or_default();
        how.client_ca.verifier().verify(chain, UnixTime::since_unix_epoch(now))
    }

    /// Encrypts `plain`. `leftover` is as for [`Self::process`], and so is the result.
    pub(crate) fn encrypt(
        &mut self,
        leftover: &mut [u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        let records = plain.len().div_ceil(usize::from(self.max_fragment_len));
        let room_len = plain.len() + records * RECORD_OVERHEAD_LEN + QUEUED_LEN;
        self.write(leftover, out, |mut traffic, out| {
            append(out, room_len, |room| traffic.encrypt(plain, room))
        })
    }

    /// Whether the session can be taken over by [`Self::into_records`] behind a write. Behind a read
    /// it can't: rustls may hold a reply to a KeyUpdate, which it shows nobody.
    pub(crate) fn can_be_taken_over(&self) -> bool {
        self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3)
            && !self.is_handshaking()
            && !self.peer_has_closed
            && !self.tls.wants_write()
    }

    /// Ends rustls' part of the session. Whoever calls makes sure that nothing received is left over.
    pub(crate) fn into_records(self) -> Result<Records, Fault> {
        let agreed = Agreed {
            alpn_protocol: self.alpn_protocol().map(Box::from),
            peer_certificates: self.peer_certificates().into(),
            handshake_kind: self.handshake_kind(),
            server_name: self.server_name,
        };
        let (secrets, keys) =
            self.tls.dangerous_into_kernel_connection().map_err(errors::internal)?;
        Records::take_over(secrets, keys, agreed, self.max_fragment_len).map_err(errors::internal)
    }

    /// Sends close_notify. `leftover` is as for [`Self::process`], and so is the result.
    pub(crate) fn close_notify(
        &mut self,
        leftover: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        self.write(leftover, out, |mut traffic, out| {
            append(out, QUEUED_LEN, |room| traffic.queue_close_notify(room))
        })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    pub(crate) fn peer_has_closed(&self) -> bool {
        self.peer_has_closed
    }

    pub(crate) fn alpn_protocol(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    pub(crate) fn version(&self) -> Option<TlsVersion> {
        match self.tls.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some(TlsVersion::Tls12),
            ProtocolVersion::TLSv1_3 => Some(TlsVersion::Tls13),
            _ => None,
        }
    }

    pub(crate) fn cipher_suite(&self) -> Option<CipherSuite> {
        Some(provider::named(self.tls.negotiated_cipher_suite()?.suite()))
    }

    pub(crate) fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.peer_certificates().unwrap_or_default()
    }

    /// How the handshake goes, once that is decided.
    pub(crate) fn handshake_kind(&self) -> Option<HandshakeKind> {
        Some(match self.tls.handshake_kind()? {
            RustlsKind::Resumed => HandshakeKind::Resumed,
            RustlsKind::Full | RustlsKind::FullWithHelloRetryRequest => HandshakeKind::Full,
        })
    }

    /// Comes to the state in which records can be written, and lets `write` do it.
    fn write(
        &mut self,
        leftover: &mut [u8],
        out: &mut Vec<u8>,
        write: impl FnOnce(Traffic<'_>, &mut Vec<u8>) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        self.guarded(out, |this, out| {
            let mut consumed = 0;
            loop {
                let status = this.tls.process_tls_records(&mut leftover[consumed..]);
                consumed += status.discard;
                match status.state.map_err(errors::fault)? {
                    ConnectionState::EncodeTlsData(data) => encode(data, out)?,
                    ConnectionState::TransmitTlsData(data) => data.done(),
                    ConnectionState::WriteTraffic(traffic) => {
                        write(traffic, out)?;
                        return Ok(consumed);
                    }
                    state => return Err(unexpected(&state)),
                }
            }
        })
    }

    /// Runs one step. If it fails, the alert that rustls queued is appended to `out`; if it panics,
    /// the session fails and the program doesn't.
    fn guarded<T>(
        &mut self,
        out: &mut Vec<u8>,
        step: impl FnOnce(&mut Self, &mut Vec<u8>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let start = out.len();
        contain_panic(|| {
            step(self, out).map_err(|fault| {
                // Calling rustls again with the same bytes would decrypt again and queue a second
                // alert. Fetching what is queued is all that may still be done.
                let end = out.len();
                match self.drain(out) {
                    Ok(()) => fault.sent(&out[end..]),
                    Err(_) => fault,
                }
            })
        })
        // Room was made in `out` and perhaps not filled.
        .unwrap_or_else(|fault| {
            out.truncate(start);
            Err(fault)
        })
    }

    /// Appends everything that rustls has queued. An empty input is harmless only while something
    /// is: it is looked at first.
    fn drain(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        while self.tls.wants_write() {
            match self.tls.process_tls_records(&mut []).state.map_err(errors::fault)? {
                ConnectionState::EncodeTlsData(data) => encode(data, out)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::ReadTraffic(mut records) => {
                    while records.next_record().is_some() {}
                }
                state => return Err(unexpected(&state)),
            }
        }
        Ok(())
    }
}

/// Appends a record that is encoded already. It would be lost with `data` if the room were short
/// and `data` dropped, so the same object is asked twice: for the length, then for the bytes.
fn encode<Data>(mut data: EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Result<(), Fault> {
    match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
            let start = out.len();
            out.resize(start + required_size, 0);
            let written = data.encode(&mut out[start..]).map_err(errors::internal)?;
            out.truncate(start + written);
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(errors::internal(error)),
    }
}

/// Appends what `write` writes. The estimate of the room it needs is generous; should it still be
/// short, rustls has consumed nothing and says how much it takes.
fn append(
    out: &mut Vec<u8>,
    mut room_len: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), Fault> {
    let start = out.len();
    loop {
        out.resize(start + room_len, 0);
        match write(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room_len =>
            {
                room_len = required_size;
            }
            Err(error) => {
                out.truncate(start);
                return Err(errors::internal(error));
            }
        }
    }
}

/// A handshake message as it can be received.
fn in_records(message: &[u8]) -> Vec<u8> {
    let mut records = Vec::with_capacity(message.len() + RECORD_OVERHEAD_LEN);
    for fragment in message.chunks(MAX_FRAGMENT_LEN) {
        let [.., high, low] = fragment.len().to_be_bytes();
        records.extend_from_slice(&[HANDSHAKE_RECORD, 3, 3, high, low]);
        records.extend_from_slice(fragment);
    }
    records
}

fn unexpected<Data>(state: &ConnectionState<'_, '_, Data>) -> Fault {
    errors::internal(alloc::format!("state {state:?} where it can't be"))
}

/// Runs a step that may call the program's code, or trip over a defect below.
#[cfg(feature = "std")]
pub(crate) fn contain_panic<T>(step: impl FnOnce() -> T) -> Result<T, Fault> {
    // Whatever a panic leaves inconsistent is in the session, which is not used again.
    std::panic::catch_unwind(core::panic::AssertUnwindSafe(step))
        .map_err(|_| crate::TlsErrorKind::Panicked.into())
}

/// Without `std` a panic ends the program anyway.
#[cfg(not(feature = "std"))]
pub(crate) fn contain_panic<T>(step: impl FnOnce() -> T) -> Result<T, Fault> {
    Ok(step())
}
