//! One epoll loop per thread over many connections.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::unistd::Pid;
use rustls::{ClientConfig, HandshakeKind};

use crate::connection::{Connection, SCRATCH_LEN};
use crate::script::{self, Script, Step};
use crate::tls::{self, Resumption};
use crate::{Before, Plan, Target, Timing, Work};

/// A load that runs. Dropping it ends it.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<Duration>>>,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answers and messages that are whole and right.
    pub answers: u64,
    /// Connections that failed, and wrong answers.
    pub errors: u64,
    /// TLS handshakes that resumed nothing.
    pub full_handshakes: u64,
    /// TLS handshakes that resumed a session.
    pub resumed_handshakes: u64,
}

/// What a load has to say at its end.
#[derive(Debug)]
pub struct Summary {
    /// The time of each answer, if they were kept, in no order.
    pub latencies: Vec<Duration>,
    /// The first thing that went wrong.
    pub first_error: Option<String>,
}

/// After so many errors a thread gives up: something is wrong that will not pass.
const ERRORS_MAX: u64 = 1000;

impl Load {
    /// Starts the threads of a plan. They connect at once.
    pub fn start(plan: &Plan) -> Self {
        let shared = Arc::new(Shared::default());
        let threads = (0..plan.cores.len())
            .map(|thread| {
                let (plan, shared) = (plan.clone(), Arc::clone(&shared));
                thread::spawn(move || work(&plan, thread, &shared))
            })
            .collect();
        Self { shared, threads }
    }

    /// What has happened up to now.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            answers: read(&self.shared.answers),
            errors: read(&self.shared.errors),
            full_handshakes: read(&self.shared.full_handshakes),
            resumed_handshakes: read(&self.shared.resumed_handshakes),
        }
    }

    /// Waits until there are so many answers, or the time is over. Returns whether there are.
    pub fn wait_for(&self, answers: u64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.counts().answers < answers {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// What went wrong first, if anything has.
    pub fn first_error(&self) -> Option<String> {
        self.shared.first_error.lock().expect("no thread panicked").clone()
    }

    /// Ends the load and closes its connections.
    pub fn stop(mut self) -> Summary {
        self.shared.stop.store(true, Relaxed);
        let threads = std::mem::take(&mut self.threads);
        let latencies = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a thread of the load panicked"))
            .collect();
        Summary { latencies, first_error: self.first_error() }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answers: AtomicU64,
    errors: AtomicU64,
    full_handshakes: AtomicU64,
    resumed_handshakes: AtomicU64,
    first_error: Mutex<Option<String>>,
}

impl Shared {
    fn failed(&self, error: &io::Error) {
        self.errors.fetch_add(1, Relaxed);
        let mut first = self.first_error.lock().expect("no thread panicked");
        first.get_or_insert_with(|| error.to_string());
    }

    fn should_go_on(&self) -> bool {
        !self.stop.load(Relaxed) && self.errors.load(Relaxed) < ERRORS_MAX
    }
}

/// One thread of a load: every so many-th connection of the plan.
fn work(plan: &Plan, thread: usize, shared: &Shared) -> Vec<Duration> {
    pin(plan.cores[thread]);
    let resumption = match plan.work {
        Work::Connections { resumption } => resumption,
        _ => Resumption::Off,
    };
    let mut driver = match Driver::new(plan.target) {
        Ok(driver) => driver,
        Err(error) => {
            shared.failed(&error);
            return Vec::new();
        }
    };
    for index in (thread..plan.connections).step_by(plan.cores.len()) {
        driver.add(script::for_work(&plan.work, index), resumption);
    }
    for slot in 0..driver.slots.len() {
        driver.reopen(slot).unwrap_or_else(|error| shared.failed(&error));
    }
    let mut latencies = Vec::new();
    let mut ready = Vec::new();
    while shared.should_go_on() {
        if let Err(error) = driver.wait(&mut ready) {
            shared.failed(&error);
            break;
        }
        let mut answers = 0;
        for &slot in &ready {
            let before = answers;
            let done = driver.turn(slot, &mut answers);
            if plan.timing == Timing::EveryAnswer && answers > before {
                latencies.push(driver.slots[slot].asked_at.elapsed());
            }
            if let Err(error) = done.and_then(|step| driver.go_on(slot, step, shared)) {
                shared.failed(&error);
                // A connection that can't be opened stays closed; the errors' limit ends the rest.
                driver.reopen(slot).unwrap_or_else(|error| shared.failed(&error));
            }
        }
        shared.answers.fetch_add(answers, Relaxed);
    }
    driver.abort();
    latencies
}

/// Keeps the calling thread on a core. One that can't be had is no reason to stop.
pub(crate) fn pin(core: usize) {
    let mut cores = CpuSet::new();
    if cores.set(core).is_ok() {
        sched_setaffinity(Pid::from_raw(0), &cores).ok();
    }
}

/// Sessions that are open and do nothing. Dropping it closes them.
pub struct Idle {
    _connections: Vec<Connection>,
}

/// So many connections are opened at once: fewer than any server's backlog.
const OPENING_MAX: usize = 32;

impl Idle {
    /// Opens so many sessions, on the calling thread.
    ///
    /// # Errors
    ///
    /// If one fails, or they are not all there in `timeout`.
    pub fn open(
        target: Target,
        before: Before,
        count: usize,
        timeout: Duration,
    ) -> io::Result<Self> {
        let deadline = Instant::now() + timeout;
        let mut driver = Driver::new(target)?;
        let mut connections = Vec::with_capacity(count);
        let mut ready = Vec::new();
        while connections.len() < count {
            let opened = driver.slots.len();
            for slot in opened..count.min(connections.len() + OPENING_MAX) {
                driver.add(script::for_idle(before), Resumption::Off);
                driver.reopen(slot)?;
            }
            driver.wait(&mut ready)?;
            for &slot in &ready {
                match driver.turn(slot, &mut 0)? {
                    Step::Wait => {}
                    Step::Rest => connections.extend(driver.release(slot)?),
                    _ => driver.send(slot)?,
                }
            }
            if Instant::now() > deadline {
                let problem = format!("{} of {count} sessions open", connections.len());
                return Err(io::Error::new(ErrorKind::TimedOut, problem));
            }
        }
        Ok(Self { _connections: connections })
    }
}

/// Connections, their scripts, and what tells which of them have news.
struct Driver {
    target: Target,
    epoll: Epoll,
    slots: Vec<Slot>,
    events: Vec<EpollEvent>,
    scratch: Vec<u8>,
    /// The settings of all connections that resume nothing.
    config: Option<Arc<ClientConfig>>,
}

struct Slot {
    connection: Option<Connection>,
    script: Box<dyn Script>,
    config: Option<Arc<ClientConfig>>,
    /// When it sent what it waits for the answer to.
    asked_at: Instant,
}

impl Driver {
    fn new(target: Target) -> io::Result<Self> {
        Ok(Self {
            target,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            slots: Vec::new(),
            events: vec![EpollEvent::empty(); 256],
            scratch: vec![0; SCRATCH_LEN],
            config: target.tls.map(|version| tls::config(version, Resumption::Off)),
        })
    }

    fn add(&mut self, script: Box<dyn Script>, resumption: Resumption) {
        let config = match (self.target.tls, resumption) {
            (Some(version), Resumption::On) => Some(tls::config(version, resumption)),
            _ => self.config.clone(),
        };
        self.slots.push(Slot { connection: None, script, config, asked_at: Instant::now() });
    }

    /// Closes the connection of a slot, if it has one, and opens another.
    fn reopen(&mut self, index: usize) -> io::Result<()> {
        let slot = &mut self.slots[index];
        if let Some(connection) = slot.connection.take() {
            connection.abort();
        }
        slot.asked_at = Instant::now();
        let mut connection = Connection::open(self.target.addr, slot.config.as_ref())?;
        connection.do_not_wait()?;
        connection.send(slot.script.open())?;
        let news = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
        self.epoll.add(&connection, news)?;
        slot.connection = Some(connection);
        Ok(())
    }

    /// Waits for news, but not for long, so that a stop is noticed.
    fn wait(&mut self, ready: &mut Vec<usize>) -> io::Result<()> {
        ready.clear();
        let count = match self.epoll.wait(&mut self.events, 20_u8) {
            Err(nix::Error::EINTR) => 0,
            result => result?,
        };
        ready.extend(self.events[..count].iter().map(|event| event.data() as usize));
        Ok(())
    }

    /// Receives, and says how the connection goes on.
    fn turn(&mut self, index: usize, answers: &mut u64) -> io::Result<Step> {
        let Slot { connection: Some(connection), script, .. } = &mut self.slots[index] else {
            return Ok(Step::Wait);
        };
        let mut next = Step::Wait;
        let received = connection.recv(&mut self.scratch, &mut |bytes| {
            match script.received(bytes, answers)? {
                Step::Wait => {}
                step => next = step,
            }
            Ok(())
        });
        match received {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Step::Wait),
            result => result.map(|()| next),
        }
    }

    /// Does what a turn has said, in a load.
    fn go_on(&mut self, index: usize, step: Step, shared: &Shared) -> io::Result<()> {
        match step {
            Step::Wait | Step::Rest => Ok(()),
            Step::Send => self.send(index),
            Step::Reopen => {
                let connection = self.slots[index].connection.as_ref();
                match connection.and_then(Connection::handshake) {
                    Some(HandshakeKind::Resumed) => shared.resumed_handshakes.fetch_add(1, Relaxed),
                    Some(_) => shared.full_handshakes.fetch_add(1, Relaxed),
                    None => 0,
                };
                self.reopen(index)
            }
        }
    }

    fn send(&mut self, index: usize) -> io::Result<()> {
        let Slot { connection: Some(connection), script, asked_at, .. } = &mut self.slots[index]
        else {
            return Ok(());
        };
        *asked_at = Instant::now();
        connection.send(script.next())
    }

    /// Gives a connection away.
    fn release(&mut self, index: usize) -> io::Result<Option<Connection>> {
        let connection = self.slots[index].connection.take();
        if let Some(connection) = &connection {
            self.epoll.delete(connection)?;
        }
        Ok(connection)
    }

    /// Closes everything with resets.
    fn abort(self) {
        self.slots.into_iter().filter_map(|slot| slot.connection).for_each(Connection::abort);
    }
}
