//! The length of an opening: exponential backoff with additive jitter.
//!
//! Jitter only adds, because `open_for` is a minimum for the service to recover. The first opening
//! has no jitter, so that it lasts as long as configured.

use crate::{
    Config,
    clock::{Tick, ticks},
};

#[derive(Debug)]
pub(super) struct OpenTime {
    first: Tick,
    factor: f64,
    max: Tick,
    jitter: f64,
    /// Openings by failed probes since the breaker was last closed.
    grown: u32,
}

impl OpenTime {
    pub(super) fn new(config: &Config) -> Self {
        let first = ticks(config.open_for);
        Self {
            first,
            factor: config.backoff.factor,
            max: ticks(config.backoff.max).max(first),
            jitter: config.backoff.jitter,
            grown: 0,
        }
    }

    pub(super) fn restart(&mut self) {
        self.grown = 0;
    }

    pub(super) fn grow(&mut self) {
        self.grown = self.grown.saturating_add(1);
    }

    /// Returns the length of the opening that begins now. `unit` is a random number in [0, 1).
    pub(super) fn length(&self, unit: f64) -> Tick {
        if self.grown == 0 {
            return self.first;
        }
        let exponent = i32::try_from(self.grown).unwrap_or(i32::MAX);
        let grown = (self.first as f64 * self.factor.powi(exponent)).min(self.max as f64);
        // A cast from float to integer saturates, so infinite growth ends at `max` and not at zero.
        ((grown * (1.0 + self.jitter * unit)) as Tick).max(self.first)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Backoff;

    #[test]
    fn the_open_time_grows_to_its_maximum() {
        let backoff = Backoff { factor: 2.0, max: Duration::from_secs(300), jitter: 0.0 };
        let mut time = OpenTime::new(&Config::default().backoff(backoff));
        let seconds: Vec<_> = (0..6)
            .map(|_| {
                let length = time.length(0.9) / 1_000_000_000;
                time.grow();
                length
            })
            .collect();
        assert_eq!(seconds, [60, 120, 240, 300, 300, 300]);
        time.grown = u32::MAX;
        assert_eq!(time.length(0.0), ticks(Duration::from_secs(300)));
        time.restart();
        assert_eq!(time.length(0.9), ticks(Duration::from_secs(60)));
    }

    #[test]
    fn jitter_only_adds_and_spares_the_first_opening() {
        let mut time = OpenTime::new(&Config::default());
        assert_eq!(time.length(0.999), ticks(Duration::from_secs(60)));
        time.grow();
        assert_eq!(time.length(0.0), ticks(Duration::from_secs(120)));
        assert_eq!(time.length(0.5), ticks(Duration::from_secs(126)));
    }
}
