//! The only place that names rustls. Around it the crate speaks its own types, so that the API that
//! replaces the unbuffered one in rustls 0.24 changes nothing outside.
//!
//! `connection.rs` drives a session, `settings.rs` builds what sessions share, `provider.rs` picks
//! the cryptography, `tickets.rs` seals tickets where the provider can't, `errors.rs` translates.

mod connection;
mod errors;
mod provider;
mod settings;
#[cfg(all(feature = "rustcrypto", not(any(feature = "aws-lc-rs", feature = "ring"))))]
mod tickets;

pub(crate) use connection::Connection;
pub(crate) use errors::Fault;
pub(crate) use rustls::ServerConfig;
pub(crate) use settings::Settings;
