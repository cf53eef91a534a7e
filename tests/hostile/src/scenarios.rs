//! What bad clients do, and what a good server makes of it.

use std::time::Duration;

use crate::bytes;
use crate::good::{Kind, Scheme};
use crate::script::{Expect, Group, Script, Wire};

mod bodies;
mod garbage;
mod heads;
mod limits;
mod readers;
mod stalls;
mod tls;
mod websockets;

/// One kind of attack.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What a good server does, behind "a good server".
    pub(crate) good: &'static str,
    pub(crate) groups: fn(&Limits) -> Vec<Group>,
}

/// All of them, in the order in which they run.
pub(crate) fn all() -> Vec<Scenario> {
    [
        stalls::SCENARIOS,
        tls::SCENARIOS,
        heads::SCENARIOS,
        bodies::SCENARIOS,
        readers::SCENARIOS,
        websockets::SCENARIOS,
        garbage::SCENARIOS,
    ]
    .into_iter()
    .flat_map(|scenarios| scenarios.iter())
    .map(|&Scenario { name, good, groups }| Scenario { name, good, groups })
    .collect()
}

/// Bad clients who come at once.
pub(crate) struct Wave {
    pub(crate) groups: Vec<Group>,
    /// The servers that they come to.
    pub(crate) schemes: &'static [Scheme],
}

/// A scenario with a testbed of its own, whose limits it is about.
pub(crate) struct Limited {
    pub(crate) scenario: Scenario,
    /// What the testbed is told besides.
    pub(crate) options: &'static [&'static str],
    /// The good clients who must not notice.
    pub(crate) good: &'static [Kind],
}

/// Those, which run behind the others.
pub(crate) fn limited() -> [Limited; 2] {
    limits::limited()
}

/// All bad clients at once, a quarter of each kind, and for each that is gone another one, though no
/// faster than on a slow machine: so that each minute's crowd is the same, whoever else is at work.
pub(crate) const EVERYTHING: Scenario = Scenario {
    name: "everything",
    good: "serves the good ones, and keeps nothing of the others",
    groups: |limits| {
        let all = all().into_iter().flat_map(|scenario| (scenario.groups)(limits));
        all.map(|group| Group { count: group.count.div_ceil(4), ..group })
            .map(|group| group.expect(Expect::Anything).again(usize::MAX))
            .map(|group| {
                let every = PLACE_EVERY / group.count as u32;
                group.every(every)
            })
            .collect()
    },
};

/// How often the place of one bad client is taken by another at most, where all are at work.
const PLACE_EVERY: Duration = Duration::from_millis(200);

/// A bit of everything that makes a server keep memory on purpose: a table for many sessions, buffers
/// and stacks for as many handlers as it keeps any.
pub(crate) fn warm_up() -> Vec<Group> {
    let silent = [Wire::Plain, Wire::RawTls]
        .map(|wire| Group::new("silent", 1100, wire, |_| Script::say("")));
    let busy = HTTP.map(|wire| {
        let script =
            |_| Script::say(bytes::chunked("/collect")).then_repeat(bytes::many("1\r\nx\r\n"));
        Group::new("busy", 100, wire, script)
    });
    silent.into_iter().chain(busy).collect()
}

/// HTTP, with and without TLS below it.
const HTTP: [Wire; 2] = [Wire::Plain, Wire::Tls];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Short,
    Long,
}

/// How long things take in this run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    form: Form,
    /// The testbed's time limit for a handshake, a head, the next bytes of a body, the next bytes of a
    /// response to be taken.
    pub(crate) patience: Duration,
    /// The least bytes a second that it is to be sent, and to be able to send.
    rate: usize,
    /// Its time limit for a session without a request.
    pub(crate) idle: Duration,
    /// How often a client that drips says a byte: more often than `patience` by far.
    pub(crate) drip: Duration,
    /// The least time that an attack takes.
    pub(crate) attack: Duration,
    /// The time before and after it.
    pub(crate) quiet: Duration,
    /// The time between the end of an attack and a look at what is left of it.
    pub(crate) rest: Duration,
    /// How much more than twice their time alone good clients may wait in one round, or there are more.
    pub(crate) doubt: Duration,
    /// And in the median of those: what the machine adds, and in the short form, which has to hold wherever
    /// it runs, a busy machine.
    pub(crate) allowance: Duration,
}

/// How much later than its time limit the testbed may act.
const SLACK: Duration = Duration::from_secs(1);

/// How long it waits for the end of a client to which it has said its last.
const LINGER: Duration = Duration::from_secs(2);

impl Limits {
    pub(crate) fn new(form: Form) -> Limits {
        let (short, long) = (Duration::from_millis, Duration::from_secs);
        match form {
            Form::Short => Limits {
                form,
                patience: short(1000),
                rate: 8192,
                idle: short(3000),
                drip: short(200),
                attack: short(1200),
                quiet: short(300),
                rest: Duration::ZERO,
                doubt: short(250),
                allowance: short(250),
            },
            Form::Long => Limits {
                form,
                patience: long(5),
                rate: 1024,
                idle: long(10),
                drip: long(1),
                attack: long(10),
                quiet: long(5),
                rest: Duration::ZERO,
                doubt: Duration::ZERO,
                allowance: short(1),
            },
        }
    }

    /// The same, with attacks that take so long at least, and a rest behind each.
    pub(crate) fn lasting(self, attack: Duration, rest: Duration) -> Limits {
        Limits { attack, rest, ..self }
    }

    /// How the testbed is told, and what it is told `besides`.
    pub(crate) fn options(&self, besides: &[&str]) -> Vec<String> {
        let millis = |time: Duration| time.as_millis().to_string();
        [
            ("--workers", "1".into()),
            ("--max-open-sockets", "5000".into()),
            ("--handshake-timeout-ms", millis(self.patience)),
            ("--head-timeout-ms", millis(self.patience)),
            ("--recv-wait-timeout-ms", millis(self.patience)),
            ("--send-wait-timeout-ms", millis(self.patience)),
            ("--recv-min-rate", self.rate.to_string()),
            ("--send-min-rate", self.rate.to_string()),
            ("--idle-timeout-ms", millis(self.idle)),
        ]
        .into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value])
        .chain(besides.iter().map(|besides| (*besides).to_owned()))
        .collect()
    }

    /// Whether bad clients run only when nobody else on this machine wants to, which it must have time for.
    pub(crate) fn crowd_goes_last(&self) -> bool {
        self.form == Form::Long
    }

    /// Who comes at once, and who when those have gone.
    ///
    /// The two servers of the testbed share a core, and the system has one wait for the other for some
    /// milliseconds. So in the long form, where good clients' time counts, bad ones are with one of them at a
    /// time.
    pub(crate) fn waves(&self, groups: Vec<Group>) -> Vec<Wave> {
        if self.form == Form::Short {
            return vec![Wave { groups, schemes: &[Scheme::Http, Scheme::Https] }];
        }
        let (plain, tls): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.wire == Wire::Plain);
        let plain = Wave { groups: plain, schemes: &[Scheme::Http] };
        let tls = Wave { groups: tls, schemes: &[Scheme::Https] };
        [plain, tls].into_iter().filter(|wave| !wave.groups.is_empty()).collect()
    }

    /// By when a client must be cut that has so much time.
    fn cut(&self, limit: Duration) -> Expect {
        Expect::Cut(limit + SLACK)
    }

    /// By when a client must be cut that says a byte now and then, which pays for next to nothing of
    /// the time in which it is waited for; and the server waits for it to read what it was told.
    fn cut_for_rate(&self) -> Expect {
        Expect::Cut(self.patience + LINGER + SLACK)
    }

    /// How long an attack takes at most that should come to this.
    pub(crate) fn longest(&self, expect: Expect) -> Duration {
        match expect {
            Expect::Anything | Expect::Refusals(_) | Expect::Stay => self.attack,
            Expect::Cut(most) | Expect::NoWord(most) => most + SLACK,
            Expect::CutUnseen(most) => most,
            Expect::Status(_) | Expect::WsClose(_) => self.patience + 12 * SLACK,
        }
    }

    /// A number of clients: fewer where the run is short.
    fn count(&self, short: usize, long: usize) -> usize {
        match self.form {
            Form::Short => short,
            Form::Long => long,
        }
    }
}
