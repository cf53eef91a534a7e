//! One scenario: quiet before it, the attack, quiet after it, and what has to hold.
//!
//! The machine has a say in every measurement. So the good clients' time alone is taken just before
//! and just after each attack; the testbed has a core for itself where there are two, and the bad
//! clients run when nobody else wants to (`SCHED_IDLE`; in the short form they are nice), so that it is the
//! server that is measured and not a race between clients; and what looks bad once is looked at twice more.

use std::collections::VecDeque;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::Problem;
use crate::crowd::{self, Outcome, Signals};
use crate::good::{GoodClients, KINDS, Kind, Scheme, p99};
use crate::scenarios::{self, Limits, Scenario, Wave};
use crate::script::{Expect, Group};
use crate::testbed::Testbed;

/// Rounds of a scenario whose first one looks bad.
const ROUNDS: usize = 3;
/// A good client's p99 beside the bad ones is at most this many times its p99 alone, and
/// `Limits::allowance`.
const P99_FACTOR: u32 = 2;
/// Memory after an attack is at most this many times what it was before,
const MEMORY_FACTOR: f64 = 1.10;
/// and so many kB: pages that the allocator keeps.
const MEMORY_ALLOWANCE_KB: f64 = 512.0;
/// This share of a core is all that the testbed uses beyond what the good clients cost it.
const IDLE_SHARE: f64 = 0.05;
/// How long memory and files may take to come back.
const SETTLE: Duration = Duration::from_secs(5);
/// Quiet windows that make up a good client's time alone.
const WINDOWS: usize = 8;
const SAMPLE_EVERY: Duration = Duration::from_millis(20);
/// Files are counted with every so many samples: that takes time.
const FILES_EVERY: usize = 25;
/// How often it is asked what the heap has in use, to find a moment between good clients' requests.
const HEAP_LOOKS: usize = 5;

/// The testbed, and those who use it as it is meant to be used.
pub(crate) struct Arena {
    testbed: Testbed,
    good: GoodClients,
    limits: Limits,
    quiet: VecDeque<Range<Instant>>,
    idle_share: f64,
}

/// How a scenario went.
pub(crate) struct Report {
    pub(crate) connections: usize,
    pub(crate) rounds: usize,
    pub(crate) took: Duration,
    /// The kind of good client that fared worst: alone, and beside.
    pub(crate) worst: Option<(Kind, Duration, Duration)>,
    /// In kB: before, at most, after.
    pub(crate) memory: [u64; 3],
    /// What the testbed's heap has in use afterwards, in bytes, if it counts that.
    pub(crate) heap: Option<u64>,
    /// Files that it had open at most.
    pub(crate) most_files: usize,
    pub(crate) problems: Vec<Problem>,
}

/// How one round of it went.
struct Round {
    outcome: Outcome,
    p99: Vec<P99>,
    memory: [u64; 3],
    heap: Option<u64>,
    most_files: usize,
    problems: Vec<Problem>,
}

/// The p99 of one kind of good client.
#[derive(Clone, Copy)]
struct P99 {
    kind: Kind,
    alone: Duration,
    beside: Duration,
}

/// What an attack looked like from outside.
#[derive(Default)]
struct Seen {
    outcome: Outcome,
    /// The testbed's largest size, in kB, and the files it had open at most.
    most_memory: u64,
    most_files: usize,
    /// What those could not see who don't read.
    problems: Vec<Problem>,
}

/// What the testbed has while nobody is bad.
struct Rest {
    memory: u64,
    heap: Option<u64>,
    files: usize,
    cpu_share: f64,
}

impl Arena {
    /// With good clients of these kinds.
    pub(crate) fn open(
        testbed: Testbed,
        limits: Limits,
        kinds: &'static [Kind],
    ) -> Result<Arena, Problem> {
        let good = GoodClients::start(testbed.ports, kinds);
        let quiet = VecDeque::new();
        let mut arena = Arena { testbed, good, limits, quiet, idle_share: 0.0 };
        arena.warm_up()?;
        arena.idle_share = arena.rest(8 * arena.limits.quiet).cpu_share;
        let failures = arena.good.failures(&arena.quiet[0]);
        if failures.is_empty() { Ok(arena) } else { Err(failures.join("\n")) }
    }

    /// Fills tables, pools and caches that are kept on purpose, so that only leaks grow from here on.
    fn warm_up(&mut self) -> Result<(), Problem> {
        let before = self.rest(self.limits.quiet);
        let groups = scenarios::warm_up();
        let Seen { problems, .. } = self.attack(&groups, &before);
        if let Some(problem) = problems.first() {
            return Err(format!("warming up: {problem}"));
        }
        self.await_files(before.files);
        self.quiet.clear();
        Ok(())
    }

    /// Stops the testbed, which must be able to.
    pub(crate) fn close(self) -> Result<(), Problem> {
        drop(self.good);
        self.testbed.stop()
    }

    /// Runs a scenario, again if what could be noise looks bad.
    pub(crate) fn run(&mut self, scenario: &Scenario) -> Report {
        let start = Instant::now();
        let mut rounds: Vec<Round> = Vec::new();
        while rounds.len() < ROUNDS {
            let round = self.round(scenario);
            let is_last = !round.problems.is_empty() || !self.testbed.is_running();
            rounds.push(round);
            let is_well = || soft_problems(&rounds, self.limits.doubt).is_empty();
            if is_last || rounds.len() == 1 && is_well() {
                break;
            }
        }
        let problems = soft_problems(&rounds, self.limits.allowance);
        report(rounds, start, problems)
    }

    /// Runs a scenario once, for as long as `limits` say. How long good clients wait beside it, and what
    /// memory it leaves, is told and nothing more.
    pub(crate) fn run_once(&mut self, scenario: &Scenario, limits: Limits) -> Report {
        let start = Instant::now();
        self.limits = limits;
        let round = self.round(scenario);
        report(vec![round], start, Vec::new())
    }

    fn round(&mut self, scenario: &Scenario) -> Round {
        let before = self.rest(self.limits.quiet);
        let start = Instant::now();
        let mut seen = Seen::default();
        let mut beside = Vec::new();
        for Wave { groups, schemes } in self.limits.waves((scenario.groups)(&self.limits)) {
            // Not beside what an attack before has left.
            self.await_files(before.files);
            let start = Instant::now();
            seen.add(self.attack(&groups, &before));
            beside.push((schemes, start..Instant::now()));
        }

        let Seen { mut outcome, most_memory, most_files, mut problems } = seen;
        let files = self.await_files(before.files);
        thread::sleep(self.limits.rest);
        let memory = self.await_memory(before.memory);
        let after = self.rest(self.limits.quiet);
        let whole = start..Instant::now();
        if files > before.files {
            problems.push(format!("{files} files are open, {} were before", before.files));
        }
        let most = 2.0 * self.idle_share + IDLE_SHARE;
        if after.cpu_share > most {
            let [busy, most] = [after.cpu_share, most].map(|share| share * 100.0);
            problems.push(format!("{busy:.0} % of a core busy afterwards, not {most:.0} %"));
        }
        problems.extend(self.good.failures(&whole));
        problems.extend(self.serves_everybody());
        if !self.testbed.is_running() {
            problems.push("the testbed has died".into());
        }
        problems.append(&mut outcome.problems);
        let p99 = self.p99(&beside);
        let memory = [before.memory, most_memory, memory];
        Round { outcome, p99, memory, heap: after.heap, most_files, problems }
    }

    /// Lets the bad clients loose.
    fn attack(&self, groups: &[Group], before: &Rest) -> Seen {
        let signals = Signals::default();
        let start = Instant::now();
        let unseen = groups.iter().find_map(|group| match group.expect {
            Expect::CutUnseen(most) => Some(most),
            _ => None,
        });
        let longest = groups.iter().map(|group| self.limits.longest(group.expect)).max();
        let longest = longest.unwrap_or(self.limits.attack).max(self.limits.attack);
        let (mut most_memory, mut most_files) = (before.memory, before.files);
        let mut samples = (0..FILES_EVERY).cycle();
        let mut problems = Vec::new();
        let attack = thread::scope(|scope| {
            let crowd = scope.spawn(|| {
                if self.limits.crowd_goes_last() {
                    go_last();
                } else {
                    go_later();
                }
                crowd::attack(groups, self.testbed.ports, &signals)
            });
            loop {
                thread::sleep(SAMPLE_EVERY);
                most_memory = most_memory.max(self.testbed.memory_kb());
                if samples.next() == Some(0) {
                    most_files = most_files.max(self.testbed.file_count());
                }
                let is_over = signals.done.load(Ordering::Relaxed)
                    || (unseen.is_some() && self.testbed.file_count() <= before.files);
                let age = start.elapsed();
                if age >= longest || (is_over && age >= self.limits.attack) || crowd.is_finished() {
                    if let Some(most) = unseen.filter(|_| !is_over) {
                        let files = self.testbed.file_count().saturating_sub(before.files);
                        problems
                            .push(format!("{files} clients still have a session after {most:?}"));
                    }
                    break;
                }
            }
            signals.leave.store(true, Ordering::Relaxed);
            crowd.join().unwrap_or_else(|_| Err(std::io::Error::other("the crowd panicked")))
        });
        let outcome = attack.unwrap_or_else(|error| {
            problems.push(format!("the attack failed: {error}"));
            Outcome::default()
        });
        Seen { outcome, most_memory, most_files, problems }
    }

    /// Nobody is bad for a while. The time counts as the good clients' time alone.
    fn rest(&mut self, time: Duration) -> Rest {
        let (start, cpu) = (Instant::now(), self.testbed.cpu_time());
        let (mut memory, mut files) = (u64::MAX, usize::MAX);
        while start.elapsed() < time {
            thread::sleep(SAMPLE_EVERY);
            memory = memory.min(self.testbed.memory_kb());
            files = files.min(self.testbed.file_count());
        }
        let busy = self.testbed.cpu_time().saturating_sub(cpu);
        self.quiet.push_back(start..Instant::now());
        if self.quiet.len() > WINDOWS {
            self.quiet.pop_front();
        }
        let cpu_share = busy.as_secs_f64() / start.elapsed().as_secs_f64();
        let heap = (0..HEAP_LOOKS).filter_map(|_| self.testbed.heap()).min();
        Rest { memory, heap, files, cpu_share }
    }

    /// Whoever comes is served again, where not all kinds of good clients were there all the time.
    fn serves_everybody(&self) -> Vec<Problem> {
        if self.good.kinds() == KINDS {
            return Vec::new();
        }
        let start = Instant::now();
        let good = GoodClients::start(self.testbed.ports, &KINDS);
        thread::sleep(self.limits.quiet);
        good.failures(&(start..Instant::now()))
    }

    /// Waits until no more files are open than `before`; how many are.
    fn await_files(&self, before: usize) -> usize {
        let deadline = Instant::now() + SETTLE;
        loop {
            let files = self.testbed.file_count();
            if files <= before || Instant::now() > deadline {
                return files;
            }
            // Not in step with the good clients, who have files too.
            thread::sleep(SAMPLE_EVERY / 3);
        }
    }

    fn await_memory(&self, before: u64) -> u64 {
        let deadline = Instant::now() + SETTLE / 5;
        loop {
            let memory = self.testbed.memory_kb();
            if !has_grown(before, memory) || Instant::now() > deadline {
                return memory;
            }
            thread::sleep(SAMPLE_EVERY);
        }
    }

    /// The p99 of each kind: in the quiet windows around now, and in the worst of these times, in which
    /// servers of these schemes were attacked.
    fn p99(&self, beside: &[(&[Scheme], Range<Instant>)]) -> Vec<P99> {
        let of_kind = |(number, &kind): (usize, &Kind)| {
            let windows = self.quiet.iter();
            let alone: Vec<_> =
                windows.flat_map(|window| self.good.answers(number, window)).collect();
            // Nobody who waited for an answer is forgotten: that would be a failure.
            let beside = beside
                .iter()
                .filter(|(schemes, _)| schemes.contains(&kind.scheme))
                .map(|(_, time)| p99(&self.good.answers(number, time)).unwrap_or_default());
            let alone = p99(&alone).unwrap_or_default();
            beside.max().map(|beside| P99 { kind, alone, beside })
        };
        self.good.kinds().iter().enumerate().filter_map(of_kind).collect()
    }
}

impl Seen {
    /// And then another one.
    fn add(&mut self, other: Seen) {
        self.outcome.connections += other.outcome.connections;
        self.outcome.problems.extend(other.outcome.problems);
        self.most_memory = self.most_memory.max(other.most_memory);
        self.most_files = self.most_files.max(other.most_files);
        self.problems.extend(other.problems);
    }
}

/// Lets everybody else have the processor first. At a lower priority only, a good client's thread would
/// wait for the system's next tick before it gets it.
fn go_last() {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let mut chrt = Command::new("chrt");
    let said = chrt.args(["--idle", "--pid", "0", &thread]).stdin(Stdio::null()).output();
    if !said.is_ok_and(|said| said.status.success()) {
        println!(
            "chrt, of util-linux, does not work here: times of good clients are a matter of luck"
        );
        go_later();
    }
}

/// Lets others have more of the processor.
fn go_later() {
    // Without the right to that, it is a matter of luck.
    let _ = rustix::process::nice(10);
}

impl P99 {
    /// How far it is beside the bad ones above so many times what it is alone.
    fn excess(self) -> Duration {
        self.beside.saturating_sub(self.alone * P99_FACTOR)
    }
}

fn report(mut rounds: Vec<Round>, start: Instant, mut problems: Vec<Problem>) -> Report {
    problems.extend(rounds.iter_mut().flat_map(|round| round.problems.drain(..)));
    let p99 = median_p99(&rounds);
    let worst = p99.into_iter().max_by_key(|p99| p99.excess());
    Report {
        connections: rounds.iter().map(|round| round.outcome.connections).sum(),
        rounds: rounds.len(),
        took: start.elapsed(),
        worst: worst.map(|P99 { kind, alone, beside }| (kind, alone, beside)),
        memory: rounds.last().map_or([0; 3], |round| round.memory),
        heap: rounds.last().and_then(|round| round.heap),
        most_files: rounds.iter().map(|round| round.most_files).max().unwrap_or(0),
        problems,
    }
}

pub(crate) fn has_grown(before: u64, after: u64) -> bool {
    after as f64 > before as f64 * MEMORY_FACTOR + MEMORY_ALLOWANCE_KB
}

/// Of each kind, the median round by what the bad clients cost it.
fn median_p99(rounds: &[Round]) -> Vec<P99> {
    let of_kind = |kind: usize| {
        let mut all: Vec<_> = rounds.iter().map(|round| round.p99[kind]).collect();
        all.sort_unstable_by_key(|p99| (p99.excess(), p99.beside));
        all[(all.len() - 1) / 2]
    };
    (0..rounds[0].p99.len()).map(of_kind).collect()
}

/// What may be noise: it counts if it is so in most rounds. Memory counts if it grows every time; a
/// pool that fills once is no leak.
fn soft_problems(rounds: &[Round], allowance: Duration) -> Vec<Problem> {
    let mut problems = Vec::new();
    for p99 in median_p99(rounds) {
        if p99.excess() > allowance {
            let P99 { kind, alone, beside } = p99;
            let name = kind.name();
            problems
                .push(format!("p99 of a good client ({name}): {beside:.1?}, alone {alone:.1?}"));
        }
    }
    if rounds.iter().all(|round| has_grown(round.memory[0], round.memory[2])) {
        let [before, _, after] = rounds[rounds.len() - 1].memory;
        problems.push(format!("memory: {before} kB before, {after} kB after"));
    }
    problems
}
