//! A detached request and its engine, in every order that loom finds: whatever ends first, no thread
//! waits for ever, and every connection is dropped once.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test --package esp-http-server --lib model
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread::{self, JoinHandle};

use super::*;
use crate::ServerBuilder;
use crate::front::wake::{Sleep, Sleeper};
use crate::server::{Exchange, HttpConfig};

const SESSION: SessionId = SessionId::new(0, 3, 5);

/// Counts how often it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// An engine that has nothing but one session.
struct Engine {
    side: EngineSide,
    conn: Option<Box<Conn>>,
    thread: Arc<Handover>,
    sleeper: Sleeper,
    dropped: Arc<AtomicUsize>,
}

impl Engine {
    fn new() -> Self {
        let (_, shared) = ServerBuilder::new(HttpConfig::default()).share(1).unwrap();
        let sleeper = Sleeper::new().unwrap();
        let waker = sleeper.waker();
        shared.reach.mailboxes[0].set_waker(Arc::new(move || waker.wake()));
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut conn = Box::new(Conn::new(SESSION, None, shared.clone()));
        conn.exchange = Some(Box::new(Exchange::new()));
        conn.set_session_ctx(Counted(dropped.clone()));
        let (side, thread) = Handover::new(SESSION, shared.reach.clone(), None);
        Self { side, conn: Some(conn), thread, sleeper, dropped }
    }

    /// The handler has returned; whether somebody wants its request still.
    fn hand(&mut self) -> bool {
        let conn = self.conn.take().unwrap();
        self.conn = self.side.hand(conn, Wake::Ready).err();
        self.conn.is_none()
    }

    fn take(&self) -> VecDeque<Return> {
        let mut batch = VecDeque::new();
        self.thread.reach.mailboxes[0].take(&mut batch);
        batch.into_iter().filter_map(|work| work.into_return()).collect()
    }

    /// Waits until the connection comes back, as `EpollNet::wait` does.
    fn await_return(&mut self) -> Ask {
        loop {
            if let Some(back) = self.take().pop_front() {
                let (conn, ask) = back.take();
                self.conn = Some(conn);
                return ask;
            }
            while {
                if self.sleeper.fall_asleep() == Sleep::Deep {
                    self.sleeper.wait();
                }
                !self.sleeper.rise()
            } {}
        }
    }

    /// The session ends.
    fn close(self) -> Arc<Handover> {
        let Self { side, conn, thread, .. } = self;
        drop((side, conn));
        thread
    }
}

/// What a thread does with its request: it waits once.
fn work(thread: Arc<Handover>) {
    let Ok((conn, _)) = thread.claim() else { return };
    let (conn, _) = thread.wait(conn, Wait::Readable);
    thread.send_back(conn, Ask::Done);
}

/// An engine that has just handed the connection over to a thread.
fn begin() -> (Engine, JoinHandle<()>, Arc<AtomicUsize>) {
    let mut engine = Engine::new();
    let (there, dropped) = (engine.thread.clone(), engine.dropped.clone());
    let thread = thread::spawn(move || work(there));
    assert!(engine.hand());
    (engine, thread, dropped)
}

fn check(threads: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(threads);
}

#[test]
fn a_request_goes_there_and_back_and_there_and_back() {
    check(|| {
        let (mut engine, thread, dropped) = begin();
        assert!(matches!(engine.await_return(), Ask::Wait(_)));
        assert!(engine.hand());
        assert!(matches!(engine.await_return(), Ask::Done));
        thread.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        drop(engine.close());
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_session_that_ends_while_its_thread_is_anywhere_wakes_it() {
    check(|| {
        let (mut engine, thread, dropped) = begin();
        let mailbox_of = engine.close();
        // The engine goes on without it; then the engine ends, too.
        let mut batch = VecDeque::new();
        mailbox_of.reach.mailboxes[0].take(&mut batch);
        drop(batch);
        mailbox_of.reach.mailboxes[0].abandon();
        thread.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_session_that_ends_while_its_thread_waits_hands_the_connection_over() {
    check(|| {
        let (mut engine, thread, dropped) = begin();
        assert!(matches!(engine.await_return(), Ask::Wait(_)));
        engine.side.end(engine.conn.take().unwrap());
        let mailbox_of = engine.close();
        mailbox_of.reach.mailboxes[0].abandon();
        thread.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn an_engine_that_ends_before_its_session_wakes_the_thread() {
    check(|| {
        let (mut engine, thread, dropped) = begin();
        // As when it panics in the middle of what it was doing.
        engine.thread.reach.mailboxes[0].abandon();
        drop(engine.close());
        thread.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_session_that_ends_before_its_handler_returns_wakes_the_thread() {
    check(|| {
        let engine = Engine::new();
        let (there, dropped) = (engine.thread.clone(), engine.dropped.clone());
        let thread = thread::spawn(move || assert!(there.claim().is_err()));
        drop(engine.close());
        thread.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_request_that_is_dropped_while_it_is_handed_over_is_one_sides_or_the_others() {
    check(|| {
        let mut engine = Engine::new();
        let (there, dropped) = (engine.thread.clone(), engine.dropped.clone());
        let thread = thread::spawn(move || {
            if let Some(conn) = there.give_up() {
                there.send_back(conn, Ask::Done);
                return true;
            }
            false
        });
        let was_wanted = engine.hand();
        let had_it = thread.join().unwrap();
        assert_eq!(was_wanted, had_it);
        if had_it {
            assert!(matches!(engine.await_return(), Ask::Done));
        }
        assert!(engine.conn.is_some());
        drop(engine.close());
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}
