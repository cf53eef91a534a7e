//! What is behind a session, by how far it is.

use alloc::boxed::Box;
use alloc::vec::Vec;

use rustls_pki_types::CertificateDer;

use crate::alert::AlertCode;
use crate::backend::{Connection, Fault, Records, contain_panic};
use crate::cipher_suite::CipherSuite;
use crate::config::TlsConfig;
use crate::error::TlsErrorKind;
use crate::hello::{ClientHello, Heard, HelloScan};
use crate::resumption::HandshakeKind;
use crate::session::TlsVersion;

/// Boxed, so that a session is as small as what is left of it in the end.
pub(crate) enum Link {
    /// The ClientHello isn't complete; which rules hold for this client isn't known.
    Listening(Box<Listening>),
    /// The handshake and what follows it at once.
    Connected(Box<Connection>),
    /// TLS 1.3 that goes on.
    Settled(Box<Records>),
    /// It could not be settled.
    Lost,
}

impl Link {
    /// Runs the records at the front of `buffer` and returns how many bytes were consumed.
    pub(crate) fn process(
        &mut self,
        buffer: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        match self {
            Link::Connected(connection) => connection.process(buffer, plain, out),
            Link::Settled(records) => contain_panic(|| records.process(buffer, plain, out))?,
            Link::Listening(_) => Ok(0),
            Link::Lost => Err(lost()),
        }
    }

    /// Encrypts `plain`. `leftover` and the result are as for [`Connection::process`].
    pub(crate) fn encrypt(
        &mut self,
        leftover: &mut [u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        match self {
            Link::Connected(connection) => connection.encrypt(leftover, plain, out),
            Link::Settled(records) => whole(out, |out| records.encrypt(plain, out)),
            Link::Listening(_) => Err(TlsErrorKind::Handshaking.into()),
            Link::Lost => Err(lost()),
        }
    }

    /// Sends close_notify. `leftover` and the result are as for [`Connection::process`].
    pub(crate) fn close_notify(
        &mut self,
        leftover: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        match self {
            Link::Connected(connection) => connection.close_notify(leftover, out),
            Link::Settled(records) => whole(out, |out| records.close_notify(out)),
            Link::Listening(_) => Err(TlsErrorKind::Handshaking.into()),
            Link::Lost => Err(lost()),
        }
    }

    /// Whether there is something to give back, if data was sent last and nothing is left over.
    pub(crate) fn can_settle(&self) -> bool {
        matches!(self, Link::Connected(connection) if connection.can_be_taken_over())
    }

    /// Gives it back. Whoever calls has asked [`Self::can_settle`].
    pub(crate) fn settle(&mut self) -> Result<(), Fault> {
        match core::mem::replace(self, Link::Lost) {
            Link::Connected(connection) => {
                *self = Link::Settled(Box::new(contain_panic(|| connection.into_records())??));
            }
            other => *self = other,
        }
        Ok(())
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            Link::Listening(_) => true,
            Link::Connected(connection) => connection.is_handshaking(),
            Link::Settled(_) | Link::Lost => false,
        }
    }

    pub(crate) fn peer_has_closed(&self) -> bool {
        match self {
            Link::Connected(connection) => connection.peer_has_closed(),
            Link::Settled(records) => records.peer_has_closed(),
            Link::Listening(_) | Link::Lost => false,
        }
    }

    pub(crate) fn alpn_protocol(&self) -> Option<&[u8]> {
        match self {
            Link::Connected(connection) => connection.alpn_protocol(),
            Link::Settled(records) => records.alpn_protocol(),
            Link::Listening(_) | Link::Lost => None,
        }
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        match self {
            Link::Connected(connection) => connection.server_name(),
            Link::Settled(records) => records.server_name(),
            Link::Listening(_) | Link::Lost => None,
        }
    }

    pub(crate) fn version(&self) -> Option<TlsVersion> {
        match self {
            Link::Connected(connection) => connection.version(),
            Link::Settled(_) => Some(TlsVersion::Tls13),
            Link::Listening(_) | Link::Lost => None,
        }
    }

    pub(crate) fn cipher_suite(&self) -> Option<CipherSuite> {
        match self {
            Link::Connected(connection) => connection.cipher_suite(),
            Link::Settled(records) => Some(records.cipher_suite()),
            Link::Listening(_) | Link::Lost => None,
        }
    }

    pub(crate) fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        match self {
            Link::Connected(connection) => connection.peer_certificates(),
            Link::Settled(records) => records.peer_certificates(),
            Link::Listening(_) | Link::Lost => &[],
        }
    }

    /// How the handshake went, once that is decided.
    pub(crate) fn handshake_kind(&self) -> Option<HandshakeKind> {
        match self {
            Link::Connected(connection) => connection.handshake_kind(),
            Link::Settled(records) => records.handshake_kind(),
            Link::Listening(_) | Link::Lost => None,
        }
    }
}

/// Lets `write` append records: all of them, or nothing.
fn whole(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
) -> Result<usize, Fault> {
    let start = out.len();
    let written = contain_panic(|| write(out)).unwrap_or_else(Err);
    if written.is_err() {
        out.truncate(start);
    }
    written.map(|()| 0)
}

fn lost() -> Fault {
    TlsErrorKind::Internal("the session could not be settled".into()).into()
}

/// A session before the end of its ClientHello.
pub(crate) struct Listening {
    config: TlsConfig,
    scan: HelloScan,
}

impl Listening {
    pub(crate) fn new(config: &TlsConfig) -> Self {
        Self { config: config.clone(), scan: HelloScan::default() }
    }

    /// Makes the connection if `received`, which is everything so far, allows to.
    pub(crate) fn hear(&mut self, received: &[u8]) -> Result<Option<Connection>, Fault> {
        let message = match self.scan.hear(received) {
            Heard::Incomplete => return Ok(None),
            Heard::Message(message) => Some(message),
            Heard::NotAHello => None,
        };
        let message = message.as_deref();
        let hello = message.and_then(ClientHello::parse);
        if hello.as_ref().is_some_and(ClientHello::is_of_an_old_version) {
            let kind = TlsErrorKind::Incompatible("the client is too old for TLS 1.2".into());
            return Err(Fault::unheard(kind, AlertCode::PROTOCOL_VERSION));
        }
        let terms = self.config.rules().terms(hello.as_ref())?;
        let server_name = hello.and_then(ClientHello::into_server_name);
        Connection::new(terms, self.config.clone(), server_name, message).map(Some)
    }
}
