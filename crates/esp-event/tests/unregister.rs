//! The end of a subscription, at every moment it can come.

mod common;

use std::sync::{Arc, Mutex};

use common::{Door, NoteOnDrop, Notes};
use esp_event::{EventLoop, Subscription};

type Shelf = Arc<Mutex<Option<Subscription>>>;

fn post_and_run(event_loop: &EventLoop) {
    event_loop.post(Door::Opened).unwrap();
    event_loop.run_pending().unwrap();
}

#[test]
fn dropped_subscription_unregisters_and_frees_the_handler() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let (handler, owned) = (notes.clone(), NoteOnDrop(notes.clone(), "freed"));
    let subscription = event_loop.on(move |_: &Door| {
        let _ = &owned;
        handler.note("heard");
    });

    post_and_run(&event_loop);
    assert_eq!(notes.take(), ["heard"]);
    drop(subscription);
    assert_eq!(notes.take(), ["freed"]);
    post_and_run(&event_loop);
    assert!(notes.take().is_empty());
    assert_eq!(event_loop.statistics().handlers, 0);
}

#[test]
fn event_queued_before_the_drop_is_not_heard_after_it() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let handler = notes.clone();
    let subscription = event_loop.on(move |_: &Door| handler.note("heard"));

    event_loop.post(Door::Opened).unwrap();
    drop(subscription);
    event_loop.run_pending().unwrap();

    assert!(notes.take().is_empty());
}

#[test]
fn detached_subscription_keeps_the_handler() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let handler = notes.clone();
    event_loop.on(move |_: &Door| handler.note("heard")).detach();

    post_and_run(&event_loop);

    assert_eq!(notes.take(), ["heard"]);
}

#[test]
fn handler_that_unregisters_itself_is_freed_after_it_returned() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let shelf = Shelf::default();
    let (handler, mine) = (notes.clone(), Arc::clone(&shelf));
    let owned = NoteOnDrop(notes.clone(), "freed");
    *shelf.lock().unwrap() = Some(event_loop.on(move |_: &Door| {
        handler.note("called");
        mine.lock().unwrap().take();
        handler.note("still here");
        let _ = &owned;
    }));

    post_and_run(&event_loop);
    assert_eq!(notes.take(), ["called", "still here", "freed"]);
    post_and_run(&event_loop);
    assert!(notes.take().is_empty());
}

#[test]
fn handler_unregistered_by_an_earlier_one_does_not_hear_the_event() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let shelf = Shelf::default();
    let (first, others) = (notes.clone(), Arc::clone(&shelf));
    let _first = event_loop.on(move |_: &Door| {
        first.note("first");
        others.lock().unwrap().take();
    });
    let second = notes.clone();
    *shelf.lock().unwrap() = Some(event_loop.on(move |_: &Door| second.note("second")));
    let third = notes.clone();
    let _third = event_loop.on(move |_: &Door| third.note("third"));

    post_and_run(&event_loop);

    assert_eq!(notes.take(), ["first", "third"]);
}

#[test]
fn unregistering_an_earlier_handler_skips_nobody() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let first = notes.clone();
    let mut first_subscription = Some(event_loop.on(move |_: &Door| first.note("first")));
    let second = notes.clone();
    let _second = event_loop.on(move |_: &Door| {
        second.note("second");
        first_subscription.take();
    });
    let third = notes.clone();
    let _third = event_loop.on(move |_: &Door| third.note("third"));

    post_and_run(&event_loop);
    assert_eq!(notes.take(), ["first", "second", "third"]);
    post_and_run(&event_loop);
    assert_eq!(notes.take(), ["second", "third"]);
}

#[test]
fn what_a_handler_owned_may_use_the_loop_while_it_is_freed() {
    struct PostOnDrop(EventLoop);
    impl Drop for PostOnDrop {
        fn drop(&mut self) {
            self.0.post(Door::Closed).unwrap();
        }
    }
    let event_loop = EventLoop::new(4);
    let owned = PostOnDrop(event_loop.clone());
    let subscription = event_loop.on(move |_: &Door| {
        let _ = &owned;
    });

    drop(subscription);

    assert_eq!(event_loop.statistics().queued, 1);
}

#[cfg(feature = "std")]
#[test]
fn unregistering_from_another_thread_waits_for_the_running_handler() {
    use std::sync::mpsc;
    use std::thread;

    let event_loop = EventLoop::spawn(Default::default()).unwrap();
    let notes = Notes::default();
    let (entered, has_entered) = mpsc::channel();
    let (handler, watched) = (notes.clone(), event_loop.clone());
    let owned = NoteOnDrop(notes.clone(), "freed");
    let subscription = event_loop.on(move |_: &Door| {
        entered.send(()).unwrap();
        // The registration goes first, then the other thread waits.
        while watched.statistics().handlers > 0 {
            thread::yield_now();
        }
        // Time enough for one that doesn't wait to be caught.
        for _ in 0..1000 {
            thread::yield_now();
        }
        handler.note("returned");
        let _ = &owned;
    });

    event_loop.post(Door::Opened).unwrap();
    has_entered.recv().unwrap();
    drop(subscription);

    assert_eq!(notes.take(), ["returned", "freed"]);
    event_loop.delete();
}

#[cfg(feature = "std")]
#[test]
fn unregistering_from_another_thread_does_not_wait_for_other_handlers() {
    use std::sync::mpsc;
    use std::thread;

    let event_loop = EventLoop::spawn(Default::default()).unwrap();
    let (entered, has_entered) = mpsc::channel();
    let watched = event_loop.clone();
    let first = event_loop.on(move |_: &Door| {
        entered.send(()).unwrap();
        while watched.statistics().handlers > 1 {
            thread::yield_now();
        }
    });
    let (unregistered, first_is_unregistered) = mpsc::channel();
    let (heard, second_heard) = mpsc::channel();
    let _second = event_loop.on(move |_: &Door| {
        first_is_unregistered.recv().unwrap();
        heard.send(()).unwrap();
    });

    event_loop.post(Door::Opened).unwrap();
    has_entered.recv().unwrap();
    drop(first);
    unregistered.send(()).unwrap();

    second_heard.recv().unwrap();
}
