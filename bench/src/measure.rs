//! How each kind of row is measured: one contestant, one round.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bench_load::{
    BadClients, Before, Idle, Load, Plan, Target, Timing, TlsVersion, Work, one_request,
};

use crate::machine::Cores;
use crate::process::{self, Running};
use crate::programs::Programs;
use crate::results::{Sample, Settings};
use crate::rows::{Kind, Rate, RateOf};
use crate::servers::{Launch, Server};
use crate::{Failure, stats};

pub(crate) mod strace;
mod wrk;

/// What all measurements need.
pub(crate) struct Bench<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) directory: &'a Path,
    pub(crate) settings: &'a Settings,
}

/// Who is measured: a server, or a variant of one.
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) server: Server,
    pub(crate) variant: Variant,
}

/// In what a contestant differs from its server as it usually is. Of several variants with workers,
/// `of` is the largest number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Variant {
    #[default]
    Usual,
    BesideIdle(usize),
    Routes(usize),
    Workers {
        workers: usize,
        of: usize,
    },
}

/// How long a server may take for one answer when nothing else happens.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long the opening of all sessions may take.
const OPEN_MAX: Duration = Duration::from_secs(120);
/// How many bad clients there are beside a good one.
const BAD_CLIENTS: usize = 100;

impl Bench<'_> {
    /// Measures once.
    ///
    /// # Errors
    ///
    /// If the server does not start, does not answer, or answers wrongly.
    pub(crate) fn measure(&self, kind: Kind, contestant: &Contestant) -> Result<Sample, Failure> {
        match kind {
            Kind::Rate(rate)
            | Kind::RateBesideIdle(rate, _)
            | Kind::RateByRoutes(rate, _)
            | Kind::RateByWorkers(rate, _) => self.rate(rate, contestant),
            Kind::Memory(tls, before) => self.memory(tls, before, contestant.server),
            Kind::Tail => self.tail(contestant.server),
            Kind::FirstAnswer => self.first_answer(contestant.server),
            Kind::SystemCalls(tls) => strace::per_answer(self, tls, contestant.server),
            Kind::Wrk => wrk::rate(self, contestant.server),
        }
    }

    fn rate(&self, rate: Rate, contestant: &Contestant) -> Result<Sample, Failure> {
        let variant = contestant.variant;
        let mut launch =
            Launch { session_tickets: rate.load == RateOf::Resumptions, ..Launch::default() };
        let mut work = rate.load.work();
        let mut cores = Cores::of_this_machine()?;
        match variant {
            Variant::Usual | Variant::BesideIdle(_) => {}
            Variant::Routes(routes) => {
                launch.routes = Some(routes);
                work = Work::KeepAlive { path: format!("/route/{}", routes - 1) };
            }
            Variant::Workers { workers, of } => {
                launch.workers = Some(workers);
                cores = Cores::for_workers(workers, of)?;
            }
        }
        let (server, target) = self.start(contestant.server, launch, rate.tls, &cores)?;
        let _idle = match variant {
            Variant::BesideIdle(count) => {
                Some(Idle::open(target, Before::Request, count, OPEN_MAX)?)
            }
            _ => None,
        };
        let timing = Timing::Off;
        let (connections, cores) = (rate.connections, cores.load);
        let load = Load::start(&Plan { target, work, connections, cores, timing });
        let sample = self.window(&server, &load)?;
        let resumed_share = sample.details.get("resumed_share");
        if launch.session_tickets && resumed_share.is_none_or(|&share| share < 0.99) {
            return Err("it resumes no sessions".into());
        }
        Ok(sample)
    }

    /// Lets a load run, and looks at it and at the server's CPU time, twice.
    fn window(&self, server: &Running, load: &Load) -> Result<Sample, Failure> {
        if !load.wait_for(1, ANSWER_MAX) {
            return Err(load.first_error().unwrap_or_else(|| "no answer".to_owned()).into());
        }
        thread::sleep(Duration::from_secs_f64(self.settings.warm_up_seconds));
        let clock = server.cpu_clock()?;
        let (start, cpu_before, before) = (Instant::now(), clock.now()?, load.counts());
        thread::sleep(Duration::from_secs_f64(self.settings.seconds));
        let (seconds, cpu, after) = (start.elapsed(), clock.now()?, load.counts());
        if after.errors > 0 {
            let first = load.first_error().unwrap_or_default();
            return Err(format!("{} errors, the first: {first}", after.errors).into());
        }
        let answers = (after.answers - before.answers) as f64;
        let (seconds, cpu) = (seconds.as_secs_f64(), (cpu - cpu_before).as_secs_f64());
        if answers == 0.0 || cpu == 0.0 {
            return Err("it stopped to answer".into());
        }
        let mut details =
            BTreeMap::from([("rate", answers / seconds), ("server_cpus", cpu / seconds)]);
        let resumed = (after.resumed_handshakes - before.resumed_handshakes) as f64;
        let full = (after.full_handshakes - before.full_handshakes) as f64;
        if resumed + full > 0.0 {
            details.insert("resumed_share", resumed / (resumed + full));
        }
        Ok(Sample { value: answers / cpu, details })
    }

    fn memory(
        &self,
        tls: Option<TlsVersion>,
        before: Before,
        server: Server,
    ) -> Result<Sample, Failure> {
        let cores = Cores::of_this_machine()?;
        let (server, target) = self.start(server, Launch::default(), tls, &cores)?;
        // What the first session brings with it is no session's.
        drop(Idle::open(target, before, 1, OPEN_MAX)?);
        let empty = settled_memory(&server)?;
        let _idle = Idle::open(target, before, self.settings.sessions, OPEN_MAX)?;
        let full = settled_memory(&server)?;
        let sessions = self.settings.sessions as f64;
        let per_session =
            |full: u64, empty: u64| full.saturating_sub(empty) as f64 / 1024.0 / sessions;
        let details = BTreeMap::from([
            ("rss_per_session", per_session(full.rss, empty.rss)),
            ("empty_pss", empty.pss as f64 / 1024.0),
        ]);
        Ok(Sample { value: per_session(full.pss, empty.pss), details })
    }

    fn tail(&self, server: Server) -> Result<Sample, Failure> {
        let cores = Cores::of_this_machine()?;
        let tls = Some(TlsVersion::Tls13);
        let (_server, target) = self.start(server, Launch::default(), tls, &cores)?;
        let core = *cores.load.last().ok_or("no core for the load")?;
        let plan = Plan {
            target,
            work: Work::KeepAlive { path: "/".to_owned() },
            connections: 1,
            cores: vec![core],
            timing: Timing::EveryAnswer,
        };
        let p99 = || -> Result<Duration, Failure> {
            let load = Load::start(&plan);
            thread::sleep(Duration::from_secs_f64(self.settings.seconds));
            let mut summary = load.stop();
            if let Some(error) = summary.first_error {
                return Err(error.into());
            }
            stats::percentile(&mut summary.latencies, 99.0).ok_or_else(|| "no answer".into())
        };
        p99()?; // the first requests find nothing warm
        let alone = p99()?.as_secs_f64();
        let _bad = BadClients::start(target, BAD_CLIENTS, core)?;
        thread::sleep(Duration::from_secs_f64(self.settings.warm_up_seconds));
        let beside = p99()?.as_secs_f64();
        let details = BTreeMap::from([("alone_us", alone * 1e6), ("beside_us", beside * 1e6)]);
        Ok(Sample { value: beside / alone, details })
    }

    fn first_answer(&self, server: Server) -> Result<Sample, Failure> {
        let cores = Cores::of_this_machine()?;
        let mut times = Vec::new();
        for _ in 0..self.settings.starts {
            let port = process::free_port()?;
            let launch = Launch { https: Some(port), ..Launch::default() };
            let command = server.command(launch, self.programs, self.directory)?;
            let target = Target { addr: loopback(port), tls: Some(TlsVersion::Tls13) };
            let start = Instant::now();
            let mut running = Running::start(command, &cores.server, &self.log(server))?;
            while one_request(target, "/", ANSWER_MAX).is_err() {
                running.check_alive()?;
                if start.elapsed() > ANSWER_MAX {
                    return Err("no answer".into());
                }
                thread::sleep(Duration::from_micros(100));
            }
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let value = stats::median(&times).ok_or("never started")?;
        Ok(Sample { value, details: BTreeMap::new() })
    }

    /// Starts a server on a free port, and waits for its first answer.
    fn start(
        &self,
        server: Server,
        launch: Launch,
        tls: Option<TlsVersion>,
        cores: &Cores,
    ) -> Result<(Running, Target), Failure> {
        let port = process::free_port()?;
        let launch = match tls {
            None => Launch { http: Some(port), ..launch },
            Some(_) => Launch { https: Some(port), ..launch },
        };
        let command = server.command(launch, self.programs, self.directory)?;
        let mut running = Running::start(command, &cores.server, &self.log(server))?;
        let target = Target { addr: loopback(port), tls };
        running.wait_until_it_listens(target.addr)?;
        one_request(target, "/", ANSWER_MAX).map_err(|error| format!("no page: {error}"))?;
        Ok((running, target))
    }

    fn log(&self, server: Server) -> std::path::PathBuf {
        self.directory.join(format!("{}.log", server.name()))
    }
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// What a server holds once it has finished what it does behind an answer.
fn settled_memory(server: &Running) -> Result<process::Memory, Failure> {
    const PAUSE: Duration = Duration::from_millis(50);
    const TRIES: usize = 20;
    let mut before = server.memory()?;
    for _ in 0..TRIES {
        thread::sleep(PAUSE);
        let now = server.memory()?;
        if now == before {
            break;
        }
        before = now;
    }
    Ok(before)
}
