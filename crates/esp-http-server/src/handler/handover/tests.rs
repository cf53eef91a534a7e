//! Two threads and what lies between them, without an engine: also for Miri, which tries other
//! interleavings with every seed (`-Zmiri-many-seeds`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::ServerBuilder;
use crate::server::{Exchange, HttpConfig, ServerHandle, Work};

/// Counts how often it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Both sides, a connection, and how many contexts were dropped.
struct Setup {
    side: EngineSide,
    thread: Arc<Handover>,
    conn: Box<Conn>,
    dropped: Arc<AtomicUsize>,
}

const SESSION: SessionId = SessionId::new(0, 3, 5);

fn setup() -> Setup {
    let (_, shared) = ServerBuilder::new(HttpConfig::default()).share(1).unwrap();
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut conn = Box::new(Conn::new(SESSION, None, shared.clone()));
    conn.exchange = Some(Box::new(Exchange::new()));
    conn.set_session_ctx(Counted(dropped.clone()));
    let (side, thread) = Handover::new(SESSION, shared.reach.clone(), None);
    Setup { side, thread, conn, dropped }
}

/// What the thread has given back.
fn take(thread: &Handover) -> VecDeque<Return> {
    let mut batch = VecDeque::new();
    thread.reach.mailboxes[0].take(&mut batch);
    batch.into_iter().filter_map(|work| work.into_return()).collect()
}

/// Until the thread has given something back.
fn await_return(thread: &Handover) -> Return {
    loop {
        if let Some(back) = take(thread).pop_front() {
            return back;
        }
        thread::yield_now();
    }
}

#[test]
fn the_connection_goes_there_and_back_and_there() {
    let Setup { side, thread, conn, dropped } = setup();
    let there = thread.clone();
    let worker = thread::spawn(move || {
        let conn = there.claim().unwrap().0;
        let (conn, wake) = there.wait(conn, Wait::Readable);
        assert_eq!(wake, Wake::TimedOut);
        there.send_back(conn, Ask::Done);
    });
    assert!(side.hand(conn, Wake::Ready).is_ok());
    let (conn, ask) = await_return(&thread).take();
    assert!(matches!(ask, Ask::Wait(Wait::Readable)));
    assert!(side.hand(conn, Wake::TimedOut).is_ok());
    worker.join().unwrap();
    let (conn, ask) = await_return(&thread).take();
    assert!(matches!(ask, Ask::Done));
    drop((side, conn));
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn a_session_that_ends_before_the_handler_returns_leaves_nothing_to_claim() {
    let setup = setup();
    let there = setup.thread.clone();
    let worker = thread::spawn(move || there.claim().map(drop));
    drop(setup.side);
    assert!(matches!(worker.join().unwrap(), Err(Error::Closed)));
    assert_eq!(setup.thread.peer(), Peer::Gone);
}

#[test]
fn a_request_that_was_answered_is_told_from_a_session_that_has_ended() {
    let setup = setup();
    setup.side.refuse();
    assert!(matches!(setup.thread.claim(), Err(Error::ResponseStarted)));
    assert!(matches!(setup.thread.check(), Err(Error::ResponseStarted)));
    assert_eq!(setup.thread.peer(), Peer::Sending);
}

#[test]
fn what_nobody_has_claimed_is_dropped_with_the_session() {
    let Setup { side, thread, conn, dropped } = setup();
    assert!(side.hand(conn, Wake::Ready).is_ok());
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    drop(side);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert!(matches!(thread.claim(), Err(Error::Closed)));
    assert!(thread.give_up().is_none());
}

#[test]
fn a_request_that_was_given_up_is_not_handed_over() {
    let Setup { side, thread, conn, .. } = setup();
    assert!(thread.give_up().is_none());
    assert!(side.hand(conn, Wake::Ready).is_err());
    // One that lies there already goes back.
    let Setup { side, thread, conn, .. } = setup();
    assert!(side.hand(conn, Wake::Ready).is_ok());
    assert!(thread.give_up().is_some());
    drop(side);
}

#[test]
fn a_thread_whose_connection_nobody_wants_gets_it_back() {
    for end in [false, true] {
        let setup = setup();
        assert!(setup.side.hand(setup.conn, Wake::Ready).is_ok());
        let there = setup.thread.clone();
        let conn = there.claim().unwrap().0;
        let worker = thread::spawn(move || {
            let (conn, wake) = there.wait(conn, Wait::For(Duration::MAX));
            assert!(conn.is_closing());
            drop(conn);
            wake
        });
        let back = await_return(&setup.thread);
        if end {
            drop(setup.side);
        }
        drop(back);
        assert_eq!(worker.join().unwrap(), Wake::Closing);
        assert_eq!(setup.dropped.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn a_connection_that_is_given_back_to_nobody_is_dropped() {
    let Setup { side, thread, conn, dropped } = setup();
    assert!(side.hand(conn, Wake::Ready).is_ok());
    let conn = thread.claim().unwrap().0;
    thread.reach.mailboxes[0].abandon();
    let (conn, wake) = thread.wait(conn, Wait::Readable);
    assert_eq!((wake, conn.is_closing()), (Wake::Closing, true));
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    thread.send_back(conn, Ask::Done);
    assert_eq!((dropped.load(Ordering::Relaxed), take(&thread).len()), (1, 0));
}

#[test]
fn a_connection_in_a_mailbox_that_is_abandoned_is_given_back_or_dropped() {
    let Setup { side, thread, conn, dropped } = setup();
    assert!(side.hand(conn, Wake::Ready).is_ok());
    let conn = thread.claim().unwrap().0;
    thread.send_back(conn, Ask::Done);
    drop(side);
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    thread.reach.mailboxes[0].abandon();
    assert_eq!(dropped.load(Ordering::Relaxed), 1);

    let Setup { side, thread, conn, .. } = setup();
    assert!(side.hand(conn, Wake::Ready).is_ok());
    let conn = thread.claim().unwrap().0;
    let there = thread.clone();
    let worker = thread::spawn(move || there.wait(conn, Wait::Readable).1);
    while !thread.reach.mailboxes[0].is_filled() {
        thread::yield_now();
    }
    thread.reach.mailboxes[0].abandon();
    assert_eq!(worker.join().unwrap(), Wake::Closing);
}

#[test]
fn a_mailbox_that_is_full_or_closing_takes_connections_in_order_with_all_else() {
    let config = HttpConfig { work_queue_len: 2, ..HttpConfig::default() };
    let (_, shared) = ServerBuilder::new(config).share(1).unwrap();
    let (server, mailbox) = (ServerHandle::new(shared.reach.clone()), &shared.reach.mailboxes[0]);
    let send_back = || {
        let (_, thread) = Handover::new(SESSION, shared.reach.clone(), None);
        thread.send_back(Box::new(Conn::new(SESSION, None, shared.clone())), Ask::Done);
    };
    let returns = |batch: VecDeque<_>| -> Vec<bool> {
        batch.into_iter().map(|work: Work| work.into_return().is_some()).collect()
    };
    server.queue_work(|_| ()).unwrap();
    send_back();
    server.queue_work(|_| ()).unwrap();
    assert!(matches!(server.queue_work(|_| ()), Err(Error::WorkQueueFull { limit: 2 })));
    send_back();
    let mut batch = VecDeque::new();
    mailbox.take_last(&mut batch);
    assert_eq!(returns(batch), [false, true, false, true]);
    assert!(matches!(server.queue_work(|_| ()), Err(Error::Stopping)));
    assert!(!mailbox.is_filled());
    send_back();
    assert!(mailbox.is_filled());
    let mut batch = VecDeque::new();
    mailbox.take(&mut batch);
    assert_eq!(returns(batch), [true]);
    mailbox.abandon();
    send_back();
    assert!(!mailbox.is_filled());
}

/// A thread that claims, waits some times and is done, or gives up; and an engine that serves it for
/// some steps and then ends the session or itself.
fn race(waits: usize, steps: usize, session_ends_first: bool) {
    let Setup { side, thread, conn, dropped } = setup();
    let there = thread.clone();
    let worker = thread::spawn(move || {
        let Ok((mut conn, _)) = there.claim() else { return };
        for _ in 0..waits {
            let (back, wake) = there.wait(conn, Wait::Readable);
            conn = back;
            if wake == Wake::Closing {
                break;
            }
        }
        there.send_back(conn, Ask::Done);
    });
    let mut here = side.hand(conn, Wake::Ready).err();
    for _ in 0..steps {
        for back in take(&thread) {
            let (conn, ask) = back.take();
            match ask {
                Ask::Wait(_) => assert!(side.hand(conn, Wake::Ready).is_ok()),
                Ask::Done => here = Some(conn),
            }
        }
        side.set_peer(Peer::Finished);
        thread::yield_now();
    }
    if session_ends_first {
        drop((here, side));
        drop(take(&thread));
        thread.reach.mailboxes[0].abandon();
    } else {
        thread.reach.mailboxes[0].abandon();
        drop((here, side));
    }
    worker.join().unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn whoever_ends_first_nobody_waits_for_ever_and_every_connection_is_dropped_once() {
    let rounds = if cfg!(miri) { 1 } else { 50 };
    for _ in 0..rounds {
        for waits in [0, 1, 3] {
            for steps in [0, 1, 2, 10] {
                race(waits, steps, true);
                race(waits, steps, false);
            }
        }
    }
}
