//! The arithmetic of one limit for one subject: pure, given the time in microseconds since the epoch.
//!
//! A counter is asked in two steps, so that a decision over many limits can look at all of them before it changes any:
//! [`Counter::refusal`] moves it to the present and says whether (and when) an amount would fit, [`Counter::charge`]
//! takes it. Whoever does not ask first calls [`Counter::advance`]. Time that steps back is taken as standing still.

use super::leaky::Level;
use super::ring::Ring;

use crate::limit::Shape;

/// Why an amount does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It fits after this many microseconds, if nothing else comes.
    For(u64),
    /// It is more than the limit itself.
    Never,
}

/// What a report says of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reading {
    pub(crate) used: u64,
    pub(crate) reserved: u64,
    pub(crate) remaining: u64,
    /// Microseconds until nothing that was charged so far counts any more.
    pub(crate) reset: u64,
}

/// One limit's count for one subject.
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

    /// Moves to `now`, forgetting what no longer counts.
    #[inline]
    pub(crate) fn advance(&mut self, shape: Shape, now: u64) {
        match (self, shape) {
            (Self::Ring(ring), Shape::Buckets(buckets)) => ring.advance(buckets, now),
            (Self::Level(level), Shape::Leaky(leaky)) => level.advance(leaky, now),
            // A counter is made from its shape, and both live in one cell.
            _ => {}
        }
    }

    /// Why `amount` does not fit into `limit`, if it does not. Moves the counter to `now`; charges nothing.
    #[inline]
    pub(crate) fn refusal(&mut self, shape: Shape, limit: u64, now: u64, amount: u64) -> Option<Refusal> {
        self.advance(shape, now);
        match (self, shape) {
            (Self::Ring(ring), Shape::Buckets(buckets)) => ring.refusal(buckets, limit, now, amount),
            (Self::Level(level), Shape::Leaky(leaky)) => level.refusal(leaky, amount),
            _ => Some(Refusal::Never),
        }
    }

    /// Takes `amount` where the counter stands; answers where it went, for [`Counter::refund`].
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

    /// Gives `amount` back to the bucket it was charged to, if that bucket still counts. Never to another.
    pub(crate) fn refund(&mut self, shape: Shape, now: u64, start: u64, amount: u64) {
        if let (Self::Ring(ring), Shape::Buckets(buckets)) = (self, shape) {
            ring.advance(buckets, now);
            ring.refund(start, amount);
        }
    }

    /// Ends a reservation of `amount`: what was charged for it stays charged.
    pub(crate) fn conclude(&mut self, amount: u64) {
        if let Self::Ring(ring) = self {
            ring.conclude(amount);
        }
    }

    /// How it stands, where it stands.
    #[inline]
    pub(crate) fn reading(&self, shape: Shape, limit: u64, now: u64) -> Reading {
        match (self, shape) {
            (Self::Ring(ring), Shape::Buckets(buckets)) => ring.reading(buckets, limit, now),
            (Self::Level(level), Shape::Leaky(leaky)) => level.reading(leaky),
            _ => Reading::default(),
        }
    }

    /// Whether it holds nothing that a new counter would not hold.
    pub(crate) fn is_idle(&mut self, shape: Shape, now: u64) -> bool {
        self.advance(shape, now);
        match self {
            Self::Ring(ring) => ring.is_empty(),
            Self::Level(level) => level.is_empty(),
        }
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(crate) fn allocated(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.allocated(),
            Self::Level(_) => 0,
        }
    }
}
