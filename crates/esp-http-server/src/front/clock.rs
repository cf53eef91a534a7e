//! The clock behind [`Instant`], and the time of day.

use std::time;

use crate::time::Instant;

/// The monotonic clock, counted from when it was [started](Self::start).
///
/// Copies show the same time. All that share deadlines must share one clock: a moment of one is
/// meaningless to another.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: time::Instant,
}

impl Clock {
    /// A clock that starts now, at [`Instant::START`].
    pub fn start() -> Self {
        Self { started: time::Instant::now() }
    }

    /// What time it is. Rounded down to whole microseconds, so that a deadline is never thought to
    /// have come before it has.
    pub fn now(&self) -> Instant {
        // 64 bits of microseconds last for half a million years.
        Instant::from_micros(self.started.elapsed().as_micros() as u64)
    }
}

/// The system's time of day, counted from 1970 UTC; unknown if it stands before that.
pub(super) fn wall_time() -> Option<time::Duration> {
    time::SystemTime::now().duration_since(time::UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_show_the_same_time_and_it_never_goes_back() {
        let clock = Clock::start();
        let copy = clock;
        let mut last = Instant::START;
        for _ in 0..1000 {
            for now in [clock.now(), copy.now()] {
                assert!(now >= last);
                last = now;
            }
        }
    }
}
