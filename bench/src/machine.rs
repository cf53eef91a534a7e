//! What the machine has: cores, and how many files a process may open.

use std::fs;
use std::process::Command;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use serde::Serialize;

use crate::Failure;

/// Who runs where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cores {
    /// The server's. A server with one worker has one.
    pub(crate) server: Vec<usize>,
    /// The load's: all others, up to three. More than that no server with one core needs.
    pub(crate) load: Vec<usize>,
}

const LOAD_CORES_MAX: usize = 3;

impl Cores {
    /// The cores for a server with one worker.
    pub(crate) fn of_this_machine() -> Result<Self, Failure> {
        Ok(Self::divide(&usable()?, 1))
    }

    /// The cores for a server with so many workers, to be compared with one that has `most`. If there
    /// is no core left for the load then, all of them share all cores: how they share changes what a
    /// request costs.
    pub(crate) fn for_workers(workers: usize, most: usize) -> Result<Self, Failure> {
        let usable = usable()?;
        Ok(if usable.len() > most {
            Self { load: Self::divide(&usable, most).load, ..Self::divide(&usable, workers) }
        } else {
            Self::divide(&usable, usable.len())
        })
    }

    /// Where there are too few cores, server and load share them.
    fn divide(usable: &[usize], workers: usize) -> Self {
        let (server, load) = usable.split_at(workers.min(usable.len()));
        let load = if load.is_empty() { usable } else { load };
        let load_len = load.len().min(LOAD_CORES_MAX);
        Self { server: server.to_vec(), load: load[..load_len].to_vec() }
    }

    /// Whether the server has its cores for itself.
    pub(crate) fn are_apart(&self) -> bool {
        self.server.iter().all(|core| !self.load.contains(core))
    }
}

/// The cores that this process may use.
fn usable() -> Result<Vec<usize>, Failure> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect())
}

/// Runs `action` with the calling thread on these cores. What it starts stays on them.
pub(crate) fn on_cores<T>(cores: &[usize], action: impl FnOnce() -> T) -> Result<T, Failure> {
    let me = Pid::from_raw(0);
    let before = sched_getaffinity(me)?;
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core)?;
    }
    sched_setaffinity(me, &set)?;
    let result = action();
    sched_setaffinity(me, &before)?;
    Ok(result)
}

/// Lets this process, and what it starts, open as many files as the system allows. Returns how many.
pub(crate) fn raise_file_limit() -> Result<usize, Failure> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(usize::try_from(hard)?)
}

/// What a reader of the numbers wants to know of the machine.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    kernel: String,
    rustc: String,
    cores: Cores,
}

impl Machine {
    pub(crate) fn describe(cores: &Cores) -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processor
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim() == "model name")
            .map_or("unknown", |(_, model)| model.trim());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: processor.to_owned(),
            kernel: kernel.trim().to_owned(),
            rustc: first_line("rustc", "--version"),
            cores: cores.clone(),
        }
    }

    /// In one line.
    pub(crate) fn summary(&self) -> String {
        format!("{}, Linux {}, {}", self.processor, self.kernel, self.rustc)
    }
}

/// The first line that a program prints, or what to say instead.
pub(crate) fn first_line(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    output
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| text.lines().next().map(str::to_owned))
        .unwrap_or_else(|| format!("{program} unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_gets_the_first_cores_and_the_load_the_others() {
        let cores = Cores::divide(&[0, 1, 2, 3, 4, 5], 1);
        assert_eq!(cores, Cores { server: vec![0], load: vec![1, 2, 3] });
        assert!(cores.are_apart());
        assert_eq!(Cores::divide(&[4, 6], 1), Cores { server: vec![4], load: vec![6] });
    }

    #[test]
    fn too_few_cores_are_shared() {
        let cores = Cores::divide(&[0, 1], 4);
        assert_eq!(cores, Cores { server: vec![0, 1], load: vec![0, 1] });
        assert!(!cores.are_apart());
    }

    #[test]
    fn the_calling_thread_is_back_on_its_cores_afterwards() {
        let before = usable().unwrap();
        let inside = on_cores(&before[..1], || usable().unwrap()).unwrap();
        assert_eq!(inside, before[..1]);
        assert_eq!(usable().unwrap(), before);
    }
}
