//! Clients that say nothing, or not enough.

use super::{HTTP, Limits, Scenario};
use crate::bytes::{frame, get, post, upgrade};
use crate::script::{Group, Script, Wire};
use crate::tls::{self, Versions};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "silent",
        good: "keeps 2,000 silent connections for the price of a table's row, until their time is up",
        groups: silent,
    },
    Scenario {
        name: "drip-hello",
        good: "cuts a ClientHello that drips when the time for the handshake is up",
        groups: drip_hello,
    },
    Scenario {
        name: "drip-head",
        good: "cuts a head that drips when the time for a head is up",
        groups: drip_head,
    },
    Scenario {
        name: "drip-body",
        good: "cuts a body that comes slower than the least rate: 408",
        groups: drip_body,
    },
    Scenario {
        name: "drip-frame",
        good: "cuts a WebSocket message that comes slower than the least rate: 1008",
        groups: drip_frame,
    },
    Scenario {
        name: "stalled-handshakes",
        good: "cuts a handshake that stops anywhere when its time is up",
        groups: stalled_handshakes,
    },
];

/// Clients that drip, on each wire.
const DRIPPING: usize = 100;

fn silent(limits: &Limits) -> Vec<Group> {
    let silent = |what, wire| Group::new(what, 1000, wire, |_| Script::say(""));
    vec![
        silent("silent on the plain port", Wire::Plain).expect(limits.cut(limits.idle)),
        silent("silent on the TLS port", Wire::RawTls).expect(limits.cut(limits.patience)),
    ]
}

fn drip_hello(limits: &Limits) -> Vec<Group> {
    let hello = tls::client_hello(&tls::config(Versions::Any));
    let every = limits.drip;
    let script = move |_| Script::say("").then_drip(hello.clone(), every);
    let group = Group::new("dripping hellos", 2 * DRIPPING, Wire::RawTls, script);
    vec![group.expect(limits.cut(limits.patience))]
}

fn drip_head(limits: &Limits) -> Vec<Group> {
    let every = limits.drip;
    let group = |wire| {
        let script = move |_| Script::say("").then_drip(get("/a/path/that/takes/its/time"), every);
        Group::new("dripping heads", DRIPPING, wire, script).expect(limits.cut(limits.patience))
    };
    HTTP.map(group).into()
}

fn drip_body(limits: &Limits) -> Vec<Group> {
    let every = limits.drip;
    let group = |wire| {
        let head = post("/echo", "Content-Length: 1000\r\n");
        let script = move |_| Script::say(head.clone()).then_drip([b'x'; 1000], every);
        Group::new("dripping bodies", DRIPPING, wire, script).expect(limits.cut_for_rate())
    };
    HTTP.map(group).into()
}

fn drip_frame(limits: &Limits) -> Vec<Group> {
    let every = limits.drip;
    let group = |wire| {
        let message = frame(0x82, &[b'x'; 1000]);
        let script = move |_| Script::say(upgrade()).then_drip(message.clone(), every);
        Group::new("dripping frames", DRIPPING, wire, script).expect(limits.cut_for_rate())
    };
    HTTP.map(group).into()
}

fn stalled_handshakes(limits: &Limits) -> Vec<Group> {
    let group = |what, versions, share: fn(usize) -> usize| {
        let hello = tls::client_hello(&tls::config(versions));
        let said = hello[..share(hello.len())].to_vec();
        let group = Group::new(what, 70, Wire::RawTls, move |_| Script::say(said.clone()));
        group.expect(limits.cut(limits.patience))
    };
    vec![
        group("half a ClientHello", Versions::Any, |len| len / 2),
        group("no answer to TLS 1.3's first flight", Versions::Tls13, |len| len),
        group("no answer to TLS 1.2's first flight", Versions::Tls12, |len| len),
    ]
}
