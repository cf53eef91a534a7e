//! The keys that session tickets are sealed with (RFC 5077; RFC 8446, section 4.6.1).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use zeroize::Zeroizing;

use crate::backend;
use crate::config_error::{ConfigError, ConfigProblem, Input};
use crate::sync::Lock;

/// How long a key of our own seals tickets. It opens them for as long again.
const KEY_LIFETIME: Duration = Duration::from_secs(6 * 60 * 60);
/// The longest that a ticket may live (RFC 8446, section 4.6.1).
const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A secret that session tickets are sealed with, and the name under which it is found again.
///
/// Its form is that of the ticket key files of other servers: 48 or 80 random bytes, the first 16
/// of which are the name (`openssl rand 80 > ticket.key`). Whoever has it can read what clients with
/// such tickets send and get, so it is as secret as the private key, and wiped when dropped.
#[derive(Clone)]
pub struct TicketKey {
    name: [u8; Self::NAME_LEN],
    secret: Zeroizing<Vec<u8>>,
}

impl TicketKey {
    pub(crate) const NAME_LEN: usize = 16;
    const LENS: [usize; 2] = [48, 80];

    /// A key from 48 or 80 bytes.
    ///
    /// # Errors
    ///
    /// Another length, or bytes that are all the same and so no secret.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let bytes = bytes.as_ref();
        let fail = |problem| Err(ConfigError { input: Input::SessionTickets, problem });
        let (name, secret) = match bytes.split_first_chunk::<{ Self::NAME_LEN }>() {
            Some(parts) if Self::LENS.contains(&bytes.len()) => parts,
            _ => return fail(ConfigProblem::TicketKeyLen(bytes.len())),
        };
        if secret.iter().all(|byte| *byte == secret[0]) {
            return fail(ConfigProblem::TicketKeyNotRandom);
        }
        Ok(Self { name: *name, secret: Zeroizing::new(secret.to_vec()) })
    }

    fn random() -> Result<Self, ConfigError> {
        let mut bytes = Zeroizing::new([0; 48]);
        backend::fill_random(&mut *bytes)
            .map_err(|problem| ConfigError { input: Input::SessionTickets, problem })?;
        Self::from_bytes(bytes.as_slice())
    }

    pub(crate) fn name(&self) -> &[u8; Self::NAME_LEN] {
        &self.name
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The ticket keys of a server: the one that seals, and those whose tickets are still taken.
///
/// Servers with the same keys resume each other's sessions, as several do behind a balancer. They
/// should be the same service: a ticket says nothing about which certificate its client saw. To
/// change keys without losing sessions, give the new key to all as one that is accepted, then to
/// all as the current one, and drop the old one a lifetime later.
///
/// ```
/// # fn demo(today: &[u8], yesterday: &[u8], config: esp_tls::TlsConfig) -> Result<(), esp_tls::ConfigError> {
/// use esp_tls::{TicketKey, TicketKeys};
///
/// let keys = TicketKeys::new(TicketKey::from_bytes(today)?)
///     .accept(TicketKey::from_bytes(yesterday)?);
/// let config = config.ticket_keys(keys)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TicketKeys {
    current: TicketKey,
    accepted: Vec<TicketKey>,
    lifetime: Duration,
}

impl TicketKeys {
    /// This key seals new tickets, and is the only one that opens any.
    pub fn new(current: TicketKey) -> Self {
        Self { current, accepted: Vec::new(), lifetime: 2 * KEY_LIFETIME }
    }

    /// Tickets of this key are taken, too.
    pub fn accept(mut self, key: TicketKey) -> Self {
        self.accepted.push(key);
        self
    }

    /// How long a ticket lives, at most seven days. Default: twelve hours.
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: lifetime.min(MAX_LIFETIME), ..self }
    }

    pub(crate) fn current(&self) -> &TicketKey {
        &self.current
    }

    pub(crate) fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a TicketKey> {
        core::iter::once(&self.current).chain(&self.accepted).filter(move |key| key.name == name)
    }

    pub(crate) fn ticket_lifetime(&self) -> Duration {
        self.lifetime
    }
}

/// The keys in use at the moment, of the application or made up and changed here.
#[derive(Debug)]
pub(crate) struct TicketRing {
    state: Lock<State>,
}

#[derive(Debug)]
struct State {
    keys: Arc<TicketKeys>,
    /// When the current key gives way to a new one; `None` if the application changes them. A key
    /// made while the time was unknown counts from its first use.
    rotation: Option<Rotation>,
}

#[derive(Clone, Copy, Debug)]
enum Rotation {
    FromFirstUse,
    At(Duration),
}

impl TicketRing {
    /// Keys of our own.
    pub(crate) fn rotating() -> Result<Self, ConfigError> {
        let keys = Arc::new(TicketKeys::new(TicketKey::random()?));
        let rotation = Some(Rotation::FromFirstUse);
        Ok(Self { state: Lock::new(State { keys, rotation }) })
    }

    /// The application's keys.
    pub(crate) fn given(keys: TicketKeys) -> Self {
        Self { state: Lock::new(State { keys: Arc::new(keys), rotation: None }) }
    }

    pub(crate) fn is_rotating(&self) -> bool {
        self.state.with(|state| state.rotation.is_some())
    }

    /// Replaces the application's keys.
    pub(crate) fn set(&self, keys: TicketKeys) {
        let keys = Arc::new(keys);
        // The old ones are dropped, and wiped, outside of the lock.
        let _old = self.state.with(|state| core::mem::replace(&mut state.keys, keys));
    }

    /// The keys at time `now`. Should there be no random bytes for a new one, the old ones stay.
    pub(crate) fn keys(&self, now: Duration) -> Arc<TicketKeys> {
        let (keys, is_due) = self.state.with(|state| {
            if let Some(rotation @ Rotation::FromFirstUse) = &mut state.rotation {
                *rotation = Rotation::At(now + KEY_LIFETIME);
            }
            (Arc::clone(&state.keys), state.is_due(now))
        });
        match is_due.then(TicketKey::random) {
            Some(Ok(key)) => self.state.with(|state| state.rotate(key, now)),
            _ => keys,
        }
    }
}

impl State {
    fn is_due(&self, now: Duration) -> bool {
        matches!(self.rotation, Some(Rotation::At(at)) if now >= at)
    }

    fn rotate(&mut self, key: TicketKey, now: Duration) -> Arc<TicketKeys> {
        // Another thread may have been faster.
        if self.is_due(now) {
            let keys = TicketKeys::new(key).accept(self.keys.current.clone());
            self.keys = Arc::new(keys);
            self.rotation = Some(Rotation::At(now + KEY_LIFETIME));
        }
        Arc::clone(&self.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const START: Duration = Duration::from_secs(1_800_000_000);

    fn names(keys: &TicketKeys) -> Vec<[u8; 16]> {
        core::iter::once(&keys.current).chain(&keys.accepted).map(|key| key.name).collect()
    }

    #[test]
    fn a_key_has_48_or_80_bytes() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..=255 {
            assert_eq!(TicketKey::from_bytes(&bytes[..len]).is_ok(), [48, 80].contains(&len));
        }
        let error = TicketKey::from_bytes([7; 48]).unwrap_err();
        assert_eq!(error.problem(), &ConfigProblem::TicketKeyNotRandom);
        assert_eq!(error.esp_code(), 0x801C);
    }

    #[test]
    fn a_key_of_our_own_seals_for_six_hours_and_opens_for_twelve() {
        let ring = TicketRing::rotating().unwrap();
        let [first] = names(&ring.keys(START))[..] else { panic!("one key") };
        assert_eq!(names(&ring.keys(START + 6 * HOUR - Duration::from_secs(1))), [first]);
        let [second, previous] = names(&ring.keys(START + 6 * HOUR))[..] else { panic!("two") };
        assert_eq!(previous, first);
        assert_ne!(second, first);
        assert_eq!(names(&ring.keys(START + 12 * HOUR))[1], second, "the first is gone");
    }

    #[test]
    fn the_applications_keys_stay_until_it_changes_them() {
        let key = |number: u8| {
            let bytes: Vec<u8> = (number..number + 48).collect();
            TicketKey::from_bytes(bytes).unwrap()
        };
        let ring = TicketRing::given(TicketKeys::new(key(1)).accept(key(2)));
        assert_eq!(names(&ring.keys(START)), names(&ring.keys(START + 1000 * HOUR)));
        ring.set(TicketKeys::new(key(3)));
        assert_eq!(names(&ring.keys(START)), [key(3).name]);
    }

    #[test]
    fn a_key_shows_its_name_and_not_its_secret() {
        let bytes: Vec<u8> = (100..148).collect();
        let text = alloc::format!("{:?}", TicketKey::from_bytes(bytes).unwrap());
        assert!(text.contains("115") && !text.contains("116"), "{text}");
    }

    #[test]
    fn a_ticket_lives_for_a_week_at_most() {
        let bytes: Vec<u8> = (0..48).collect();
        let keys = TicketKeys::new(TicketKey::from_bytes(bytes).unwrap());
        assert_eq!(keys.clone().lifetime(HOUR).ticket_lifetime(), HOUR);
        assert_eq!(keys.lifetime(1000 * HOUR).ticket_lifetime(), 168 * HOUR);
    }
}
