//! The two clocks of a cache.
//!
//! Within the process, time is monotonic. Every hit reads it, and the precise clock would take a
//! quarter of the time of a hit. On Linux it is therefore the coarse clock of the kernel, with a
//! tick of 1 to 10 ms, which is precise enough for any time to live.
//!
//! Stamps for other processes are wall-clock times, because only those mean the same on two
//! machines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Nanoseconds on the clock of the process, enough for 584 years.
pub(crate) type Nanos = u64;

/// The minimum of the clock of the process: values of the second level were loaded before the cache
/// was created.
const HEAD_START: Nanos = 60 * 24 * 3600 * 1_000_000_000;

/// The source of time of a cache.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    /// The clock of tokio since the origin, when the wall clock showed this time.
    Following {
        origin: Instant,
        unix_ms: u64,
    },
}

impl Clock {
    /// Returns the clocks of the system. They continue in tests that pause the clock of tokio: see
    /// [`Clock::following`].
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// Returns a wall clock that shows `unix_ms` now and follows the clock of tokio, for tests with
    /// paused time.
    pub fn following(unix_ms: u64) -> Self {
        Self(Kind::Following { origin: Instant::now(), unix_ms })
    }

    /// Returns the monotonic time.
    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        HEAD_START
            + match &self.0 {
                Kind::System => coarse(),
                Kind::Following { origin, .. } => nanos(Instant::now().saturating_duration_since(*origin)),
            }
    }

    /// Returns milliseconds since 1970, or 0 if the clock is set to an earlier time.
    pub(crate) fn unix_ms(&self) -> u64 {
        match &self.0 {
            Kind::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            Kind::Following { unix_ms, .. } => unix_ms.saturating_add((self.now() - HEAD_START) / 1_000_000),
        }
    }
}

/// Returns nanoseconds since a moment in the past, with the resolution of the kernel's tick.
#[cfg(target_os = "linux")]
#[inline]
fn coarse() -> Nanos {
    use nix::time::{ClockId, clock_gettime};
    // This clock exists, so the call cannot fail. The other arm keeps time moving anyway.
    clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or_else(|_| precise(), |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

#[cfg(not(target_os = "linux"))]
fn coarse() -> Nanos {
    precise()
}

/// Returns nanoseconds since the first call.
#[cold]
fn precise() -> Nanos {
    use std::{sync::OnceLock, time};
    static ORIGIN: OnceLock<time::Instant> = OnceLock::new();
    nanos(ORIGIN.get_or_init(time::Instant::now).elapsed())
}

/// Returns a duration in nanoseconds, at most `u64::MAX`.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::{Clock, HEAD_START};
    use std::time::{Duration, Instant};

    #[test]
    fn the_system_clock_follows_the_precise_clock_and_never_goes_back() {
        let clock = Clock::system();
        let (began, first) = (Instant::now(), clock.now());
        assert!(first >= HEAD_START);
        let mut last = first;
        while began.elapsed() < Duration::from_millis(100) {
            let now = clock.now();
            assert!(now >= last, "the clock went back");
            last = now;
        }
        let moved = last - first;
        let most = u64::try_from(began.elapsed().as_nanos()).unwrap() + 20_000_000;
        assert!(moved >= 50_000_000 && moved <= most, "{moved}");
    }
}
