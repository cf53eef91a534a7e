//! System calls per answer, by `strace -c`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use bench_load::{Load, Plan, Target, Timing, TlsVersion, Work, one_request};

use super::{ANSWER_MAX, Bench, loopback};
use crate::Failure;
use crate::machine::Cores;
use crate::process::{self, Running};
use crate::results::Sample;
use crate::servers::{Launch, Server};
use crate::tools::Tool;

/// A server under strace is slow, but it must get there.
const TRACED_MAX: Duration = Duration::from_secs(60);

/// As in the row of the small page: by so many answers more, so many calls more.
pub(super) fn per_answer(
    bench: &Bench,
    tls: Option<TlsVersion>,
    server: Server,
) -> Result<Sample, Failure> {
    let count = |answers: u64| -> Result<(u64, u64), Failure> {
        let port = process::free_port()?;
        let launch = match tls {
            None => Launch { http: Some(port), ..Launch::default() },
            Some(_) => Launch { https: Some(port), ..Launch::default() },
        };
        let command = server.command(launch, bench.programs, bench.directory)?;
        let target = Target { addr: loopback(port), tls };
        let work = Work::KeepAlive { path: "/".to_owned() };
        let log = bench.log(server);
        let report = bench.directory.join(format!("{}.strace", server.name()));
        traced(command, &log, &report, |running| {
            load(running, target, work, 64, answers, TRACED_MAX)
        })
    };
    let (few, many) = (bench.settings.traced_answers, 3 * bench.settings.traced_answers);
    let (few, many) = (count(few)?, count(many)?);
    let calls = many.0 as f64 - few.0 as f64;
    Ok(Sample { value: calls / (many.1 - few.1) as f64, details: BTreeMap::new() })
}

/// Runs a command under strace, and something with it. Returns the number of system calls, and what
/// that returned.
///
/// # Errors
///
/// If strace is missing or writes no report, and errors of `action`.
pub(crate) fn traced<T>(
    command: Command,
    log: &Path,
    report: &Path,
    action: impl FnOnce(&mut Running) -> Result<T, Failure>,
) -> Result<(u64, T), Failure> {
    fs::remove_file(report).ok();
    let mut strace = Command::new(Tool::Strace.path()?);
    strace
        // Our child is then the server itself, and strace a process beside it.
        .args(["-D", "-f", "-c", "-U", "name,calls", "-o"])
        .arg(report)
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    let cores = Cores::of_this_machine()?;
    let mut running = Running::start(strace, &cores.server, log)?;
    let result = action(&mut running)?;
    running.stop();
    let deadline = Instant::now() + ANSWER_MAX;
    loop {
        if let Some(calls) = parse_total(&fs::read_to_string(report).unwrap_or_default()) {
            return Ok((calls, result));
        }
        if Instant::now() > deadline {
            return Err("strace has written no report".into());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Lets so many answers come, on so many connections. Returns how many have come.
///
/// # Errors
///
/// If the server does not start, or its answers are wrong or late.
pub(crate) fn load(
    running: &mut Running,
    target: Target,
    work: Work,
    connections: usize,
    answers: u64,
    timeout: Duration,
) -> Result<u64, Failure> {
    running.wait_until_it_listens(target.addr)?;
    one_request(target, "/", timeout).map_err(|error| format!("no page: {error}"))?;
    let cores = Cores::of_this_machine()?.load;
    let timing = Timing::Off;
    let load = Load::start(&Plan { target, work, connections, cores, timing });
    let came = load.wait_for(answers, timeout);
    let counts = load.counts();
    match load.stop().first_error {
        Some(error) => Err(error.into()),
        None if !came => Err(format!("{} of {answers} answers", counts.answers).into()),
        None => Ok(counts.answers),
    }
}

/// The sum at the end of a report, once it is there.
fn parse_total(report: &str) -> Option<u64> {
    report.lines().find_map(|line| line.strip_prefix("total ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_once_it_is_written() {
        let report = "syscall              calls\n---------------- ---------\nread                    \
                      12\n---------------- ---------\ntotal                  342";
        assert_eq!(parse_total(report), Some(342));
        assert_eq!(parse_total(&report[..40]), None);
    }
}
