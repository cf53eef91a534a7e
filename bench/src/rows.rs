//! What is measured, and the goals: the table of the whole harness.

use bench_load::{Before, Resumption, TlsVersion, Work};
use serde::Serialize;

use crate::servers::Ability;

/// One row of the table.
pub(crate) struct Row {
    /// As on the command line and in the JSON.
    pub(crate) id: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    /// What its numbers count.
    pub(crate) unit: &'static str,
    /// Which numbers are good.
    pub(crate) better: Better,
    /// How it is measured.
    pub(crate) kind: Kind,
    /// Who is measured.
    pub(crate) field: Field,
    /// What is to be reached.
    pub(crate) goals: &'static [Goal],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// How a row is measured.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Answers per second of the server's CPU time.
    Rate(Rate),
    /// The same with sessions that do nothing besides: so many in each variant.
    RateBesideIdle(Rate, &'static [usize]),
    /// The same with so many routes in each variant; the last of them is requested.
    RateByRoutes(Rate, &'static [usize]),
    /// The same with so many workers in each variant.
    RateByWorkers(Rate, &'static [usize]),
    /// Memory per idle session, in KiB.
    Memory(Option<TlsVersion>, Before),
    /// The 99th percentile of a good client's waits beside bad clients ÷ the same without them.
    Tail,
    /// From the start of the program to its first answer, in ms.
    FirstAnswer,
    /// System calls per answer, by strace.
    SystemCalls(Option<TlsVersion>),
    /// Answers per second of the server's CPU time, with wrk instead of our own load.
    Wrk,
}

/// A load that is counted.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) tls: Option<TlsVersion>,
    pub(crate) load: RateOf,
    pub(crate) connections: usize,
}

/// What each connection does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateOf {
    Page(&'static str),
    Handshakes,
    Resumptions,
    WsEcho,
    WsBroadcast,
}

impl RateOf {
    pub(crate) fn work(self) -> Work {
        match self {
            Self::Page(path) => Work::KeepAlive { path: path.to_owned() },
            Self::Handshakes => Work::Connections { resumption: Resumption::Off },
            Self::Resumptions => Work::Connections { resumption: Resumption::On },
            Self::WsEcho => Work::WsEcho { message_len: MESSAGE_LEN },
            Self::WsBroadcast => Work::WsBroadcast { message_len: MESSAGE_LEN },
        }
    }
}

/// Length of a WebSocket message in bytes.
const MESSAGE_LEN: usize = 64;

/// Who is measured in a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// Every server that is able to, and the bare loops.
    All(Ability),
    /// Every server, but not the bare loops: they are no servers.
    Servers(Ability),
    /// Our own, in several variants.
    Ours,
}

/// What is to be reached: the goals of the project's design.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// At least so many times the fastest peer.
    TimesFastestPeer(f64),
    /// At least this part of the bare loop.
    OfBare(f64),
    /// At most this number.
    AtMost(f64),
    /// The worst variant has at least this part of the first.
    Flat(f64),
    /// The second variant has.
    SecondFlat(f64),
}

const TLS13: Option<TlsVersion> = Some(TlsVersion::Tls13);
const TLS12: Option<TlsVersion> = Some(TlsVersion::Tls12);

const fn rate(tls: Option<TlsVersion>, load: RateOf, connections: usize) -> Rate {
    Rate { tls, load, connections }
}

const PAGES: Field = Field::All(Ability::Pages);
const SMALL: RateOf = RateOf::Page("/");

/// All rows, in the order in which they are measured.
pub(crate) const ROWS: &[Row] = &[
    Row {
        id: "https_small",
        title: "HTTPS, 28-byte page, 64 connections",
        unit: "requests/CPU-s",
        better: Better::Higher,
        kind: Kind::Rate(rate(TLS13, SMALL, 64)),
        field: PAGES,
        goals: &[Goal::TimesFastestPeer(1.25), Goal::OfBare(0.95)],
    },
    Row {
        id: "https_64k",
        title: "HTTPS, 64 kB page, 64 connections",
        unit: "requests/CPU-s",
        better: Better::Higher,
        kind: Kind::Rate(rate(TLS13, RateOf::Page("/64k"), 64)),
        field: PAGES,
        goals: &[Goal::TimesFastestPeer(1.3)],
    },
    Row {
        id: "https_1m",
        title: "HTTPS, 1 MB page, 16 connections",
        unit: "requests/CPU-s",
        better: Better::Higher,
        kind: Kind::Rate(rate(TLS13, RateOf::Page("/1m"), 16)),
        field: PAGES,
        goals: &[],
    },
    Row {
        id: "http_small",
        title: "HTTP, 28-byte page, 64 connections",
        unit: "requests/CPU-s",
        better: Better::Higher,
        kind: Kind::Rate(rate(None, SMALL, 64)),
        field: PAGES,
        goals: &[Goal::TimesFastestPeer(1.1)],
    },
    Row {
        id: "tls13_full",
        title: "TLS 1.3, full handshake and a request",
        unit: "handshakes/CPU-s",
        better: Better::Higher,
        kind: Kind::Rate(rate(TLS13, RateOf::Handshakes, 32)),
        field: PAGES,
        goals: &[Goal::TimesFastestPeer(1.25)],
    },
    Row {
        id: "tls12_full",
        title: "TLS 1.2, full handshake and a request",
        unit: "handshakes/CPU-s",
        better: Better::Higher,
        kind: Kind::Rate(rate(TLS12, RateOf::Handshakes, 32)),
        field: PAGES,
        goals: &[],
    },
    Row {
        id: "tls13_resumed",
        title: "TLS 1.3, resumed handshake and a request",
        unit: "handshakes/CPU-s",
        better: Better::Higher,
        kind: Kind::Rate(rate(TLS13, RateOf::Resumptions, 32)),
        field: PAGES,
        goals: &[Goal::TimesFastestPeer(1.25)],
    },
    Row {
        id: "tls12_resumed",
        title: "TLS 1.2, resumed handshake and a request",
        unit: "handshakes/CPU-s",
        better: Better::Higher,
        kind: Kind::Rate(rate(TLS12, RateOf::Resumptions, 32)),
        field: PAGES,
        goals: &[Goal::TimesFastestPeer(1.1)],
    },
    Row {
        id: "wss_echo",
        title: "WebSocket echo over TLS, 64 bytes, 64 connections",
        unit: "messages/CPU-s",
        better: Better::Higher,
        kind: Kind::Rate(rate(TLS13, RateOf::WsEcho, 64)),
        field: Field::All(Ability::WebSocket),
        goals: &[Goal::TimesFastestPeer(1.3)],
    },
    Row {
        id: "wss_broadcast",
        title: "WebSocket broadcast over TLS, 64 bytes to 64 connections",
        unit: "deliveries/CPU-s",
        better: Better::Higher,
        kind: Kind::Rate(rate(TLS13, RateOf::WsBroadcast, 64)),
        field: Field::All(Ability::WebSocket),
        goals: &[],
    },
    Row {
        id: "wrk",
        title: "the first row again, with wrk as the load",
        unit: "requests/CPU-s",
        better: Better::Higher,
        kind: Kind::Wrk,
        field: PAGES,
        goals: &[],
    },
    Row {
        id: "memory_tls",
        title: "memory per idle TLS keep-alive session",
        unit: "KiB PSS",
        better: Better::Lower,
        kind: Kind::Memory(TLS13, Before::Request),
        field: PAGES,
        goals: &[Goal::AtMost(4.0)],
    },
    Row {
        id: "memory_plain",
        title: "memory per idle plain session",
        unit: "KiB PSS",
        better: Better::Lower,
        kind: Kind::Memory(None, Before::Request),
        field: PAGES,
        goals: &[Goal::AtMost(0.5)],
    },
    Row {
        id: "memory_wss",
        title: "memory per idle WebSocket over TLS",
        unit: "KiB PSS",
        better: Better::Lower,
        kind: Kind::Memory(TLS13, Before::WebSocket),
        field: Field::All(Ability::WebSocket),
        goals: &[Goal::AtMost(4.0)],
    },
    Row {
        id: "tail",
        title: "p99 of a good client: beside 100 bad ones ÷ alone",
        unit: "times",
        better: Better::Lower,
        kind: Kind::Tail,
        field: Field::Servers(Ability::Pages),
        goals: &[Goal::AtMost(2.0)],
    },
    Row {
        id: "first_answer",
        title: "start to first HTTPS answer",
        unit: "ms",
        better: Better::Lower,
        kind: Kind::FirstAnswer,
        field: PAGES,
        goals: &[Goal::AtMost(10.0)],
    },
    Row {
        id: "syscalls_https",
        title: "system calls per small HTTPS request, 64 connections",
        unit: "calls",
        better: Better::Lower,
        kind: Kind::SystemCalls(TLS13),
        field: PAGES,
        goals: &[Goal::AtMost(2.1)],
    },
    Row {
        id: "scale_idle",
        title: "HTTPS, 64 busy connections beside idle ones",
        unit: "requests/CPU-s",
        better: Better::Higher,
        kind: Kind::RateBesideIdle(rate(TLS13, SMALL, 64), &[10, 1_000, 10_000]),
        field: Field::Ours,
        goals: &[Goal::Flat(0.9)],
    },
    Row {
        id: "scale_routes",
        title: "HTTP, by number of routes",
        unit: "requests/CPU-s",
        better: Better::Higher,
        kind: Kind::RateByRoutes(rate(None, SMALL, 64), &[10, 1_000]),
        field: Field::Ours,
        goals: &[Goal::Flat(0.9)],
    },
    Row {
        id: "scale_workers",
        title: "HTTPS, by number of workers",
        unit: "requests/CPU-s",
        better: Better::Higher,
        kind: Kind::RateByWorkers(rate(TLS13, SMALL, 64), &[1, 2, 4]),
        field: Field::Ours,
        goals: &[Goal::SecondFlat(0.9)],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let mut ids: Vec<_> = ROWS.iter().map(|row| row.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ROWS.len());
    }

    #[test]
    fn a_row_of_our_variants_has_a_goal_about_variants() {
        for row in ROWS {
            let about_variants =
                row.goals.iter().any(|goal| matches!(goal, Goal::Flat(_) | Goal::SecondFlat(_)));
            assert_eq!(about_variants, row.field == Field::Ours, "{}", row.id);
        }
    }
}
