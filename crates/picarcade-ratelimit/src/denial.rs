//! A denial, and how it is assembled from the limits that had no room.

use std::time::Duration;

use serde::Serialize;

use crate::counter::Refusal;
use crate::report::seconds;
use crate::{LimitStatus, Report};

/// A request that may not be served now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Denial {
    /// Every limit that had no room, not only the first.
    pub violated: Vec<LimitStatus>,
    /// The time after which all of them would have room, if no other request is admitted meanwhile.
    /// If `possible` is false, the length of the longest window that was violated.
    #[serde(rename = "retry_after_seconds", serialize_with = "seconds")]
    pub retry_after: Duration,
    /// Whether waiting can help: false if more was asked for than a limit ever admits.
    pub possible: bool,
    /// The state of all limits, without this request.
    pub report: Report,
}

/// The limits that refuse one request.
#[derive(Debug)]
pub(crate) struct Refusals {
    violated: Vec<LimitStatus>,
    retry_after: Duration,
    possible: bool,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { violated: Vec::new(), retry_after: Duration::ZERO, possible: true }
    }
}

impl Denial {
    /// Creates the denial of a store.
    #[must_use]
    pub fn new(violated: Vec<LimitStatus>, retry_after: Duration, possible: bool, report: Report) -> Self {
        Self { violated, retry_after, possible, report }
    }
}

impl Refusals {
    #[cfg(feature = "redis")]
    pub(crate) fn is_empty(&self) -> bool {
        self.violated.is_empty()
    }

    /// Adds the refusal of one limit.
    pub(crate) fn add(&mut self, status: LimitStatus, refusal: Refusal) {
        let wait = match refusal {
            Refusal::For(micros) => Duration::from_micros(micros),
            Refusal::Never => status.window.length(),
        };
        self.push(status, wait, refusal != Refusal::Never);
    }

    /// Adds a limit if it would refuse `amount`, judged by its status alone.
    ///
    /// A status does not show when the first part of its window is forgotten, so the wait is that
    /// of the whole window.
    pub(crate) fn add_if_exceeded(&mut self, status: &LimitStatus, amount: u64) {
        if amount > status.remaining {
            self.push(*status, status.reset_after, amount <= status.limit);
        }
    }

    /// Adds the refusals of another denial of the same request, and returns its report.
    pub(crate) fn merge(&mut self, denial: Denial) -> Report {
        self.violated.extend(denial.violated);
        self.retry_after = self.retry_after.max(denial.retry_after);
        self.possible &= denial.possible;
        denial.report
    }

    /// Assembles the denial, with the violated limits in the order of the report.
    pub(crate) fn into_denial(self, report: Report) -> Denial {
        let Self { mut violated, retry_after, possible } = self;
        violated.sort_by_key(|status| report.statuses.iter().position(|other| other.name == status.name));
        Denial { violated, retry_after, possible, report }
    }

    fn push(&mut self, status: LimitStatus, wait: Duration, possible: bool) {
        self.violated.push(status);
        self.retry_after = self.retry_after.max(wait);
        self.possible &= possible;
    }
}
