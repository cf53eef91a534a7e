//! Loops with their own thread, and handlers that panic.
#![cfg(feature = "std")]

mod common;

use std::cell::RefCell;
use std::panic::panic_any;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::{Door, Lamp, NoteOnDrop, Notes, OPENED};
use esp_event::{EventLoop, EventLoopArgs, PostError, RawEvent, RunError};

#[test]
fn handlers_run_in_the_thread_of_the_loop() {
    let event_loop = EventLoop::spawn(EventLoopArgs {
        task_name: "lamps".into(),
        task_stack_size: Some(64 * 1024),
        ..EventLoopArgs::default()
    })
    .unwrap();
    let (heard, from_handler) = mpsc::channel();
    let _subscription = event_loop.on(move |lamp: &Lamp| {
        heard.send((lamp.0, thread::current().name().map(str::to_owned))).unwrap();
    });

    for number in 0..100 {
        event_loop.post(Lamp(number)).unwrap();
        assert_eq!(from_handler.recv(), Ok((number, Some("lamps".into()))));
    }
}

#[test]
fn loop_with_its_own_thread_can_not_be_run_by_hand() {
    let event_loop = EventLoop::spawn(EventLoopArgs::default()).unwrap();

    assert_eq!(event_loop.run_pending(), Err(RunError::Running));
}

#[test]
fn events_of_many_threads_all_arrive_and_each_thread_keeps_its_order() {
    const THREADS: u32 = 4;
    const EVENTS: u32 = 250;
    let event_loop =
        EventLoop::spawn(EventLoopArgs { queue_size: 3, ..EventLoopArgs::default() }).unwrap();
    let (heard, from_handler) = mpsc::channel();
    let _subscription = event_loop.on(move |lamp: &Lamp| heard.send(lamp.0).unwrap());

    thread::scope(|scope| {
        for poster in 0..THREADS {
            let event_loop = &event_loop;
            scope.spawn(move || {
                for number in 0..EVENTS {
                    let lamp = Lamp(poster * EVENTS + number);
                    event_loop.post_within(lamp, Duration::MAX).unwrap();
                }
            });
        }
    });

    let mut next = [0; THREADS as usize];
    for lamp in from_handler.iter().take((THREADS * EVENTS) as usize) {
        let poster = (lamp / EVENTS) as usize;
        assert_eq!(lamp % EVENTS, next[poster]);
        next[poster] += 1;
    }
    assert_eq!(next, [EVENTS; THREADS as usize]);
    assert_eq!(event_loop.statistics().dropped, 0);
}

#[test]
fn default_loop_is_one_for_all_and_made_anew_when_it_was_deleted() {
    let (heard, from_handler) = mpsc::channel();
    let again = heard.clone();
    let subscription = EventLoop::default_loop().on(move |_: &Door| {
        heard.send(thread::current().name().map(str::to_owned)).unwrap();
    });
    EventLoop::default_loop().post(Door::Opened).unwrap();
    assert_eq!(from_handler.recv(), Ok(Some("sys_evt".into())));

    let deleted = EventLoop::default_loop();
    deleted.delete();
    assert_eq!(deleted.post(Door::Opened), Err(PostError::Deleted));
    let _anew = EventLoop::default_loop().on(move |_: &Door| again.send(None).unwrap());
    EventLoop::default_loop().post(Door::Opened).unwrap();
    assert_eq!(from_handler.recv(), Ok(None));
    drop(subscription);
}

#[test]
fn handler_that_panics_stops_neither_the_others_nor_the_loop() {
    let event_loop = EventLoop::spawn(EventLoopArgs::default()).unwrap();
    let _bad = event_loop.on(|door: &Door| panic!("no {door:?} for me"));
    let (heard, from_handler) = mpsc::channel();
    let _good = event_loop.on(move |door: &Door| heard.send(*door).unwrap());

    event_loop.post(Door::Opened).unwrap();
    event_loop.post(Door::Closed).unwrap();

    assert_eq!(from_handler.recv(), Ok(Door::Opened));
    assert_eq!(from_handler.recv(), Ok(Door::Closed));
    assert_eq!(event_loop.statistics().handlers, 2);
}

#[test]
fn events_handlers_and_panics_that_panic_when_they_are_freed_stop_nothing() {
    struct PanicOnDrop;
    impl Drop for PanicOnDrop {
        fn drop(&mut self) {
            panic!("not even gone in peace");
        }
    }
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let _payload = event_loop.on(|_: &Door| panic_any(PanicOnDrop));
    let noted = notes.clone();
    let _doors = event_loop.on_id(OPENED, move |_: &Door| noted.note("heard"));
    let (shelf, owned) = (Arc::new(Mutex::new(None)), PanicOnDrop);
    let mine = Arc::clone(&shelf);
    *shelf.lock().unwrap() = Some(event_loop.on(move |_: &Door| {
        let _ = &owned;
        mine.lock().unwrap().take();
    }));

    event_loop.post(RawEvent::new(&common::LAMPS, OPENED, PanicOnDrop)).unwrap();
    event_loop.post(Door::Opened).unwrap();

    assert_eq!(event_loop.run_pending(), Ok(2));
    assert_eq!(notes.take(), ["heard"]);
    assert_eq!(event_loop.statistics().handlers, 2);
}

#[test]
fn dropping_the_last_handle_in_a_handler_ends_the_thread() {
    struct SendOnDrop(mpsc::Sender<()>);
    impl Drop for SendOnDrop {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    thread_local! {
        static END_OF_THREAD: RefCell<Option<SendOnDrop>> = const { RefCell::new(None) };
    }
    let event_loop = EventLoop::spawn(EventLoopArgs::default()).unwrap();
    let (ended, has_ended) = mpsc::channel();
    let (dropped, others_are_dropped) = mpsc::channel();
    let mut last = Some(event_loop.clone());
    let notes = Notes::default();
    let owned = NoteOnDrop(notes.clone(), "freed");
    event_loop
        .on(move |_: &Door| {
            let _ = &owned;
            END_OF_THREAD.set(Some(SendOnDrop(ended.clone())));
            others_are_dropped.recv().unwrap();
            last.take();
        })
        .detach();

    event_loop.post(Door::Opened).unwrap();
    drop(event_loop);
    dropped.send(()).unwrap();

    has_ended.recv().unwrap();
    assert_eq!(notes.take(), ["freed"]);
}
