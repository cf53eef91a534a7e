//! From rustls' errors to ours, sorted by blame.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt::Display;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use crate::alert::{Alert, AlertCode};
use crate::error::{CertificateProblem, TlsErrorKind};

const ALERT_RECORD: u8 = 21;
const FATAL: u8 = 2;

/// How the text of a device's failure begins: rustls has only texts for errors of signers.
pub(super) const SIGNING_FAILED: &str = "signing key: ";

/// A failed step: what happened and which alert goes with it.
pub(crate) struct Fault {
    pub(crate) kind: TlsErrorKind,
    pub(crate) alert: Option<Alert>,
    /// The alert that rustls sends for this error, if it sends one.
    likely_alert: Option<AlertCode>,
}

impl Fault {
    /// Completes the fault with the records that were sent because of it.
    ///
    /// Before there are keys the alert can be read from its record. Later it is encrypted, and what
    /// rustls sends for such an error has to be known.
    pub(super) fn sent(mut self, records: &[u8]) -> Self {
        let sent = match records {
            [] => None,
            [.., ALERT_RECORD, 3, _, 0, 2, _level, code] => Some(AlertCode(*code)),
            _ => self.likely_alert,
        };
        if let Some(code) = sent {
            self.alert = Some(Alert::Sent(code));
        }
        self
    }
}

impl Fault {
    /// A fault that rustls doesn't know of, because it comes before it or instead of its answer.
    /// The client hears of it in the clear.
    pub(crate) fn unheard(kind: TlsErrorKind, alert: AlertCode) -> Self {
        Self { kind, alert: None, likely_alert: Some(alert) }
    }

    /// A fault that the peer was told of, with this alert.
    pub(super) fn told(kind: TlsErrorKind, alert: AlertCode) -> Self {
        Self { kind, alert: Some(Alert::Sent(alert)), likely_alert: None }
    }

    /// The peer's own end of the session, by this alert.
    pub(super) fn heard(alert: AlertCode) -> Self {
        let kind = TlsErrorKind::AlertReceived(alert);
        Self { kind, alert: Some(Alert::Received(alert)), likely_alert: None }
    }

    /// Says it, as long as nothing of the handshake has been said yet.
    pub(crate) fn say(mut self, out: &mut Vec<u8>) -> Self {
        if let Some(code) = self.likely_alert {
            out.extend_from_slice(&[ALERT_RECORD, 3, 3, 0, 2, FATAL, code.0]);
            self.alert = Some(Alert::Sent(code));
        }
        self
    }
}

impl From<TlsErrorKind> for Fault {
    fn from(kind: TlsErrorKind) -> Self {
        Self { kind, alert: None, likely_alert: None }
    }
}

pub(super) fn fault(error: Error) -> Fault {
    Fault {
        likely_alert: likely_alert(&error).map(code),
        alert: match error {
            Error::AlertReceived(description) => Some(Alert::Received(code(description))),
            _ => None,
        },
        kind: kind(error),
    }
}

pub(super) fn internal(error: impl Display) -> Fault {
    TlsErrorKind::Internal(error.to_string()).into()
}

pub(super) fn kind(error: Error) -> TlsErrorKind {
    use TlsErrorKind::*;
    match error {
        Error::AlertReceived(description) => AlertReceived(code(description)),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => NotTls,
        Error::InvalidMessage(problem) => Protocol(format!("malformed message: {problem:?}")),
        Error::PeerMisbehaved(problem) => Protocol(format!("{problem:?}")),
        Error::DecryptError => Protocol("a record can't be decrypted".into()),
        Error::PeerSentOversizedRecord => Protocol("a record is larger than allowed".into()),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            Protocol(error.to_string())
        }
        Error::PeerIncompatible(problem) => Incompatible(format!("{problem:?}")),
        // TLS 1.2 only, and the one error of the peer's making that rustls has no variant for.
        Error::General(detail) if detail == "incompatible signing key" => {
            Incompatible("no signature scheme for this server's key".into())
        }
        Error::General(detail) if detail.starts_with(SIGNING_FAILED) => {
            SigningFailed(detail[SIGNING_FAILED.len()..].into())
        }
        // Our answer to what was no ClientHello for us, and was one for rustls.
        Error::General(detail) if detail == "no server certificate chain resolved" => {
            Protocol("malformed ClientHello".into())
        }
        Error::NoApplicationProtocol => NoApplicationProtocol,
        Error::NoCertificatesPresented => ClientCertificate(CertificateProblem::Missing),
        Error::InvalidCertificate(problem) => ClientCertificate(certificate_problem(problem)),
        Error::FailedToGetCurrentTime => NoTime,
        Error::FailedToGetRandomBytes => NoRandomness,
        other => Internal(other.to_string()),
    }
}

fn certificate_problem(error: CertificateError) -> CertificateProblem {
    use CertificateProblem::*;
    match error {
        CertificateError::BadEncoding => Malformed,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => NotYetValid,
        CertificateError::UnknownIssuer => UnknownIssuer,
        CertificateError::BadSignature => BadSignature,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            WrongPurpose
        }
        CertificateError::Revoked => Revoked,
        CertificateError::UnknownRevocationStatus => UnknownRevocation,
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => ExpiredCrl,
        other => Other(other.to_string()),
    }
}

fn likely_alert(error: &Error) -> Option<AlertDescription> {
    match error {
        Error::InvalidCertificate(problem) => Some(problem.clone().into()),
        Error::InvalidMessage(problem) => Some((*problem).into()),
        Error::NoCertificatesPresented => Some(AlertDescription::CertificateRequired),
        Error::NoApplicationProtocol => Some(AlertDescription::NoApplicationProtocol),
        Error::DecryptError => Some(AlertDescription::BadRecordMac),
        Error::PeerSentOversizedRecord => Some(AlertDescription::RecordOverflow),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            Some(AlertDescription::UnexpectedMessage)
        }
        _ => None,
    }
}

fn code(description: AlertDescription) -> AlertCode {
    AlertCode(description.into())
}
