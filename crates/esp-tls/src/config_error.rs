//! Why a [`TlsConfig`](crate::TlsConfig) can't be built: which input, and what is wrong with it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::backend;
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

    /// The `ESP_ERR_ESP_TLS_*` / `ESP_ERR_MBEDTLS_*` number that ESP-IDF reports for the same failure
    /// (base 0x8000).
    pub fn esp_code(&self) -> i32 {
        match (self.input, &self.problem) {
            (_, ConfigProblem::KeyMismatch) => esp_code::OWN_CERT_FAILED,
            (_, ConfigProblem::NoRandomness) => esp_code::CTR_DRBG_SEED_FAILED,
            (_, ConfigProblem::Device(_)) => esp_code::SE_FAILED,
            (Input::CertificateChain | Input::ClientCa | Input::Crl, _) => {
                esp_code::X509_PARSE_FAILED
            }
            (Input::PrivateKey, _) => esp_code::PK_PARSE_KEY_FAILED,
            (Input::Alpn, _) => esp_code::SSL_CONF_ALPN_FAILED,
            (Input::SessionTickets, _) => esp_code::TICKET_SETUP_FAILED,
            (Input::ServerName | Input::Versions | Input::CipherSuites | Input::MaxFragment, _) => {
                esp_code::SSL_SETUP_FAILED
            }
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
    /// The list of revoked clients' certificates.
    Crl,
    /// A name in an [`SniTable`](crate::SniTable).
    ServerName,
    /// The application protocols.
    Alpn,
    /// The TLS versions.
    Versions,
    /// The cipher suites.
    CipherSuites,
    /// The most bytes in a record.
    MaxFragment,
    /// The session tickets.
    SessionTickets,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Input::CertificateChain => "server certificate",
            Input::PrivateKey => "server key",
            Input::ClientCa => "client CA",
            Input::Crl => "CRL",
            Input::ServerName => "SNI table",
            Input::Alpn => "ALPN",
            Input::Versions => "TLS versions",
            Input::CipherSuites => "cipher suites",
            Input::MaxFragment => "record size",
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
    /// The private key is protected by a password, and none was given.
    EncryptedKey,
    /// The password doesn't open the private key.
    WrongPassword,
    /// The private key is protected in a way that isn't supported.
    UnsupportedEncryption(String),
    /// The RSA key is shorter than 2048 bits.
    WeakKey {
        /// Its length in bits.
        bits: usize,
    },
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
    /// The device that holds the private key can't be used; it said this.
    Device(String),
    /// The private key isn't the one that the certificate was made for.
    KeyMismatch,
    /// The CA certificate can't serve as a trust anchor.
    UnusableCa(String),
    /// Good PEM, with no CRL in it.
    NoCrl,
    /// It isn't a CRL, or one with a part that must not be ignored and isn't known.
    UnusableCrl(String),
    /// A CRL has expired.
    ExpiredCrl {
        /// Which of the input's CRLs, counted from 1.
        number: usize,
        /// When the next one was due, since 1970 (UTC).
        next_update: Duration,
        /// The clock when it was checked, since 1970 (UTC).
        now: Duration,
    },
    /// Neither a host name nor a wildcard for one label.
    NotAHostName(String),
    /// None of these cipher suites is supported.
    NoCipherSuite(Vec<u16>),
    /// A record holds 32 to 16384 bytes.
    FragmentLen(usize),
    /// A ticket key has 48 or 80 bytes.
    TicketKeyLen(usize),
    /// The bytes of a ticket key are all the same.
    TicketKeyNotRandom,
    /// There are no ticket keys of the application that could be changed.
    NoTicketKeys,
    /// An ALPN protocol name is empty or longer than 255 bytes (RFC 7301, section 3.1).
    AlpnNameLen(usize),
    /// The source of randomness failed.
    NoRandomness,
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
                "protected by a password; give it (PrivateKey::with_password), \
                 or decrypt the key first: openssl pkey -in key.pem -out plain.pem",
            ),
            WrongPassword => f.write_str("the password is wrong"),
            UnsupportedEncryption(detail) => write!(
                f,
                "protected by a password in a way that isn't supported ({detail}); \
                 convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in key.pem -out new.pem"
            ),
            WeakKey { bits } => {
                write!(f, "an RSA key of {bits} bits is too weak, it must have at least 2048")
            }
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
            Device(detail) => f.write_str(detail),
            KeyMismatch => f.write_str("doesn't match the server certificate"),
            UnusableCa(detail) => write!(f, "can't be used as a trust anchor: {detail}"),
            NoCrl => f.write_str("the PEM holds no `BEGIN X509 CRL` section"),
            UnusableCrl(detail) => write!(f, "can't be used: {detail}"),
            ExpiredCrl { number, next_update, now } => {
                let (next_update, now) = (Date(*next_update), Date(*now));
                write!(f, "CRL {number} expired on {next_update} (it is {now})")
            }
            NotAHostName(name) => write!(
                f,
                "{name:?} is neither a host name nor a wildcard for one label (*.example.org)"
            ),
            NoCipherSuite(ids) => {
                f.write_str("none is left, for these aren't supported: ")?;
                name_cipher_suites(ids, f)
            }
            FragmentLen(len) => {
                write!(f, "a record can be limited to 32 to 16384 bytes, not to {len}")
            }
            TicketKeyLen(len) => write!(f, "a ticket key has 48 or 80 bytes, this one has {len}"),
            TicketKeyNotRandom => f.write_str("a ticket key must be random, this one isn't"),
            NoTicketKeys => f.write_str(
                "there are no ticket keys to change: configure some first (TlsConfig::ticket_keys)",
            ),
            AlpnNameLen(len) => {
                write!(f, "a protocol name has 1 to 255 bytes (RFC 7301), this one has {len}")
            }
            NoRandomness => f.write_str("the source of randomness failed"),
            Provider(detail) => write!(f, "the crypto provider refused: {detail}"),
        }
    }
}

/// Numbers as people look them up.
pub(crate) fn name_cipher_suites(ids: &[u16], f: &mut impl fmt::Write) -> fmt::Result {
    for (index, id) in ids.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(f, "{separator}{id:#06x}")?;
        if let Some(name) = backend::cipher_suite_name(*id) {
            write!(f, " ({name})")?;
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_the_number_that_esp_idf_has_for_it() {
        let code = |input, problem| ConfigError { input, problem }.esp_code();
        for (input, number) in [
            (Input::CertificateChain, 0x8015),
            (Input::PrivateKey, 0x8019),
            (Input::ClientCa, 0x8015),
            (Input::Crl, 0x8015),
            (Input::ServerName, 0x8017),
            (Input::Alpn, 0x8014),
            (Input::Versions, 0x8017),
            (Input::CipherSuites, 0x8017),
            (Input::MaxFragment, 0x8017),
            (Input::SessionTickets, 0x801C),
        ] {
            assert_eq!(code(input, ConfigProblem::Empty), number, "{input}");
        }
        assert_eq!(code(Input::PrivateKey, ConfigProblem::KeyMismatch), 0x8016);
        assert_eq!(code(Input::PrivateKey, ConfigProblem::Device("pulled out".into())), 0x8007);
        assert_eq!(code(Input::SessionTickets, ConfigProblem::NoRandomness), 0x8011);
    }
}
