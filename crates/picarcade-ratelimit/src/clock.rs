//! The time of the memory store: monotonic, anchored once to the wall.
//!
//! The wall is read when the limiter is built and never again, so a clock that is stepped cannot reopen a window or
//! freeze one; calendar days drift from the wall by what the monotonic clock drifts, and by a suspension of the
//! machine. The monotonic clock is tokio's, which paused time moves.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A wall clock that only goes forward.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall: Duration,
    started: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self::anchored(SystemTime::now())
    }

    pub(crate) fn anchored(wall: SystemTime) -> Self {
        // A machine whose clock stands before 1970 counts from 1970: only the cut of calendar days is wrong then.
        let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { wall, started: Instant::now() }
    }

    /// Microseconds since the epoch.
    pub(crate) fn now(&self) -> u64 {
        (self.wall + self.started.elapsed()).as_micros() as u64
    }
}
