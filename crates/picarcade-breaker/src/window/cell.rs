//! A counter that belongs to a moment: tag and count in one word.
//!
//! A bucket of a time window must be emptied when its time comes round again, while other threads
//! count in it. With tag and count in one word this is one compare-and-swap. A thread that finds an
//! older tag starts at one. A thread that finds its own tag adds one. A thread that finds a newer
//! tag is late and changes nothing. No count is ever added to a moment it does not belong to, and
//! reading needs no lock.

use super::sync::{AtomicU64, Ordering};

/// Bits of the count: up to 268 million per cell, where it saturates.
const COUNT_BITS: u32 = 28;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// The largest tag. With the shortest step of one millisecond it lasts for two years of uptime, and
/// with the default step for 8,000. Beyond it, counting stops and the rate policies are silent.
pub(crate) const MAX_TAG: u64 = (1 << (64 - COUNT_BITS)) - 1;

#[derive(Debug)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A cell that can count no further.
    #[cfg(test)]
    pub(crate) fn full(tag: u64) -> Self {
        Self(AtomicU64::new(tag << COUNT_BITS | COUNT))
    }

    /// Counts one at `tag`, unless the cell belongs to a newer tag.
    #[inline]
    pub(crate) fn add(&self, tag: u64) {
        if tag > MAX_TAG {
            return;
        }
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            let new = match (old >> COUNT_BITS).cmp(&tag) {
                std::cmp::Ordering::Less => tag << COUNT_BITS | 1,
                std::cmp::Ordering::Equal if old & COUNT < COUNT => old + 1,
                _ => return,
            };
            match self.0.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => old = seen,
            }
        }
    }

    /// Returns the count if the tag of the cell is in `tags`.
    #[inline]
    pub(crate) fn read(&self, tags: std::ops::RangeInclusive<u64>) -> u64 {
        let word = self.0.load(Ordering::Acquire);
        if tags.contains(&(word >> COUNT_BITS)) { word & COUNT } else { 0 }
    }
}
