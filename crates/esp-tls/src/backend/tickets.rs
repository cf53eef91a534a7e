//! How past sessions are kept: sealed in a ticket that the client holds, or in memory under an id.
//!
//! A ticket is name ‖ salt ‖ sealed(time ‖ state), after RFC 5077 (section 4). It is sealed as a
//! record of TLS 1.3 is, with TLS_CHACHA20_POLY1305_SHA256, which every provider has. Its key is
//! derived from the secret of that name, the salt, and who vouches for clients (HKDF, RFC 5869): so
//! every ticket has a key of its own, however many there are, and one that was made under another
//! client CA doesn't open.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, OutboundChunks, OutboundPlainMessage,
};
use rustls::server::{ProducesTickets, StoresServerSessions};
use rustls::{CipherSuite, ContentType, ProtocolVersion, Tls13CipherSuite};
use zeroize::Zeroizing;

use super::provider;
use crate::clock::Clock;
use crate::resumption::{Binding, SessionCache, TicketKey, TicketRing};

const SALT_LEN: usize = 32;
const TIME_LEN: usize = 8;
/// Header of the record in whose form a ticket is sealed; it isn't kept.
const RECORD_HEADER_LEN: usize = 5;
/// The most that fits one record.
const MAX_STATE_LEN: usize = 16_384 - TIME_LEN;

/// Seals and opens the tickets of sessions whose clients are vouched for in one way.
pub(super) struct Ticketer {
    pub(super) ring: Arc<TicketRing>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) binding: Binding,
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        let now = self.clock.unix_time().unwrap_or_default();
        let lifetime = self.ring.keys(now).ticket_lifetime();
        u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, state: &[u8]) -> Option<Vec<u8>> {
        let now = self.clock.unix_time()?;
        if state.len() > MAX_STATE_LEN {
            return None;
        }
        let keys = self.ring.keys(now);
        let mut salt = [0; SALT_LEN];
        provider::fill_random(&mut salt).ok()?;
        let plain = Zeroizing::new([&now.as_secs().to_be_bytes(), state].concat());
        let sealed = Seal::new(keys.current(), &salt, &self.binding)?.seal(&plain)?;
        Some([&keys.current().name()[..], &salt, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let now = self.clock.unix_time()?;
        let (name, rest) = ticket.split_at_checked(TicketKey::NAME_LEN)?;
        let (salt, sealed) = rest.split_first_chunk::<SALT_LEN>()?;
        let keys = self.ring.keys(now);
        let plain =
            keys.named(name).find_map(|key| Seal::new(key, salt, &self.binding)?.open(sealed))?;
        let (issued_at, state) = plain.split_first_chunk::<TIME_LEN>()?;
        let issued_at = Duration::from_secs(u64::from_be_bytes(*issued_at));
        (now.saturating_sub(issued_at) <= keys.ticket_lifetime()).then(|| state.to_vec())
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer")
    }
}

/// The key of one ticket.
struct Seal {
    suite: &'static Tls13CipherSuite,
    key: Zeroizing<[u8; 32]>,
    iv: [u8; 12],
}

impl Seal {
    fn new(key: &TicketKey, salt: &[u8; SALT_LEN], binding: &Binding) -> Option<Self> {
        /// Changes with the form of tickets, so that a server of another version takes none of them.
        const PURPOSE: &[u8] = b"esp-tls ticket 1, rustls 0.23";
        let suite = provider::tls13_suite(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256)?;
        let expander = suite.hkdf_provider.extract_from_secret(Some(PURPOSE), key.secret());
        let mut seal = Self { suite, key: Zeroizing::new([0; 32]), iv: [0; 12] };
        expander.expand_slice(&[b"key", salt, binding], &mut *seal.key).ok()?;
        expander.expand_slice(&[b"iv", salt, binding], &mut seal.iv).ok()?;
        Some(seal)
    }

    fn seal(self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut encrypter =
            self.suite.aead_alg.encrypter(AeadKey::from(*self.key), Iv::new(self.iv));
        let record = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(plain),
        };
        let mut sealed = encrypter.encrypt(record, 0).ok()?.encode();
        sealed.drain(..RECORD_HEADER_LEN);
        Some(sealed)
    }

    fn open(self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut decrypter =
            self.suite.aead_alg.decrypter(AeadKey::from(*self.key), Iv::new(self.iv));
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let record = InboundOpaqueMessage::new(
            ContentType::ApplicationData,
            ProtocolVersion::TLSv1_2,
            &mut bytes,
        );
        let plain = decrypter.decrypt(record, 0).ok()?;
        Some(Zeroizing::new(plain.payload.to_vec()))
    }
}

/// Sessions of TLS 1.2 by their id, of clients that are vouched for in one way.
pub(super) struct Sessions {
    pub(super) cache: Arc<SessionCache>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) binding: Binding,
}

impl Sessions {
    fn key(&self, id: &[u8]) -> Vec<u8> {
        [&self.binding, id].concat()
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, id: Vec<u8>, state: Vec<u8>) -> bool {
        let Some(now) = self.clock.unix_time() else {
            return false;
        };
        self.cache.put(self.key(&id), state, now);
        true
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.cache.find(&self.key(id), self.clock.unix_time()?)
    }

    /// For TLS 1.3, whose sessions are in tickets or nowhere.
    fn take(&self, _id: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}
