//! Clients that don't read what they are sent.

use std::time::Duration;

use super::{HTTP, Limits, SLACK, Scenario};
use crate::bytes::{get, post, upgrade};
use crate::script::{Expect, Group, How, Leaves, Pace, Reads, Script};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "resets",
        good: "ends a response whose reader is gone, and its handler",
        groups: resets,
    },
    Scenario {
        name: "never-reading",
        good: "holds a bounded part of a large file for a client that never reads, and cuts it",
        groups: never_reading,
    },
    Scenario {
        name: "sipping",
        good: "cuts a client that reads slower than the least rate",
        groups: sipping,
    },
    Scenario {
        name: "deaf-broadcast",
        good: "drops the WebSocket that doesn't read when its queue is full; others get everything",
        groups: deaf_broadcast,
    },
];

/// 64 MB, more than any socket takes at once.
const LARGE: &str = "/stream?chunks=64&size=1000000";

fn resets(limits: &Limits) -> Vec<Group> {
    let group = |wire| {
        let leaves = Leaves::After { bytes: 100_000, how: How::Reset };
        let script = move |_| Script::say(get(LARGE)).leaves(leaves);
        Group::new("resets", 20, wire, script).again(limits.count(200, 5_000))
    };
    HTTP.map(group).into()
}

fn never_reading(limits: &Limits) -> Vec<Group> {
    let group = |wire| {
        let script = |_| Script::say(get(LARGE)).reads(Reads::Nothing);
        let group = Group::new("clients that never read", 50, wire, script);
        group.expect(Expect::CutUnseen(limits.patience + 2 * SLACK))
    };
    HTTP.map(group).into()
}

fn sipping(limits: &Limits) -> Vec<Group> {
    let every = limits.drip;
    let group = |wire| {
        // Less than 1 kB a second in the long form, but often enough to look alive.
        let script = move |_| Script::say(get(LARGE)).reads(Reads::Sips(512, every));
        let group = Group::new("clients that sip", 20, wire, script);
        group.expect(Expect::CutUnseen(4 * limits.patience))
    };
    HTTP.map(group).into()
}

fn deaf_broadcast(_: &Limits) -> Vec<Group> {
    let deaf = |wire| {
        let script = |_| Script::say(upgrade()).reads(Reads::Nothing);
        Group::new("deaf WebSockets", 50, wire, script)
    };
    let listening = |wire| Group::new("listeners", 5, wire, |_| Script::say(upgrade()));
    let speaker = |wire| {
        let request = || post("/broadcast?size=8000", "Content-Length: 0\r\n");
        let pace = Pace::Every(Duration::from_millis(20));
        let script = move |_| Script::say(request()).then_repeat(request()).pace(pace);
        Group::new("speakers", 1, wire, script)
    };
    HTTP.into_iter().flat_map(|wire| [deaf(wire), listening(wire), speaker(wire)]).collect()
}
