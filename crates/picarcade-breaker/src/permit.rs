//! Permits: admitted calls without an outcome yet.
//!
//! A permit that is dropped without an outcome releases its slot and counts as neutral. A canceled
//! future can therefore neither open the breaker nor keep the half-open state busy. The permit
//! counts as a time-out instead if a [`Deadline`](crate::Deadline) ended the call, or if the call
//! had lasted at least [`Config::hung_after`](crate::Config::hung_after). The probe deadline
//! releases the slot of a leaked permit.

use std::sync::Arc;

use crate::{FailureKind, Outcome, Recorded, inner::Inner, machine::Ticket};

/// An admitted call whose outcome is not recorded yet.
///
/// If it is dropped without an outcome, the call counts as neutral. It counts as a time-out if a
/// [`Deadline`](crate::Deadline) ended it, or if it had lasted at least
/// [`Config::hung_after`](crate::Config::hung_after).
#[derive(Debug)]
#[must_use = "a permit that is dropped at once guards nothing"]
pub struct Permit<'a> {
    breaker: &'a Inner,
    ticket: Ticket,
    open: bool,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(crate) const fn new(breaker: &'a Inner, ticket: Ticket) -> Self {
        Self { breaker, ticket, open: true }
    }

    /// Records that the service did its work.
    #[inline]
    pub fn success(mut self) -> Recorded {
        self.open = false;
        self.breaker.record_success(self.ticket)
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

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.open {
            self.breaker.record_dropped(self.ticket);
        }
    }
}

/// A [`Permit`] without a lifetime, for futures and structures that own it.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once guards nothing"]
pub struct OwnedPermit {
    breaker: Arc<Inner>,
    ticket: Ticket,
    open: bool,
}

impl OwnedPermit {
    pub(crate) const fn new(breaker: Arc<Inner>, ticket: Ticket) -> Self {
        Self { breaker, ticket, open: true }
    }

    /// Records that the service did its work.
    pub fn success(self) -> Recorded {
        self.record(Outcome::Success)
    }

    /// Records a failure without a specific kind ([`FailureKind::Other`]).
    pub fn failure(self) -> Recorded {
        self.record(Outcome::failure(FailureKind::Other))
    }

    /// Records that the call says nothing about the service.
    pub fn neutral(self) -> Recorded {
        self.record(Outcome::Neutral)
    }

    /// Records an outcome.
    pub fn record(mut self, outcome: Outcome) -> Recorded {
        self.open = false;
        self.breaker.record(self.ticket, outcome)
    }

    /// Returns whether the call is a probe of a half-open breaker.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.ticket.probe != 0
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if self.open {
            self.breaker.record_dropped(self.ticket);
        }
    }
}
