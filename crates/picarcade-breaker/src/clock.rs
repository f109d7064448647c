//! The clock of a breaker.
//!
//! Reading the system clock costs more than the rest of the work of a breaker, so there are two
//! clocks to choose from. Neither is the wall clock: setting the time of day opens and closes no
//! breaker.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Nanoseconds on a monotonic clock, enough for 584 years. Only differences are meaningful.
pub(crate) type Tick = u64;

/// Converts a duration to ticks, saturating.
#[inline]
pub(crate) fn ticks(duration: Duration) -> Tick {
    // Cheaper than the 128-bit arithmetic of `as_nanos`, which would be noticeable in a clock read.
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

/// The update interval of the cached clock.
const PERIOD: Duration = Duration::from_millis(2);

/// The clock of a breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Clock {
    /// [`tokio::time::Instant`]: exact, and paused by a test that pauses the time of tokio. A read
    /// costs as much as the monotonic clock of the operating system (20 to 40 ns).
    #[default]
    Tokio,
    /// A time that one thread of the process stores every two milliseconds. A read costs one load
    /// (1 ns), for breakers that guard very short calls. Times are late by two milliseconds, or
    /// more if the machine starves the thread: openings last that much longer, and slow calls look
    /// that much shorter. Tests cannot pause it. The first breaker with this clock starts the
    /// thread, which never ends. If no thread can be started, reads use the system clock.
    Cached,
}

/// A clock and its epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timer {
    Tokio(tokio::time::Instant),
    Cached(&'static Cached),
}

impl Timer {
    pub(crate) fn new(clock: Clock) -> Self {
        match clock {
            Clock::Tokio => Self::Tokio(tokio::time::Instant::now()),
            Clock::Cached => Self::Cached(Cached::shared()),
        }
    }

    /// Returns the time since the epoch. It starts at one, so that zero can mean "never".
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        match self {
            Self::Tokio(epoch) => ticks(epoch.elapsed()).saturating_add(1),
            Self::Cached(cached) => cached.now(),
        }
    }

    /// Returns how late the clock may be.
    pub(crate) const fn lag(&self) -> Duration {
        match self {
            Self::Tokio(_) => Duration::ZERO,
            Self::Cached(_) => PERIOD,
        }
    }
}

/// The process-wide time of [`Clock::Cached`].
#[derive(Debug)]
pub(crate) struct Cached {
    epoch: Instant,
    /// Zero without a thread that stores it.
    now: AtomicU64,
}

impl Cached {
    fn shared() -> &'static Self {
        static SHARED: OnceLock<&'static Cached> = OnceLock::new();
        SHARED.get_or_init(|| {
            let shared: &Self = Box::leak(Box::new(Self { epoch: Instant::now(), now: AtomicU64::new(0) }));
            // Stored before the thread stores, so no read falls back to a later time and then sees
            // an earlier one.
            shared.now.store(shared.read(), Ordering::Relaxed);
            let keep = move || {
                loop {
                    shared.now.store(shared.read(), Ordering::Relaxed);
                    std::thread::park_timeout(PERIOD);
                }
            };
            if std::thread::Builder::new().name("breaker-clock".into()).spawn(keep).is_err() {
                shared.now.store(0, Ordering::Relaxed);
            }
            shared
        })
    }

    fn read(&self) -> Tick {
        ticks(self.epoch.elapsed()).saturating_add(1)
    }

    #[inline]
    fn now(&self) -> Tick {
        match self.now.load(Ordering::Relaxed) {
            0 => self.read(),
            now => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tokio_time_moves_only_on_command() {
        let timer = Timer::new(Clock::Tokio);
        let before = timer.now();
        assert_eq!(timer.now(), before);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(timer.now() - before, 3_000_000_000);
    }

    #[test]
    fn cached_time_advances_and_never_goes_back() {
        let timer = Timer::new(Clock::Cached);
        let mut last = timer.now();
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut steps = 0;
        while steps < 3 {
            let now = timer.now();
            assert!(now >= last);
            steps += u32::from(now > last);
            last = now;
            assert!(Instant::now() < deadline, "the clock stands still");
            std::thread::yield_now();
        }
    }
}
