//! The bad clients: as many as it takes, in one thread that never blocks for long.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use crate::Problem;
use crate::script::{After, Expect, Group, How};
use crate::testbed::Ports;

mod client;
mod line;

use client::{Client, Story, Turn};
use line::Tls;

/// Connections that are opened before others have a turn.
const CONNECT_BUDGET: usize = 64;
/// The longest time between two looks at whether it is over.
const TICK: Duration = Duration::from_millis(20);
const SCRATCH_LEN: usize = 64 * 1024;
/// Connections that can't be made in a row before a group gives up.
const MAX_REFUSALS: usize = 1000;
/// How late a group with a pace may be and make up for it.
const MAX_LAG: Duration = Duration::from_secs(1);

/// How long those who have only just begun when it is over may wait for the answer that they are to get.
const ANSWERED_IN: Duration = Duration::from_secs(10);

/// What the crowd and those who watch it tell each other.
#[derive(Default)]
pub(crate) struct Signals {
    /// The crowd has nothing left to do.
    pub(crate) done: AtomicBool,
    /// It is to leave.
    pub(crate) leave: AtomicBool,
}

/// What came of an attack.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Connections that were made.
    pub(crate) connections: usize,
    /// What the server did that it should not, at most one a group.
    pub(crate) problems: Vec<Problem>,
}

/// Lets the groups have their way until they are told to leave. Then nobody comes any more, those who
/// are to be answered are, and all of them go at once.
pub(crate) fn attack(groups: &[Group], ports: Ports, signals: &Signals) -> io::Result<Outcome> {
    let mut crowd = Crowd::new(groups, ports)?;
    while !signals.leave.load(Ordering::Relaxed) {
        crowd.turn()?;
        signals.done.store(crowd.is_done(), Ordering::Relaxed);
    }
    crowd.is_leaving = true;
    let deadline = Instant::now() + ANSWERED_IN;
    while crowd.awaits_answers() && Instant::now() < deadline {
        crowd.turn()?;
    }
    Ok(crowd.end())
}

struct Crowd<'g> {
    groups: Vec<Progress<'g>>,
    ports: Ports,
    tls: Tls,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    clients: Vec<Option<Client>>,
    /// Places in `clients` that are free.
    free: Vec<usize>,
    /// Clients with more to do at once.
    again: Vec<usize>,
    /// Clients with something to do later.
    later: BinaryHeap<Reverse<(Instant, usize)>>,
    scratch: Vec<u8>,
    /// Whether nobody comes any more.
    is_leaving: bool,
}

/// How far a group is.
struct Progress<'g> {
    group: &'g Group,
    opened: usize,
    open: usize,
    refused: usize,
    /// When the next one may come.
    next: Instant,
    /// Those that the server has refused as it should.
    refusals: usize,
    /// The first thing that went wrong, and how often that happened.
    problem: Option<(String, usize)>,
}

impl<'g> Crowd<'g> {
    fn new(groups: &'g [Group], ports: Ports) -> io::Result<Crowd<'g>> {
        let now = Instant::now();
        let progress = |group: &'g Group| Progress {
            group,
            opened: 0,
            open: 0,
            refused: 0,
            next: now + group.begins,
            refusals: 0,
            problem: None,
        };
        Ok(Crowd {
            groups: groups.iter().map(progress).collect(),
            ports,
            tls: Tls::new(),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(1024),
            clients: Vec::new(),
            free: Vec::new(),
            again: Vec::new(),
            later: BinaryHeap::new(),
            scratch: vec![0; SCRATCH_LEN],
            is_leaving: false,
        })
    }

    fn turn(&mut self) -> io::Result<()> {
        let connected = self.connect();
        self.wait(connected > 0)?;
        for event in mem::take(&mut self.events).iter() {
            let (number, flags) = (event.data.u64() as usize, event.flags);
            if let Some(client) = &mut self.clients[number] {
                let failed = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
                client.report(
                    failed || flags.contains(epoll::EventFlags::IN),
                    failed || flags.contains(epoll::EventFlags::OUT),
                );
                self.client_turn(number);
            }
        }
        let now = Instant::now();
        while let Some(&Reverse((at, number))) = self.later.peek()
            && at <= now
        {
            self.later.pop();
            self.client_turn(number);
        }
        for number in mem::take(&mut self.again) {
            self.client_turn(number);
        }
        Ok(())
    }

    /// Opens connections that are missing; how many.
    fn connect(&mut self) -> usize {
        let mut opened = 0;
        let now = Instant::now();
        for number in 0..self.groups.len() {
            while opened < CONNECT_BUDGET && !self.is_leaving && self.groups[number].wants_more(now)
            {
                opened += 1;
                if self.open(number).is_err() {
                    self.groups[number].refused += 1;
                    break;
                }
            }
        }
        opened
    }

    fn open(&mut self, number: usize) -> io::Result<()> {
        let progress = &mut self.groups[number];
        let Group { script, wire, .. } = progress.group;
        let script = script(progress.opened as u64);
        let client = Client::connect(number, self.ports, *wire, script, &self.tls)?;
        let place = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() - 1
        });
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        let data = epoll::EventData::new_u64(place as u64);
        epoll::add(&self.epoll, client.line().as_fd(), data, flags)?;
        progress.opened();
        self.clients[place] = Some(client);
        Ok(())
    }

    fn wait(&mut self, is_busy: bool) -> io::Result<()> {
        let mut timeout = TICK;
        if is_busy || !self.again.is_empty() {
            timeout = Duration::ZERO;
        }
        if let Some(Reverse((at, _))) = self.later.peek() {
            timeout = timeout.min(at.saturating_duration_since(Instant::now()));
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.as_nanos() as _ };
        self.events = Vec::with_capacity(1024);
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn client_turn(&mut self, number: usize) {
        let now = Instant::now();
        let Some(client) = &mut self.clients[number] else { return };
        match client.turn(now, &mut self.scratch) {
            Turn::Again => self.again.push(number),
            Turn::Rest => {}
            Turn::Until(at) => self.later.push(Reverse((at, number))),
            Turn::Ended => {
                let Some(client) = self.take(number) else { return };
                self.groups[client.group].ended(&client.story);
            }
            Turn::Leaves(how) => {
                if let Some(client) = self.take(number) {
                    client.leave(how);
                }
            }
        }
    }

    fn take(&mut self, number: usize) -> Option<Client> {
        let client = self.clients[number].take()?;
        self.free.push(number);
        self.groups[client.group].open -= 1;
        Some(client)
    }

    fn is_done(&self) -> bool {
        self.groups.iter().all(Progress::is_done)
    }

    /// Whether somebody is there who should be answered.
    fn awaits_answers(&self) -> bool {
        self.groups.iter().any(|progress| {
            let Group { expect, .. } = progress.group;
            progress.open > 0 && matches!(expect, Expect::Status(_) | Expect::WsClose(_))
        })
    }

    /// All go; what is to be said of those who were still there is said.
    fn end(mut self) -> Outcome {
        for number in 0..self.clients.len() {
            if let Some(client) = self.take(number) {
                self.groups[client.group].stayed(&client.story);
                client.leave(How::Reset);
            }
        }
        let connections = self.groups.iter().map(|progress| progress.opened).sum();
        let problems = self.groups.into_iter().filter_map(Progress::problem).collect();
        Outcome { connections, problems }
    }
}

impl Progress<'_> {
    /// Whether another one is to come now.
    fn wants_more(&self, now: Instant) -> bool {
        self.has_room() && self.next <= now
    }

    fn opened(&mut self) {
        self.opened += 1;
        self.open += 1;
        self.refused = 0;
        let earliest = Instant::now().checked_sub(MAX_LAG).unwrap_or(self.next);
        self.next = (self.next + self.group.every).max(earliest);
    }

    fn has_room(&self) -> bool {
        let in_all = match self.group.after {
            After::Gone => self.group.count,
            After::Again { in_all } => in_all,
        };
        self.open < self.group.count && self.opened < in_all && self.refused < MAX_REFUSALS
    }

    fn is_done(&self) -> bool {
        self.open == 0 && !self.has_room()
    }

    /// The server has ended a connection.
    fn ended(&mut self, story: &Story) {
        let age = story.age();
        match self.group.expect {
            Expect::Anything | Expect::CutUnseen(_) => {}
            Expect::Cut(most) if age <= most => {}
            Expect::Cut(most) => self.complain(format!("cut after {age:.1?}, not {most:.1?}")),
            Expect::NoWord(most) if age <= most && story.received == 0 => {}
            Expect::NoWord(_) => {
                let first = story.first_words();
                self.complain(format!("closed after {age:.1?} and {first:?}"));
            }
            Expect::Stay => self.complain(format!("closed after {age:.1?}")),
            Expect::Refusals(status) => match story.last_status() {
                None | Some(200) => {}
                Some(last) if last == status => self.refusals += 1,
                Some(last) => self.complain(format!("answered with {last}, not with {status}")),
            },
            Expect::Status(statuses) if story.status().is_some_and(|it| statuses.contains(&it)) => {
            }
            Expect::Status(statuses) => {
                let first = story.first_words();
                self.complain(format!("not answered with {statuses:?}, but {first:?}"));
            }
            Expect::WsClose(codes) if story.close_code().is_some_and(|it| codes.contains(&it)) => {}
            Expect::WsClose(codes) => {
                let came = story.close_code();
                let first = story.first_words();
                self.complain(format!(
                    "close code {came:?}, not one of {codes:?}; first came {first:?}"
                ));
            }
        }
    }

    /// A connection was still there at the end.
    fn stayed(&mut self, story: &Story) {
        let (age, received) = (story.age(), story.received);
        match self.group.expect {
            Expect::Anything | Expect::CutUnseen(_) | Expect::Refusals(_) | Expect::Stay => {}
            Expect::Cut(most) | Expect::NoWord(most) if age <= most => {}
            Expect::Cut(_) | Expect::NoWord(_) | Expect::Status(_) | Expect::WsClose(_) => {
                let first = story.first_words();
                self.complain(format!(
                    "still open after {age:.1?}; {received} bytes came, first {first:?}"
                ));
            }
        }
    }

    fn complain(&mut self, what: String) {
        self.problem.get_or_insert((what, 0)).1 += 1;
    }

    fn problem(mut self) -> Option<Problem> {
        if let Expect::Refusals(status) = self.group.expect
            && self.refusals == 0
        {
            self.complain(format!("nobody was refused with {status}"));
        }
        let (what, count) = self.problem?;
        Some(format!("{}: {count} of {}: {what}", self.group.what, self.opened))
    }
}
