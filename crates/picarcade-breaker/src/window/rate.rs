//! A window with the thresholds of the rate policies.

use super::{
    calls::CallWindow,
    counts::{Counts, Sample},
    lanes::LaneWindow,
};
use crate::{Cause, Config, WindowSize, clock::Tick};

/// A window with the thresholds that judge it.
#[derive(Debug)]
pub(crate) struct RateWindow {
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

impl RateWindow {
    /// Returns `None` if no policy uses a window.
    pub(crate) fn new(config: &Config) -> Option<Self> {
        let slow_call_rate = config.slow_calls.map(|slow| slow.rate);
        if config.failure_rate.is_none() && slow_call_rate.is_none() {
            return None;
        }
        let kind = match config.window {
            WindowSize::Calls(calls) => Kind::Calls(CallWindow::new(calls)),
            WindowSize::Time(time) => Kind::Time(LaneWindow::new(time)),
        };
        let minimum_calls = u64::from(config.minimum_calls);
        Some(Self { minimum_calls, failure_rate: config.failure_rate, slow_call_rate, kind })
    }

    /// Returns whether [`RateWindow::record`] reads its `now`.
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
