//! What a decision says: admitted or denied, and how every limit stands.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::counter::Reading;
use crate::limit::Rule;
use crate::{Name, Reservation, Scope, Unit, Window};

/// How one limit stands for the subjects of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The limit's name.
    pub name: Name,
    /// Whose limit it is.
    pub scope: Scope,
    /// What it counts: requests, or micro-dollars.
    pub unit: Unit,
    /// The configured limit, in its unit.
    pub limit: u64,
    /// What counts against it now: settled and reserved together. May pass the limit where a cost exceeded its estimate.
    pub used: u64,
    /// The part of `used` that is reserved and not settled yet.
    pub reserved: u64,
    /// What would still be admitted now. With [`Window::Smooth`], out of the burst.
    pub remaining: u64,
    /// Until nothing that was charged so far counts any more.
    #[serde(rename = "reset_after_seconds", serialize_with = "seconds")]
    pub reset_after: Duration,
    /// Over which time it counts.
    pub window: Window,
}

impl Status {
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

    /// Overwrites what changes, in place.
    #[inline]
    pub(crate) fn fill(&mut self, reading: Reading) {
        self.used = reading.used;
        self.reserved = reading.reserved;
        self.remaining = reading.remaining;
        self.reset_after = Duration::from_micros(reading.reset);
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// How every limit that applied stands after the decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// By scope, and in a scope as configured.
    pub statuses: Vec<Status>,
    /// Whether the decision was made from this instance's share, because the store could not be asked.
    pub local: bool,
}

impl Report {
    /// A report of `statuses`, as a store gives it.
    #[must_use]
    pub fn new(statuses: Vec<Status>, local: bool) -> Self {
        Self { statuses, local }
    }

    /// The limit that is nearest to its end, by the share that remains.
    #[must_use]
    pub fn tightest(&self) -> Option<&Status> {
        let share = |status: &Status| status.remaining as f64 / status.limit as f64;
        self.statuses.iter().min_by(|a, b| share(a).total_cmp(&share(b)))
    }
}

/// The answer of [`Limiter::acquire`](crate::Limiter::acquire).
#[derive(Debug)]
#[must_use = "a denied request must not be served, and dropping an admission releases its reservation"]
pub enum Decision {
    /// Every limit had room, and all of them were charged.
    Admitted(Admission),
    /// At least one limit had no room, and nothing was charged anywhere.
    Denied(Denial),
}

impl Decision {
    /// Whether it is [`Decision::Admitted`].
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted(_))
    }

    /// The report of either answer.
    #[must_use]
    pub fn report(&self) -> &Report {
        match self {
            Self::Admitted(admission) => &admission.report,
            Self::Denied(denial) => &denial.report,
        }
    }

    /// The admission, if it is one.
    #[must_use]
    pub fn admitted(self) -> Option<Admission> {
        match self {
            Self::Admitted(admission) => Some(admission),
            Self::Denied(_) => None,
        }
    }

    /// The denial, if it is one.
    #[must_use]
    pub fn denied(self) -> Option<Denial> {
        match self {
            Self::Admitted(_) => None,
            Self::Denied(denial) => Some(denial),
        }
    }
}

/// A request that may be served.
#[derive(Debug)]
#[non_exhaustive]
pub struct Admission {
    /// The dollars set aside. Empty when the call asked for none.
    pub reservation: Reservation,
    /// How the limits stand, this request included.
    pub report: Report,
}

/// A request that may not be served now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Denial {
    /// Every limit that had no room, not only the first.
    pub violated: Vec<Status>,
    /// When all of them would have room, if nothing else came in between. Where `possible` is false, the longest
    /// window that was violated.
    #[serde(rename = "retry_after_seconds", serialize_with = "seconds")]
    pub retry_after: Duration,
    /// Whether waiting can help: false when more was asked for than a limit ever holds.
    pub possible: bool,
    /// How all limits stand. The request is not in it.
    pub report: Report,
}

impl Denial {
    /// A denial, as a store gives it.
    #[must_use]
    pub fn new(violated: Vec<Status>, retry_after: Duration, possible: bool, report: Report) -> Self {
        Self { violated, retry_after, possible, report }
    }
}
