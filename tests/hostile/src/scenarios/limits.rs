//! Clients that fill what the server has for all of them, or for one.

use std::time::Duration;

use super::{HTTP, Limited, Limits, SLACK, Scenario};
use crate::bytes::get;
use crate::good::{KINDS, SERVED};
use crate::script::{Expect, Group, Pace, Reads, Script};

/// 64 MB, more than any socket takes at once.
const LARGE: &str = "/stream?chunks=64&size=1000000";
/// How much later than those who take all there is others come.
const LATER: Duration = Duration::from_millis(300);

pub(super) fn limited() -> [Limited; 2] {
    [
        Limited {
            scenario: Scenario {
                name: "buffer-memory",
                good: "refuses requests while buffers hold too much, 503, but none that is being served",
                groups: buffer_memory,
            },
            // Of each of its two servers.
            options: &["--max-buffer-memory", "2000000"],
            good: &SERVED,
        },
        Limited {
            scenario: Scenario {
                name: "sessions-of-one",
                good: "closes the connections of a client that has too many, and nobody else's",
                groups: sessions_of_one,
            },
            options: &["--max-sessions-per-addr", "30"],
            good: &KINDS,
        },
    ]
}

/// Some never read what they have asked for, until the budget is used up; others go on asking.
fn buffer_memory(limits: &Limits) -> Vec<Group> {
    let asking = HTTP.map(|wire| {
        let script = |_| Script::say(get("/")).then_repeat(get("/")).pace(Pace::Every(ASKS_EVERY));
        let group = Group::new("clients that ask", 20, wire, script);
        group.again(usize::MAX).every(ASKS_EVERY).expect(Expect::Refusals(503))
    });
    let filling = HTTP.map(|wire| {
        let script = |_| Script::say(get(LARGE)).reads(Reads::Nothing);
        let group = Group::new("clients that never read", 100, wire, script);
        group.again(limits.count(200, 4_000)).begins(LATER)
    });
    asking.into_iter().chain(filling).collect()
}

/// How often a client asks for the page, and how often one comes for another that was refused.
const ASKS_EVERY: Duration = Duration::from_millis(50);

/// As many as may be have requests under way; more come all the time.
fn sessions_of_one(limits: &Limits) -> Vec<Group> {
    let served = HTTP.map(|wire| {
        let script = |_| Script::say(get("/sleep?ms=600000"));
        Group::new("clients being served", 30, wire, script).expect(Expect::Stay)
    });
    let more = HTTP.map(|wire| {
        let group = Group::new("more of them", 10, wire, |_| Script::say(get("/")));
        group.again(limits.count(200, 10_000)).begins(LATER).expect(Expect::NoWord(SLACK))
    });
    served.into_iter().chain(more).collect()
}
