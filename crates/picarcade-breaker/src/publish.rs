//! Publishes the totals and the state of a breaker as metrics (feature `metrics`).

use crate::{CircuitBreaker, State};

impl CircuitBreaker {
    /// Publishes the totals and the state to the installed recorder, under `picarcade_breaker_…`
    /// with the label `breaker`. Call it before a scrape or periodically; calls through the breaker
    /// pay nothing for it.
    ///
    /// `calls_total` by `outcome` (`success`, `failure`, `neutral`, `rejected`, `late`),
    /// `slow_calls_total`, `opened_total`, `consecutive_failures`, and `state` (1 for the current
    /// state, 0 for the others).
    pub fn publish_metrics(&self) {
        let statistics = self.statistics();
        let name = statistics.name.to_string();
        for (outcome, total) in [
            ("success", statistics.success),
            ("failure", statistics.failure),
            ("neutral", statistics.neutral),
            ("rejected", statistics.rejected),
            ("late", statistics.late),
        ] {
            metrics::counter!("picarcade_breaker_calls_total", "breaker" => name.clone(), "outcome" => outcome)
                .absolute(total);
        }
        metrics::counter!("picarcade_breaker_slow_calls_total", "breaker" => name.clone())
            .absolute(statistics.slow);
        metrics::counter!("picarcade_breaker_opened_total", "breaker" => name.clone())
            .absolute(statistics.opened_count);
        metrics::gauge!("picarcade_breaker_consecutive_failures", "breaker" => name.clone())
            .set(statistics.consecutive_failures as f64);
        for state in State::ALL {
            let now = f64::from(u8::from(state == statistics.state));
            metrics::gauge!("picarcade_breaker_state", "breaker" => name.clone(), "state" => state.as_str())
                .set(now);
        }
    }
}
