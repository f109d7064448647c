//! The windows of the two rate policies: the recent calls, counted.
//!
//! Rates are judged when a failure or a slow call is recorded, never on a plain success: a success
//! cannot be the reason to open, and the most frequent outcome stays cheap. A run of successes that
//! brings the window to its minimum number of calls therefore opens nothing. The next failure does,
//! if the rate is still too high.

pub(crate) mod calls;
pub(crate) mod cell;
pub(crate) mod lanes;

use serde::Serialize;

use self::{calls::CallWindow, lanes::LaneWindow};
// `cell.rs` imports its primitives from the parent module.
use crate::sync;
use crate::{Cause, Config, clock::Tick};

/// One outcome, as the windows count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

/// The calls in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
}

/// The window of a breaker at the moment of reading.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WindowStatistics {
    /// Calls with an outcome other than neutral.
    pub calls: u64,
    /// Failed calls.
    pub failures: u64,
    /// Slow calls, failed or not.
    pub slow: u64,
    /// Failed calls per call, 0 to 1. Zero for an empty window.
    pub failure_rate: f64,
    /// Slow calls per call, 0 to 1. Zero for an empty window.
    pub slow_call_rate: f64,
}

impl From<Counts> for WindowStatistics {
    fn from(counts: Counts) -> Self {
        let per_call = |part: u64| if counts.calls == 0 { 0.0 } else { part as f64 / counts.calls as f64 };
        Self {
            calls: counts.calls,
            failures: counts.failures,
            slow: counts.slow,
            failure_rate: per_call(counts.failures),
            slow_call_rate: per_call(counts.slow),
        }
    }
}

/// A window with the thresholds that judge it.
#[derive(Debug)]
pub(crate) struct Window {
    minimum_calls: u64,
    failure_rate: Option<f64>,
    slow_call_rate: Option<f64>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Calls(CallWindow),
    Time(LaneWindow),
}

impl Window {
    /// Returns `None` if no policy uses a window.
    pub(crate) fn new(config: &Config) -> Option<Self> {
        let slow_call_rate = config.slow_calls.map(|slow| slow.rate);
        if config.failure_rate.is_none() && slow_call_rate.is_none() {
            return None;
        }
        let kind = match config.window {
            crate::Window::Calls(calls) => Kind::Calls(CallWindow::new(calls)),
            crate::Window::Time(time) => Kind::Time(LaneWindow::new(time)),
        };
        let minimum_calls = u64::from(config.minimum_calls);
        Some(Self { minimum_calls, failure_rate: config.failure_rate, slow_call_rate, kind })
    }

    /// Returns whether [`Window::record`] reads its `now`.
    #[inline]
    pub(crate) const fn needs_time(&self) -> bool {
        matches!(self.kind, Kind::Time(_))
    }

    /// Counts an outcome of `generation`. Returns the policy that requires an opening, if any.
    #[inline]
    pub(crate) fn record(&self, generation: u64, now: Tick, sample: Sample) -> Option<Cause> {
        match &self.kind {
            Kind::Calls(window) => window.record(generation, sample),
            Kind::Time(window) => window.record(generation, now, sample),
        }
        if sample.failed || sample.slow { self.judge(self.counts(generation, now)) } else { None }
    }

    /// Returns the calls of `generation` in the window. Takes no lock.
    pub(crate) fn counts(&self, generation: u64, now: Tick) -> Counts {
        match &self.kind {
            Kind::Calls(window) => window.counts(generation),
            Kind::Time(window) => window.counts(generation, now),
        }
    }

    fn judge(&self, counts: Counts) -> Option<Cause> {
        if counts.calls < self.minimum_calls {
            return None;
        }
        let reaches = |part: u64, rate: Option<f64>| {
            part > 0 && rate.is_some_and(|rate| part as f64 >= rate * counts.calls as f64)
        };
        if reaches(counts.failures, self.failure_rate) {
            Some(Cause::FailureRate)
        } else if reaches(counts.slow, self.slow_call_rate) {
            Some(Cause::SlowCallRate)
        } else {
            None
        }
    }
}

/// Tests of `cell.rs` are here, because the model checker compiles that file a second time.
#[cfg(test)]
mod tests {
    use super::cell::{Cell, MAX_TAG};

    #[test]
    fn a_cell_counts_per_tag_and_forgets_the_older() {
        let cell = Cell::new();
        cell.add(5);
        cell.add(5);
        assert_eq!((cell.read(5..=5), cell.read(0..=4), cell.read(6..=9)), (2, 0, 0));
        cell.add(9);
        assert_eq!((cell.read(5..=5), cell.read(9..=9)), (0, 1));
        cell.add(5);
        assert_eq!((cell.read(5..=5), cell.read(9..=9)), (0, 1), "a late count got into a newer moment");
    }

    #[test]
    fn a_cell_stays_at_its_bounds() {
        let cell = Cell::full(7);
        let full = cell.read(7..=7);
        cell.add(7);
        assert_eq!((cell.read(7..=7), cell.read(8..=8)), (full, 0));
        cell.add(MAX_TAG + 1);
        assert_eq!(cell.read(7..=7), full);
    }
}
