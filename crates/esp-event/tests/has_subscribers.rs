//! What a poster learns without posting. Alone in its program: handlers for (any, any) of other
//! tests would be seen here.

mod common;

use common::{DOORS, Door, LAMPS, OPENED};
use esp_event::{EventBase, EventLoop, Filter};

#[test]
fn has_subscribers_follows_every_registration_of_every_loop() {
    static NEVER_ASKED: EventBase = EventBase::new("NEVER_ASKED");
    let one = EventLoop::new(4);
    let other = EventLoop::new(4);

    assert!(!DOORS.has_subscribers());

    let base = one.on(|_: &Door| {});
    let id = other.register(Filter::Id(&DOORS, OPENED), |_| {});
    assert!(DOORS.has_subscribers());
    assert!(!LAMPS.has_subscribers());
    drop(base);
    assert!(DOORS.has_subscribers());
    drop(id);
    assert!(!DOORS.has_subscribers());

    // (any, any) reaches bases that were asked before and those that were not.
    let any = one.register(Filter::Any, |_| {});
    assert!(DOORS.has_subscribers());
    assert!(NEVER_ASKED.has_subscribers());
    let typed = one.on(|_: &Door| {});
    drop(any);
    assert!(DOORS.has_subscribers());
    assert!(!LAMPS.has_subscribers());
    assert!(!NEVER_ASKED.has_subscribers());
    drop(typed);
    assert!(!DOORS.has_subscribers());

    // A deleted loop listens no more, and its subscriptions are not counted twice.
    let kept = one.on(|_: &Door| {});
    one.register(Filter::Any, |_| {}).detach();
    one.delete();
    assert!(!DOORS.has_subscribers());
    let too_late = one.on(|_: &Door| {});
    assert!(!DOORS.has_subscribers());
    drop((kept, too_late));
    assert!(!DOORS.has_subscribers());
    let again = other.on(|_: &Door| {});
    assert!(DOORS.has_subscribers());

    // One that unregisters itself is gone at once.
    let mut its_own = Some(again);
    let unregistering = other.on(move |_: &Door| {
        its_own.take();
    });
    other.post(Door::Opened).unwrap();
    other.run_pending().unwrap();
    drop(unregistering);
    assert!(!DOORS.has_subscribers());
}
