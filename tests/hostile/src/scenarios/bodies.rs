//! Bodies without end.

use super::{HTTP, Limits, Scenario};
use crate::bytes::{chunked, many, post};
use crate::script::{Expect, Group, Reads, Script};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "tiny-chunks",
        good: "holds no more of a body in one-byte chunks than of any other",
        groups: tiny_chunks,
    },
    Scenario {
        name: "chunk-extensions",
        good: "bounds a chunk's extensions, and what they may be in all",
        groups: chunk_extensions,
    },
    Scenario { name: "trailers", good: "refuses trailers beyond a few: 431", groups: trailers },
    Scenario {
        name: "unread-body",
        good: "reads a bounded part of a body that nobody wants, and closes",
        groups: unread_body,
    },
];

const ONE_BYTE_CHUNK: &str = "1\r\nx\r\n";

/// Groups of clients on each wire that begin with this and go on with that.
fn bodies(
    what: &'static str,
    path: &'static str,
    begin: &'static str,
    more: &'static str,
    limits: &Limits,
    expect: Expect,
) -> impl Iterator<Item = Group> + use<> {
    let in_all = limits.count(40, 1_000);
    HTTP.into_iter().map(move |wire| {
        let opening = [chunked(path), begin.into()].concat();
        let script = move |_| Script::say(opening.clone()).then_repeat(many(more));
        Group::new(what, 10, wire, script).again(in_all).expect(expect)
    })
}

fn tiny_chunks(limits: &Limits) -> Vec<Group> {
    let collected = bodies(
        "collected one-byte chunks",
        "/collect",
        "",
        ONE_BYTE_CHUNK,
        limits,
        Expect::Status(&[413]),
    );
    let echoed = HTTP.into_iter().map(|wire| {
        let script = |number| {
            let reads = if number % 2 == 0 { Reads::Everything } else { Reads::Nothing };
            Script::say(chunked("/echo")).then_repeat(many(ONE_BYTE_CHUNK)).reads(reads)
        };
        Group::new("echoed one-byte chunks", 4, wire, script)
    });
    collected.chain(echoed).collect()
}

fn chunk_extensions(limits: &Limits) -> Vec<Group> {
    const EXTENDED: &str = "1;name=value;name=value;name=value;name=value;name=value\r\nx\r\n";
    let expect = Expect::Status(&[400, 413]);
    let endless = bodies("an endless extension", "/echo", "1;", "a", limits, expect);
    let many = bodies("an extension a byte", "/collect", "", EXTENDED, limits, expect);
    endless.chain(many).collect()
}

fn trailers(limits: &Limits) -> Vec<Group> {
    let expect = Expect::Status(&[431]);
    let many = bodies("endless trailers", "/collect", "0\r\n", "a: b\r\n", limits, expect);
    let long = bodies("an endless trailer", "/collect", "0\r\na: ", "b", limits, expect);
    many.chain(long).collect()
}

fn unread_body(limits: &Limits) -> Vec<Group> {
    let group = |wire| {
        let head = post("/nowhere", "Content-Length: 9223372036854775807\r\n");
        let script = move |_| Script::say(head.clone()).then_repeat(many("x"));
        let group = Group::new("unread bodies", 10, wire, script).again(limits.count(100, 1_000));
        group.expect(Expect::Status(&[404]))
    };
    HTTP.map(group).into()
}
