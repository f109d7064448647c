//! Permits: an admitted call, until its outcome is known.
//!
//! A permit that is dropped without an outcome gives its slot back and counts as neutral, so a
//! cancelled future can neither trip the breaker nor keep the half-open state busy. It counts as a
//! time-out instead if a [`Deadline`](crate::Deadline) ended the call, or if the call had lasted at
//! least [`Config::hung_after`](crate::Config::hung_after). A permit that is leaked on purpose is
//! found by the probe deadline.

use std::sync::Arc;

use crate::{FailureKind, Outcome, Recorded, inner::Inner, machine::Ticket};

/// An admitted call, which waits for its outcome.
///
/// Dropped without one, the call is neutral, or a time-out if a [`Deadline`](crate::Deadline) ended
/// it or it had lasted at least [`Config::hung_after`](crate::Config::hung_after).
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

    /// The service did its work.
    #[inline]
    pub fn success(mut self) -> Recorded {
        self.open = false;
        self.breaker.record_success(self.ticket)
    }

    /// The service did not do its work, for no reason that has a name ([`FailureKind::Other`]).
    #[inline]
    pub fn failure(self) -> Recorded {
        self.record(Outcome::failure(FailureKind::Other))
    }

    /// The call says nothing about the service.
    #[inline]
    pub fn neutral(self) -> Recorded {
        self.record(Outcome::Neutral)
    }

    /// Any outcome.
    #[inline]
    pub fn record(mut self, outcome: Outcome) -> Recorded {
        self.open = false;
        match outcome {
            Outcome::Success => self.breaker.record_success(self.ticket),
            other => self.breaker.record(self.ticket, other),
        }
    }

    /// Whether the call is a probe of a half-open breaker.
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

/// A [`Permit`] that borrows nothing, for futures and structures that live on their own.
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

    /// The service did its work.
    pub fn success(self) -> Recorded {
        self.record(Outcome::Success)
    }

    /// The service did not do its work, for no reason that has a name ([`FailureKind::Other`]).
    pub fn failure(self) -> Recorded {
        self.record(Outcome::failure(FailureKind::Other))
    }

    /// The call says nothing about the service.
    pub fn neutral(self) -> Recorded {
        self.record(Outcome::Neutral)
    }

    /// Any outcome.
    pub fn record(mut self, outcome: Outcome) -> Recorded {
        self.open = false;
        self.breaker.record(self.ticket, outcome)
    }

    /// Whether the call is a probe of a half-open breaker.
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
