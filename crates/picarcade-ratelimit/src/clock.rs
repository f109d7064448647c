//! The time of a store: monotonic, anchored once to the wall clock.
//!
//! The wall clock is read only when the store is built, so a step of it cannot reopen or freeze a
//! window. Calendar days drift from the wall clock by the drift of the monotonic clock and by a
//! suspension of the machine. The monotonic clock is that of tokio, so paused time applies.
//!
//! A manual clock replays a log at its recorded times, and lets a test compare two stores step by
//! step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The source of the time of a store.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Wall { wall: Duration, started: Instant },
    Hand(Arc<AtomicU64>),
}

impl Clock {
    /// Creates a clock that starts at the wall time of the system and advances with the monotonic
    /// clock.
    #[must_use]
    pub fn system() -> Self {
        // If the clock of the machine is before 1970, time starts at 1970 and only the limits of
        // calendar days are wrong.
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(Source::Wall { wall, started: Instant::now() })
    }

    /// Creates a clock that stands still until [`Clock::set`] moves it, forward or back. Clones
    /// share the time.
    #[must_use]
    pub fn by_hand(since_epoch: Duration) -> Self {
        Self(Source::Hand(Arc::new(AtomicU64::new(since_epoch.as_micros() as u64))))
    }

    /// Sets the time of a clock made by [`Clock::by_hand`]. Other clocks are not changed.
    pub fn set(&self, since_epoch: Duration) {
        if let Source::Hand(micros) = &self.0 {
            micros.store(since_epoch.as_micros() as u64, Ordering::SeqCst);
        }
    }

    /// Returns microseconds since the Unix epoch.
    pub(crate) fn now(&self) -> u64 {
        match &self.0 {
            Source::Wall { wall, started } => (*wall + started.elapsed()).as_micros() as u64,
            Source::Hand(micros) => micros.load(Ordering::SeqCst),
        }
    }

    /// Returns the time of a manual clock, which a remote store uses instead of its own.
    #[cfg(feature = "redis")]
    pub(crate) fn manual(&self) -> Option<u64> {
        match &self.0 {
            Source::Wall { .. } => None,
            Source::Hand(micros) => Some(micros.load(Ordering::SeqCst)),
        }
    }
}
