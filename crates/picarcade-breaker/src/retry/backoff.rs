//! The pauses between attempts: exponential, with jitter.
//!
//! Callers that failed together would return together. Half of each pause is therefore random
//! ("equal jitter", after Marc Brooker's *Exponential Backoff and Jitter*). Full jitter distributes
//! callers better, but its shortest pause is zero.

use std::time::Duration;

use crate::{
    ConfigError,
    validate::{not_zero, within},
};

/// Pauses that double from `base` to `max`; the upper half of each is random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBackoff {
    base: Duration,
    max: Duration,
}

impl Default for RetryBackoff {
    /// From 100 ms to 10 s.
    fn default() -> Self {
        Self { base: Duration::from_millis(100), max: Duration::from_secs(10) }
    }
}

impl RetryBackoff {
    /// Creates pauses from `base` (not zero) to `max` (at least `base`, at most an hour).
    ///
    /// # Errors
    ///
    /// Returns [`ConfigError`] with the wrong argument.
    pub fn new(base: Duration, max: Duration) -> Result<Self, ConfigError> {
        not_zero("base", base.is_zero())?;
        if max < base {
            let reason = "the longest pause is shorter than the first";
            return Err(ConfigError::Contradiction { field: "max", other: "base", reason });
        }
        within("max", max <= Duration::from_secs(3600), "at most 1 hour")?;
        Ok(Self { base, max })
    }

    /// Returns the pause after the attempt with this number (from zero). `unit` is a random number
    /// in [0, 1).
    #[must_use]
    pub fn pause(&self, attempt: u32, unit: f64) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.min(31));
        let whole = self.base.saturating_mul(factor).min(self.max);
        let half = whole / 2;
        half + half.mul_f64(unit.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_maximum_between_half_and_whole() {
        let backoff =
            RetryBackoff::new(Duration::from_millis(100), Duration::from_millis(500)).expect("sound");
        for (attempt, whole) in [(0, 100), (1, 200), (2, 400), (3, 500), (4, 500), (u32::MAX, 500)] {
            let whole = Duration::from_millis(whole);
            assert_eq!(backoff.pause(attempt, 0.0), whole / 2);
            assert_eq!(backoff.pause(attempt, 1.0), whole);
        }
    }

    #[test]
    fn an_invalid_pause_is_named() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(2));
        let field = |base, max| RetryBackoff::new(base, max).expect_err("bad").field();
        assert_eq!(field(Duration::ZERO, long), Some("base"));
        assert_eq!(field(long, short), Some("max"));
        assert_eq!(field(long, Duration::from_secs(7200)), Some("max"));
    }
}
