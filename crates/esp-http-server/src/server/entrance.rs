//! How clients came in, kept once for all that came the same way.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::net::SocketAddr;

/// The address that clients connected to, and what the transport layer says of them.
pub(crate) struct Entrance {
    pub(crate) local_addr: Option<SocketAddr>,
    pub(crate) transport_ctx: Option<Arc<dyn Any + Send + Sync>>,
}

/// The entrances of a worker that were used last.
///
/// Most servers have a handful: an address, and over TLS as many again as there are versions, cipher
/// suites and names in use. A session with an entrance to itself, by a client's certificate, say, pays
/// for it alone. What no session uses any more is not kept: it may be the application's, or a person's.
#[derive(Default)]
pub(super) struct Entrances {
    recent: Vec<Weak<Entrance>>,
}

/// Entrances among which one is looked for.
const RECENT_MAX: usize = 8;

impl Entrances {
    /// The entrance for these, one that others have or a new one.
    pub(super) fn share(
        &mut self,
        local_addr: Option<SocketAddr>,
        transport_ctx: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Arc<Entrance> {
        self.recent.retain(|entrance| entrance.strong_count() > 0);
        let known = self.recent.iter().enumerate().find_map(|(at, entrance)| {
            let entrance = entrance.upgrade()?;
            entrance.is(local_addr, transport_ctx.as_ref()).then_some((at, entrance))
        });
        if let Some((at, entrance)) = known {
            self.recent[..=at].rotate_right(1);
            return entrance;
        }
        let entrance = Arc::new(Entrance { local_addr, transport_ctx });
        self.recent.truncate(RECENT_MAX - 1);
        self.recent.insert(0, Arc::downgrade(&entrance));
        entrance
    }
}

impl Entrance {
    pub(super) fn transport_ctx(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.transport_ctx.as_deref()
    }

    /// Layers share a context among the sessions of which it says the same, so it is compared by
    /// identity.
    fn is(
        &self,
        local_addr: Option<SocketAddr>,
        transport_ctx: Option<&Arc<dyn Any + Send + Sync>>,
    ) -> bool {
        let same_ctx = match (&self.transport_ctx, transport_ctx) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        same_ctx && self.local_addr == local_addr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> Option<SocketAddr> {
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn ctx(number: u16) -> Arc<dyn Any + Send + Sync> {
        Arc::new(number)
    }

    #[test]
    fn sessions_that_came_the_same_way_share_one_entrance() {
        let mut entrances = Entrances::default();
        let (one, other) = (ctx(1), ctx(1));
        let first = entrances.share(addr(80), Some(one.clone()));
        for (same, local_addr, transport_ctx) in [
            (true, addr(80), Some(one.clone())),
            (false, addr(81), Some(one)),
            (false, addr(80), Some(other)),
            (false, addr(80), None),
            (false, None, None),
        ] {
            let next = entrances.share(local_addr, transport_ctx);
            assert_eq!(Arc::ptr_eq(&first, &next), same);
        }
    }

    #[test]
    fn the_least_recently_used_entrance_is_forgotten_first() {
        let mut entrances = Entrances::default();
        let often = entrances.share(addr(1), None);
        let all: Vec<_> = (2..100)
            .map(|port| {
                assert!(Arc::ptr_eq(&often, &entrances.share(addr(1), None)));
                entrances.share(addr(port), None)
            })
            .collect();
        assert_eq!(entrances.recent.len(), RECENT_MAX);
        assert!(!Arc::ptr_eq(&all[0], &entrances.share(addr(2), None)));
        assert!(Arc::ptr_eq(all.last().unwrap(), &entrances.share(addr(99), None)));
    }

    #[test]
    fn what_no_session_uses_is_not_kept() {
        let mut entrances = Entrances::default();
        let ctx = ctx(1);
        drop(entrances.share(addr(80), Some(ctx.clone())));
        assert_eq!(Arc::strong_count(&ctx), 1);
        entrances.share(addr(81), None);
        assert_eq!(entrances.recent.len(), 1);
    }
}
