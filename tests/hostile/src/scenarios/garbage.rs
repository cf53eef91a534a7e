//! Bytes without meaning, and bytes with mistakes.

use super::{HTTP, Limits, Scenario};
use crate::bytes::{Dice, chunked, frame, get, post, upgrade};
use crate::script::{Group, How, Leaves, Script, Wire};
use crate::tls::{self, Versions};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "garbage",
        good: "refuses bytes without meaning on either port, and nothing else",
        groups: garbage,
    },
    Scenario {
        name: "mutated-hellos",
        good: "refuses a ClientHello with mistakes by an alert, or shakes hands",
        groups: mutated_hellos,
    },
    Scenario {
        name: "mutated-requests",
        good: "refuses requests with mistakes, plain and inside TLS, and answers those without",
        groups: mutated_requests,
    },
    Scenario {
        name: "mutated-frames",
        good: "closes WebSockets that make mistakes, plain and inside TLS",
        groups: mutated_frames,
    },
];

/// Some go at once, some wait for an answer; some politely.
fn leaves(dice: &mut Dice) -> Leaves {
    let how = if dice.below(2) == 0 { How::Politely } else { How::Reset };
    Leaves::After { bytes: dice.below(2) as u64, how }
}

fn garbage(limits: &Limits) -> Vec<Group> {
    let group = |wire| {
        let script = |number| {
            let mut dice = Dice::new(number);
            let len = dice.below(3000);
            let noise = dice.noise(len);
            Script::say(noise).leaves(leaves(&mut dice))
        };
        Group::new("garbage", 50, wire, script).again(limits.count(400, 20_000))
    };
    [Wire::Plain, Wire::RawTls, Wire::Tls].map(group).into()
}

fn mutated_hellos(limits: &Limits) -> Vec<Group> {
    let hellos = [Versions::Any, Versions::Tls12, Versions::Tls13]
        .map(|versions| tls::client_hello(&tls::config(versions)));
    let script = move |number| {
        let mut dice = Dice::new(number);
        let hello = &hellos[dice.below(hellos.len())];
        let mutated = dice.mutated(hello);
        Script::say(mutated).leaves(leaves(&mut dice))
    };
    let group = Group::new("mutated hellos", 100, Wire::RawTls, script);
    vec![group.again(limits.count(1_000, 50_000))]
}

fn mutated_requests(limits: &Limits) -> Vec<Group> {
    let group = |wire| {
        let script = |number| {
            let mut dice = Dice::new(number);
            let request = match dice.below(5) {
                0 => get("/headers?a=b&c=%20"),
                1 => [post("/echo", "Content-Length: 5\r\n"), b"hello".to_vec()].concat(),
                2 => [chunked("/echo"), b"5\r\nhello\r\n0\r\na: b\r\n\r\n".to_vec()].concat(),
                3 => upgrade(),
                _ => [get("/"), get("/1k"), get("/nowhere")].concat(),
            };
            let mutated = dice.mutated(&request);
            Script::say(mutated).leaves(leaves(&mut dice))
        };
        Group::new("mutated requests", 50, wire, script).again(limits.count(500, 20_000))
    };
    HTTP.map(group).into()
}

fn mutated_frames(limits: &Limits) -> Vec<Group> {
    let group = |wire| {
        let script = |number| {
            let mut dice = Dice::new(number);
            let mut frames = Vec::new();
            for _ in 0..1 + dice.below(5) {
                let opcode = [0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a][dice.below(9)];
                let payload_len = dice.below(300);
                frames.extend(frame(opcode, &dice.noise(payload_len)));
            }
            let opening = [upgrade(), dice.mutated(&frames)].concat();
            let Leaves::After { how, .. } = leaves(&mut dice) else { unreachable!() };
            // Behind the response to its upgrade.
            Script::say(opening).leaves(Leaves::After { bytes: 100, how })
        };
        Group::new("mutated frames", 50, wire, script).again(limits.count(500, 20_000))
    };
    HTTP.map(group).into()
}
