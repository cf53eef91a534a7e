//! The wall clock: certificates have dates and session tickets an age.

use core::fmt::Debug;
use core::time::Duration;

/// Tells the time of day.
///
/// Asked when a [`TlsConfig`](crate::TlsConfig) is built (is the certificate valid today?), when a
/// client's certificate is verified, and when a session ticket is issued or redeemed.
pub trait Clock: Debug + Send + Sync {
    /// Time since 1970-01-01 00:00:00 UTC, or `None` while it isn't known, as on a device that has
    /// not reached its time server yet.
    ///
    /// Without a time the dates of the server's own certificate aren't checked, and handshakes that
    /// need a date (client certificates, session tickets) fail: neither is guessed.
    fn unix_time(&self) -> Option<Duration>;
}

/// The operating system's clock.
///
/// A clock that stands before 2020 has never been set (devices boot in 1970); it counts as unknown.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[cfg(feature = "std")]
impl Clock for SystemClock {
    fn unix_time(&self) -> Option<Duration> {
        /// 2020-01-01 00:00:00 UTC.
        const EARLIEST_CREDIBLE: Duration = Duration::from_secs(1_577_836_800);
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .ok()
            .filter(|now| *now >= EARLIEST_CREDIBLE)
    }
}
