//! The time of day, as responses tell it in `Date` (RFC 9110, section 6.6.1).

use alloc::boxed::Box;
use core::time::Duration;

use crate::handler::contain;
use crate::proto::response as encode;
use crate::time::Instant;

/// What tells the time of day, counted from 1970 UTC; `None` as long as nobody knows it.
pub(crate) type WallClock = Box<dyn Fn() -> Option<Duration> + Send + Sync>;

/// The field line of `Date`, as it stands in a response.
pub(super) type DateLine = [u8; 37];

/// A worker's `Date`: asked for and formatted once a second, however many responses carry it.
#[derive(Debug)]
pub(super) struct DateCache {
    line: Option<DateLine>,
    /// When the second that it tells is over.
    until: Instant,
}

impl DateCache {
    pub(super) const fn new() -> Self {
        Self { line: None, until: Instant::START }
    }

    /// The date at `now`; `None` without a clock, or as long as that does not know it.
    pub(super) fn at(&mut self, now: Instant, clock: Option<&WallClock>) -> Option<&DateLine> {
        let clock = clock?;
        if now >= self.until {
            let time = ask(clock);
            self.line = time.map(line);
            let fraction = time.map_or(0, |time| time.subsec_nanos());
            self.until = now + (Duration::from_secs(1) - Duration::from_nanos(fraction.into()));
        }
        self.line.as_ref()
    }
}

/// The date now, for threads that have no worker's cache.
#[cfg(feature = "std")]
pub(crate) fn date_now(clock: Option<&WallClock>) -> Option<DateLine> {
    ask(clock?).map(line)
}

fn line(time: Duration) -> DateLine {
    let mut line = *b"Date: Www, 00 Mmm 0000 00:00:00 GMT\r\n";
    line[6..35].copy_from_slice(&encode::date(time.as_secs()));
    line
}

/// A clock that panics does not know the time.
fn ask(clock: &WallClock) -> Option<Duration> {
    contain(clock).flatten()
}
