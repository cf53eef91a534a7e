//! Attacks on a running testbed: see README.md.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

mod arena;
mod bytes;
mod crowd;
mod good;
mod scenarios;
mod script;
mod soak;
mod testbed;
mod tls;

use arena::{Arena, Report};
use good::{KINDS, Kind};
use scenarios::{Form, Limited, Limits, Scenario};
use testbed::Testbed;

/// What is wrong, in one sentence.
pub(crate) type Problem = String;

/// Attacks a testbed, with good clients beside the bad ones
#[derive(Parser)]
struct Args {
    /// As shipped, for three quarters of an hour; without it time limits are short, and it takes a minute
    /// and a half
    #[arg(long)]
    long: bool,
    /// All scenarios at once for so many minutes, instead of one by one: is memory flat?
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["long", "only", "list"])]
    soak: Option<usize>,
    /// Only the scenarios whose name has this in it; can be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Say what there is, and what a good server does
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let is_wanted = |scenario: &Scenario| {
        args.only.is_empty() || args.only.iter().any(|name| scenario.name.contains(name.as_str()))
    };
    let scenarios: Vec<_> = scenarios::all().into_iter().filter(is_wanted).collect();
    let limited = scenarios::limited().into_iter().filter(|limited| is_wanted(&limited.scenario));
    let limited: Vec<_> = limited.collect();
    if args.list {
        let limited = limited.iter().map(|limited| &limited.scenario);
        for Scenario { name, good, .. } in scenarios.iter().chain(limited) {
            println!("{name:<24} {good}");
        }
        return ExitCode::SUCCESS;
    }
    let limits = Limits::new(if args.long { Form::Long } else { Form::Short });
    let result = match args.soak {
        Some(minutes) => soak(minutes, limits),
        None => run(&scenarios, &limited, limits),
    };
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("hostile: {problem}");
            ExitCode::from(2)
        }
    }
}

/// Runs the scenarios; how many of them went wrong.
fn run(scenarios: &[Scenario], limited: &[Limited], limits: Limits) -> Result<usize, Problem> {
    let start = Instant::now();
    println!(
        "{:<22} {:>7} {:>6} {:>2} {:>28} {:>22}  result",
        "scenario", "clients", "took", "", "worst p99 alone → beside", "memory, MiB"
    );
    let mut failed = 0;
    if !scenarios.is_empty() {
        let mut arena = open(limits, &[], &KINDS)?;
        failed += scenarios.iter().filter(|scenario| !run_one(&mut arena, scenario)).count();
        failed += close(arena);
    }
    for Limited { scenario, options, good } in limited {
        let mut arena = open(limits, options, good)?;
        failed += usize::from(!run_one(&mut arena, scenario));
        failed += close(arena);
    }
    Ok(end(scenarios.len() + limited.len(), failed, start))
}

/// Whether a scenario went well.
fn run_one(arena: &mut Arena, scenario: &Scenario) -> bool {
    let report = arena.run(scenario);
    print(scenario, &report);
    report.problems.is_empty()
}

/// Lets all bad clients loose, minute by minute; how many minutes went wrong.
fn soak(minutes: usize, limits: Limits) -> Result<usize, Problem> {
    let start = Instant::now();
    let mut arena = open(limits, &[], &KINDS)?;
    let failed = soak::run(&mut arena, minutes, limits) + close(arena);
    Ok(end(minutes, failed, start))
}

/// A testbed with these options besides, and good clients of these kinds.
fn open(limits: Limits, options: &[&str], good: &'static [Kind]) -> Result<Arena, Problem> {
    allow_files();
    Arena::open(start_apart(&limits.options(options))?, limits, good)
}

/// Stops the testbed; how many things went wrong.
fn close(arena: Arena) -> usize {
    let problem = arena.close().err();
    problem.into_iter().inspect(|problem| println!("{problem}")).count()
}

/// Says how all went; how many went wrong.
fn end(total: usize, failed: usize, start: Instant) -> usize {
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    let passed = total.saturating_sub(failed);
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; in {:.0?}",
        start.elapsed()
    );
    failed
}

fn print(scenario: &Scenario, report: &Report) {
    let took = format!("{:.1} s", report.took.as_secs_f64());
    let worst = report.worst.map_or(String::new(), |(kind, alone, beside)| {
        format!("{} {:.1} → {:.1} ms", kind.name(), millis(alone), millis(beside))
    });
    let [before, peak, after] = report.memory.map(|kb| kb as f64 / 1024.0);
    let memory = format!("{before:.1} → {peak:.1} → {after:.1}");
    let rounds = if report.rounds > 1 { format!("×{}", report.rounds) } else { String::new() };
    let verdict = if report.problems.is_empty() { "ok" } else { "FAILED" };
    println!(
        "{:<22} {:>7} {took:>6} {rounds:>2} {worst:>28} {memory:>22}  {verdict}",
        scenario.name, report.connections,
    );
    if !report.problems.is_empty() {
        println!("    a good server {}", scenario.good);
    }
    for problem in &report.problems {
        println!("    {problem}");
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// As many open files as the system lets us have.
fn allow_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // What there is then has to do: connections that can't be made are counted as refused.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Starts the testbed on a core of its own, if there are two; all that this program does then runs on
/// the others.
fn start_apart(options: &[String]) -> Result<Testbed, Problem> {
    let Ok(all) = sched_getaffinity(None) else { return Testbed::start(options) };
    let Some(last) = (0..CpuSet::MAX_CPU).rfind(|&cpu| all.is_set(cpu)).filter(|_| all.count() > 1)
    else {
        return Testbed::start(options);
    };
    let (mut its, mut ours) = (CpuSet::new(), all);
    its.set(last);
    ours.unset(last);
    // Whoever may read the set may narrow it; if not, the two share the cores.
    let _ = sched_setaffinity(None, &its);
    let testbed = Testbed::start(options);
    let _ = sched_setaffinity(None, &ours);
    testbed
}
