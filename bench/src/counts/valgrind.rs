//! Instructions by callgrind and allocations by memcheck: of the whole program, all threads.

use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::machine::Cores;
use crate::process::Running;
use crate::tools::Tool;

/// Runs a command, and something with it. Returns the instructions, and what that returned. The
/// profile is left in a file.
pub(super) fn instructions<T>(
    command: Command,
    log: &Path,
    profile: &Path,
    action: impl FnOnce(&mut Running) -> Result<T, Failure>,
) -> Result<(u64, T), Failure> {
    let options = ["--tool=callgrind".into(), option("--callgrind-out-file", profile)];
    let (report, result) = run(command, &options, log, action)?;
    let count = number_behind(&report, "Collected :").ok_or("callgrind has counted nothing")?;
    Ok((count, result))
}

/// Runs a command, and something with it. Returns the allocations, and what that returned.
pub(super) fn allocations<T>(
    command: Command,
    log: &Path,
    action: impl FnOnce(&mut Running) -> Result<T, Failure>,
) -> Result<(u64, T), Failure> {
    let options = ["--leak-check=no".into(), "--undef-value-errors=no".into()];
    let (report, result) = run(command, &options, log, action)?;
    let count =
        number_behind(&report, "total heap usage:").ok_or("memcheck has counted nothing")?;
    Ok((count, result))
}

fn option(name: &str, value: &Path) -> String {
    format!("{name}={}", value.display())
}

fn run<T>(
    command: Command,
    options: &[String],
    log: &Path,
    action: impl FnOnce(&mut Running) -> Result<T, Failure>,
) -> Result<(String, T), Failure> {
    let mut valgrind = Command::new(Tool::Valgrind.path()?);
    valgrind.args(options).arg(command.get_program()).args(command.get_args());
    let cores = Cores::of_this_machine()?;
    let mut running = Running::start(valgrind, &cores.server, log)?;
    let result = action(&mut running)?;
    Ok((running.stop(), result))
}

/// The number behind a word in valgrind's report, `==123== total heap usage: 1,234 allocs, …`.
fn number_behind(report: &str, word: &str) -> Option<u64> {
    let (_, rest) = report.split_once(word)?;
    let number = rest.split_whitespace().next()?;
    number.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_found_in_valgrinds_reports() {
        let callgrind = "==7== \n==7== Events    : Ir\n==7== Collected : 96463412\n==7== \n";
        assert_eq!(number_behind(callgrind, "Collected :"), Some(96_463_412));
        let memcheck = "==7== HEAP SUMMARY:\n==7==   total heap usage: 1,234 allocs, 1,230 frees\n";
        assert_eq!(number_behind(memcheck, "total heap usage:"), Some(1_234));
        assert_eq!(number_behind(memcheck, "Collected :"), None);
    }
}
