//! The only place that names rustls. Around it the crate speaks its own types, so that the API that
//! replaces the unbuffered one in rustls 0.24 changes nothing outside.
//!
//! `connection.rs` drives a handshake and what follows it at once; `records.rs` is a session of TLS 1.3
//! that goes on. `settings.rs` builds what sessions share, from an `identity.rs`
//! (certificate and key) and a `verifier.rs` (client CA). `provider.rs` picks the cryptography,
//! `tickets.rs` seals sessions for later, `errors.rs` translates.

mod connection;
mod errors;
mod identity;
mod provider;
mod records;
mod settings;
#[cfg(feature = "aws-lc-rs")]
mod sha256;
mod tickets;
mod verifier;

pub(crate) use connection::{Connection, contain_panic};
pub(crate) use errors::Fault;
pub(crate) use identity::Identity;
pub(crate) use provider::{
    cipher_suite_name, fill_random, sha256, sha384, supported_cipher_suites,
};
pub(crate) use records::Records;
pub(crate) use settings::{MAX_FRAGMENT_LEN, Rules, Settings};
pub(crate) use verifier::ClientVerifier;
