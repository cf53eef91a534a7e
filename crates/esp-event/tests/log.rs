//! What a loop logs. Alone in its program: there is one logger per process.
#![cfg(feature = "std")]

mod common;

use std::sync::Mutex;

use common::{Door, Lamp};
use esp_event::EventLoop;
use log::{LevelFilter, Log, Metadata, Record};

static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        LOGGED.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

#[test]
fn panics_and_unheard_events_are_logged_with_the_event() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let event_loop = EventLoop::new(4);
    let _subscription = event_loop.on(|door: &Door| match door {
        Door::Opened => panic!("a plain message"),
        Door::Closed => panic!("a message about {door:?}"),
    });

    event_loop.post(Door::Opened).unwrap();
    event_loop.post(Door::Closed).unwrap();
    event_loop.post(Lamp(1)).unwrap();
    event_loop.run_pending().unwrap();

    assert_eq!(
        *LOGGED.lock().unwrap(),
        [
            "ERROR a handler of event DOORS:0 panicked: a plain message",
            "ERROR a handler of event DOORS:1 panicked: a message about Closed",
            "DEBUG no handler for event LAMPS:0",
        ]
    );
}
