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
//! | `config.rs` | [`TlsConfig`]: all rules of a server, and [`reload`](TlsConfig::reload) |
//! | `session.rs`, `link.rs` | [`TlsSession`]: `recv`, `send`, `close`, and what the handshake agreed on |
//! | `certified_key.rs`, `private_key.rs`, `signing_key.rs`, `pkcs11/` | [`CertifiedKey`]: certificate and key, from files, under a password, on a device |
//! | `client_ca.rs`, `identity.rs` | [`ClientCa`]: who vouches for clients; [`PeerIdentity`]: who they are |
//! | `hello.rs`, `select.rs`, `sni_table.rs` | [`SelectCertificate`]: which certificate a client gets to see |
//! | `resumption/` | tickets and their keys, sessions known by id |
//! | `credentials.rs`, `x509.rs` | PEM or DER to certificates and keys, with errors for people |
//! | `error.rs`, `failure_class.rs`, `config_error.rs`, `alert.rs` | what went wrong, at which stage, by whose fault |
//! | `clock.rs` | the wall clock, supplied by the program where there is no `std` |
//! | `backend/` | the only place that names rustls |
//!
//! # The path of a handshake
//!
//! 1. [`TlsSession::new`] notes the configuration; nothing is chosen.
//! 2. `recv` collects the ClientHello (`hello.rs`), as it came and however it was cut.
//! 3. The rules that are in force at this moment (`TlsConfig::rules`) give the terms for this client:
//!    prepared ones, or what a selector says. A refusal ends it here, with an alert.
//! 4. A connection of the TLS library begins on these terms and gets the same bytes.
//! 5. If it resumes a session with a client certificate, that is verified again; if it isn't good any
//!    more, the handshake begins anew without tickets, before anything has left.
//! 6. When it is over it is counted, and all of this is dropped.
//! 7. A session of TLS 1.3 that goes on settles ([`TlsSession::settle`]): the TLS library hands over the
//!    keys, and the records are this crate's (`backend/records.rs`).
//!
//! # Providers
//!
//! The cryptography is a feature: `aws-lc-rs` (default, fastest), `ring` (smallest binary),
//! `rustcrypto` (pure Rust, for targets without an operating system). With several enabled the
//! first in this order is used.
//!
//! `rustcrypto` is for where the others don't build: its glue to rustls (`rustls-rustcrypto`) is an
//! alpha release, and its RSA is not constant-time (RUSTSEC-2023-0071), so give it an ECDSA key.
//!
//! A program that uses `aws-lc-rs` starts 40 ms faster with `AWS_LC_SYS_NO_JITTER_ENTROPY = "1"` in
//! the `[env]` of its own `.cargo/config.toml`; the operating system's generator then seeds it.
//!
//! The feature `pkcs11` adds `Pkcs11Key`, a key on a PKCS #11 token.
//!
//! # Without `std`
//!
//! `default-features = false, features = ["rustcrypto"]` builds on bare metal. The program supplies
//! an allocator, a critical section (crate
//! [`critical-section`](https://docs.rs/critical-section)), a [`Clock`] given to
//! [`TlsConfig::with_clock`], and random numbers, registered once with
//! `register_custom_getrandom!`, which this crate re-exports there:
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
mod link;
#[cfg(feature = "pkcs11")]
mod pkcs11;
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
#[cfg(feature = "pkcs11")]
pub use pkcs11::{Pkcs11Key, Pkcs11Uri};
pub use private_key::PrivateKey;
pub use resumption::{HandshakeCounts, TicketKey, TicketKeys};
pub use select::{Refusal, SelectCertificate, Selection};
pub use session::{TlsSession, TlsVersion};
pub use signing_key::{KeyAlgorithm, SignatureScheme, SigningError, SigningKey};
pub use sni_table::SniTable;

#[cfg(all(target_os = "none", feature = "rustcrypto"))]
pub use getrandom::{Error as RandomError, register_custom_getrandom};
