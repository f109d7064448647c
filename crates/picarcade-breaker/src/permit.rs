//! Permits: admitted calls without an outcome yet.

use std::sync::Arc;

use crate::{FailureKind, Outcome, Recorded, inner::Inner, machine::Ticket};

/// Defines what a permit does, for a permit that borrows its breaker and for one that shares it.
macro_rules! permit {
    ($name:ty) => {
        impl $name {
            /// Records that the service did its work.
            #[inline]
            pub fn success(self) -> Recorded {
                self.record(Outcome::Success)
            }

            /// Records a failure without a specific kind ([`FailureKind::Other`]).
            #[inline]
            pub fn failure(self) -> Recorded {
                self.record(Outcome::failure(FailureKind::Other))
            }

            /// Records that the call says nothing about the service.
            #[inline]
            pub fn neutral(self) -> Recorded {
                self.record(Outcome::Neutral)
            }

            /// Records an outcome.
            #[inline]
            pub fn record(mut self, outcome: Outcome) -> Recorded {
                self.open = false;
                match outcome {
                    Outcome::Success => self.breaker.record_success(self.ticket),
                    other => self.breaker.record(self.ticket, other),
                }
            }

            /// Returns whether the call is a probe of a half-open breaker.
            #[must_use]
            pub const fn is_probe(&self) -> bool {
                self.ticket.probe != 0
            }
        }

        impl Drop for $name {
            #[inline]
            fn drop(&mut self) {
                if self.open {
                    self.breaker.record_dropped(self.ticket);
                }
            }
        }
    };
}

/// An admitted call whose outcome is not recorded yet.
///
/// If it is dropped without an outcome, it releases its slot and the call counts as neutral, so a
/// canceled future can neither open the breaker nor keep the half-open state busy. The call counts
/// as a time-out if a [`Deadline`](crate::Deadline) ended it, or if it had lasted at least
/// [`Config::hung_after`](crate::Config::hung_after). The probe deadline releases the slot of a
/// leaked permit.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once guards nothing"]
pub struct Permit<'a> {
    breaker: &'a Inner,
    ticket: Ticket,
    open: bool,
}

/// A [`Permit`] without a lifetime, for futures and structures that own it.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once guards nothing"]
pub struct OwnedPermit {
    breaker: Arc<Inner>,
    ticket: Ticket,
    open: bool,
}

permit!(Permit<'_>);
permit!(OwnedPermit);

impl<'a> Permit<'a> {
    #[inline]
    pub(crate) const fn new(breaker: &'a Inner, ticket: Ticket) -> Self {
        Self { breaker, ticket, open: true }
    }
}

impl OwnedPermit {
    pub(crate) const fn new(breaker: Arc<Inner>, ticket: Ticket) -> Self {
        Self { breaker, ticket, open: true }
    }
}
