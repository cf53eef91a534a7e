//! One scenario: quiet before it, the attack, quiet after it, and what has to hold.
//!
//! The machine has a say in every measurement. So the good clients' time alone is taken just before
//! and just after each attack; the testbed has a core for itself where there are two, and the bad
//! clients are nice (in the sense of `nice(2)`), so that it is the server that is measured and not a
//! race between clients; and what looks bad once is looked at twice more.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::Problem;
use crate::crowd::{self, Outcome, Signals};
use crate::good::{GoodClients, KINDS, p99};
use crate::scenarios::{self, Limits, Scenario};
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
    pub(crate) worst: Option<(usize, Duration, Duration)>,
    /// In kB: before, at most, after.
    pub(crate) memory: [u64; 3],
    pub(crate) problems: Vec<Problem>,
}

/// How one round of it went.
struct Round {
    outcome: Outcome,
    /// Each kind's p99, alone and beside.
    p99: Vec<(Duration, Duration)>,
    memory: [u64; 3],
    problems: Vec<Problem>,
}

/// What the testbed has while nobody is bad.
struct Rest {
    memory: u64,
    files: usize,
    cpu_share: f64,
}

impl Arena {
    pub(crate) fn open(testbed: Testbed, limits: Limits) -> Result<Arena, Problem> {
        let good = GoodClients::start(testbed.ports);
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
        let (outcome, ..) = self.attack(&groups, &before);
        outcome.map_err(|error| format!("the warm-up failed: {error}"))?;
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
            if is_last || soft_problems(&rounds, self.limits.allowance).is_empty() {
                break;
            }
        }
        let problems = soft_problems(&rounds, self.limits.allowance);
        report(rounds, start, problems)
    }

    /// Runs a scenario once. How long good clients wait beside it is told and nothing more: with all bad
    /// clients at work, the testbed's core is theirs. Memory must be what it was at `first`.
    pub(crate) fn soak(&mut self, scenario: &Scenario, first: Option<u64>) -> Report {
        let start = Instant::now();
        let mut round = self.round(scenario);
        let [_, _, after] = round.memory;
        if let Some(first) = first.filter(|&first| has_grown(first, after)) {
            let what = format!("memory: {first} kB after the first minute, {after} kB now");
            round.problems.push(what);
        }
        report(vec![round], start, Vec::new())
    }

    fn round(&mut self, scenario: &Scenario) -> Round {
        let before = self.rest(self.limits.quiet);
        let groups = (scenario.groups)(&self.limits);
        let start = Instant::now();
        let (outcome, peak, unseen) = self.attack(&groups, &before);
        let beside = start..Instant::now();

        let mut problems = unseen;
        let files = self.await_files(before.files);
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
        if !self.testbed.is_running() {
            problems.push("the testbed has died".into());
        }
        let mut outcome = outcome.unwrap_or_else(|error| {
            problems.push(format!("the attack failed: {error}"));
            Outcome::default()
        });
        problems.append(&mut outcome.problems);
        let p99 = self.p99(&beside);
        Round { outcome, p99, memory: [before.memory, peak, memory], problems }
    }

    /// Lets the bad clients loose. Gives what came of it, the testbed's largest size, and what those
    /// could not see who don't read.
    fn attack(
        &self,
        groups: &[Group],
        before: &Rest,
    ) -> (std::io::Result<Outcome>, u64, Vec<Problem>) {
        let signals = Signals::default();
        let start = Instant::now();
        let unseen = groups.iter().find_map(|group| match group.expect {
            Expect::CutUnseen(most) => Some(most),
            _ => None,
        });
        let longest = groups.iter().map(|group| self.limits.longest(group.expect)).max();
        let longest = longest.unwrap_or(self.limits.attack).max(self.limits.attack);
        let mut peak = before.memory;
        let mut problems = Vec::new();
        let outcome = thread::scope(|scope| {
            let crowd = scope.spawn(|| {
                // The good clients go first; without the right to that, it is a matter of luck.
                let _ = rustix::process::nice(10);
                crowd::attack(groups, self.testbed.ports, &signals)
            });
            loop {
                thread::sleep(SAMPLE_EVERY);
                peak = peak.max(self.testbed.memory_kb());
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
        (outcome, peak, problems)
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
        Rest { memory, files, cpu_share }
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

    /// Each kind's p99: in the quiet windows around now, and in that time.
    fn p99(&self, beside: &Range<Instant>) -> Vec<(Duration, Duration)> {
        let of_kind = |kind: usize| {
            let windows = self.quiet.iter();
            let alone: Vec<_> =
                windows.flat_map(|window| self.good.answers(kind, window)).collect();
            let beside = self.good.answers(kind, beside);
            // Nobody who waited for an answer is forgotten: that would be a failure.
            (p99(&alone).unwrap_or_default(), p99(&beside).unwrap_or_default())
        };
        (0..KINDS.len()).map(of_kind).collect()
    }
}

fn report(mut rounds: Vec<Round>, start: Instant, mut problems: Vec<Problem>) -> Report {
    problems.extend(rounds.iter_mut().flat_map(|round| round.problems.drain(..)));
    let p99 = median_p99(&rounds);
    let worst = (0..p99.len()).max_by_key(|&kind| excess(p99[kind]));
    Report {
        connections: rounds.iter().map(|round| round.outcome.connections).sum(),
        rounds: rounds.len(),
        took: start.elapsed(),
        worst: worst.map(|kind| (kind, p99[kind].0, p99[kind].1)),
        memory: rounds.last().map_or([0; 3], |round| round.memory),
        problems,
    }
}

/// How far a p99 beside the bad ones is above so many times what it is alone.
fn excess((alone, beside): (Duration, Duration)) -> Duration {
    beside.saturating_sub(alone * P99_FACTOR)
}

fn has_grown(before: u64, after: u64) -> bool {
    after as f64 > before as f64 * MEMORY_FACTOR + MEMORY_ALLOWANCE_KB
}

/// Of each kind, the median round by what the bad clients cost it.
fn median_p99(rounds: &[Round]) -> Vec<(Duration, Duration)> {
    let of_kind = |kind: usize| {
        let mut all: Vec<_> = rounds.iter().map(|round| round.p99[kind]).collect();
        all.sort_unstable_by_key(|(alone, beside)| {
            (beside.as_secs_f64() / alone.as_secs_f64().max(1e-9) * 1e6) as u64
        });
        all[(all.len() - 1) / 2]
    };
    (0..KINDS.len()).map(of_kind).collect()
}

/// What may be noise: it counts if it is so in most rounds. Memory counts if it grows every time; a
/// pool that fills once is no leak.
fn soft_problems(rounds: &[Round], allowance: Duration) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (kind, p99) in median_p99(rounds).into_iter().enumerate() {
        if excess(p99) > allowance {
            let (name, (alone, beside)) = (KINDS[kind].name(), p99);
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
