//! Why a session failed: by whose fault, at which stage, and with which alert.

use alloc::string::String;
use core::fmt;

use crate::alert::Alert;
use crate::failure_class::FailureClass;
use crate::select::Refusal;

/// Why a call on a [`TlsSession`](crate::TlsSession) failed.
///
/// Errors of the peer, the configuration and the library end the session: every later call returns
/// the same error and does nothing. The two errors of the caller ([`TlsErrorKind::Handshaking`] and
/// [`TlsErrorKind::Closed`]) leave it as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    pub(crate) kind: TlsErrorKind,
    pub(crate) stage: Stage,
    pub(crate) alert: Option<Alert>,
    pub(crate) esp_code: i32,
}

impl TlsError {
    /// What happened.
    pub fn kind(&self) -> &TlsErrorKind {
        &self.kind
    }

    /// Whose fault it is, which decides whether to log it, and as what.
    pub fn blame(&self) -> Blame {
        self.kind.blame()
    }

    /// Whether the session was still in its handshake.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The alert that went with it. `None` when there was none, or when it was encrypted and its
    /// description can't be told.
    pub fn alert(&self) -> Option<Alert> {
        self.alert
    }

    /// The `ESP_ERR_ESP_TLS_*` / `ESP_ERR_MBEDTLS_*` number that ESP-IDF reports for the same
    /// failure (`esp_tls_get_and_clear_last_error`; base 0x8000).
    pub fn esp_code(&self) -> i32 {
        self.esp_code
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stage == Stage::Handshake && self.blame() != Blame::Caller {
            f.write_str("TLS handshake failed: ")?;
        }
        write!(f, "{}", self.kind)?;
        match self.alert {
            Some(alert @ Alert::Sent(_)) => write!(f, " ({alert})"),
            // The kind itself names an alert that was received.
            Some(Alert::Received(_)) | None => Ok(()),
        }
    }
}

impl core::error::Error for TlsError {}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blame {
    /// The other end of the connection: a hostile, broken or incompatible client. Nothing to fix
    /// here; at most worth a line in the log.
    Peer,
    /// The code that called: the call doesn't fit the session's state.
    Caller,
    /// What the program supplied: its clock, its randomness.
    Config,
    /// A defect in this crate or below it. Worth a bug report.
    Internal,
}

/// Where in its life a session was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Keys and identities were being agreed on.
    Handshake,
    /// The handshake was complete; data flowed.
    Connected,
}

/// What happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsErrorKind {
    /// The peer gave up with a fatal alert. Most often it doesn't trust our certificate.
    AlertReceived(crate::AlertCode),
    /// The first bytes are no TLS record, as when a browser speaks plain HTTP to this port.
    NotTls,
    /// The peer broke a rule of TLS, or its records can't be decrypted.
    Protocol(String),
    /// No TLS version, cipher suite, group or signature scheme in common.
    Incompatible(String),
    /// The client offered application protocols, and none of ours (RFC 7301, section 3.2).
    NoApplicationProtocol,
    /// The client's certificate isn't good.
    ClientCertificate(CertificateProblem),
    /// The selector sent this client away.
    Refused(Refusal),
    /// The peer sent more of an unfinished message than we hold for it.
    TooMuchUnfinished {
        /// Bytes that would have had to be held.
        held_len: usize,
        /// Bytes that are held at most at this stage.
        limit_len: usize,
    },
    /// `send` before the handshake was complete.
    Handshaking,
    /// `send` after `close`.
    Closed,
    /// The selector left the certificate to the configuration, which has none.
    NoCertificate,
    /// The device with the server's key could not sign; it said this.
    SigningFailed(String),
    /// The [`Clock`](crate::Clock) doesn't know the time, and the handshake needed it.
    NoTime,
    /// The source of randomness failed.
    NoRandomness,
    /// The TLS library panicked; the panic was contained.
    Panicked,
    /// An error that should not have been possible.
    Internal(String),
}

impl TlsErrorKind {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        use TlsErrorKind::*;
        match self {
            AlertReceived(_)
            | NotTls
            | Protocol(_)
            | Incompatible(_)
            | NoApplicationProtocol
            | ClientCertificate(_)
            | Refused(_)
            | TooMuchUnfinished { .. } => Blame::Peer,
            Handshaking | Closed => Blame::Caller,
            NoCertificate | SigningFailed(_) | NoTime | NoRandomness => Blame::Config,
            Panicked | Internal(_) => Blame::Internal,
        }
    }

    /// Which class it counts to in a record of failures.
    pub fn class(&self) -> FailureClass {
        use TlsErrorKind::*;
        match self {
            AlertReceived(_) => FailureClass::AlertReceived,
            NotTls => FailureClass::NotTls,
            Protocol(_) | TooMuchUnfinished { .. } => FailureClass::Protocol,
            Incompatible(_) => FailureClass::Incompatible,
            NoApplicationProtocol => FailureClass::ApplicationProtocol,
            ClientCertificate(problem) => problem.class(),
            Refused(_) => FailureClass::Refused,
            Handshaking | Closed => FailureClass::Misuse,
            NoCertificate | NoTime | NoRandomness => FailureClass::Config,
            SigningFailed(_) => FailureClass::SigningKey,
            Panicked | Internal(_) => FailureClass::Internal,
        }
    }
}

impl fmt::Display for TlsErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use TlsErrorKind::*;
        match self {
            AlertReceived(code) => write!(f, "the peer gave up with alert {code}"),
            NotTls => f.write_str("the peer doesn't speak TLS (plain HTTP on a TLS port?)"),
            Protocol(detail) => write!(f, "the peer broke the TLS protocol: {detail}"),
            Incompatible(detail) => write!(f, "nothing in common with the peer: {detail}"),
            NoApplicationProtocol => {
                f.write_str("the client offers none of our application protocols (ALPN)")
            }
            ClientCertificate(problem) => write!(f, "client certificate: {problem}"),
            TooMuchUnfinished { held_len, limit_len } => write!(
                f,
                "the peer sent {held_len} bytes of an unfinished message, the limit is {limit_len}"
            ),
            Refused(refusal) => write!(f, "the client was sent away: {refusal}"),
            NoCertificate => {
                f.write_str("the selector chose no certificate, and there is no other")
            }
            SigningFailed(detail) => write!(f, "the server's key could not sign: {detail}"),
            Handshaking => f.write_str("data can't be sent before the TLS handshake is complete"),
            Closed => f.write_str("data can't be sent on a closed TLS session"),
            NoTime => f.write_str("the clock isn't set, so a date could not be checked"),
            NoRandomness => f.write_str("the source of randomness failed"),
            Panicked => f.write_str("the TLS library panicked; the session was given up"),
            Internal(detail) => write!(f, "unexpected TLS error: {detail}"),
        }
    }
}

/// What is wrong with a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// One is required and the client sent none.
    Missing,
    /// It can't be parsed.
    Malformed,
    /// Its validity is over.
    Expired,
    /// Its validity has not begun.
    NotYetValid,
    /// No configured CA issued it.
    UnknownIssuer,
    /// A signature, of the certificate or by its key, is wrong.
    BadSignature,
    /// It isn't meant for TLS clients (extended key usage).
    WrongPurpose,
    /// It was revoked.
    Revoked,
    /// Revocation is checked, and there is no CRL of its issuer.
    UnknownRevocation,
    /// Revocation is checked, and the CRL of its issuer has expired.
    ExpiredCrl,
    /// Anything else.
    Other(String),
}

impl CertificateProblem {
    fn class(&self) -> FailureClass {
        use CertificateProblem::*;
        match self {
            Missing => FailureClass::CertificateMissing,
            Expired | NotYetValid => FailureClass::CertificateDates,
            UnknownIssuer => FailureClass::CertificateIssuer,
            Revoked | UnknownRevocation | ExpiredCrl => FailureClass::CertificateRevoked,
            Malformed | BadSignature | WrongPurpose | Other(_) => FailureClass::CertificateOther,
        }
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use CertificateProblem::*;
        f.write_str(match self {
            Missing => "required, but the client sent none",
            Malformed => "can't be parsed",
            Expired => "expired",
            NotYetValid => "not valid yet",
            UnknownIssuer => "not issued by a configured client CA",
            BadSignature => "wrong signature",
            WrongPurpose => "not meant for TLS clients (extended key usage)",
            Revoked => "revoked",
            UnknownRevocation => "there is no CRL of its issuer",
            ExpiredCrl => "the CRL of its issuer has expired",
            Other(detail) => detail,
        })
    }
}

/// ESP-IDF's numbers for failures of TLS, `ESP_ERR_ESP_TLS_BASE` + n.
pub(crate) mod esp_code {
    pub(crate) const SE_FAILED: i32 = 0x8007;
    pub(crate) const CTR_DRBG_SEED_FAILED: i32 = 0x8011;
    pub(crate) const SSL_CONF_ALPN_FAILED: i32 = 0x8014;
    pub(crate) const X509_PARSE_FAILED: i32 = 0x8015;
    pub(crate) const OWN_CERT_FAILED: i32 = 0x8016;
    pub(crate) const SSL_SETUP_FAILED: i32 = 0x8017;
    pub(crate) const SSL_WRITE_FAILED: i32 = 0x8018;
    pub(crate) const PK_PARSE_KEY_FAILED: i32 = 0x8019;
    pub(crate) const SSL_HANDSHAKE_FAILED: i32 = 0x801A;
    pub(crate) const TICKET_SETUP_FAILED: i32 = 0x801C;
    pub(crate) const SSL_READ_FAILED: i32 = 0x801D;
}
