//! The queue: its limit, its numbers, and posting from everywhere.

mod common;

use std::cell::Cell;

use common::{Door, Lamp, NoteOnDrop, Notes};
use esp_event::{EventId, EventLoop, PostError, RawEvent, RunError};

#[test]
fn full_queue_drops_the_event_counts_it_and_says_its_length() {
    let event_loop = EventLoop::new(2);
    let notes = Notes::default();

    event_loop.post(Door::Opened).unwrap();
    event_loop.post(Door::Closed).unwrap();
    let too_many = NoteOnDrop(notes.clone(), "dropped");
    let error = event_loop.post(RawEvent::new(&common::DOORS, EventId(9), too_many)).unwrap_err();

    assert_eq!(error, PostError::Full { queue_size: 2 });
    assert_eq!(error.to_string(), "event dropped: the loop's queue of 2 events is full");
    assert_eq!(notes.take(), ["dropped"]);
    let statistics = event_loop.statistics();
    assert_eq!((statistics.received, statistics.dropped, statistics.queued), (2, 1, 2));
    assert_eq!(statistics.to_string(), "received: 2, dropped: 1, queued: 2, handlers: 0");

    assert_eq!(event_loop.run_pending(), Ok(2));
    event_loop.post(Door::Opened).unwrap();
    assert_eq!(event_loop.statistics().received, 3);
}

#[test]
fn queue_of_no_length_takes_nothing() {
    let event_loop = EventLoop::new(0);

    assert_eq!(event_loop.post(Door::Opened), Err(PostError::Full { queue_size: 0 }));
}

#[test]
fn handler_can_post_and_pending_events_are_those_of_now() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let (handler, in_handler) = (notes.clone(), event_loop.clone());
    let _subscription = event_loop.on(move |lamp: &Lamp| {
        handler.note(lamp.0.to_string());
        in_handler.post(Lamp(lamp.0 + 1)).unwrap();
    });

    event_loop.post(Lamp(0)).unwrap();

    assert_eq!(event_loop.run_pending(), Ok(1));
    assert_eq!(notes.take(), ["0"]);
    assert_eq!(event_loop.run_pending(), Ok(1));
    assert_eq!(notes.take(), ["1"]);
    event_loop.delete();
}

#[test]
fn run_while_asks_before_each_event() {
    let event_loop = EventLoop::new(8);
    let clock = Cell::new(0);
    for number in 0..5 {
        event_loop.post(Lamp(number)).unwrap();
    }

    let dispatched = event_loop.run_while(|| {
        clock.set(clock.get() + 10);
        clock.get() <= 30
    });

    assert_eq!(dispatched, Ok(3));
    assert_eq!(event_loop.statistics().queued, 2);
    assert_eq!(event_loop.run_while(|| true), Ok(2));
}

#[test]
fn handler_can_not_run_its_own_loop() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let (handler, in_handler) = (notes.clone(), event_loop.clone());
    let _subscription = event_loop.on(move |_: &Door| {
        handler.note(format!("{:?}", in_handler.run_pending()));
    });

    event_loop.post(Door::Opened).unwrap();
    event_loop.run_pending().unwrap();

    assert_eq!(notes.take(), [format!("{:?}", Err::<usize, _>(RunError::Running))]);
    assert_eq!(event_loop.run_pending(), Ok(0));
    event_loop.delete();
}

#[cfg(feature = "std")]
mod with_time {
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn run_ends_when_the_time_is_over() {
        let event_loop = EventLoop::new(4);
        let limit = Duration::from_millis(5);
        let start = Instant::now();

        assert_eq!(event_loop.run(limit), Ok(0));

        assert!(start.elapsed() >= limit);
    }

    #[test]
    fn run_of_no_time_dispatches_what_is_first_in_the_queue() {
        let event_loop = EventLoop::new(4);
        event_loop.post(Lamp(0)).unwrap();
        event_loop.post(Lamp(1)).unwrap();

        assert_eq!(event_loop.run(Duration::ZERO), Ok(1));
        assert_eq!(event_loop.run(Duration::ZERO), Ok(1));
        assert_eq!(event_loop.run(Duration::ZERO), Ok(0));
    }

    #[test]
    fn run_waits_for_events_of_other_threads_until_the_loop_is_deleted() {
        let event_loop = EventLoop::new(1);
        let (seen, lamps) = mpsc::channel();
        let _subscription = event_loop.on(move |lamp: &Lamp| seen.send(lamp.0).unwrap());
        let poster = event_loop.clone();
        let poster = thread::spawn(move || {
            for number in 0..3 {
                poster.post_within(Lamp(number), Duration::MAX).unwrap();
                assert_eq!(lamps.recv(), Ok(number));
            }
            poster.delete();
        });

        assert_eq!(event_loop.run(Duration::MAX), Ok(3));

        poster.join().unwrap();
    }

    #[test]
    fn post_within_a_time_gives_up_when_it_is_over() {
        let event_loop = EventLoop::new(1);
        event_loop.post(Door::Opened).unwrap();
        let limit = Duration::from_millis(5);
        let start = Instant::now();

        let error = event_loop.post_within(Door::Closed, limit);

        assert_eq!(error, Err(PostError::Full { queue_size: 1 }));
        assert!(start.elapsed() >= limit);
        assert_eq!(event_loop.statistics().dropped, 1);
    }

    #[test]
    fn post_within_a_time_goes_through_when_room_is_made() {
        let event_loop = EventLoop::new(1);
        event_loop.post(Lamp(0)).unwrap();
        let poster = event_loop.clone();
        let poster = thread::spawn(move || poster.post_within(Lamp(1), Duration::MAX));

        let last = event_loop.clone();
        let _subscription = event_loop.on(move |lamp: &Lamp| {
            if *lamp == Lamp(1) {
                last.delete();
            }
        });
        assert_eq!(event_loop.run(Duration::MAX), Ok(2));

        assert_eq!(poster.join().unwrap(), Ok(()));
    }

    #[test]
    fn post_within_a_time_never_waits_in_a_handler_of_the_loop() {
        let event_loop = EventLoop::new(1);
        let notes = Notes::default();
        let (handler, in_handler) = (notes.clone(), event_loop.clone());
        let _subscription = event_loop.on(move |_: &Door| {
            in_handler.post_within(Lamp(0), Duration::MAX).unwrap();
            let error = in_handler.post_within(Lamp(1), Duration::MAX).unwrap_err();
            handler.note(error.to_string());
        });

        event_loop.post(Door::Opened).unwrap();
        event_loop.run_pending().unwrap();

        assert_eq!(notes.take(), ["event dropped: the loop's queue of 1 events is full"]);
        assert_eq!(event_loop.statistics().dropped, 1);
        event_loop.delete();
    }

    #[test]
    fn post_that_waits_fails_when_the_loop_is_deleted() {
        let event_loop = EventLoop::new(0);
        let poster = event_loop.clone();
        let poster = thread::spawn(move || poster.post_within(Lamp(1), Duration::MAX));
        // Time enough for the other thread to be waiting already; right either way.
        (0..1000).for_each(|_| thread::yield_now());

        event_loop.delete();

        assert_eq!(poster.join().unwrap(), Err(PostError::Deleted));
    }
}
