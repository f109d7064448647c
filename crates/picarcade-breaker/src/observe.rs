//! Changes of state as `tracing` events and `metrics` counters, each behind its feature. Single
//! calls are neither traced nor counted here.

use crate::BreakerEvent;
#[cfg(feature = "tracing")]
use crate::State;

/// The series of transitions.
#[cfg(feature = "metrics")]
pub(crate) const TRANSITIONS: &str = "picarcade_breaker_transitions_total";

#[cfg_attr(not(any(feature = "tracing", feature = "metrics")), allow(clippy::missing_const_for_fn))]
pub(crate) fn record(event: &BreakerEvent) {
    #[cfg(feature = "tracing")]
    trace(event);
    #[cfg(feature = "metrics")]
    count(event);
    #[cfg(not(any(feature = "tracing", feature = "metrics")))]
    let _ = event;
}

#[cfg(feature = "tracing")]
fn trace(event: &BreakerEvent) {
    match event {
        BreakerEvent::StateChanged { name, generation, from, to, cause, open_for } => {
            let open_seconds = open_for.map(|time| time.as_secs_f64());
            if matches!(to, State::Open | State::ForcedOpen) {
                tracing::warn!(
                    breaker = %name, generation, %from, %to, %cause, open_seconds,
                    "circuit breaker rejects calls"
                );
            } else {
                tracing::info!(
                    breaker = %name, generation, %from, %to, %cause, "circuit breaker changed its state"
                );
            }
        }
        BreakerEvent::WouldOpen { name, cause } => {
            tracing::warn!(breaker = %name, %cause, "circuit breaker would have opened");
        }
    }
}

#[cfg(feature = "metrics")]
fn count(event: &BreakerEvent) {
    if let BreakerEvent::StateChanged { name, to, cause, .. } = event {
        let (to, cause) = (to.as_str(), cause.as_str());
        metrics::counter!(TRANSITIONS, "breaker" => name.to_string(), "to" => to, "cause" => cause)
            .increment(1);
    }
}
