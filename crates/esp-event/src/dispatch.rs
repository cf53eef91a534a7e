//! The loop itself: the queue, the registered handlers, and the rules of who waits for whom.
//!
//! One lock guards all state and is never held while user code runs, be it a handler, the drop of
//! what a handler owned, or the drop of an event's data. A handler is therefore taken out of its
//! registration while it runs and put back afterwards. That also is how everyone else knows:
//!
//! - no registration left when the handler comes back: it was unregistered meanwhile, free it;
//! - `running` is its key: someone else who unregistered it waits until it is not;
//! - `dispatching`: an event is on its way through the handlers; who deletes the loop waits.
//!
//! Nobody waits for himself: `runner` says which thread the handlers run in.

use core::mem;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

#[cfg(feature = "std")]
use std::time::Instant;

use crate::base::{add_listener, remove_listener};
use crate::contain::contain;
use crate::sync::{Caller, Lock, Signal};
use crate::{Filter, PostError, RawEvent, RunError, Statistics};

pub(crate) type Handler = Box<dyn FnMut(&RawEvent) + Send>;

/// Orders handlers as they are called: by level, then by registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    level: u8,
    serial: u64,
}

pub(crate) struct Core {
    state: Lock<State>,
    /// There is an event to take, or the loop was deleted.
    work: Signal,
    /// There is room in the queue, or the loop was deleted.
    room: Signal,
    /// An unregistered handler has returned, or the last event of a deleted loop is over.
    settled: Signal,
}

struct State {
    queue: VecDeque<RawEvent>,
    queue_size: usize,
    /// Sorted by key.
    handlers: Vec<Registration>,
    next_serial: u64,
    /// Who runs the loop, between events as well.
    runner: Option<Caller>,
    /// An event was taken and is not finished.
    dispatching: bool,
    /// The handler that is being called.
    running: Option<Key>,
    deleted: bool,
    received: u64,
    dropped: u64,
}

struct Registration {
    key: Key,
    filter: Filter,
    /// `None` while it runs.
    handler: Option<Handler>,
}

/// An event taken off the queue.
struct Taken {
    event: RawEvent,
    /// Handlers registered with this serial or a later one came after the event was taken.
    horizon: u64,
}

/// Registering, posting, deleting: what others do to a loop.
impl Core {
    pub(crate) fn new(queue_size: usize) -> Self {
        let state = State {
            queue: VecDeque::with_capacity(queue_size),
            queue_size,
            handlers: Vec::new(),
            next_serial: 0,
            runner: None,
            dispatching: false,
            running: None,
            deleted: false,
            received: 0,
            dropped: 0,
        };
        Self {
            state: Lock::new(state),
            work: Signal::new(),
            room: Signal::new(),
            settled: Signal::new(),
        }
    }

    /// `None` if the loop was deleted.
    pub(crate) fn register(&self, filter: Filter, handler: Handler) -> Option<Key> {
        add_listener(&filter);
        let mut handler = Some(handler);
        let key = self.state.with(|state| state.insert(filter, &mut handler));
        if key.is_none() {
            remove_listener(&filter);
        }
        key
    }

    pub(crate) fn unregister(&self, key: Key) {
        let (registration, must_wait) = self.state.with(|state| {
            let running_elsewhere = state.running == Some(key) && !state.is_run_by_caller();
            (state.remove(key), running_elsewhere)
        });
        if let Some(registration) = registration {
            remove_listener(&registration.filter);
        }
        if must_wait {
            self.wait_until_settled(|state| state.running != Some(key));
        }
    }

    /// Never waits.
    pub(crate) fn post(&self, event: RawEvent) -> Result<(), PostError> {
        let mut event = Some(event);
        let result = self.state.with(|state| match state.enqueue(&mut event) {
            Some(result) => result,
            None => Err(state.count_dropped()),
        });
        self.work.notify();
        result
    }

    /// Waits for room until the given time, for ever if there is none.
    #[cfg(feature = "std")]
    pub(crate) fn post_until(
        &self,
        event: RawEvent,
        until: Option<Instant>,
    ) -> Result<(), PostError> {
        let mut event = Some(event);
        let posted = self.state.wait_for(&self.room, until, |state| {
            let result = state.enqueue(&mut event);
            if result.is_none() && state.is_run_by_caller() {
                // Only this very thread makes room.
                return Some(Err(state.count_dropped()));
            }
            result
        });
        self.work.notify();
        posted.unwrap_or_else(|| Err(self.state.with(State::count_dropped)))
    }

    pub(crate) fn delete(&self) {
        let (queued, must_wait) = self.state.with(|state| {
            state.deleted = true;
            (mem::take(&mut state.queue), state.dispatching && !state.is_run_by_caller())
        });
        self.work.notify();
        self.room.notify();
        drop(queued);
        if must_wait {
            self.wait_until_settled(|state| !state.dispatching);
        }
        // Deleted by one of its handlers: the event goes on to the others, `Finish` does the rest.
        if self.state.with(|state| !state.dispatching) {
            self.free_handlers();
        }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.state.with(|state| state.deleted)
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.state.with(|state| Statistics {
            received: state.received,
            dropped: state.dropped,
            queued: state.queue.len(),
            handlers: state.handlers.len(),
        })
    }

    fn free_handlers(&self) {
        let handlers = self.state.with(|state| mem::take(&mut state.handlers));
        for registration in handlers {
            remove_listener(&registration.filter);
            contain(&"freeing an event handler", || drop(registration));
        }
    }

    #[cfg(feature = "std")]
    fn wait_until_settled(&self, settled: impl Fn(&State) -> bool) {
        self.state.wait_for(&self.settled, None, |state| settled(state).then_some(()));
    }

    /// Never called: without threads the caller always is the one who runs the loop.
    #[cfg(not(feature = "std"))]
    fn wait_until_settled(&self, _settled: impl Fn(&State) -> bool) {}
}

/// Running: what the loop's thread does, or whoever runs it by hand.
impl Core {
    /// Dispatches events while there are any and `may_continue` says so before each.
    pub(crate) fn run_while(
        &self,
        mut may_continue: impl FnMut(usize) -> bool,
    ) -> Result<usize, RunError> {
        let _run = Run::start(self)?;
        let mut count = 0;
        while may_continue(count)
            && let Some(taken) = self.state.with(State::take)
        {
            self.dispatch(taken);
            count += 1;
        }
        Ok(count)
    }

    /// Dispatches events and waits for more until the given time, for ever if there is none. One
    /// that is queued already is dispatched even if that time has passed.
    #[cfg(feature = "std")]
    pub(crate) fn run_until(&self, until: Option<Instant>) -> Result<usize, RunError> {
        let _run = Run::start(self)?;
        Ok(self.dispatch_until(until))
    }

    /// The body of the loop's own thread: until the loop is deleted.
    #[cfg(feature = "std")]
    pub(crate) fn run_in_own_thread(&self) {
        // If anything escapes after all, this leaves a loop that others can run and delete.
        let _run = Run(self);
        self.dispatch_until(None);
    }

    /// Gives the loop to a thread that is about to enter `run_in_own_thread`, or has just done so.
    #[cfg(feature = "std")]
    pub(crate) fn belongs_to(&self, thread: &std::thread::Thread) {
        self.state.with(|state| state.runner = Some(Caller::of(thread)));
    }

    #[cfg(feature = "std")]
    fn dispatch_until(&self, until: Option<Instant>) -> usize {
        let mut count = 0;
        // The inner `None` is the end of a deleted loop, the outer one the end of time.
        while let Some(Some(taken)) = self.state.wait_for(&self.work, until, |state| {
            if state.deleted { Some(None) } else { state.take().map(Some) }
        }) {
            self.dispatch(taken);
            count += 1;
            if until.is_some_and(|until| until <= Instant::now()) {
                break;
            }
        }
        count
    }

    fn dispatch(&self, taken: Taken) {
        self.room.notify();
        let _finish = Finish(self);
        let Taken { event, horizon } = taken;
        let mut last = None;
        while let Some((key, mut handler)) =
            self.state.with(|state| state.start_next(last, horizon, &event))
        {
            contain(&format_args!("a handler of event {event}"), || handler(&event));
            self.put_back(key, handler);
            last = Some(key);
        }
        if last.is_none() {
            log::debug!("no handler for event {event}");
        }
        contain(&"freeing an event", || drop(event));
    }

    fn put_back(&self, key: Key, handler: Handler) {
        if let Some(unregistered) = self.state.with(|state| state.put_back(key, handler)) {
            contain(&"freeing an event handler", || drop(unregistered));
            self.state.with(|state| state.running = None);
            self.settled.notify();
        }
    }
}

impl State {
    /// Takes the handler, unless the loop was deleted.
    fn insert(&mut self, filter: Filter, handler: &mut Option<Handler>) -> Option<Key> {
        if self.deleted {
            return None;
        }
        let level = match filter {
            Filter::Any => 0,
            Filter::Base(_) => 1,
            Filter::Id(..) => 2,
        };
        let key = Key { level, serial: self.next_serial };
        self.next_serial += 1;
        let at = self.handlers.partition_point(|other| other.key < key);
        self.handlers.insert(at, Registration { key, filter, handler: handler.take() });
        Some(key)
    }

    fn find(&self, key: Key) -> Option<usize> {
        self.handlers.binary_search_by_key(&key, |registration| registration.key).ok()
    }

    fn remove(&mut self, key: Key) -> Option<Registration> {
        self.find(key).map(|at| self.handlers.remove(at))
    }

    /// Takes the event if there is room for it. `None` means there is none now.
    fn enqueue(&mut self, event: &mut Option<RawEvent>) -> Option<Result<(), PostError>> {
        if self.deleted {
            return Some(Err(PostError::Deleted));
        }
        if self.queue.len() >= self.queue_size {
            return None;
        }
        self.queue.extend(event.take());
        self.received += 1;
        Some(Ok(()))
    }

    fn count_dropped(&mut self) -> PostError {
        self.dropped += 1;
        PostError::Full { queue_size: self.queue_size }
    }

    fn take(&mut self) -> Option<Taken> {
        let event = self.queue.pop_front()?;
        self.dispatching = true;
        Some(Taken { event, horizon: self.next_serial })
    }

    /// The next handler for the event, behind the one called `last`. What was registered or
    /// unregistered since then doesn't matter: keys stay in order.
    fn start_next(
        &mut self,
        last: Option<Key>,
        horizon: u64,
        event: &RawEvent,
    ) -> Option<(Key, Handler)> {
        let from = self.handlers.partition_point(|registration| Some(registration.key) <= last);
        let next = self.handlers[from..].iter_mut().find(|registration| {
            registration.key.serial < horizon && registration.filter.matches(event)
        })?;
        self.running = Some(next.key);
        Some((next.key, next.handler.take()?))
    }

    /// Gives the handler back if it was unregistered meanwhile; then it counts as running until it
    /// is freed.
    fn put_back(&mut self, key: Key, handler: Handler) -> Option<Handler> {
        match self.find(key) {
            Some(at) => {
                self.handlers[at].handler = Some(handler);
                self.running = None;
                None
            }
            None => Some(handler),
        }
    }

    fn is_run_by_caller(&self) -> bool {
        self.runner == Some(Caller::current())
    }
}

/// The right to run the loop, which one caller has at a time.
struct Run<'a>(&'a Core);

impl<'a> Run<'a> {
    fn start(core: &'a Core) -> Result<Self, RunError> {
        core.state.with(|state| match state.runner {
            _ if state.deleted => Err(RunError::Deleted),
            Some(_) => Err(RunError::Running),
            None => {
                state.runner = Some(Caller::current());
                Ok(())
            }
        })?;
        Ok(Self(core))
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.state.with(|state| state.runner = None);
    }
}

/// Ends the dispatch of one event, whatever happened in it, so that nobody waits for ever.
struct Finish<'a>(&'a Core);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let deleted = self.0.state.with(|state| {
            state.running = None;
            // A deletion that comes now waits, one that came before left the handlers to us.
            state.dispatching = state.deleted;
            state.deleted
        });
        if deleted {
            self.0.free_handlers();
            self.0.state.with(|state| state.dispatching = false);
        }
        self.0.settled.notify();
    }
}
