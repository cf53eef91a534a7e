//! Sessions of TLS 1.2 known by their id (RFC 5246, section 7.4.1.2), for clients without tickets.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use zeroize::Zeroizing;

use crate::sync::Lock;

/// How long a session can be resumed; no longer than a day, as RFC 5246 (F.1.4) suggests.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// A bounded memory of sessions; the oldest makes room for a new one.
pub(crate) struct SessionCache {
    max_len: usize,
    entries: Lock<Entries>,
}

#[derive(Default)]
struct Entries {
    sessions: BTreeMap<Vec<u8>, Session>,
    /// The same keys, the oldest first.
    order: VecDeque<Vec<u8>>,
}

struct Session {
    stored_at: Duration,
    /// Enough to read all that was said in it.
    state: Zeroizing<Vec<u8>>,
}

impl SessionCache {
    pub(crate) fn new(max_len: usize) -> Self {
        Self { max_len, entries: Lock::new(Entries::default()) }
    }

    pub(crate) fn max_len(&self) -> usize {
        self.max_len
    }

    pub(crate) fn put(&self, key: Vec<u8>, state: Vec<u8>, now: Duration) {
        let session = Session { stored_at: now, state: Zeroizing::new(state) };
        // What goes is dropped, and wiped, outside of the lock.
        let _evicted = self.entries.with(|entries| {
            let evicted = match entries.order.len() >= self.max_len {
                true => entries.order.pop_front().and_then(|key| entries.sessions.remove(&key)),
                false => None,
            };
            let replaced = entries.sessions.insert(key.clone(), session);
            if replaced.is_none() {
                entries.order.push_back(key);
            }
            (evicted, replaced)
        });
    }

    pub(crate) fn find(&self, key: &[u8], now: Duration) -> Option<Vec<u8>> {
        self.entries.with(|entries| {
            let session = entries.sessions.get(key)?;
            let is_fresh = now.saturating_sub(session.stored_at) <= LIFETIME;
            is_fresh.then(|| session.state.to_vec())
        })
    }
}

impl fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCache").field("max_len", &self.max_len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const START: Duration = Duration::from_secs(1_800_000_000);

    #[test]
    fn the_oldest_makes_room() {
        let cache = SessionCache::new(2);
        for number in 0..5 {
            cache.put(vec![number], vec![number], START);
        }
        let found: Vec<u8> =
            (0..5).filter(|number| cache.find(&[*number], START).is_some()).collect();
        assert_eq!(found, [3, 4]);
        cache
            .entries
            .with(|entries| assert_eq!((entries.sessions.len(), entries.order.len()), (2, 2)));
    }

    #[test]
    fn a_session_is_forgotten_after_twelve_hours() {
        let cache = SessionCache::new(2);
        cache.put(vec![1], vec![2], START);
        assert_eq!(cache.find(&[1], START + LIFETIME), Some(vec![2]));
        assert_eq!(cache.find(&[1], START + LIFETIME + Duration::from_secs(1)), None);
    }
}
