//! All bad clients at once, minute by minute: is anything left of them when they have gone?
//!
//! Each minute has the same crowd, which comes at the same pace, and then a rest in which the testbed gives
//! back what it keeps for the next crowd. So what grows from minute to minute is neither load nor a pool
//! that fills. A leak shows in the bytes that the heap has in use, as soon as it is larger than
//! [`HEAP_ALLOWANCE`] a run; in the process's memory, where pages of freed buffers stay with the
//! allocator, only when it is large.

use std::time::Duration;

use crate::arena::{Arena, Report, has_grown};
use crate::scenarios::{EVERYTHING, Limits};

/// How long the bad clients are at work in each minute,
const ATTACK: Duration = Duration::from_secs(42);
/// and how long nobody but the good ones is there: longer than the testbed lingers, and then keeps what
/// nobody needs.
const REST: Duration = Duration::from_secs(15);
/// Minutes in which the process may still grow: the allocator finds its size. So it does anew when
/// more clients get through than in any minute before, by
const FIRST: usize = 3;
/// this factor.
const LARGER_CROWD: f64 = 1.1;
/// Bytes that the heap may have in use beyond what it had after the first minute.
const HEAP_ALLOWANCE: u64 = 128 * 1024;

/// Soaks the testbed; how many minutes went wrong.
pub(crate) fn run(arena: &mut Arena, minutes: usize, limits: Limits) -> usize {
    println!(
        "{:>6} {:>8} {:>9} {:>28} {:>24} {:>11}  result",
        "minute", "clients", "sessions", "worst p99 alone → beside", "memory, MiB", "heap, kB"
    );
    let limits = limits.lasting(ATTACK, REST);
    let mut failed = 0;
    let mut past = Past::default();
    for minute in 1..=minutes {
        let mut report = arena.run_once(&EVERYTHING, limits);
        report.problems.extend(past.judge(&report));
        print(minute, &report);
        failed += usize::from(!report.problems.is_empty());
    }
    failed
}

/// What was left after the minutes before.
#[derive(Default)]
struct Past {
    minutes: usize,
    /// The clients of the largest crowd.
    clients: usize,
    /// The process's memory, at most, in kB.
    memory: u64,
    /// The heap's, after the first minute, in bytes.
    heap: Option<u64>,
}

impl Past {
    /// What is wrong with what is left now.
    fn judge(&mut self, report: &Report) -> Vec<String> {
        let mut problems = Vec::new();
        let [_, _, memory] = report.memory;
        let is_larger = report.connections as f64 > self.clients as f64 * LARGER_CROWD;
        self.clients = self.clients.max(report.connections);
        if self.minutes < FIRST || is_larger {
            self.memory = self.memory.max(memory);
        } else if has_grown(self.memory, memory) {
            problems.push(format!(
                "memory: {} kB at most after the first minutes, {memory} kB now",
                self.memory
            ));
        }
        match (self.heap, report.heap) {
            (Some(first), Some(now)) if now > first + HEAP_ALLOWANCE => {
                problems
                    .push(format!("heap: {first} bytes after the first minute, {now} bytes now"));
            }
            (None, now) => self.heap = now,
            _ => {}
        }
        self.minutes += 1;
        problems
    }
}

fn print(minute: usize, report: &Report) {
    let worst = report.worst.map_or(String::new(), |(kind, alone, beside)| {
        let [alone, beside] = [alone, beside].map(|time| time.as_secs_f64() * 1e3);
        format!("{} {alone:.1} → {beside:.1} ms", kind.name())
    });
    let [before, peak, after] = report.memory.map(|kb| kb as f64 / 1024.0);
    let memory = format!("{before:.1} → {peak:.1} → {after:.1}");
    let heap = report.heap.map_or("-".into(), |bytes| (bytes / 1024).to_string());
    let verdict = if report.problems.is_empty() { "ok" } else { "FAILED" };
    println!(
        "{minute:>6} {:>8} {:>9} {worst:>28} {memory:>24} {heap:>11}  {verdict}",
        report.connections, report.most_files,
    );
    for problem in &report.problems {
        println!("    {problem}");
    }
}
