//! Lanes: the copy of a counter that the current thread writes to.
//!
//! A counter that every core increments is a cache line that all cores contend for. Each thread
//! gets a number on first use, and numbers are distributed over the lanes. Two threads may share a
//! lane (counters are atomic, so they only become slower), and no code depends on a thread keeping
//! its lane.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
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
