//! The time of day, as responses tell it in `Date` (RFC 9110, section 6.6.1).

use alloc::boxed::Box;
use core::time::Duration;

use crate::handler::contain;
use crate::proto::response as encode;
use crate::time::Instant;

/// What tells the time of day, counted from 1970 UTC; `None` as long as nobody knows it.
pub(crate) type WallClock = Box<dyn Fn() -> Option<Duration> + Send + Sync>;

/// The value of `Date`.
pub(crate) type Date = [u8; 29];

/// A worker's `Date`: asked for and formatted once a second, however many responses carry it.
#[derive(Debug)]
pub(super) struct DateCache {
    date: Option<Date>,
    /// When the second that it tells is over.
    until: Instant,
}

impl DateCache {
    pub(super) const fn new() -> Self {
        Self { date: None, until: Instant::START }
    }

    /// The date at `now`; `None` without a clock, or as long as that does not know it.
    pub(super) fn at(&mut self, now: Instant, clock: Option<&WallClock>) -> Option<&Date> {
        let clock = clock?;
        if now >= self.until {
            let time = ask(clock);
            self.date = time.map(|time| encode::date(time.as_secs()));
            let fraction = time.map_or(0, |time| time.subsec_nanos());
            self.until = now + (Duration::from_secs(1) - Duration::from_nanos(fraction.into()));
        }
        self.date.as_ref()
    }
}

/// The date now, for threads that have no worker's cache.
#[cfg(feature = "std")]
pub(crate) fn date_now(clock: Option<&WallClock>) -> Option<Date> {
    ask(clock?).map(|time| encode::date(time.as_secs()))
}

/// A clock that panics does not know the time.
fn ask(clock: &WallClock) -> Option<Duration> {
    contain(clock).flatten()
}
