//! The handle of a loop.

use core::fmt;
#[cfg(feature = "std")]
use core::time::Duration;

use alloc::boxed::Box;
use alloc::sync::Arc;

#[cfg(feature = "std")]
use alloc::string::String;
#[cfg(feature = "std")]
use std::io;
#[cfg(feature = "std")]
use std::thread;
#[cfg(feature = "std")]
use std::time::Instant;

use crate::dispatch::Core;
use crate::sync::Lock;
use crate::{Event, EventId, Filter, PostError, RawEvent, RunError, Subscription};

/// A queue of events and the handlers that hear of them. Cheap to clone, usable from any thread.
///
/// - Make one: [`default_loop`](Self::default_loop), [`new`](Self::new), `spawn`.
/// - Listen: [`on`](Self::on), [`on_id`](Self::on_id), [`register`](Self::register).
/// - Tell: [`post`](Self::post), `post_within`.
/// - Run by hand: [`run_pending`](Self::run_pending), [`run_while`](Self::run_while), `run`.
/// - End: [`delete`](Self::delete), or drop the last clone, which does the same.
///
/// Handlers run one at a time, in the loop's own thread or in the one that runs it by hand. For
/// each event first those for (any, any) are called, then (base, any), then (base, id), within each
/// in the order of registration. A handler may post, register, unregister itself and others, and
/// delete the loop. One that panics is logged and stays registered (with `std`).
///
/// A handler that owns a clone of its own loop keeps the loop alive until someone calls `delete`.
#[derive(Clone)]
pub struct EventLoop {
    owner: Arc<Owner>,
}

/// How [`EventLoop::spawn`] makes a loop, in ESP-IDF's words (`esp_event_loop_args_t`). Priority
/// and core of a thread are not Rust's to set.
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLoopArgs {
    /// How many events the queue holds. Memory for them is taken at once.
    pub queue_size: usize,
    /// The name of the loop's thread, for debuggers and the messages of panics. No NUL.
    pub task_name: String,
    /// The stack of the loop's thread in bytes; `None` is Rust's default.
    pub task_stack_size: Option<usize>,
}

#[cfg(feature = "std")]
impl Default for EventLoopArgs {
    /// 32 events, as ESP-IDF's system loop, in a thread called `event_loop`.
    fn default() -> Self {
        Self {
            queue_size: DEFAULT_QUEUE_SIZE,
            task_name: "event_loop".into(),
            task_stack_size: None,
        }
    }
}

/// Making and ending loops.
impl EventLoop {
    /// The process-wide loop, made when it is first asked for.
    ///
    /// With `std` it has its own thread, `sys_evt`, which doesn't keep the process alive. Without,
    /// it has to be run by hand. Its queue holds 32 events. If it was deleted, this makes a new
    /// one. ESP-IDF: `esp_event_loop_create_default`.
    ///
    /// # Panics
    /// With `std`, if the system can't start a thread.
    pub fn default_loop() -> Self {
        static DEFAULT_LOOP: Lock<Option<EventLoop>> = Lock::new(None);

        // The old one, if any, is dropped here, outside the lock.
        let mut deleted = None;
        DEFAULT_LOOP.with(|default_loop| match default_loop {
            Some(alive) if !alive.core().is_deleted() => alive.clone(),
            _ => {
                let fresh = Self::new_default();
                deleted = default_loop.replace(fresh.clone());
                fresh
            }
        })
    }

    #[cfg(feature = "std")]
    fn new_default() -> Self {
        Self::spawn(EventLoopArgs { task_name: "sys_evt".into(), ..EventLoopArgs::default() })
            .expect("the thread of the default event loop can't be started")
    }

    #[cfg(not(feature = "std"))]
    fn new_default() -> Self {
        Self::new(DEFAULT_QUEUE_SIZE)
    }

    /// A loop to be run by hand, whose queue holds `queue_size` events. Memory for them is taken at
    /// once. ESP-IDF: `esp_event_loop_create` without a task name.
    pub fn new(queue_size: usize) -> Self {
        Self { owner: Arc::new(Owner { core: Arc::new(Core::new(queue_size)) }) }
    }

    /// A loop with its own thread. ESP-IDF: `esp_event_loop_create` with a task name.
    ///
    /// The thread ends when the loop is deleted, and doesn't keep the process alive.
    ///
    /// # Errors
    /// The system's, if it can't start the thread.
    ///
    /// # Panics
    /// If the name contains a NUL.
    #[cfg(feature = "std")]
    pub fn spawn(args: EventLoopArgs) -> io::Result<Self> {
        let event_loop = Self::new(args.queue_size);
        let core = Arc::clone(event_loop.core());
        let mut builder = thread::Builder::new().name(args.task_name);
        if let Some(stack_size) = args.task_stack_size {
            builder = builder.stack_size(stack_size);
        }
        let task = builder.spawn(move || core.run_in_own_thread())?;
        // Nobody else has the loop yet, so there is no event before this is known.
        event_loop.core().belongs_to(task.thread());
        Ok(event_loop)
    }

    /// Ends the loop for all who hold it. Dropping the last clone does the same.
    ///
    /// An event that is being dispatched goes to all its handlers first, and this waits for it
    /// (unless called by one of them). Events in the queue are dropped, then all handlers. From now
    /// on posts fail with [`PostError::Deleted`], and registering has no effect. As with dropping
    /// a [`Subscription`], the caller must not hold a lock that a handler takes. ESP-IDF:
    /// `esp_event_loop_delete`.
    pub fn delete(&self) {
        self.core().delete();
    }
}

/// Listening.
impl EventLoop {
    /// Registers a handler for all events of a type, which is (base, any).
    ///
    /// Events of the same base that someone posted with data of another type are passed over. On a
    /// deleted loop the handler is dropped at once.
    pub fn on<E: Event>(&self, handler: impl FnMut(&E) + Send + 'static) -> Subscription {
        self.register(Filter::Base(E::BASE), typed(handler))
    }

    /// Registers a handler for the events of a type that have one id, which is (base, id).
    pub fn on_id<E: Event>(
        &self,
        id: EventId,
        handler: impl FnMut(&E) + Send + 'static,
    ) -> Subscription {
        self.register(Filter::Id(E::BASE, id), typed(handler))
    }

    /// Registers a handler on any of the three levels. ESP-IDF:
    /// `esp_event_handler_instance_register_with`.
    ///
    /// ```
    /// use esp_event::{EventLoop, Filter};
    ///
    /// let event_loop = EventLoop::new(4);
    /// event_loop.register(Filter::Any, |event| println!("{event}")).detach();
    /// ```
    pub fn register(
        &self,
        filter: Filter,
        handler: impl FnMut(&RawEvent) + Send + 'static,
    ) -> Subscription {
        match self.core().register(filter, Box::new(handler)) {
            Some(key) => Subscription::new(Arc::clone(self.core()), key),
            None => Subscription::of_deleted_loop(),
        }
    }
}

/// Telling.
impl EventLoop {
    /// Queues an event, and never waits. It allocates as much as the event is large.
    ///
    /// # Errors
    /// [`PostError::Full`] if there is no room, [`PostError::Deleted`]. The event is dropped.
    pub fn post(&self, event: impl Into<RawEvent>) -> Result<(), PostError> {
        self.core().post(event.into())
    }

    /// Queues an event, and waits for room at most this long; [`Duration::MAX`] is for ever.
    ///
    /// A handler of this loop never waits: only its own return can make room. ESP-IDF:
    /// `esp_event_post_to`.
    ///
    /// # Errors
    /// [`PostError::Full`] if there was no room in time, [`PostError::Deleted`]. The event is
    /// dropped.
    #[cfg(feature = "std")]
    pub fn post_within(
        &self,
        event: impl Into<RawEvent>,
        limit: Duration,
    ) -> Result<(), PostError> {
        self.core().post_until(event.into(), Instant::now().checked_add(limit))
    }

    /// What went through the loop so far. ESP-IDF: `esp_event_dump`.
    pub fn statistics(&self) -> Statistics {
        self.core().statistics()
    }
}

/// Running by hand.
impl EventLoop {
    /// Dispatches the events that are in the queue now, without waiting for more. What handlers
    /// post meanwhile stays for the next time, so this ends. Returns how many there were.
    ///
    /// # Errors
    /// [`RunError::Running`] if the loop is being run already, [`RunError::Deleted`].
    pub fn run_pending(&self) -> Result<usize, RunError> {
        let pending = self.statistics().queued;
        self.core().run_while(|count| count < pending)
    }

    /// Dispatches events until the queue is empty or `may_continue`, asked before each event,
    /// says no. Never waits. Returns how many events there were.
    ///
    /// This is `run` for those who bring their own clock:
    ///
    /// ```
    /// # use esp_event::EventLoop;
    /// # use core::cell::Cell;
    /// # let event_loop = EventLoop::new(1);
    /// # let ticks = Cell::new(0);
    /// # let now = || { ticks.set(ticks.get() + 1); ticks.get() };
    /// let end = now() + 20;
    /// event_loop.run_while(|| now() < end)?;
    /// # Ok::<(), esp_event::RunError>(())
    /// ```
    ///
    /// # Errors
    /// [`RunError::Running`] if the loop is being run already, [`RunError::Deleted`].
    pub fn run_while(&self, mut may_continue: impl FnMut() -> bool) -> Result<usize, RunError> {
        self.core().run_while(|_| may_continue())
    }

    /// Dispatches events, and waits for more, for this long; [`Duration::MAX`] is until the loop
    /// is deleted. Returns how many events there were.
    ///
    /// An event that was taken from the queue is finished even if the time is over. One that is in
    /// the queue already is taken even if `limit` is zero. ESP-IDF: `esp_event_loop_run`.
    ///
    /// # Errors
    /// [`RunError::Running`] if the loop is being run already, [`RunError::Deleted`] if it was
    /// deleted before (if it is deleted meanwhile, this returns early, without an error).
    #[cfg(feature = "std")]
    pub fn run(&self, limit: Duration) -> Result<usize, RunError> {
        self.core().run_until(Instant::now().checked_add(limit))
    }

    fn core(&self) -> &Arc<Core> {
        &self.owner.core
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventLoop({})", self.statistics())
    }
}

/// What went through a loop so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Events that were queued.
    pub received: u64,
    /// Events that were not, because the queue was full.
    pub dropped: u64,
    /// Events that are in the queue now.
    pub queued: usize,
    /// Handlers that are registered now.
    pub handlers: usize,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, dropped, queued, handlers } = self;
        write!(
            f,
            "received: {received}, dropped: {dropped}, queued: {queued}, handlers: {handlers}"
        )
    }
}

/// What the clones of a handle share. The loop's thread and the subscriptions share only the core:
/// they don't keep the loop from being deleted.
struct Owner {
    core: Arc<Core>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.delete();
    }
}

/// ESP-IDF's default of `CONFIG_ESP_SYSTEM_EVENT_QUEUE_SIZE`.
const DEFAULT_QUEUE_SIZE: usize = 32;

fn typed<E: Event>(mut handler: impl FnMut(&E)) -> impl FnMut(&RawEvent) {
    move |event| {
        if let Some(event) = event.data::<E>() {
            handler(event);
        }
    }
}
