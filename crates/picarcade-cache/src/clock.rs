//! The two clocks of a cache.
//!
//! Within the process, time is monotonic (and stands still in tests that pause it). What is written for others
//! carries wall-clock stamps, because nothing else means the same on two machines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Nanoseconds on the process's clock. Enough for 584 years.
pub(crate) type Nanos = u64;

/// What the process's clock shows when a cache is made: values of the second level were loaded before that.
const HEAD_START: Nanos = 60 * 24 * 3600 * 1_000_000_000;

/// Where a cache takes its time from.
#[derive(Debug, Clone)]
pub struct Clock {
    origin: Instant,
    /// The wall time at the origin, when it is to move with tokio's clock.
    following: Option<u64>,
}

impl Clock {
    /// The system's clocks.
    pub fn system() -> Self {
        Self { origin: Instant::now(), following: None }
    }

    /// A wall clock that shows `unix_ms` now and moves with tokio's clock: for tests with paused time.
    pub fn following(unix_ms: u64) -> Self {
        Self { origin: Instant::now(), following: Some(unix_ms) }
    }

    /// Monotonic time.
    pub(crate) fn now(&self) -> Nanos {
        HEAD_START + nanos(Instant::now().saturating_duration_since(self.origin))
    }

    /// Milliseconds since 1970; 0 when the clock is set before that.
    pub(crate) fn unix_ms(&self) -> u64 {
        match self.following {
            Some(start) => start.saturating_add((self.now() - HEAD_START) / 1_000_000),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// A duration in nanoseconds, at most `u64::MAX`.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}
