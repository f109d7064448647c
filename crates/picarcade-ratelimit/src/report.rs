//! The state of the limits after a decision.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::counter::Reading;
use crate::limit::Rule;
use crate::{Name, Scope, Unit, Window};

/// The state of one limit for the subjects of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LimitStatus {
    /// The name of the limit.
    pub name: Name,
    /// Whose requests or dollars are counted.
    pub scope: Scope,
    /// What is counted: requests, or micro-dollars.
    pub unit: Unit,
    /// The configured limit, in its unit.
    pub limit: u64,
    /// The amount that counts now: settled and reserved together. It exceeds the limit if a cost
    /// exceeded its estimate.
    pub used: u64,
    /// The part of `used` that is reserved and not settled yet.
    pub reserved: u64,
    /// The amount that would be admitted now. With [`Window::Smooth`], the rest of the burst.
    pub remaining: u64,
    /// The time after which no earlier charge counts.
    #[serde(rename = "reset_after_seconds", serialize_with = "seconds")]
    pub reset_after: Duration,
    /// The time over which is counted.
    pub window: Window,
}

impl LimitStatus {
    pub(crate) fn new(rule: &Rule, reading: Reading) -> Self {
        let mut status = Self {
            name: rule.name,
            scope: rule.scope,
            unit: rule.unit,
            limit: rule.limit,
            used: 0,
            reserved: 0,
            remaining: 0,
            reset_after: Duration::ZERO,
            window: rule.window,
        };
        status.fill(reading);
        status
    }

    /// Overwrites the fields that depend on the counter.
    #[inline]
    pub(crate) fn fill(&mut self, reading: Reading) {
        self.used = reading.used;
        self.reserved = reading.reserved;
        self.remaining = reading.remaining;
        self.reset_after = Duration::from_micros(reading.reset);
    }
}

/// Writes a duration as seconds with a fraction.
pub(crate) fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// The state of every limit that applied, after the decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The limits by scope, and in a scope as configured.
    pub statuses: Vec<LimitStatus>,
    /// Whether this instance decided by its own share, because the store was unavailable.
    pub local: bool,
}

impl Report {
    /// Creates the report of a store.
    #[must_use]
    pub fn new(statuses: Vec<LimitStatus>, local: bool) -> Self {
        Self { statuses, local }
    }
}
