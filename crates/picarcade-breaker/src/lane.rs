//! Lanes: which of several copies of a counter the current thread writes to.
//!
//! A counter that every core increments is a line of memory that every core fights for. Each thread is given a number
//! when it first asks, and numbers are spread over the lanes. Two threads may share a lane (counters are atomic, so they
//! only get slower); nothing depends on a thread keeping its lane.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

/// No more lanes than this: readers visit them all.
const MAX: usize = 64;

thread_local! {
    static INDEX: usize = {
        static NEXT: AtomicUsize = const { AtomicUsize::new(0) };
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// The number of the current thread. To be masked with `count() - 1`. Zero while the thread is being torn down.
#[inline]
pub(crate) fn index() -> usize {
    INDEX.try_with(|index| *index).unwrap_or_default()
}

/// How many lanes there are: a power of two, at least as many as the process may use cores.
pub(crate) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        std::thread::available_parallelism().map_or(1, usize::from).next_power_of_two().min(MAX)
    })
}
