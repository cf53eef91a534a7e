//! The end of a loop.

mod common;

use common::{DOORS, Door, NoteOnDrop, Notes, OPENED};
use esp_event::{EventLoop, PostError, RawEvent, RunError};

#[test]
fn deleting_drops_events_then_handlers_and_closes_the_loop() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let owned = NoteOnDrop(notes.clone(), "handler freed");
    let subscription = event_loop.on(move |_: &Door| {
        let _ = &owned;
    });
    let data = NoteOnDrop(notes.clone(), "event freed");
    event_loop.post(RawEvent::new(&DOORS, OPENED, data)).unwrap();

    event_loop.delete();

    assert_eq!(notes.take(), ["event freed", "handler freed"]);
    assert_eq!(event_loop.post(Door::Opened), Err(PostError::Deleted));
    assert_eq!(event_loop.run_pending(), Err(RunError::Deleted));
    assert_eq!(event_loop.statistics().dropped, 0);
    event_loop.delete();
    drop(subscription);
}

#[test]
fn dropping_the_last_handle_deletes_though_subscriptions_are_left() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let owned = NoteOnDrop(notes.clone(), "freed");
    let subscription = event_loop.on(move |_: &Door| {
        let _ = &owned;
    });
    let second_handle = event_loop.clone();

    drop(event_loop);
    assert!(notes.take().is_empty());
    drop(second_handle);
    assert_eq!(notes.take(), ["freed"]);
    drop(subscription);
}

#[test]
fn registering_on_a_deleted_loop_drops_the_handler() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    event_loop.delete();

    let owned = NoteOnDrop(notes.clone(), "freed");
    let _subscription = event_loop.on(move |_: &Door| {
        let _ = &owned;
    });

    assert_eq!(notes.take(), ["freed"]);
}

#[test]
fn event_in_dispatch_goes_to_all_handlers_when_one_deletes_the_loop() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let (first, in_handler) = (notes.clone(), event_loop.clone());
    let owned = NoteOnDrop(notes.clone(), "first freed");
    event_loop
        .on(move |_: &Door| {
            let _ = &owned;
            in_handler.delete();
            first.note("first");
        })
        .detach();
    let second = notes.clone();
    event_loop.on(move |_: &Door| second.note("second")).detach();

    event_loop.post(Door::Opened).unwrap();
    event_loop.post(Door::Closed).unwrap();

    assert_eq!(event_loop.run_pending(), Ok(1));
    assert_eq!(notes.take(), ["first", "second", "first freed"]);
    assert_eq!(event_loop.statistics().handlers, 0);
}

#[test]
fn handler_may_own_the_last_handle_of_its_loop() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let owned = NoteOnDrop(notes.clone(), "freed");
    let its_own = event_loop.clone();
    let subscription = event_loop.on(move |_: &Door| {
        let _ = (&its_own, &owned);
    });

    drop(event_loop);
    assert!(notes.take().is_empty());
    drop(subscription);
    assert_eq!(notes.take(), ["freed"]);
}

#[cfg(feature = "std")]
#[test]
fn deleting_waits_for_the_event_in_dispatch() {
    use std::sync::mpsc;
    use std::thread;

    let event_loop = EventLoop::spawn(Default::default()).unwrap();
    let notes = Notes::default();
    let (entered, has_entered) = mpsc::channel();
    let (handler, watched) = (notes.clone(), event_loop.clone());
    let owned = NoteOnDrop(notes.clone(), "freed");
    event_loop
        .on(move |_: &Door| {
            let _ = &owned;
            entered.send(()).unwrap();
            while watched.post(Door::Closed) != Err(PostError::Deleted) {
                thread::yield_now();
            }
            // Time enough for one that doesn't wait to be caught.
            for _ in 0..1000 {
                thread::yield_now();
            }
            handler.note("returned");
        })
        .detach();

    event_loop.post(Door::Opened).unwrap();
    has_entered.recv().unwrap();
    event_loop.delete();

    assert_eq!(notes.take(), ["returned", "freed"]);
}
