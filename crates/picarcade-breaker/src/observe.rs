//! Changes of state as `tracing` events and `metrics` counters, each behind its feature.
//!
//! Single calls are neither traced nor counted here: a closed call takes ten nanoseconds, and a
//! metric look-up several times that. The totals exist already; see
//! [`publish_metrics`](crate::CircuitBreaker::publish_metrics).

use crate::Event;

#[cfg_attr(not(any(feature = "tracing", feature = "metrics")), allow(clippy::missing_const_for_fn))]
pub(crate) fn announce(event: &Event) {
    #[cfg(feature = "tracing")]
    trace(event);
    #[cfg(feature = "metrics")]
    count(event);
    #[cfg(not(any(feature = "tracing", feature = "metrics")))]
    let _ = event;
}

#[cfg(feature = "tracing")]
fn trace(event: &Event) {
    match event {
        Event::StateChanged { name, generation, from, to, cause, open_for } => {
            let open_seconds = open_for.map(|time| time.as_secs_f64());
            tracing::warn!(
                breaker = %name, generation, %from, %to, %cause, open_seconds,
                "circuit breaker changed its state"
            );
        }
        Event::WouldOpen { name, cause } => {
            tracing::warn!(breaker = %name, %cause, "circuit breaker would have opened");
        }
    }
}

#[cfg(feature = "metrics")]
fn count(event: &Event) {
    if let Event::StateChanged { name, to, cause, .. } = event {
        metrics::counter!(
            "picarcade_breaker_transitions_total",
            "breaker" => name.to_string(), "to" => to.as_str(), "cause" => cause.as_str()
        )
        .increment(1);
    }
}

#[cfg(feature = "metrics")]
impl crate::CircuitBreaker {
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
        for state in crate::State::ALL {
            let now = f64::from(u8::from(state == statistics.state));
            metrics::gauge!("picarcade_breaker_state", "breaker" => name.clone(), "state" => state.as_str())
                .set(now);
        }
    }
}
