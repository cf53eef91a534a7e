//! WebSocket clients that break the protocol, or keep to its letter.

use super::{HTTP, Limits, Scenario};
use crate::bytes::{frame, frame_head, many, upgrade};
use crate::script::{Expect, Group, Reads, Script};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ping-flood",
        good: "answers pings no faster than its answers are read, and serves others between them",
        groups: ping_flood,
    },
    Scenario {
        name: "empty-fragments",
        good: "closes a message of too many fragments: 1008 or 1009",
        groups: empty_fragments,
    },
    Scenario {
        name: "tiny-fragments",
        good: "closes a message of too many fragments of one byte each: 1008 or 1009",
        groups: tiny_fragments,
    },
    Scenario {
        name: "tiny-messages",
        good: "echoes empty messages no faster than they are read, and serves others between them",
        groups: tiny_messages,
    },
    Scenario { name: "unmasked", good: "closes at a frame without mask: 1002", groups: unmasked },
    Scenario {
        name: "huge-frames",
        good: "closes at a length beyond 2^63 (1002) or beyond its limit (1009), and reserves nothing",
        groups: huge_frames,
    },
];

const PING: u8 = 0x89;
const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const GOES_ON: u8 = 0x00;

/// Half of the clients read what they are sent.
fn flood(what: &'static str, piece: Vec<u8>) -> Vec<Group> {
    let group = |wire| {
        let piece = piece.clone();
        let script = move |number| {
            let reads = if number % 2 == 0 { Reads::Everything } else { Reads::Nothing };
            Script::say(upgrade()).then_repeat(piece.clone()).reads(reads)
        };
        Group::new(what, 6, wire, script)
    };
    HTTP.map(group).into()
}

fn closed(
    what: &'static str,
    opening: Vec<u8>,
    piece: Vec<u8>,
    codes: &'static [u16],
    limits: &Limits,
) -> impl Iterator<Item = Group> + use<> {
    let in_all = limits.count(100, 1_000);
    HTTP.into_iter().map(move |wire| {
        let (opening, piece) = ([upgrade(), opening.clone()].concat(), piece.clone());
        let script = move |_| Script::say(opening.clone()).then_repeat(piece.clone());
        Group::new(what, 10, wire, script).again(in_all).expect(Expect::WsClose(codes))
    })
}

fn ping_flood(_: &Limits) -> Vec<Group> {
    flood("pinging clients", many(frame(PING, &[b'p'; 125])))
}

fn tiny_messages(_: &Limits) -> Vec<Group> {
    flood("clients with empty messages", many(frame(TEXT, b"")))
}

fn empty_fragments(limits: &Limits) -> Vec<Group> {
    let piece = many(frame(GOES_ON, b""));
    closed("empty fragments", frame(TEXT_BEGINS, b""), piece, &[1008, 1009], limits).collect()
}

fn tiny_fragments(limits: &Limits) -> Vec<Group> {
    let piece = many(frame(GOES_ON, b"x"));
    closed("one-byte fragments", frame(TEXT_BEGINS, b"x"), piece, &[1008, 1009], limits).collect()
}

fn unmasked(limits: &Limits) -> Vec<Group> {
    let hello = b"\x81\x05hello".to_vec();
    closed("unmasked frames", hello.clone(), many(hello), &[1002], limits).collect()
}

fn huge_frames(limits: &Limits) -> Vec<Group> {
    let beyond = closed("2^63 bytes", frame_head(1 << 63), many("x"), &[1002], limits);
    let below = closed("2^63 - 1 bytes", frame_head((1 << 63) - 1), many("x"), &[1009], limits);
    beyond.chain(below).collect()
}
