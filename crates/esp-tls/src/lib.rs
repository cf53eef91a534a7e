//! Server-side TLS sessions as pure functions of bytes: received ciphertext goes in, plaintext and
//! ciphertext to be sent come out.
//!
//! The crate stands where ESP-IDF's `esp_tls` stands for a server (`esp_tls_cfg_server_t`,
//! `esp_tls_server_session_*`). It opens no socket, reads no file and starts no thread; whoever
//! owns the connection moves the bytes. That makes a handshake a thing that never blocks anybody,
//! and a session testable without a network.
//!
//! ```
//! # #[cfg(feature = "std")]
//! # fn demo(cert: &[u8], key: &[u8], mut received: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//! use esp_tls::{TlsConfig, TlsSession};
//!
//! let config = TlsConfig::new(cert, key)?;        // once: every mistake in the files shows here
//! let mut session = TlsSession::new(&config);     // per connection, at its first readable byte
//!
//! let (mut plain, mut out) = (Vec::new(), Vec::new());
//! session.recv(&mut received, &mut plain, &mut out)?;     // handshake or data; send `out` anyway
//! if !session.is_handshaking() {
//!     session.send(b"hello", &mut out)?;
//!     session.close(&mut out);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `config.rs` | [`TlsConfig`]: certificate, key, client CA, ALPN, versions, tickets |
//! | `session.rs` | [`TlsSession`]: `recv`, `send`, `close`, and what the handshake agreed on |
//! | `credentials.rs`, `x509.rs` | PEM or DER to certificates and keys, with errors for people |
//! | `error.rs`, `config_error.rs`, `alert.rs` | what went wrong, at which stage, by whose fault |
//! | `clock.rs` | the wall clock, supplied by the program where there is no `std` |
//! | `backend/` | the only place that names rustls |
//!
//! # Providers
//!
//! The cryptography is a feature: `aws-lc-rs` (default, fastest), `ring` (smallest binary),
//! `rustcrypto` (pure Rust, for targets without an operating system). With several enabled the
//! first in this order is used.
//!
//! `rustcrypto` is for where the others don't build: its glue to rustls (`rustls-rustcrypto`) is an
//! alpha release, and its RSA is not constant-time (RUSTSEC-2023-0071), so give it an ECDSA key.
//! `ring` without `std` has no session tickets.
//!
//! A program that uses `aws-lc-rs` starts 40 ms faster with `AWS_LC_SYS_NO_JITTER_ENTROPY = "1"` in
//! the `[env]` of its own `.cargo/config.toml`; the operating system's generator then seeds it.
//!
//! # Without `std`
//!
//! `default-features = false, features = ["rustcrypto"]` builds on bare metal. The program supplies
//! three things: an allocator, a [`Clock`] given to [`TlsConfig::with_clock`], and random numbers,
//! registered once with `register_custom_getrandom!`, which this crate re-exports there:
//!
//! ```ignore
//! fn hardware_random(buffer: &mut [u8]) -> Result<(), esp_tls::RandomError> {
//!     /* fill from the chip's generator */
//!     Ok(())
//! }
//! esp_tls::register_custom_getrandom!(hardware_random);
//! ```
//!
//! Forgetting it is an error of the linker, not of the running program.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring", feature = "rustcrypto")))]
compile_error!("esp-tls needs a crypto provider: enable `aws-lc-rs`, `ring` or `rustcrypto`");

mod alert;
mod backend;
mod certified_key;
mod cipher_suite;
mod client_ca;
mod clock;
mod config;
mod config_error;
mod credentials;
mod error;
mod failure_class;
mod hello;
mod identity;
mod private_key;
mod resumption;
mod select;
mod session;
mod signing_key;
mod sni_table;
mod sync;
mod x509;

pub use alert::{Alert, AlertCode};
pub use certified_key::CertifiedKey;
pub use cipher_suite::{CipherSuite, supported_cipher_suites};
pub use client_ca::{ClientAuth, ClientCa, ExpiredCrl};
pub use clock::Clock;
#[cfg(feature = "std")]
pub use clock::SystemClock;
pub use config::{SessionTickets, TlsConfig, TlsVersions};
pub use config_error::{ConfigError, ConfigProblem, Input};
pub use error::{Blame, CertificateProblem, Stage, TlsError, TlsErrorKind};
pub use failure_class::FailureClass;
pub use hello::ClientHello;
pub use identity::{AltName, PeerIdentity};
pub use private_key::PrivateKey;
pub use resumption::{HandshakeCounts, TicketKey, TicketKeys};
pub use select::{Refusal, SelectCertificate, Selection};
pub use session::{TlsSession, TlsVersion};
pub use signing_key::{KeyAlgorithm, SignatureScheme, SigningError, SigningKey};
pub use sni_table::SniTable;

#[cfg(all(target_os = "none", feature = "rustcrypto"))]
pub use getrandom::{Error as RandomError, register_custom_getrandom};
