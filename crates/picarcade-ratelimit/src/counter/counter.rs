//! The arithmetic of one limit for one subject: pure, with the time as an argument, in microseconds
//! since the Unix epoch.
//!
//! A decision over many limits checks all of them before it changes any, so there are two steps:
//! [`Counter::refusal`] moves the counter to the present and returns whether an amount fits, and
//! [`Counter::charge`] adds it. A caller that does not check first must call [`Counter::advance`].
//! If time steps back, the counter stands still.

use super::leaky::Level;
use super::reading::{Reading, Refusal};
use super::ring::Ring;
use crate::limit::Shape;

/// The count of one limit for one subject.
#[derive(Debug, Clone)]
pub(crate) enum Counter {
    Ring(Ring),
    Level(Level),
}

impl Counter {
    pub(crate) fn new(shape: Shape) -> Self {
        match shape {
            Shape::Buckets(_) => Self::Ring(Ring::default()),
            Shape::Leaky(_) => Self::Level(Level::default()),
        }
    }

    /// Moves to `now` and forgets what no longer counts.
    #[inline]
    pub(crate) fn advance(&mut self, shape: Shape, now: u64) {
        match (self, shape) {
            (Self::Ring(ring), Shape::Buckets(buckets)) => ring.advance(buckets, now),
            (Self::Level(level), Shape::Leaky(leaky)) => level.advance(leaky, now),
            // Impossible: a counter is created from its shape.
            _ => {}
        }
    }

    /// Returns why `amount` does not fit into `limit`, if it does not. Moves the counter to `now`
    /// and charges nothing.
    #[inline]
    pub(crate) fn refusal(&mut self, shape: Shape, limit: u64, now: u64, amount: u64) -> Option<Refusal> {
        self.advance(shape, now);
        match (self, shape) {
            (Self::Ring(ring), Shape::Buckets(buckets)) => ring.refusal(buckets, limit, now, amount),
            (Self::Level(level), Shape::Leaky(leaky)) => level.refusal(leaky, amount),
            _ => Some(Refusal::Never),
        }
    }

    /// Adds `amount` to the newest bucket and returns its start, for [`Counter::refund`].
    #[inline]
    pub(crate) fn charge(&mut self, shape: Shape, amount: u64, reserved: u64) -> u64 {
        match (self, shape) {
            (Self::Ring(ring), Shape::Buckets(_)) => ring.charge(amount, reserved),
            (Self::Level(level), Shape::Leaky(leaky)) => {
                level.charge(leaky, amount);
                0
            }
            _ => 0,
        }
    }

    /// Gives `amount` back to the bucket that it was charged to, if that bucket still counts. Never
    /// to another one.
    pub(crate) fn refund(&mut self, shape: Shape, now: u64, start: u64, amount: u64) {
        if let (Self::Ring(ring), Shape::Buckets(buckets)) = (self, shape) {
            ring.advance(buckets, now);
            ring.refund(start, amount);
        }
    }

    /// Ends a reservation of `amount`. Its charge stays.
    pub(crate) fn conclude(&mut self, amount: u64) {
        if let Self::Ring(ring) = self {
            ring.conclude(amount);
        }
    }

    /// Returns the state at `now`, without moving the counter.
    #[inline]
    pub(crate) fn reading(&self, shape: Shape, limit: u64, now: u64) -> Reading {
        match (self, shape) {
            (Self::Ring(ring), Shape::Buckets(buckets)) => ring.reading(buckets, limit, now),
            (Self::Level(level), Shape::Leaky(leaky)) => level.reading(leaky),
            _ => Reading::default(),
        }
    }

    /// Returns whether the counter equals a new one.
    pub(crate) fn is_idle(&mut self, shape: Shape, now: u64) -> bool {
        self.advance(shape, now);
        match self {
            Self::Ring(ring) => ring.is_empty(),
            Self::Level(level) => level.is_empty(),
        }
    }

    /// Returns bytes on the heap.
    #[cfg(test)]
    pub(crate) fn allocated(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.allocated(),
            Self::Level(_) => 0,
        }
    }
}
