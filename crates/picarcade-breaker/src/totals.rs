//! The totals of a breaker: growing sums in lanes, read without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::lane;

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Total {
    Success = 0,
    Failure = 1,
    Neutral = 2,
    Rejected = 3,
    Slow = 4,
    Late = 5,
}

#[derive(Debug)]
pub(crate) struct Totals {
    lanes: Box<[Lane]>,
}

/// One lane per pair of cache lines, because processors prefetch the neighboring line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane([AtomicU64; 6]);

impl Totals {
    pub(crate) fn new() -> Self {
        Self { lanes: (0..lane::count()).map(|_| Lane::default()).collect() }
    }

    #[inline]
    pub(crate) fn add(&self, total: Total) {
        let lane = self.lanes.get(lane::index() & (self.lanes.len() - 1));
        if let Some(counter) = lane.and_then(|lane| lane.0.get(total as usize)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn sum(&self, total: Total) -> u64 {
        let counters = self.lanes.iter().filter_map(|lane| lane.0.get(total as usize));
        counters.fold(0, |sum, counter| sum.wrapping_add(counter.load(Ordering::Relaxed)))
    }
}
