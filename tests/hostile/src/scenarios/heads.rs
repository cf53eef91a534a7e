//! Clients that come in numbers, and heads without end.

use super::{HTTP, Limits, Scenario};
use crate::bytes::{get, many, post};
use crate::script::{Expect, Group, How, Leaves, Reads, Script, Wire};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "connect-flood",
        good: "forgets connections that are gone before they say anything",
        groups: connect_flood,
    },
    Scenario {
        name: "tiny-fields",
        good: "refuses a head with thousands of fields as soon as the limit is passed: 431",
        groups: tiny_fields,
    },
    Scenario {
        name: "long-uri",
        good: "refuses a target without end as soon as the limit is passed: 414",
        groups: long_uri,
    },
    Scenario {
        name: "pipeline-flood",
        good: "answers requests in the order of their arrival, and others between them",
        groups: pipeline_flood,
    },
    Scenario {
        name: "expect-flood",
        good: "says `100 Continue` no faster than it is read, and waits for a body only so long",
        groups: expect_flood,
    },
];

fn connect_flood(limits: &Limits) -> Vec<Group> {
    let group = |wire| {
        let leaves = Leaves::After { bytes: 0, how: How::Reset };
        let script = move |_| Script::say("").leaves(leaves);
        Group::new("connections", 50, wire, script).again(limits.count(2_000, 50_000))
    };
    [Wire::Plain, Wire::RawTls].map(group).into()
}

/// Heads that have this and then more of that, without end.
fn endless(
    begin: &'static str,
    more: &'static str,
    statuses: &'static [u16],
    limits: &Limits,
) -> Vec<Group> {
    let group = |wire| {
        let script = move |_| Script::say(begin).then_repeat(many(more));
        let group = Group::new("endless heads", 20, wire, script).again(limits.count(100, 1_000));
        group.expect(Expect::Status(statuses))
    };
    HTTP.map(group).into()
}

fn tiny_fields(limits: &Limits) -> Vec<Group> {
    endless("GET / HTTP/1.1\r\nHost: localhost\r\n", "a:b\r\n", &[431], limits)
}

fn long_uri(limits: &Limits) -> Vec<Group> {
    endless("GET /", "a", &[414], limits)
}

fn pipeline_flood(_: &Limits) -> Vec<Group> {
    let group = |wire| {
        let script = |number| {
            let reads = if number % 2 == 0 { Reads::Everything } else { Reads::Nothing };
            Script::say("").then_repeat(many(get("/1k"))).reads(reads)
        };
        Group::new("pipelined requests", 10, wire, script)
    };
    HTTP.map(group).into()
}

fn expect_flood(limits: &Limits) -> Vec<Group> {
    let head = || post("/echo", "Expect: 100-continue\r\nContent-Length: 1\r\n");
    let flooding = |wire| {
        let script = move |number| {
            let reads = if number % 2 == 0 { Reads::Everything } else { Reads::Nothing };
            let request = [head(), b"x".to_vec()].concat();
            Script::say("").then_repeat(many(request)).reads(reads)
        };
        Group::new("expecting requests", 10, wire, script)
    };
    let waiting = |wire| {
        let group = Group::new("requests without body", 100, wire, move |_| Script::say(head()));
        group.expect(limits.cut(limits.patience))
    };
    HTTP.map(flooding).into_iter().chain(HTTP.map(waiting)).collect()
}
