//! Drives rustls' unbuffered connection. Its contract has edges that cost others a session, or a
//! server; each is noted where it is met.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use once_cell::race::OnceBox;
use rustls::server::{
    ClientHello, ResolvesServerCert, ServerConnectionData, UnbufferedServerConnection,
};
use rustls::sign::CertifiedKey;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, WriteTraffic,
};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};

use super::errors::{self, Fault};
use crate::error::TlsErrorKind;
use crate::session::{CipherSuite, TlsVersion};

/// The largest payload of a record (RFC 8446, section 5.1).
const MAX_FRAGMENT_LEN: usize = 16_384;
/// More than any suite adds to a record: header, explicit nonce, tag, content type.
const RECORD_OVERHEAD_LEN: usize = 64;
/// Room for what may ride along: the reply to a key update.
const QUEUED_LEN: usize = 256;

type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

pub(crate) struct Connection {
    tls: UnbufferedServerConnection,
    resolver: Arc<NotingResolver>,
    peer_has_closed: bool,
}

impl Connection {
    pub(crate) fn new(config: &ServerConfig) -> Result<Self, TlsErrorKind> {
        // The connection keeps the name the client asked for to itself. Only the resolver is told,
        // so every session has its own; the rest of the config is shared, and both are dropped by
        // rustls when the handshake is over.
        let resolver = Arc::new(NotingResolver::new(Arc::clone(&config.cert_resolver)));
        let mut config = config.clone();
        config.cert_resolver = Arc::clone(&resolver) as _;
        let tls = UnbufferedServerConnection::new(Arc::new(config)).map_err(errors::kind)?;
        Ok(Self { tls, resolver, peer_has_closed: false })
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
        self.guarded(out, |this, out| {
            // An offset instead of moving bytes: with many small records that would be quadratic.
            let mut consumed = 0;
            loop {
                let status = this.tls.process_tls_records(&mut buffer[consumed..]);
                let discard = status.discard;
                match status.state.map_err(errors::fault)? {
                    // A record dropped unread would reappear for ever.
                    ConnectionState::ReadTraffic(mut records) => {
                        while let Some(record) = records.next_record() {
                            plain.extend_from_slice(record.map_err(errors::fault)?.payload);
                        }
                    }
                    ConnectionState::EncodeTlsData(data) => encode(data, out)?,
                    // Repeats until told that it's done; the bytes are in our buffer, so it is.
                    ConnectionState::TransmitTlsData(data) => data.done(),
                    // Comes once; what follows a close_notify is never consumed.
                    ConnectionState::PeerClosed => this.peer_has_closed = true,
                    ConnectionState::BlockedHandshake
                    | ConnectionState::WriteTraffic(_)
                    | ConnectionState::Closed => return Ok(consumed + discard),
                    state => return Err(unexpected(&state)),
                }
                consumed += discard;
            }
        })
    }

    /// Encrypts `plain`. `leftover` is as for [`Self::process`], and so is the result.
    pub(crate) fn encrypt(
        &mut self,
        leftover: &mut [u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        let records = plain.len().div_ceil(MAX_FRAGMENT_LEN);
        let room_len = plain.len() + records * RECORD_OVERHEAD_LEN + QUEUED_LEN;
        self.write(leftover, out, |mut traffic, out| {
            append(out, room_len, |room| traffic.encrypt(plain, room))
        })
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
        self.resolver.server_name.get().map(String::as_str)
    }

    pub(crate) fn version(&self) -> Option<TlsVersion> {
        match self.tls.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some(TlsVersion::Tls12),
            ProtocolVersion::TLSv1_3 => Some(TlsVersion::Tls13),
            _ => None,
        }
    }

    pub(crate) fn cipher_suite(&self) -> Option<CipherSuite> {
        let suite = self.tls.negotiated_cipher_suite()?.suite();
        Some(CipherSuite { id: suite.into(), name: super::provider::iana_name(suite) })
    }

    pub(crate) fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.tls.peer_certificates().unwrap_or_default().iter().map(|der| der.as_ref())
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
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

fn unexpected<Data>(state: &ConnectionState<'_, '_, Data>) -> Fault {
    errors::internal(alloc::format!("state {state:?} where it can't be"))
}

#[cfg(feature = "std")]
fn contain_panic<T>(step: impl FnOnce() -> T) -> Result<T, Fault> {
    // Whatever a panic leaves inconsistent is in the session, which is not used again.
    std::panic::catch_unwind(core::panic::AssertUnwindSafe(step))
        .map_err(|_| TlsErrorKind::Panicked.into())
}

/// Without `std` a panic ends the program anyway.
#[cfg(not(feature = "std"))]
fn contain_panic<T>(step: impl FnOnce() -> T) -> Result<T, Fault> {
    Ok(step())
}

/// Passes the choice of the certificate on and notes the name that the client asked for.
#[derive(Debug)]
struct NotingResolver {
    inner: Arc<dyn ResolvesServerCert>,
    server_name: OnceBox<String>,
}

impl NotingResolver {
    fn new(inner: Arc<dyn ResolvesServerCert>) -> Self {
        Self { inner, server_name: OnceBox::new() }
    }
}

impl ResolvesServerCert for NotingResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            // A second ClientHello (after a HelloRetryRequest) must repeat the name.
            let _ = self.server_name.set(Box::new(name.into()));
        }
        self.inner.resolve(hello)
    }
}
