//! How other threads and a worker meet, in every order that loom finds: no work is lost, and no worker
//! sleeps while there is some.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test --package esp-http-server --lib model
//! ```

use std::sync::Arc;

use loom::thread;

use super::*;
use crate::front::wake::{Sleep, Sleeper};
use crate::server::published::{Published, Snapshot};

fn close(slot: u32) -> Work {
    Work::For(SessionId::new(0, slot, 1), Order::Close)
}

fn slot(work: Work) -> u32 {
    match work {
        Work::For(id, Order::Close) => id.slot(),
        _ => unreachable!("only that was queued"),
    }
}

/// In every order that changes threads against their will three times at most: bugs that need more are
/// rare, and the time it takes grows with the power of that number.
fn check(threads: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(threads);
}

/// The mailbox of a worker, and what lets that sleep.
fn worker() -> (Arc<Mailbox>, Sleeper) {
    let mailbox = Arc::new(Mailbox::new(10));
    let sleeper = Sleeper::new().unwrap();
    let waker = sleeper.waker();
    mailbox.set_waker(Arc::new(move || waker.wake()));
    (mailbox, sleeper)
}

/// A worker's wait, as in `EpollNet::wait`.
fn sleep(sleeper: &Sleeper) {
    loop {
        if sleeper.fall_asleep() == Sleep::Deep {
            sleeper.wait();
        }
        if sleeper.rise() {
            return;
        }
    }
}

#[test]
fn a_worker_that_sleeps_is_woken_for_whatever_is_queued() {
    check(|| {
        let (mailbox, sleeper) = worker();
        let threads = [1, 2].map(|number| {
            let mailbox = mailbox.clone();
            thread::spawn(move || mailbox.push(close(number)).unwrap())
        });
        let (mut done, mut batch) = (Vec::new(), VecDeque::new());
        loop {
            mailbox.take(&mut batch);
            done.extend(batch.drain(..).map(slot));
            if done.len() == 2 {
                break;
            }
            sleep(&sleeper);
        }
        done.sort_unstable();
        assert_eq!(done, [1, 2]);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn work_of_one_thread_is_done_in_its_order() {
    check(|| {
        let (mailbox, sleeper) = worker();
        let thread = thread::spawn({
            let mailbox = mailbox.clone();
            move || [1, 2].map(|number| mailbox.push(close(number)).unwrap())
        });
        let (mut done, mut batch) = (Vec::new(), VecDeque::new());
        while done.len() < 2 {
            mailbox.take(&mut batch);
            done.extend(batch.drain(..).map(slot));
            if done.len() < 2 {
                sleep(&sleeper);
            }
        }
        assert_eq!(done, [1, 2]);
        thread.join().unwrap();
    });
}

#[test]
fn work_that_a_stopping_worker_accepts_is_done_and_no_other() {
    check(|| {
        let mailbox = Arc::new(Mailbox::new(10));
        let thread = thread::spawn({
            let mailbox = mailbox.clone();
            move || [1, 2].map(|number| mailbox.push(close(number)).is_ok())
        });
        let (mut done, mut batch) = (Vec::new(), VecDeque::new());
        mailbox.take(&mut batch);
        done.extend(batch.drain(..).map(slot));
        mailbox.take_last(&mut batch);
        done.extend(batch.drain(..).map(slot));
        let accepted = thread.join().unwrap();
        let accepted: Vec<_> = [1, 2]
            .into_iter()
            .zip(accepted)
            .filter_map(|(number, ok)| ok.then_some(number))
            .collect();
        assert_eq!(done, accepted);
        mailbox.take(&mut batch);
        assert!(batch.is_empty());
    });
}

#[test]
fn a_copy_is_never_older_than_one_before_and_a_change_is_never_lost() {
    check(|| {
        let numbers = Arc::new(Published::new(0));
        let threads = [(); 2].map(|()| {
            let numbers = numbers.clone();
            thread::spawn(move || numbers.change(|number| *number += 1))
        });
        let mut worker = Snapshot::of(&numbers);
        let first = **worker.newest(&numbers);
        let second = **worker.newest(&numbers);
        assert!(first <= second && second <= 2);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(**worker.newest(&numbers), 2);
    });
}
