//! Clients that abuse TLS.

use super::{Limits, Scenario};
use crate::bytes::{Dice, get};
use crate::script::{Group, How, Leaves, Pieces, Script, Wire};
use crate::tls::{self, HEADER_LEN, Versions};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "hello-flood",
        good: "spends time on others too while whole ClientHellos flood in, and cuts those that stay",
        groups: hello_flood,
    },
    Scenario {
        name: "renegotiation",
        good: "starts no second handshake inside a first one",
        groups: renegotiation,
    },
    Scenario {
        name: "new-keys",
        good: "takes a new key with every request, at the price of a request",
        groups: new_keys,
    },
    Scenario {
        name: "broken-handshakes",
        good: "keeps nothing of a handshake that broke off",
        groups: broken_handshakes,
    },
];

fn hello_flood(limits: &Limits) -> Vec<Group> {
    let hello = tls::client_hello(&tls::config(Versions::Any));
    let stays = hello.clone();
    let leaves = Leaves::After { bytes: 1, how: How::Reset };
    vec![
        Group::new("hellos, then nothing", 200, Wire::RawTls, move |_| Script::say(stays.clone()))
            .expect(limits.cut(limits.patience)),
        Group::new("hellos, then a reset", 50, Wire::RawTls, move |_| {
            Script::say(hello.clone()).leaves(leaves)
        })
        .again(limits.count(2_000, 50_000)),
    ]
}

fn renegotiation(limits: &Limits) -> Vec<Group> {
    let group = |what, wire, versions| {
        let hello = tls::client_hello(&tls::config(versions))[HEADER_LEN..].to_vec();
        let script = move |_| Script::say(hello.clone()).then_repeat(hello.clone());
        let group = Group::new(what, 10, wire, script).again(limits.count(100, 2_000));
        group.expect(limits.cut(limits.patience))
    };
    vec![
        group("hellos inside TLS 1.2", Wire::Handshake12, Versions::Tls12),
        group("hellos inside TLS 1.3", Wire::Handshake13, Versions::Tls13),
    ]
}

fn new_keys(_: &Limits) -> Vec<Group> {
    let script = |_| Script::say(get("/")).then_repeat(get("/"));
    vec![Group::new("new keys", 4, Wire::NewKeys, script)]
}

fn broken_handshakes(limits: &Limits) -> Vec<Group> {
    let hello = tls::client_hello(&tls::config(Versions::Any));
    let script = move |number| broken_handshake(number, &hello);
    let tampered = |_| Script::say(get("/"));
    vec![
        Group::new("broken handshakes", 50, Wire::RawTls, script).again(limits.count(800, 8_000)),
        Group::new("wrong Finished", 10, Wire::Tampered, tampered).again(limits.count(200, 2_000)),
    ]
}

/// One of several ways to break off, in turn.
fn broken_handshake(number: u64, hello: &[u8]) -> Script {
    let mut dice = Dice::new(number);
    let at_once = |how| Leaves::After { bytes: 0, how };
    let answered = |how| Leaves::After { bytes: 1, how };
    let half = &hello[..hello.len() / 2];
    match number % 8 {
        0 => Script::say(half).leaves(at_once(How::Politely)),
        1 => Script::say(half).leaves(at_once(How::Reset)),
        2 => Script::say(hello).leaves(answered(How::Politely)),
        3 => Script::say(hello).leaves(answered(How::Reset)),
        // A warning that nobody asked for.
        4 => Script::say(*b"\x15\x03\x03\x00\x02\x01\x00").leaves(at_once(How::Politely)),
        5 => {
            // Takes the server's flight, and answers with a record that nobody can decrypt.
            let mut record = b"\x17\x03\x03\x00\x40".to_vec();
            record.extend(dice.noise(0x40));
            Script { pieces: Pieces::Repeat(record), ..Script::say(hello) }
        }
        6 => Script::say(dice.mutated(hello)).leaves(answered(How::Politely)),
        _ => {
            // The hello says that it is longer than it is, and another one follows inside it.
            let mut longer = hello.to_vec();
            longer[8] = longer[8].wrapping_add(1);
            longer.extend_from_slice(hello);
            Script::say(longer).leaves(answered(How::Reset))
        }
    }
}
