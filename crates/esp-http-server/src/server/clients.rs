//! How many sessions each client has, so that one that opens too many loses its own and nobody else's.
//!
//! There is such a table only where `max_sessions_per_addr` can be reached. It has one entry per client
//! that has a session, and is asked once per connection; that a session was used costs two steps in
//! lists of constant time.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::give_back::shorten;
use super::lru::{Line, Links, Ranks};
use super::session::Rank;

/// The clients of a worker.
#[derive(Debug)]
pub(super) struct Clients {
    /// Most sessions of each.
    limit: usize,
    by_addr: BTreeMap<IpAddr, u32>,
    entries: Vec<Entry>,
    /// Entries that nobody uses.
    free: Vec<u32>,
    /// The entry of each slot's session.
    of_slot: Vec<u32>,
    links: Links,
}

#[derive(Debug)]
struct Entry {
    addr: IpAddr,
    sessions: usize,
    ranks: Ranks,
}

const NOBODY: u32 = u32::MAX;

impl Clients {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            by_addr: BTreeMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            of_slot: Vec::new(),
            links: Links::default(),
        }
    }

    /// Whether the client at `ip` has as many sessions as it may, and which of them would go first.
    pub(super) fn full(&self, ip: IpAddr, turn: u32) -> Option<Option<u32>> {
        let entry = &self.entries[*self.by_addr.get(&client_of(ip))? as usize];
        let first_to_go = || self.links.first_to_go(&entry.ranks, usize::MAX, turn);
        (entry.sessions >= self.limit).then(first_to_go)
    }

    /// A session of the client at `ip` has begun.
    pub(super) fn opened(&mut self, slot: u32, ip: IpAddr) {
        let addr = client_of(ip);
        let number = match self.by_addr.get(&addr) {
            Some(number) => *number,
            None => self.add(addr),
        };
        self.entries[number as usize].sessions += 1;
        if self.of_slot.len() <= slot as usize {
            self.of_slot.resize(slot as usize + 1, NOBODY);
        }
        self.of_slot[slot as usize] = number;
    }

    /// The session has ended; it has no rank any more.
    pub(super) fn closed(&mut self, slot: u32) {
        let Some(number) = self.number_of(slot) else { return };
        self.of_slot[slot as usize] = NOBODY;
        let entry = &mut self.entries[number as usize];
        entry.sessions -= 1;
        if entry.sessions == 0 {
            self.by_addr.remove(&entry.addr);
            self.free.push(number);
        }
    }

    /// Takes the rows from this slot on out of the table. None of them has a session.
    pub(super) fn shorten(&mut self, slots: usize) {
        shorten(&mut self.of_slot, slots);
        self.links.shorten(slots);
        if self.by_addr.is_empty() {
            shorten(&mut self.entries, 0);
            shorten(&mut self.free, 0);
        }
    }

    /// The session was used, or has another rank.
    pub(super) fn ranked(&mut self, slot: u32, before: Option<Rank>, now: Option<Rank>, turn: u32) {
        let Some(number) = self.number_of(slot) else { return };
        let ranks = &mut self.entries[number as usize].ranks;
        if let Some(before) = before.filter(|before| Some(*before) != now) {
            self.links.remove(&mut ranks[before as usize], slot);
        }
        if let Some(now) = now {
            self.links.touch(&mut ranks[now as usize], slot, turn);
        }
    }

    /// How many clients have a session.
    #[cfg(all(test, feature = "std"))]
    pub(super) fn len(&self) -> usize {
        self.by_addr.len()
    }

    fn number_of(&self, slot: u32) -> Option<u32> {
        self.of_slot.get(slot as usize).copied().filter(|number| *number != NOBODY)
    }

    fn add(&mut self, addr: IpAddr) -> u32 {
        let entry = Entry { addr, sessions: 0, ranks: [Line::EMPTY; Rank::COUNT] };
        let number = self.free.pop().unwrap_or(self.entries.len() as u32);
        match self.entries.get_mut(number as usize) {
            Some(free) => *free = entry,
            None => self.entries.push(entry),
        }
        self.by_addr.insert(addr, number);
        number
    }
}

/// What stands for one client where clients are counted: an IPv4 address, or the network that an IPv6
/// address is in, because who has one of its addresses has 2^64 of them (RFC 4291, section 2.5.4).
pub fn client_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        assert_eq!(client_of(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        assert_ne!(client_of(ip("192.0.2.1")), client_of(ip("192.0.2.2")));
        assert_eq!(client_of(ip("2001:db8::1")), client_of(ip("2001:db8::ffff:0:0:1")));
        assert_ne!(client_of(ip("2001:db8::1")), client_of(ip("2001:db8:0:1::1")));
    }

    #[test]
    fn nothing_is_kept_of_clients_that_have_left() {
        let mut clients = Clients::new(1);
        for round in 0..100 {
            for slot in 0..3 {
                clients.opened(slot, ip(&alloc::format!("192.0.{round}.{slot}")));
                clients.ranked(slot, None, Some(Rank::New), 1);
            }
            assert_eq!(clients.by_addr.len(), 3);
            assert_eq!(clients.full(ip(&alloc::format!("192.0.{round}.2")), 1), Some(Some(2)));
            for slot in 0..3 {
                clients.ranked(slot, Some(Rank::New), None, 1);
                clients.closed(slot);
            }
            assert_eq!(clients.full(ip("192.0.0.2"), 1), None);
        }
        assert_eq!((clients.by_addr.len(), clients.entries.len(), clients.free.len()), (0, 3, 3));
    }

    #[test]
    fn a_client_that_is_full_loses_its_own_session_that_was_used_least_recently() {
        let mut clients = Clients::new(3);
        for slot in 0..6 {
            let of_both = ["192.0.2.1", "192.0.2.2"];
            clients.opened(slot, ip(of_both[slot as usize % 2]));
            clients.ranked(slot, None, Some(Rank::New), slot);
        }
        clients.ranked(0, Some(Rank::New), Some(Rank::Http), 7);
        assert_eq!(clients.full(ip("192.0.2.1"), 9), Some(Some(2)));
        assert_eq!(clients.full(ip("192.0.2.2"), 9), Some(Some(1)));
        for slot in [0, 2, 4] {
            let before = if slot == 0 { Rank::Http } else { Rank::New };
            clients.ranked(slot, Some(before), None, 9);
        }
        assert_eq!(clients.full(ip("192.0.2.1"), 9), Some(None), "all are being served");
    }
}
