//! Errors of a loop.

use core::error::Error;
use core::fmt;

/// Why an event was not queued. The event is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PostError {
    /// Limit: the queue is full and, if a time limit was given, stayed full for that long. Counted
    /// in [`Statistics::dropped`](crate::Statistics::dropped). ESP-IDF: `ESP_ERR_TIMEOUT`.
    Full {
        /// How many events the queue holds.
        queue_size: usize,
    },
    /// Caller: the loop was deleted. ESP-IDF: `ESP_ERR_INVALID_STATE`.
    Deleted,
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { queue_size } => {
                write!(f, "event dropped: the loop's queue of {queue_size} events is full")
            }
            Self::Deleted => f.write_str("event dropped: the event loop was deleted"),
        }
    }
}

impl Error for PostError {}

/// Why a loop can't be run by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// Caller: the loop is being run already: by its own thread, by another caller, or by the
    /// caller itself, who is one of the loop's handlers.
    Running,
    /// Caller: the loop was deleted.
    Deleted,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "the event loop is already running, in its own thread or by hand",
            Self::Deleted => "the event loop was deleted",
        })
    }
}

impl Error for RunError {}
