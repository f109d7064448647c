//! The observations of a breaker, read without a lock that calls wait for.

use std::sync::atomic::Ordering;

use crate::{CircuitBreaker, FailureKind, Name, State, clock::Tick, lane::Total, window::WindowStatistics};

/// The statistics of a breaker. The totals only grow; a reset does not change them.
///
/// Calls continue while the statistics are read, so two figures may differ by the calls of that
/// moment. Each figure is correct by itself.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Breaker))]
#[non_exhaustive]
pub struct BreakerStatistics {
    /// The name of the breaker.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: Name,
    /// What the breaker does with the next call.
    pub state: State,
    /// Successful calls.
    pub success: u64,
    /// Failed calls.
    pub failure: u64,
    /// Neutral calls, including canceled ones.
    pub neutral: u64,
    /// Rejected calls.
    pub rejected: u64,
    /// Slow calls by the slow-call policy. Each is a success or a failure too.
    pub slow: u64,
    /// Outcomes that were too late to count.
    pub late: u64,
    /// Failures in a row: now, or when the breaker opened.
    pub consecutive_failures: u64,
    /// The window, if a policy uses one.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub window: Option<WindowStatistics>,
    /// How often the breaker opened.
    pub opened_count: u64,
    /// The time since the last change of state, in seconds.
    pub time_in_state_seconds: f64,
    /// The kind of the last failure.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub last_failure: Option<FailureKind>,
    /// The seconds until the next call may pass, if none may now.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub retry_after_seconds: Option<f64>,
}

impl CircuitBreaker {
    /// Reads the statistics. Takes no lock.
    #[must_use]
    pub fn statistics(&self) -> BreakerStatistics {
        let inner = &*self.inner;
        let snapshot = inner.gate.snapshot();
        let now = inner.timer.now();
        let state = match snapshot.word.mode().state() {
            State::Open if now >= snapshot.refuse_before => State::HalfOpen,
            state => state,
        };
        let total = |total| inner.totals.sum(total);
        let kind = inner.last_failure.load(Ordering::Relaxed);
        let waiting = now < snapshot.refuse_before && snapshot.refuse_before != Tick::MAX;
        let generation = snapshot.word.generation();
        BreakerStatistics {
            name: inner.name.clone(),
            state,
            success: total(Total::Success),
            failure: total(Total::Failure),
            neutral: total(Total::Neutral),
            rejected: total(Total::Rejected),
            slow: total(Total::Slow),
            late: total(Total::Late),
            consecutive_failures: snapshot.consecutive,
            window: inner.window.as_ref().map(|window| window.counts(generation, now).into()),
            opened_count: snapshot.opened,
            time_in_state_seconds: now.saturating_sub(snapshot.since) as f64 / 1e9,
            last_failure: usize::from(kind)
                .checked_sub(1)
                .and_then(|kind| FailureKind::ALL.get(kind))
                .copied(),
            retry_after_seconds: waiting
                .then(|| inner.retry_after(snapshot.refuse_before, now).as_secs_f64()),
        }
    }
}
