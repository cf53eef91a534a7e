//! Which numbers connections get, and what is kept of those that were there.

use std::collections::BTreeSet;
use std::fs::File;

use rustix::event::epoll::EventFlags;

use super::super::{SLOTS_KEPT, Socket, Sockets};
use crate::net::NetId;

fn open(sockets: &mut Sockets) -> u32 {
    let id = sockets.lowest_free();
    let fd = File::open("/dev/null").unwrap().into();
    let ready = EventFlags::empty();
    let socket = Socket { fd, ready, is_watched: false, is_suspect: false, peer: None };
    sockets.insert(id, socket);
    id.0
}

#[test]
fn whoever_comes_and_goes_the_lowest_free_number_is_the_next() {
    let (mut sockets, mut expected) = (Sockets::default(), BTreeSet::new());
    let mut seed = 1_u64;
    let mut dice = |sides: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % sides
    };
    for round in 0..4000 {
        // Tides of up to 300 connections.
        let rises = dice(300) < (round / 10 % 20) * 15;
        if expected.is_empty() || rises {
            let lowest = (0..).find(|number| !expected.contains(number)).unwrap();
            assert_eq!(open(&mut sockets), lowest);
            expected.insert(lowest);
        } else {
            let number = *expected.iter().nth(dice(expected.len())).unwrap();
            sockets.remove(NetId(number));
            expected.remove(&number);
        }
        assert_eq!(sockets.len(), expected.len());
        let last = expected.last().map_or(0, |last| *last as usize + 1);
        assert_eq!(sockets.slots.len(), last);
        assert!((0..400).all(|id| sockets.get(NetId(id)).is_some() == expected.contains(&id)));
    }
}

#[test]
fn a_crowd_that_has_gone_leaves_room_for_a_few() {
    let mut sockets = Sockets::default();
    for _ in 0..2 {
        (0..900).for_each(|number| assert_eq!(open(&mut sockets), number));
        (1..900).for_each(|number| sockets.remove(NetId(number)));
        assert_eq!((sockets.len(), sockets.slots.len()), (1, 1));
        let room = 2 * SLOTS_KEPT;
        assert!(sockets.slots.capacity() <= room && sockets.free.capacity() <= room);
        sockets.remove(NetId(0));
        assert!(sockets.slots.is_empty());
    }
}
