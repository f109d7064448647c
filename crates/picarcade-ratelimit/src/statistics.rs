//! What a limiter counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::{Error, Mode, StoreDecision};

/// Counts since the limiter was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LimiterStatistics {
    /// Calls that were admitted.
    pub admitted: u64,
    /// Calls that were denied.
    pub denied: u64,
    /// Calls without a decision.
    pub failed: u64,
    /// Decisions by the share of this instance.
    pub local: u64,
    /// Reservations that were dropped before dispatch and could not be released. They stay charged.
    pub abandoned: u64,
    /// Changes between exact and local decisions.
    pub mode_changes: u64,
    /// How the limiter decides at present.
    pub mode: Mode,
    /// Subjects kept in this process; 0 with an external store.
    pub subjects: u64,
    /// Subjects that were forgotten at the bound while they had counts; 0 with an external store.
    pub evicted: u64,
    /// Reservations open in this process; 0 with an external store.
    pub open_reservations: u64,
}

/// Counters of decisions.
#[derive(Debug, Default)]
pub(crate) struct DecisionCounters {
    admitted: AtomicU64,
    denied: AtomicU64,
    failed: AtomicU64,
    local: AtomicU64,
    abandoned: AtomicU64,
}

impl DecisionCounters {
    pub(crate) fn record(&self, decision: &Result<StoreDecision, Error>) {
        let (counter, local) = match decision {
            Ok(StoreDecision::Admitted(report)) => (&self.admitted, report.local),
            Ok(StoreDecision::Denied(denial)) => (&self.denied, denial.report.local),
            Err(_) => (&self.failed, false),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if local {
            self.local.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn record_abandoned(&self) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns statistics with these counts and without those of a store.
    pub(crate) fn read(&self) -> LimiterStatistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LimiterStatistics {
            admitted: read(&self.admitted),
            denied: read(&self.denied),
            failed: read(&self.failed),
            local: read(&self.local),
            abandoned: read(&self.abandoned),
            ..LimiterStatistics::default()
        }
    }
}
