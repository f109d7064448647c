//! The answer of a limiter: admitted with a reservation, or denied.

use crate::{Denial, Report, Reservation};

/// The answer of [`Limiter::acquire`](crate::Limiter::acquire).
#[derive(Debug)]
#[must_use = "a denied request must not be served, and dropping an admission releases its reservation"]
pub enum Decision {
    /// Every limit had room, and all of them were charged.
    Admitted(Admission),
    /// At least one limit had no room, and no limit was charged.
    Denied(Denial),
}

impl Decision {
    /// Returns whether the decision is [`Decision::Admitted`].
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted(_))
    }

    /// Returns the report of an admission or a denial.
    #[must_use]
    pub fn report(&self) -> &Report {
        match self {
            Self::Admitted(admission) => &admission.report,
            Self::Denied(denial) => &denial.report,
        }
    }

    /// Returns the admission, if there is one.
    #[must_use]
    pub fn admitted(self) -> Option<Admission> {
        match self {
            Self::Admitted(admission) => Some(admission),
            Self::Denied(_) => None,
        }
    }

    /// Returns the denial, if there is one.
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
    /// The reserved dollars. Empty if the call asked for none.
    pub reservation: Reservation,
    /// The state of the limits, including this request.
    pub report: Report,
}
