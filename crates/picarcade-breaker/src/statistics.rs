//! What a breaker has seen, read without a lock that any call waits on.

use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::{CircuitBreaker, FailureKind, Name, State, clock::Tick, totals::Total, window::WindowStatistics};

/// A reading of a breaker. The totals only grow, and no reset touches them.
///
/// Calls go on while it is made, so two figures may differ by the calls of that moment; each is right by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// The breaker.
    pub name: Name,
    /// What it does with the next call (see [`CircuitBreaker::state`]).
    pub state: State,
    /// Calls that succeeded.
    pub success: u64,
    /// Calls that failed.
    pub failure: u64,
    /// Calls that said nothing about the service, cancelled ones included.
    pub neutral: u64,
    /// Calls that were not admitted.
    pub rejected: u64,
    /// Calls that were slow by the slow-call policy. Each is a success or a failure too.
    pub slow: u64,
    /// Outcomes that came too late to be counted.
    pub late: u64,
    /// Failures in a row: now, or when the breaker opened.
    pub consecutive_failures: u64,
    /// The window, when a policy looks at one.
    pub window: Option<WindowStatistics>,
    /// How often the breaker opened.
    pub opened_count: u64,
    /// Since the last change of state.
    pub time_in_state_seconds: f64,
    /// The kind of the last failure.
    pub last_failure: Option<FailureKind>,
    /// When the next call may pass, while none does.
    pub retry_after_seconds: Option<f64>,
}

impl CircuitBreaker {
    /// A reading. Takes no lock.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let inner = &*self.inner;
        let glance = inner.gate.glance();
        let now = inner.timer.now();
        let state = match glance.word.mode().state() {
            State::Open if now >= glance.refuse_before => State::HalfOpen,
            state => state,
        };
        let total = |total| inner.totals.sum(total);
        let kind = inner.last_failure.load(Ordering::Relaxed);
        let waiting = now < glance.refuse_before && glance.refuse_before != Tick::MAX;
        let generation = glance.word.generation();
        Statistics {
            name: inner.name.clone(),
            state,
            success: total(Total::Success),
            failure: total(Total::Failure),
            neutral: total(Total::Neutral),
            rejected: total(Total::Rejected),
            slow: total(Total::Slow),
            late: total(Total::Late),
            consecutive_failures: glance.consecutive,
            window: inner.window.as_ref().map(|window| window.counts(generation, now).into()),
            opened_count: glance.opened,
            time_in_state_seconds: now.saturating_sub(glance.since) as f64 / 1e9,
            last_failure: usize::from(kind)
                .checked_sub(1)
                .and_then(|kind| FailureKind::ALL.get(kind))
                .copied(),
            retry_after_seconds: waiting.then(|| inner.retry_after(glance.refuse_before, now).as_secs_f64()),
        }
    }
}
