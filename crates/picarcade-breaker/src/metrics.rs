//! The totals and the state of a breaker as metrics (feature `metrics`).
//!
//! They are published before a scrape or periodically, so calls through the breaker pay nothing for
//! them: a closed call takes ten nanoseconds, and a metric look-up several times that.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::observe::TRANSITIONS;
use crate::{CircuitBreaker, State};

const CALLS: &str = "picarcade_breaker_calls_total";
const SLOW_CALLS: &str = "picarcade_breaker_slow_calls_total";
const OPENED: &str = "picarcade_breaker_opened_total";
const CONSECUTIVE_FAILURES: &str = "picarcade_breaker_consecutive_failures";
const STATE: &str = "picarcade_breaker_state";

/// Describes every series of this crate to the installed recorder. Does nothing without one.
pub fn describe_metrics() {
    describe_counter!(CALLS, "Calls through a breaker, by result");
    describe_counter!(SLOW_CALLS, "Calls that were slow by the breaker's policy");
    describe_counter!(OPENED, "How often a breaker opened");
    describe_counter!(TRANSITIONS, "Changes of a breaker's state, by the new state and the cause");
    describe_gauge!(CONSECUTIVE_FAILURES, "Consecutive failures, now or when the breaker opened");
    describe_gauge!(STATE, "1 for the state of a breaker");
}

impl CircuitBreaker {
    /// Publishes the totals and the state to the installed recorder. Call it before a scrape or
    /// periodically. The README lists the series.
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
            counter!(CALLS, "breaker" => name.clone(), "outcome" => outcome).absolute(total);
        }
        counter!(SLOW_CALLS, "breaker" => name.clone()).absolute(statistics.slow);
        counter!(OPENED, "breaker" => name.clone()).absolute(statistics.opened_count);
        gauge!(CONSECUTIVE_FAILURES, "breaker" => name.clone()).set(statistics.consecutive_failures as f64);
        for state in State::ALL {
            let is_current = f64::from(u8::from(state == statistics.state));
            gauge!(STATE, "breaker" => name.clone(), "state" => state.as_str()).set(is_current);
        }
    }
}
