//! A server that runs: what it has used of CPU time and memory, and its end.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use crate::{Failure, machine};

/// A server, with the processes that it has started. Dropping it ends them.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

/// The CPU time of some processes, in user and kernel, since their start.
pub(crate) struct CpuClock(Vec<ClockId>);

impl CpuClock {
    /// # Errors
    ///
    /// If one of the processes has ended.
    pub(crate) fn now(&self) -> Result<Duration, Failure> {
        let mut total = Duration::ZERO;
        for clock in &self.0 {
            total += Duration::from(clock.now().map_err(|_| "one of its processes has ended")?);
        }
        Ok(total)
    }
}

/// What processes hold, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Pages that are in memory.
    pub(crate) rss: u64,
    /// The same, with what is shared divided by those who share it.
    pub(crate) pss: u64,
}

/// How long a server may take to answer after its start, and to end when it is told to.
const START_MAX: Duration = Duration::from_secs(30);
const END_MAX: Duration = Duration::from_secs(60);

impl Running {
    /// Starts a program on these cores. What it prints goes to the file `log`.
    ///
    /// # Errors
    ///
    /// If it can't be started.
    pub(crate) fn start(
        mut command: Command,
        cores: &[usize],
        log: &Path,
    ) -> Result<Self, Failure> {
        let output = File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut running = lock(&RUNNING);
        let child = machine::on_cores(cores, || command.spawn())?
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        running.push(child.id() as i32);
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until it takes connections.
    ///
    /// # Errors
    ///
    /// If it ends instead, or the time is over; with the last line that it printed.
    pub(crate) fn wait_until_it_listens(&mut self, addr: SocketAddr) -> Result<(), Failure> {
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(addr).is_err() {
            self.check_alive()?;
            if Instant::now() > deadline {
                return Err(format!("it does not listen on {addr}; {}", self.last_words()).into());
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Tells whether it has ended by itself, as an error.
    pub(crate) fn check_alive(&mut self) -> Result<(), Failure> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("it ended with {status}; {}", self.last_words()).into()),
        }
    }

    /// What has been printed up to now.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The first line that looks like a complaint, or the last one.
    fn last_words(&self) -> String {
        let output = self.output();
        let complaint = output.lines().find(|line| line.to_lowercase().contains("error"));
        match complaint.or_else(|| output.lines().rev().find(|line| !line.trim().is_empty())) {
            Some(line) => format!("it said: {}", line.trim()),
            None => "it said nothing".to_owned(),
        }
    }

    /// A clock of the CPU time of the processes that it has now.
    pub(crate) fn cpu_clock(&self) -> Result<CpuClock, Failure> {
        // Finer than the ticks in /proc/PID/stat.
        let clocks = self.members()?.into_iter().map(clock_getcpuclockid);
        Ok(CpuClock(clocks.collect::<Result<_, _>>()?))
    }

    /// What all its processes hold in memory.
    pub(crate) fn memory(&self) -> Result<Memory, Failure> {
        let mut total = Memory::default();
        for pid in self.members()? {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let memory = parse_rollup(&rollup).ok_or("smaps_rollup without Rss and Pss")?;
            total.rss += memory.rss;
            total.pss += memory.pss;
        }
        Ok(total)
    }

    /// Its process and those below it.
    fn members(&self) -> io::Result<Vec<Pid>> {
        family(self.child.id() as i32)
    }

    /// Asks it to end, and ends it if it doesn't. Returns what it printed.
    pub(crate) fn stop(mut self) -> String {
        self.end();
        self.output()
    }

    fn end(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).ok();
        let deadline = Instant::now() + END_MAX;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            // Not yet waited for, so their numbers still mean these processes.
            for pid in self.members().unwrap_or_default() {
                kill(pid, Signal::SIGKILL).ok();
            }
            self.child.wait().ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        lock(&RUNNING).retain(|pid| *pid != self.child.id() as i32);
    }
}

/// The servers that run, for [`end_with_this_program`].
static RUNNING: Mutex<Vec<i32>> = Mutex::new(Vec::new());

fn lock(running: &Mutex<Vec<i32>>) -> MutexGuard<'_, Vec<i32>> {
    // A list of numbers is never half changed.
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the servers end with this program when it is interrupted or terminated.
///
/// # Errors
///
/// If signals can't be handled.
pub(crate) fn end_with_this_program() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        // The lock is kept, so that no other server starts.
        let running = lock(&RUNNING);
        let ours = running.iter().filter(|pid| is_child(**pid));
        for pid in ours.flat_map(|pid| family(*pid).unwrap_or_default()) {
            kill(pid, Signal::SIGKILL).ok();
        }
        std::process::exit(130);
    })?;
    Ok(())
}

/// Whether a process is a child of this one, and not another with the number of one that has ended.
fn is_child(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    parse_parent(&stat) == Some(std::process::id() as i32)
}

/// A process and those below it.
fn family(first: i32) -> io::Result<Vec<Pid>> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        // One that has ended in the meantime is nobody's.
        .filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parse_parent(&stat)?))
        })
        .collect();
    Ok(descendants(first, &parents).into_iter().map(Pid::from_raw).collect())
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// `first` and all below it.
fn descendants(first: i32, parents: &[(i32, i32)]) -> Vec<i32> {
    let mut found = vec![first];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
        next += 1;
    }
    found
}

/// The parent in `/proc/PID/stat`. The name in it may hold spaces and parentheses.
fn parse_parent(stat: &str) -> Option<i32> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(1)?.parse().ok()
}

/// The sums in `/proc/PID/smaps_rollup`.
fn parse_rollup(rollup: &str) -> Option<Memory> {
    let field = |name: &str| {
        let rest = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = rest.strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    };
    Some(Memory { rss: field("Rss:")?, pss: field("Pss:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_a_strange_name() {
        assert_eq!(parse_parent("12 (nginx) S 7 12 12 0 -1"), Some(7));
        assert_eq!(parse_parent("12 (a) S 9 (b) R 7 12"), Some(7));
        assert_eq!(parse_parent("12"), None);
    }

    #[test]
    fn the_sums_of_a_rollup_are_bytes() {
        let rollup = "5581-7ffd ---p 0 00:00 0 [rollup]\nRss:                1724 kB\n\
                      Pss:                 298 kB\nPss_Dirty:           112 kB\n";
        let memory = Memory { rss: 1724 * 1024, pss: 298 * 1024 };
        assert_eq!(parse_rollup(rollup), Some(memory));
        assert_eq!(parse_rollup("Rss: 1 kB\n"), None);
    }

    #[test]
    fn descendants_are_found_in_any_order_and_nobody_else() {
        let parents = [(5, 4), (4, 2), (3, 2), (2, 1), (9, 8)];
        let mut found = descendants(2, &parents);
        found.sort_unstable();
        assert_eq!(found, [2, 3, 4, 5]);
    }

    #[test]
    fn a_program_is_measured_and_ended() {
        let log = std::env::temp_dir().join(format!("bench-process-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo hello; while :; do :; done"]);
        let cores = machine::Cores::of_this_machine().unwrap();
        let mut running = Running::start(command, &cores.load, &log).unwrap();
        let clock = running.cpu_clock().unwrap();
        while clock.now().unwrap() < Duration::from_millis(2) {
            running.check_alive().unwrap();
        }
        assert!(running.memory().unwrap().pss > 0);
        let pid = Pid::from_raw(running.child.id() as i32);
        assert_eq!(running.stop(), "hello\n");
        assert!(kill(pid, None).is_err());
        assert!(clock.now().is_err());
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_program_that_ends_at_once_is_an_error_with_its_last_words() {
        let log = std::env::temp_dir().join(format!("bench-ended-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready; echo 'an error: no such option'; exit 3"]);
        let cores = machine::Cores::of_this_machine().unwrap();
        let mut running = Running::start(command, &cores.load, &log).unwrap();
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let problem = running.wait_until_it_listens(addr).unwrap_err().to_string();
        assert!(problem.contains("an error: no such option"), "{problem}");
        fs::remove_file(log).unwrap();
    }
}
