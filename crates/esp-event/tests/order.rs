//! Who is called for an event, and in which order.

mod common;

use common::{CLOSED, DOORS, Door, LAMPS, Lamp, Notes, OPENED};
use esp_event::{EventBase, EventId, EventLoop, Filter, RawEvent};

#[test]
fn levels_go_from_any_to_base_to_id_whatever_the_order_of_registration() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let register = |filter, name: &'static str| {
        let notes = notes.clone();
        event_loop.register(filter, move |_| notes.note(name)).detach();
    };
    register(Filter::Id(&DOORS, OPENED), "id 1");
    register(Filter::Base(&DOORS), "base 1");
    register(Filter::Any, "any 1");
    register(Filter::Id(&DOORS, OPENED), "id 2");
    register(Filter::Any, "any 2");
    register(Filter::Base(&DOORS), "base 2");

    event_loop.post(Door::Opened).unwrap();
    event_loop.run_pending().unwrap();

    assert_eq!(notes.take(), ["any 1", "any 2", "base 1", "base 2", "id 1", "id 2"]);
}

#[test]
fn only_matching_handlers_are_called() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let register = |filter, name: &'static str| {
        let notes = notes.clone();
        event_loop.register(filter, move |event| notes.note(format!("{name} {event}"))).detach();
    };
    register(Filter::Any, "any");
    register(Filter::Base(&DOORS), "doors");
    register(Filter::Base(&LAMPS), "lamps");
    register(Filter::Id(&DOORS, OPENED), "opened");
    register(Filter::Id(&DOORS, CLOSED), "closed");

    event_loop.post(Door::Closed).unwrap();
    event_loop.post(Lamp(1)).unwrap();
    event_loop.run_pending().unwrap();

    assert_eq!(
        notes.take(),
        ["any DOORS:1", "doors DOORS:1", "closed DOORS:1", "any LAMPS:0", "lamps LAMPS:0"]
    );
}

#[test]
fn typed_handlers_receive_the_event_itself() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let (all, closed) = (notes.clone(), notes.clone());
    let _all = event_loop.on(move |event: &Door| all.note(format!("{event:?}")));
    let _closed =
        event_loop.on_id(CLOSED, move |event: &Door| closed.note(format!("only {event:?}")));

    event_loop.post(Door::Opened).unwrap();
    event_loop.post(Door::Closed).unwrap();
    event_loop.run_pending().unwrap();

    assert_eq!(notes.take(), ["Opened", "Closed", "only Closed"]);
}

#[test]
fn typed_handlers_pass_over_data_of_another_type() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let (typed, raw) = (notes.clone(), notes.clone());
    let _typed = event_loop.on(move |_: &Door| typed.note("typed"));
    let _raw = event_loop.register(Filter::Base(&DOORS), move |event| {
        raw.note(format!("raw {:?} {:?}", event.data::<u16>(), event.data::<Door>()));
    });

    event_loop.post(RawEvent::new(&DOORS, OPENED, 7_u16)).unwrap();
    event_loop.run_pending().unwrap();

    assert_eq!(notes.take(), ["raw Some(7) None"]);
}

#[test]
fn two_bases_of_one_name_are_two_bases() {
    static IMPOSTOR: EventBase = EventBase::new("DOORS");
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let doors = notes.clone();
    let _doors = event_loop.register(Filter::Base(&DOORS), move |_| doors.note("heard"));

    event_loop.post(RawEvent::new(&IMPOSTOR, EventId(0), ())).unwrap();
    event_loop.run_pending().unwrap();

    assert!(notes.take().is_empty());
}

#[test]
fn handler_registered_by_a_handler_hears_the_next_event_only() {
    let event_loop = EventLoop::new(4);
    let notes = Notes::default();
    let (outer, in_handler) = (notes.clone(), event_loop.clone());
    let mut registered = false;
    // The new ones stand behind and before the running one.
    let subscription = event_loop.on(move |_: &Door| {
        outer.note("old");
        if !registered {
            registered = true;
            for (filter, name) in [(Filter::Any, "new any"), (Filter::Base(&DOORS), "new base")] {
                let inner = outer.clone();
                in_handler.register(filter, move |_| inner.note(name)).detach();
            }
        }
    });

    event_loop.post(Door::Opened).unwrap();
    event_loop.run_pending().unwrap();
    assert_eq!(notes.take(), ["old"]);

    event_loop.post(Door::Opened).unwrap();
    event_loop.run_pending().unwrap();
    assert_eq!(notes.take(), ["new any", "old", "new base"]);
    drop(subscription);
}

#[test]
fn events_keep_the_order_in_which_they_were_posted() {
    let event_loop = EventLoop::new(100);
    let notes = Notes::default();
    let lamps = notes.clone();
    let _lamps = event_loop.on(move |lamp: &Lamp| lamps.note(lamp.0.to_string()));

    for number in 0..100 {
        event_loop.post(Lamp(number)).unwrap();
    }
    assert_eq!(event_loop.run_pending(), Ok(100));

    let expected: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(notes.take(), expected);
}
