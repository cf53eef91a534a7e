//! The server under attack: a process of its own, looked at from outside by `/proc`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use crate::Problem;

/// A running testbed, which speaks plain HTTP on one port and HTTPS on another.
pub(crate) struct Testbed {
    process: Child,
    pub(crate) ports: Ports,
    /// What it prints has a reader as long as it runs.
    _output: BufReader<ChildStdout>,
}

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
}

/// Seconds in which anything that should take milliseconds happens, on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

impl Testbed {
    /// Starts the testbed with these options, and waits until it listens.
    pub(crate) fn start(options: &[String]) -> Result<Testbed, Problem> {
        let path = program()?;
        let mut process = Command::new(&path)
            .args(["--http", "0", "--https", "0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("can't start {}: {error}", path.display()))?;
        let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
        match read_ports(&mut output) {
            Ok(ports) => Ok(Testbed { process, ports, _output: output }),
            Err(problem) => {
                drop(process.kill());
                drop(process.wait());
                Err(problem)
            }
        }
    }

    /// Its private memory in kB: what it has allocated and touched.
    pub(crate) fn memory_kb(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Bytes that its heap has in use, if it was built to count them.
    pub(crate) fn heap(&self) -> Option<u64> {
        let mut socket = TcpStream::connect_timeout(&self.ports.http, PATIENCE).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let request = "GET /heap HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).ok()?;
        let mut response = String::new();
        socket.read_to_string(&mut response).ok()?;
        let (_, body) = response.strip_prefix("HTTP/1.1 200 ")?.split_once("\r\n\r\n")?;
        body.trim().parse().ok()
    }

    /// How many file descriptors it has open.
    pub(crate) fn file_count(&self) -> usize {
        fs::read_dir(self.proc("fd")).map_or(0, Iterator::count)
    }

    /// Processor time that it has used, in user code and in the kernel.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(self.proc("stat")).unwrap_or_default();
        // Behind the name, which stands in parentheses and may have anything in it: state is the
        // first field, utime the 12th and stime the 13th (proc(5) counts from the process number).
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        let per_second = rustix::param::clock_ticks_per_second();
        Duration::from_millis(ticks * 1000 / per_second)
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Asks it to stop, and says how it ended.
    pub(crate) fn stop(mut self) -> Result<(), Problem> {
        let pid = rustix::process::Pid::from_child(&self.process);
        if let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::TERM) {
            return Err(format!("the testbed can't be told to stop: {error}"));
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the testbed ended with {status}")),
                Ok(None) => thread::sleep(Duration::from_millis(10)),
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(format!("the testbed does not stop within {PATIENCE:?}"))
    }

    fn proc(&self, file: &str) -> PathBuf {
        Path::new("/proc").join(self.process.id().to_string()).join(file)
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        if self.is_running() {
            drop(self.process.kill());
            drop(self.process.wait());
        }
    }
}

/// `TESTBED`, or the example that was built beside this program.
fn program() -> Result<PathBuf, Problem> {
    if let Some(path) = env::var_os("TESTBED") {
        return Ok(path.into());
    }
    let here = env::current_exe().map_err(|error| error.to_string())?;
    let path = here.with_file_name("examples").join("testbed");
    if path.exists() {
        return Ok(path);
    }
    Err(format!(
        "{} is missing: cargo build --release --package examples --example testbed",
        path.display()
    ))
}

fn read_ports(output: &mut impl BufRead) -> Result<Ports, Problem> {
    let mut ports = HashMap::new();
    loop {
        if let (Some(&http), Some(&https)) = (ports.get("http"), ports.get("https")) {
            return Ok(Ports { http, https });
        }
        let mut line = String::new();
        let len = output.read_line(&mut line).map_err(|error: io::Error| error.to_string())?;
        if len == 0 {
            return Err("the testbed ended before it said where it listens".into());
        }
        let parts = line.trim().strip_prefix("listening on ").and_then(|url| {
            let (scheme, rest) = url.split_once("://")?;
            let port: u16 = rest.rsplit_once(':')?.1.parse().ok()?;
            Some((scheme.to_owned(), port))
        });
        if let Some((scheme, port)) = parts {
            ports.insert(scheme, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
    }
}
