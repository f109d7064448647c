//! The time of a store: monotonic, anchored once to the wall.
//!
//! The wall is read when the store is built and never again, so a clock that is stepped cannot reopen a window or
//! freeze one; calendar days drift from the wall by what the monotonic clock drifts, and by a suspension of the
//! machine. The monotonic clock is tokio's, which paused time moves.
//!
//! A clock moved by hand replays a log at the times it was written, and lets two stores be compared step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Where a store takes the time from.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Wall { wall: Duration, started: Instant },
    Hand(Arc<AtomicU64>),
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The system's wall time now, from here on counted by the monotonic clock.
    #[must_use]
    pub fn system() -> Self {
        // A machine whose clock stands before 1970 counts from 1970: only the cut of calendar days is wrong then.
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(Source::Wall { wall, started: Instant::now() })
    }

    /// A clock that stands until [`Clock::set`] moves it, forward or back. Clones are moved together.
    #[must_use]
    pub fn by_hand(since_epoch: Duration) -> Self {
        Self(Source::Hand(Arc::new(AtomicU64::new(since_epoch.as_micros() as u64))))
    }

    /// Sets a clock made by [`Clock::by_hand`]; nothing happens to another.
    pub fn set(&self, since_epoch: Duration) {
        if let Source::Hand(micros) = &self.0 {
            micros.store(since_epoch.as_micros() as u64, Ordering::SeqCst);
        }
    }

    /// Microseconds since the epoch.
    pub(crate) fn now(&self) -> u64 {
        match &self.0 {
            Source::Wall { wall, started } => (*wall + started.elapsed()).as_micros() as u64,
            Source::Hand(micros) => micros.load(Ordering::SeqCst),
        }
    }

    /// The time of a clock moved by hand, which a store elsewhere takes in the place of its own.
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pub(crate) fn dictated(&self) -> Option<u64> {
        match &self.0 {
            Source::Wall { .. } => None,
            Source::Hand(micros) => Some(micros.load(Ordering::SeqCst)),
        }
    }
}
