//! Why a [`TlsConfig`](crate::TlsConfig) can't be built: which input, and what is wrong with it.

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use crate::error::esp_code;

/// Something that was given to [`TlsConfig`](crate::TlsConfig) can't be used.
///
/// Reported when the config is built, before the first client can run into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub(crate) input: Input,
    pub(crate) problem: ConfigProblem,
}

impl ConfigError {
    /// Which input is at fault.
    pub fn input(&self) -> Input {
        self.input
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &ConfigProblem {
        &self.problem
    }

    /// The `ESP_ERR_MBEDTLS_*` number that ESP-IDF reports for the same failure (base 0x8000).
    pub fn esp_code(&self) -> i32 {
        match (self.input, &self.problem) {
            (_, ConfigProblem::KeyMismatch) => esp_code::OWN_CERT_FAILED,
            (Input::CertificateChain | Input::ClientCa, _) => esp_code::X509_PARSE_FAILED,
            (Input::PrivateKey, _) => esp_code::PK_PARSE_KEY_FAILED,
            (Input::Alpn, _) => esp_code::SSL_CONF_ALPN_FAILED,
            (Input::SessionTickets, _) => esp_code::TICKET_SETUP_FAILED,
            (Input::Versions, _) => esp_code::SSL_SETUP_FAILED,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.input, self.problem)
    }
}

impl core::error::Error for ConfigError {}

/// The inputs of a [`TlsConfig`](crate::TlsConfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Input {
    /// The server's certificate, followed by those that lead to its CA.
    CertificateChain,
    /// The server's private key.
    PrivateKey,
    /// The CA that issued the clients' certificates.
    ClientCa,
    /// The application protocols.
    Alpn,
    /// The TLS versions.
    Versions,
    /// The session tickets.
    SessionTickets,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Input::CertificateChain => "server certificate",
            Input::PrivateKey => "server key",
            Input::ClientCa => "client CA",
            Input::Alpn => "ALPN",
            Input::Versions => "TLS versions",
            Input::SessionTickets => "session tickets",
        })
    }
}

/// What is wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// There is nothing in it.
    Empty,
    /// Neither PEM nor DER.
    NotPemOrDer,
    /// It looks like PEM and can't be decoded.
    BadPem(&'static str),
    /// A certificate is wanted and there is a private key: the two were probably exchanged.
    KeyInsteadOfCertificate,
    /// A private key is wanted and there is a certificate: the two were probably exchanged.
    CertificateInsteadOfKey,
    /// Good PEM, with no certificate in it.
    NoCertificate,
    /// Good PEM, with no private key in it.
    NoKey,
    /// The private key is protected by a password.
    EncryptedKey,
    /// The certificate of this number, counted from 1, isn't an X.509 certificate.
    BadCertificate {
        /// Which of the input's certificates, counted from 1.
        number: usize,
        /// What the decoder said.
        detail: String,
    },
    /// A certificate's validity is over.
    Expired {
        /// Which of the input's certificates, counted from 1.
        number: usize,
        /// Its last second, since 1970 (UTC).
        not_after: Duration,
        /// The clock when it was checked, since 1970 (UTC).
        now: Duration,
    },
    /// A certificate's validity has not begun; perhaps the clock is wrong.
    NotYetValid {
        /// Which of the input's certificates, counted from 1.
        number: usize,
        /// Its first second, since 1970 (UTC).
        not_before: Duration,
        /// The clock when it was checked, since 1970 (UTC).
        now: Duration,
    },
    /// A key of a kind or size that the crypto provider doesn't take, or damaged.
    UnusableKey(String),
    /// The private key isn't the one that the certificate was made for.
    KeyMismatch,
    /// The CA certificate can't serve as a trust anchor.
    UnusableCa(String),
    /// An ALPN protocol name is empty or longer than 255 bytes (RFC 7301, section 3.1).
    AlpnNameLen(usize),
    /// The crypto provider refused.
    Provider(String),
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ConfigProblem::*;
        match self {
            Empty => f.write_str("empty"),
            NotPemOrDer => f.write_str("neither PEM nor DER"),
            BadPem(detail) => write!(f, "damaged PEM: {detail}"),
            KeyInsteadOfCertificate => f.write_str(
                "holds a private key and no certificate (were certificate and key exchanged?)",
            ),
            CertificateInsteadOfKey => f.write_str(
                "holds a certificate and no private key (were certificate and key exchanged?)",
            ),
            NoCertificate => f.write_str("the PEM holds no `BEGIN CERTIFICATE` section"),
            NoKey => f.write_str("the PEM holds no `BEGIN PRIVATE KEY` section"),
            EncryptedKey => f.write_str(
                "protected by a password, which isn't supported; \
                 decrypt it first: openssl pkey -in key.pem -out plain.pem",
            ),
            BadCertificate { number, detail } => {
                write!(f, "certificate {number} isn't an X.509 certificate: {detail}")
            }
            Expired { number, not_after, now } => {
                let (not_after, now) = (Date(*not_after), Date(*now));
                write!(f, "certificate {number} expired on {not_after} (it is {now})")
            }
            NotYetValid { number, not_before, now } => {
                let (not_before, now) = (Date(*not_before), Date(*now));
                write!(f, "certificate {number} isn't valid before {not_before} (it is {now})")
            }
            UnusableKey(detail) => write!(f, "can't be used: {detail}"),
            KeyMismatch => f.write_str("doesn't match the server certificate"),
            UnusableCa(detail) => write!(f, "can't be used as a trust anchor: {detail}"),
            AlpnNameLen(len) => {
                write!(f, "a protocol name has 1 to 255 bytes (RFC 7301), this one has {len}")
            }
            Provider(detail) => write!(f, "the crypto provider refused: {detail}"),
        }
    }
}

/// A time since 1970 as a date and time of day, UTC.
struct Date(Duration);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match der::DateTime::from_unix_duration(self.0) {
            Ok(date) => write!(f, "{date}"),
            // Past the year 9999.
            Err(_) => write!(f, "second {} since 1970", self.0.as_secs()),
        }
    }
}
