//! Exponential back-off with jitter, as a pure function of the number of attempts.
//!
//! "Equal jitter" (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015):
//! half of the pause is fixed, so that an overloaded database can recover, and half is random, so
//! that instances do not return together.

use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// Returns the pause after one more failure. `random` is in 0.0..1.0.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let doubled = self.min.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = (self.failures + 1).min(31);
        doubled.min(self.max).mul_f64(f64::midpoint(1.0, random.clamp(0.0, 1.0)))
    }

    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(min, max);
        let longest: Vec<_> = (0..40).map(|_| backoff.next(1.0)).collect();
        assert_eq!(longest[..3], [min, min * 2, min * 4]);
        assert!(longest[10..].iter().all(|pause| *pause == max));
        backoff.reset();
        assert_eq!(backoff.next(0.0), min / 2);
    }
}
