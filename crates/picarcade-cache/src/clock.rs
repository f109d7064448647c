//! The two clocks of a cache.
//!
//! Within the process, time is monotonic. It is read on every hit, where the precise clock would cost a quarter of the whole
//! hit, so on Linux it is the kernel's coarse one: as good as its tick of 1 to 10 ms, which no time to live needs to beat.
//! What is written for others carries wall-clock stamps, because nothing else means the same on two machines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Nanoseconds on the process's clock. Enough for 584 years.
pub(crate) type Nanos = u64;

/// What the process's clock shows at least when a cache is made: values of the second level were loaded before that.
const HEAD_START: Nanos = 60 * 24 * 3600 * 1_000_000_000;

/// Where a cache takes its time from.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    /// tokio's clock since the origin, at which the wall clock showed so many milliseconds.
    Following {
        origin: Instant,
        unix_ms: u64,
    },
}

impl Clock {
    /// The system's clocks. They do not stand still in tests that pause tokio's: see [`Clock::following`].
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// A wall clock that shows `unix_ms` now and moves with tokio's clock: for tests with paused time.
    pub fn following(unix_ms: u64) -> Self {
        Self(Kind::Following { origin: Instant::now(), unix_ms })
    }

    /// Monotonic time.
    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        HEAD_START
            + match &self.0 {
                Kind::System => coarse(),
                Kind::Following { origin, .. } => nanos(Instant::now().saturating_duration_since(*origin)),
            }
    }

    /// Milliseconds since 1970; 0 when the clock is set before that.
    pub(crate) fn unix_ms(&self) -> u64 {
        match &self.0 {
            Kind::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            Kind::Following { unix_ms, .. } => unix_ms.saturating_add((self.now() - HEAD_START) / 1_000_000),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// Nanoseconds since some moment in the past, by the kernel's tick.
#[cfg(target_os = "linux")]
#[inline]
fn coarse() -> Nanos {
    use nix::time::{ClockId, clock_gettime};
    // Of a clock that exists it cannot fail; the other arm keeps time moving all the same.
    clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or_else(|_| precise(), |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

#[cfg(not(target_os = "linux"))]
fn coarse() -> Nanos {
    precise()
}

/// Nanoseconds since this was first asked.
#[cold]
fn precise() -> Nanos {
    use std::{sync::OnceLock, time};
    static ORIGIN: OnceLock<time::Instant> = OnceLock::new();
    nanos(ORIGIN.get_or_init(time::Instant::now).elapsed())
}

/// A duration in nanoseconds, at most `u64::MAX`.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::{Clock, HEAD_START};
    use std::time::{Duration, Instant};

    #[test]
    fn the_systems_clock_moves_with_the_precise_one_and_never_back() {
        let clock = Clock::system();
        let (began, first) = (Instant::now(), clock.now());
        assert!(first >= HEAD_START);
        let mut last = first;
        while began.elapsed() < Duration::from_millis(100) {
            let now = clock.now();
            assert!(now >= last, "never back");
            last = now;
        }
        let moved = last - first;
        let most = u64::try_from(began.elapsed().as_nanos()).unwrap() + 20_000_000;
        assert!(moved >= 50_000_000 && moved <= most, "{moved}");
    }
}
