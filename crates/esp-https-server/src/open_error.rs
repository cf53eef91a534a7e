//! Why a connection did not become a session, and how far it was.

use alloc::string::{String, ToString};
use core::fmt::{self, Display};
use core::net::SocketAddr;

use esp_http_server::{NetError, SessionId};
use esp_tls::TlsError;

use crate::tls_stats::FailureKind;

/// Why a connection did not become a session (upstream's `esp_https_server_last_error_t`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LastError {
    /// The session that it would have been.
    pub session: SessionId,
    /// The peer, if the network tells it.
    pub peer: Option<SocketAddr>,
    /// How far it was.
    pub stage: OpenStage,
    /// What went wrong.
    pub cause: Cause,
}

/// How far a connection was that did not become a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenStage {
    /// Nothing had come of it, or a limit sent it away before anything of it was looked at.
    Accepted,
    /// Its first message was due, or is the reason: no TLS, nothing in common, a name that nobody here
    /// has.
    ClientHello,
    /// The server had answered, and the client's turn was on: to believe the server's certificate, to
    /// show its own, to finish.
    Answered,
}

/// What went wrong with a connection before it became a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// TLS failed.
    Tls(TlsError),
    /// The client spoke no TLS, left in the middle, or was one too many.
    Handshake(HandshakeError),
    /// The handshake took longer than `handshake_timeout`.
    TimedOut,
    /// The network failed; its own words.
    Network(String),
}

/// Why a connection did not get through its handshake, where TLS itself has no error for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The client spoke plain HTTP. It was answered with a 400 that says so.
    PlainHttp,
    /// The client closed the connection without an alert.
    PeerClosed,
    /// There were as many handshakes as there may be, and this one, which had been under way for
    /// longest, was given up for a new one.
    GaveWay,
    /// So many handshakes were under way already
    /// ([`max_handshakes`](crate::HttpsConfig::max_handshakes)), none of them in this worker.
    TooMany(usize),
    /// So many handshakes with the same address were under way already
    /// ([`max_handshakes_per_addr`](crate::HttpsConfig::max_handshakes_per_addr)), none of them in this
    /// worker.
    TooManyOfAddr(usize),
}

/// What [`TlsNet`](crate::TlsNet) says of a connection that fails to open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenError {
    /// How far it was.
    pub stage: OpenStage,
    /// What went wrong.
    pub cause: Cause,
}

impl From<OpenError> for NetError {
    fn from(error: OpenError) -> Self {
        Self::Failed(error.into())
    }
}

impl LastError {
    pub(crate) fn new(
        session: SessionId,
        peer: Option<SocketAddr>,
        error: &(dyn core::error::Error + 'static),
    ) -> Self {
        let OpenError { stage, cause } = find(error).cloned().unwrap_or_else(|| OpenError {
            stage: OpenStage::Accepted,
            cause: match find(error) {
                Some(NetError::TimedOut) => Cause::TimedOut,
                _ => Cause::Network(error.to_string()),
            },
        });
        Self { session, peer, stage, cause }
    }

    /// What it counts to in the record of failures.
    pub fn kind(&self) -> FailureKind {
        self.cause.kind()
    }

    /// The `ESP_ERR_ESP_TLS_*` / `ESP_ERR_MBEDTLS_*` number that ESP-IDF reports for the same failure
    /// (`esp_tls_last_error_t::last_error`; base 0x8000).
    pub fn esp_code(&self) -> i32 {
        /// `ESP_ERR_ESP_TLS_SERVER_HANDSHAKE_TIMEOUT`.
        const SERVER_HANDSHAKE_TIMEOUT: i32 = 0x8009;
        /// `ESP_ERR_MBEDTLS_SSL_HANDSHAKE_FAILED`.
        const SSL_HANDSHAKE_FAILED: i32 = 0x801A;
        match &self.cause {
            Cause::Tls(error) => error.esp_code(),
            Cause::TimedOut => SERVER_HANDSHAKE_TIMEOUT,
            Cause::Handshake(_) | Cause::Network(_) => SSL_HANDSHAKE_FAILED,
        }
    }
}

/// The error of that type among `error` and its sources.
fn find<'e, E: core::error::Error + 'static>(
    error: &'e (dyn core::error::Error + 'static),
) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

impl Cause {
    /// What it counts to in the record of failures.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Tls(error) => FailureKind::Tls(error.kind().class()),
            Self::Handshake(HandshakeError::PlainHttp) => FailureKind::PlainHttp,
            Self::Handshake(HandshakeError::PeerClosed) => FailureKind::PeerClosed,
            Self::Handshake(HandshakeError::GaveWay) => FailureKind::GaveWay,
            Self::Handshake(HandshakeError::TooMany(_)) => FailureKind::TooMany,
            Self::Handshake(HandshakeError::TooManyOfAddr(_)) => FailureKind::TooManyOfAddr,
            Self::TimedOut => FailureKind::TimedOut,
            Self::Network(_) => FailureKind::Network,
        }
    }

    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Tls(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::TimedOut | Self::Network(_) => None,
        }
    }
}

impl fmt::Display for LastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{peer}: ")?,
            None => write!(f, "session {}: ", self.session)?,
        }
        describe(self.stage, &self.cause, f)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(self.stage, &self.cause, f)
    }
}

fn describe(stage: OpenStage, cause: &Cause, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match (cause, stage) {
        (Cause::Tls(error), _) => error.fmt(f),
        (Cause::Handshake(error), _) => error.fmt(f),
        (Cause::TimedOut, OpenStage::Accepted) => {
            f.write_str("the client sent nothing in the time that a TLS handshake may take")
        }
        (Cause::TimedOut, OpenStage::ClientHello) => {
            f.write_str("the TLS handshake was not done in time: the ClientHello is incomplete")
        }
        (Cause::TimedOut, OpenStage::Answered) => {
            f.write_str("the TLS handshake was not done in time: the client did not finish it")
        }
        (Cause::Network(error), _) => f.write_str(error),
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlainHttp => f.write_str("the client spoke plain HTTP to the HTTPS port"),
            Self::PeerClosed => f.write_str(
                "the client closed the connection during the TLS handshake \
                 (it may not trust the server's certificate)",
            ),
            Self::GaveWay => f.write_str(
                "the TLS handshake had to give way to a newer one \
                 (max_handshakes, max_handshakes_per_addr)",
            ),
            Self::TooMany(limit) => {
                write!(f, "{limit} TLS handshakes were under way already (max_handshakes)")
            }
            Self::TooManyOfAddr(limit) => write!(
                f,
                "{limit} TLS handshakes with this address were under way already \
                 (max_handshakes_per_addr)"
            ),
        }
    }
}

impl core::error::Error for LastError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.cause.source()
    }
}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.cause.source()
    }
}

impl core::error::Error for HandshakeError {}
