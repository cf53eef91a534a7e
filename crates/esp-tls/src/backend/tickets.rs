//! Session tickets for the pure-Rust provider, which brings no ticketer of its own.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use chacha20poly1305::aead::Aead;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use rustls::crypto::GetRandomFailed;
use rustls::server::ProducesTickets;

use super::provider::Ticketer;

/// How long a key seals tickets, in seconds; the one before is still accepted.
const KEY_LIFETIME_SECS: u32 = 6 * 60 * 60;
const NONCE_LEN: usize = 12;
/// What AES-free suites allow for one key is far more; a ticket is a few hundred bytes.
const MAX_TICKET_LEN: usize = 16 * 1024;

#[cfg(feature = "std")]
pub(super) fn ticketer() -> Ticketer {
    let rotator = rustls::ticketer::TicketRotator::new(KEY_LIFETIME_SECS, || {
        Ok(alloc::boxed::Box::new(SealedTickets::new()?))
    })?;
    Ok(Arc::new(rotator))
}

/// Changing the key needs a lock, and there is none without `std`.
#[cfg(not(feature = "std"))]
pub(super) fn ticketer() -> Ticketer {
    Ok(Arc::new(SealedTickets::new()?))
}

/// Tickets of the form nonce ‖ ChaCha20-Poly1305(state), after RFC 5077 section 4.
struct SealedTickets {
    cipher: ChaCha20Poly1305,
}

impl SealedTickets {
    fn new() -> Result<Self, GetRandomFailed> {
        let mut key = [0; 32];
        fill_random(&mut key)?;
        Ok(Self { cipher: ChaCha20Poly1305::new(&key.into()) })
    }
}

impl ProducesTickets for SealedTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        2 * KEY_LIFETIME_SECS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce).ok()?;
        let sealed = self.cipher.encrypt(&Nonce::from(nonce), plain).ok()?;
        Some([&nonce, &sealed[..]].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > MAX_TICKET_LEN {
            return None;
        }
        let (nonce, sealed) = ticket.split_first_chunk::<NONCE_LEN>()?;
        self.cipher.decrypt(&Nonce::from(*nonce), sealed).ok()
    }
}

impl fmt::Debug for SealedTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedTickets")
    }
}

fn fill_random(bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
    getrandom::getrandom(bytes).map_err(|_| GetRandomFailed)
}
