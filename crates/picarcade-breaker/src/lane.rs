//! Lanes: the copy of a counter that the current thread writes to. The totals of a breaker are
//! counted in lanes.
//!
//! A counter that every core increments is a cache line that all cores contend for. Each thread
//! gets a number on first use, and numbers are distributed over the lanes. Two threads may share a
//! lane (counters are atomic, so they only become slower), and no code depends on a thread keeping
//! its lane.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// The maximum number of lanes: readers visit all of them.
const MAX: usize = 64;

thread_local! {
    static INDEX: usize = {
        static NEXT: AtomicUsize = const { AtomicUsize::new(0) };
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// Returns the number of the current thread, for masking with `count() - 1`. Zero while the thread
/// ends.
#[inline]
pub(crate) fn index() -> usize {
    INDEX.try_with(|index| *index).unwrap_or_default()
}

/// Returns the number of lanes: a power of two, at least the number of cores that the process may
/// use.
pub(crate) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        std::thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(MAX)
    })
}

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
        Self { lanes: (0..count()).map(|_| Lane::default()).collect() }
    }

    #[inline]
    pub(crate) fn add(&self, total: Total) {
        let lane = self.lanes.get(index() & (self.lanes.len() - 1));
        if let Some(counter) = lane.and_then(|lane| lane.0.get(total as usize)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn sum(&self, total: Total) -> u64 {
        let counters = self.lanes.iter().filter_map(|lane| lane.0.get(total as usize));
        counters.fold(0, |sum, counter| sum.wrapping_add(counter.load(Ordering::Relaxed)))
    }
}
