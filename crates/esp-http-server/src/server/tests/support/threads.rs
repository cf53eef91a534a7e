//! Threads that have detached requests, in lockstep with the engine: it goes on only when each of
//! them has done what it was told, or waits for the engine.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Engine;
use crate::{DetachedRequest, Request, Result};

/// Requests that handlers have detached, for a test to take.
#[derive(Clone, Default)]
pub(in crate::server::tests) struct Parked(Arc<Mutex<VecDeque<DetachedRequest>>>);

impl Parked {
    /// A handler that detaches every request.
    pub(in crate::server::tests) fn handler(
        &self,
    ) -> impl Fn(&mut Request<'_>) -> Result + Send + Sync + 'static {
        let parked = self.clone();
        move |request: &mut Request<'_>| parked.park(request.detach()?)
    }

    pub(in crate::server::tests) fn park(&self, request: DetachedRequest) -> Result {
        self.0.lock().unwrap().push_back(request);
        Ok(())
    }

    /// The one that was detached first.
    pub(in crate::server::tests) fn take(&self) -> Option<DetachedRequest> {
        self.0.lock().unwrap().pop_front()
    }
}

/// What has happened outside of the engine's thread.
enum Event {
    /// There is something in the engine's mailbox.
    Woken,
    /// The thread with that number has done one thing.
    Done(usize, String),
    /// An assertion of a thread's has failed.
    Failed,
}

const ON_PURPOSE: &str = "on purpose";

/// A panic of the application's, without a line on standard error.
pub(in crate::server::tests) fn panic_on_purpose() -> ! {
    std::panic::resume_unwind(Box::new(ON_PURPOSE))
}

/// What the engine knows of the threads.
pub(super) struct Threads {
    sender: Sender<Event>,
    events: Receiver<Event>,
    count: usize,
    /// How much each of them still has to do.
    busy: BTreeMap<usize, usize>,
    said: BTreeMap<usize, VecDeque<String>>,
}

impl Default for Threads {
    fn default() -> Self {
        let (sender, events) = channel();
        Self { sender, events, count: 0, busy: BTreeMap::new(), said: BTreeMap::new() }
    }
}

impl Threads {
    pub(super) fn waker(&self) -> impl Fn() + Send + Sync + 'static {
        let sender = self.sender.clone();
        move || drop(sender.send(Event::Woken))
    }

    fn done(&mut self, number: usize, said: String) {
        self.said.entry(number).or_default().push_back(said);
        let left = self.busy.entry(number).or_default();
        *left -= 1;
        if *left == 0 {
            self.busy.remove(&number);
        }
    }
}

type Job = Box<dyn FnOnce(&mut Option<DetachedRequest>) -> String + Send>;

/// A thread that has a detached request and does with it what it is told.
pub(in crate::server::tests) struct Elsewhere {
    engine: Engine,
    number: usize,
    jobs: Sender<Job>,
}

/// A thread that neither ends nor waits for the engine is a bug; this long it may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Engine {
    /// Gives a request to a thread of its own.
    pub(in crate::server::tests) fn elsewhere(&self, request: DetachedRequest) -> Elsewhere {
        let threads = &mut self.0.borrow_mut().threads;
        let number = threads.count;
        threads.count += 1;
        let sender = threads.sender.clone();
        let (jobs, todo) = channel::<Job>();
        std::thread::spawn(move || {
            let mut request = Some(request);
            for job in todo {
                let event = match catch_unwind(AssertUnwindSafe(|| job(&mut request))) {
                    Ok(said) => Event::Done(number, said),
                    Err(thrown) if thrown.downcast_ref() == Some(&ON_PURPOSE) => {
                        Event::Done(number, "panicked".into())
                    }
                    Err(_) => Event::Failed,
                };
                let _ = sender.send(event);
            }
        });
        Elsewhere { engine: self.clone(), number, jobs }
    }

    /// Waits for a thread that has the control; whether there was one.
    pub(super) fn await_threads(&self) -> bool {
        let waiting = self.awaited();
        let threads = &mut self.0.borrow_mut().threads;
        if threads.busy.len() <= waiting {
            return false;
        }
        match threads.events.recv_timeout(PATIENCE).expect("a thread neither ends nor waits") {
            Event::Woken => {}
            Event::Done(number, said) => threads.done(number, said),
            Event::Failed => panic!("a thread has failed; it has said why"),
        }
        true
    }

    /// Sessions whose connections threads wait for.
    pub(in crate::server::tests) fn awaited(&self) -> usize {
        let inner = self.0.borrow();
        let sessions = inner.server.slots.iter().filter_map(|slot| slot.session.as_ref());
        sessions.filter(|session| session.is_awaited()).count()
    }
}

impl Elsewhere {
    /// Has the thread do something with its request, until it has done it or waits for the engine.
    pub(in crate::server::tests) fn begin<R: Debug>(
        &self,
        job: impl FnOnce(&mut DetachedRequest) -> R + Send + 'static,
    ) {
        self.push(move |request| match request {
            Some(request) => format!("{:?}", job(request)),
            None => "nothing".into(),
        });
        self.engine.run();
    }

    /// The same, for what need not wait any more; gives what came of it.
    #[track_caller]
    pub(in crate::server::tests) fn does<R: Debug>(
        &self,
        job: impl FnOnce(&mut DetachedRequest) -> R + Send + 'static,
    ) -> String {
        self.forget();
        self.begin(job);
        self.said().expect("the thread waits")
    }

    /// Has it part with its request.
    pub(in crate::server::tests) fn ends<R: Debug>(
        &self,
        end: impl FnOnce(DetachedRequest) -> R + Send + 'static,
    ) -> Option<String> {
        self.forget();
        self.push(move |request| match request.take() {
            Some(request) => format!("{:?}", end(request)),
            None => "nothing".into(),
        });
        self.engine.run();
        self.said()
    }

    #[track_caller]
    pub(in crate::server::tests) fn completes(&self) {
        assert_eq!(self.ends(DetachedRequest::complete).as_deref(), Some("Ok(())"));
    }

    /// What came of the thing that the thread has done first of those that nobody has asked for yet;
    /// `None` if it is not done.
    pub(in crate::server::tests) fn said(&self) -> Option<String> {
        self.engine.0.borrow_mut().threads.said.get_mut(&self.number)?.pop_front()
    }

    /// Nobody asks what came of what the thread has done so far.
    fn forget(&self) {
        self.engine.0.borrow_mut().threads.said.remove(&self.number);
    }

    fn push(&self, job: impl FnOnce(&mut Option<DetachedRequest>) -> String + Send + 'static) {
        *self.engine.0.borrow_mut().threads.busy.entry(self.number).or_default() += 1;
        self.jobs.send(Box::new(job)).unwrap();
    }
}

impl Drop for Elsewhere {
    /// The request goes with its thread; the engine sees that when it runs next.
    fn drop(&mut self) {
        self.push(|request| format!("{:?}", request.take()));
    }
}
