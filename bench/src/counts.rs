//! `bench counts`: what a request costs in instructions, heap allocations and system calls. These
//! don't depend on what else the machine does, so they are compared with a baseline.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bench_load::{Resumption, Target, TlsVersion, Work};

use crate::machine;
use crate::measure::{loopback, strace};
use crate::process::{self, Running};
use crate::programs::{self, Peers, Programs};
use crate::servers::{Launch, Server};
use crate::{Failure, args};

mod baseline;
mod valgrind;

use baseline::{Baseline, Count, Made, Outcome};

/// What one connection does, over and over.
struct Scenario {
    name: &'static str,
    tls: Option<TlsVersion>,
    work: fn() -> Work,
    /// How many answers there are in the shorter of two runs; the longer has three times as many.
    answers: u64,
}

const TLS13: Option<TlsVersion> = Some(TlsVersion::Tls13);

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "http_small", tls: None, work: || page("/"), answers: 500 },
    Scenario { name: "https_small", tls: TLS13, work: || page("/"), answers: 500 },
    Scenario { name: "https_64k", tls: TLS13, work: || page("/64k"), answers: 100 },
    Scenario {
        name: "wss_echo",
        tls: TLS13,
        work: || Work::WsEcho { message_len: 64 },
        answers: 500,
    },
    Scenario {
        name: "tls13_full",
        tls: TLS13,
        work: || Work::Connections { resumption: Resumption::Off },
        answers: 60,
    },
];

fn page(path: &str) -> Work {
    Work::KeepAlive { path: path.to_owned() }
}

/// Valgrind makes a program some fifty times slower, its start included.
const RUN_MAX: Duration = Duration::from_secs(120);

/// Counts, prints a line for each count, and fails if one exceeds the baseline.
pub(crate) fn run(args: &args::Counts) -> Result<ExitCode, Failure> {
    let scenarios = chosen(&args.only)?;
    let counter =
        Counter { programs: Programs::build(Peers::None)?, directory: programs::output_dir()? };
    let mut counted = Vec::new();
    for scenario in scenarios {
        for count in Count::ALL {
            counted.push((count, scenario.name, counter.per_answer(scenario, count)?));
        }
    }
    let made_with = machine::first_line("rustc", "--version");
    if args.bless {
        let mut baseline = Baseline::load().unwrap_or_default();
        baseline.made_with = made_with;
        for (count, scenario, value) in counted {
            baseline.per_answer.insert(count.key(scenario), value);
        }
        baseline.save()?;
        println!("written: {}", baseline::path().display());
        return Ok(ExitCode::SUCCESS);
    }
    let baseline = Baseline::load()?;
    let made = if baseline.made_with == made_with { Made::Alike } else { Made::Otherwise };
    if made == Made::Otherwise {
        println!(
            "The baseline was made with {}, this with {made_with}: wider margins.",
            baseline.made_with
        );
    }
    let mut exceeded = 0;
    for &(count, scenario, value) in &counted {
        let (key, outcome) = (count.key(scenario), baseline.compare(count, scenario, value, made));
        println!("{key:28}{value:>12.2}  {outcome}");
        exceeded += usize::from(matches!(outcome, Outcome::More(_) | Outcome::Unknown));
    }
    println!("{} passed, {exceeded} failed", counted.len() - exceeded);
    Ok(if exceeded == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(only: &[String]) -> Result<Vec<&'static Scenario>, Failure> {
    if let Some(name) = only.iter().find(|name| SCENARIOS.iter().all(|one| one.name != **name)) {
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        return Err(format!("there is no scenario '{name}', but {}", names.join(", ")).into());
    }
    Ok(SCENARIOS
        .iter()
        .filter(|one| only.is_empty() || only.iter().any(|name| name == one.name))
        .collect())
}

struct Counter {
    programs: Programs,
    directory: PathBuf,
}

impl Counter {
    /// How much more two runs differ in the count than in nothing, for each answer that they differ.
    /// So the start of the program and the first request fall out.
    fn per_answer(&self, scenario: &Scenario, count: Count) -> Result<f64, Failure> {
        let few = self.run(scenario, count, scenario.answers)?;
        let many = self.run(scenario, count, 3 * scenario.answers)?;
        Ok((many.0 as f64 - few.0 as f64) / (many.1 as f64 - few.1 as f64))
    }

    /// One run with at least so many answers: the count, and how many there were.
    fn run(&self, scenario: &Scenario, count: Count, answers: u64) -> Result<(u64, u64), Failure> {
        let port = process::free_port()?;
        let launch = match scenario.tls {
            None => Launch { http: Some(port), ..Launch::default() },
            Some(_) => Launch { https: Some(port), ..Launch::default() },
        };
        let command = Server::Ours.command(launch, &self.programs, &self.directory)?;
        let target = Target { addr: loopback(port), tls: scenario.tls };
        let log = self.directory.join("counts.log");
        let work = |running: &mut Running| {
            strace::load(running, target, (scenario.work)(), 1, answers, RUN_MAX)
        };
        match count {
            Count::Instructions => {
                let profile = self.directory.join(format!("{}.callgrind", scenario.name));
                valgrind::instructions(command, &log, &profile, work)
            }
            Count::Allocations => valgrind::allocations(command, &log, work),
            Count::SystemCalls => {
                let report = self.directory.join("counts.strace");
                strace::traced(command, &log, &report, work)
            }
        }
    }
}

impl Baseline {
    /// Reads the committed one.
    ///
    /// # Errors
    ///
    /// If it can't be read, or is not what this program writes.
    fn load() -> Result<Self, Failure> {
        let path = baseline::path();
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}; --bless makes one", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    fn save(&self) -> Result<(), Failure> {
        Ok(fs::write(baseline::path(), serde_json::to_string_pretty(self)? + "\n")?)
    }
}
