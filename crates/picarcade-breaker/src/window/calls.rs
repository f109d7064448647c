//! The last N calls, exactly.
//!
//! "The last N" is an order over all cores, so there is one ring with one lock, held for a few
//! instructions. The sums are published outside of the lock, and readers take no lock. For calls on
//! many cores a time window scales better.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::counts::{Counts, Sample};

#[derive(Debug)]
pub(crate) struct CallWindow {
    ring: Mutex<Ring>,
    /// The sums of the ring, three times 20 bits. One word, so a reader never sees parts of two
    /// moments.
    sums: AtomicU64,
    generation: AtomicU64,
}

impl CallWindow {
    pub(crate) fn new(calls: u32) -> Self {
        let ring = Mutex::new(Ring::new(calls as usize));
        Self { ring, sums: AtomicU64::new(0), generation: AtomicU64::new(0) }
    }

    #[inline]
    pub(crate) fn record(&self, generation: u64, sample: Sample) {
        let mut ring = self.ring.lock();
        if generation > ring.generation {
            ring.clear(generation);
            // Emptied before the generation changes: a reader of the new generation sees nothing of
            // the old one.
            self.sums.store(0, Ordering::Release);
            self.generation.store(generation, Ordering::Release);
        }
        if generation == ring.generation {
            ring.push(sample);
            self.sums.store(pack(ring.sums), Ordering::Release);
        }
    }

    pub(crate) fn counts(&self, generation: u64) -> Counts {
        if self.generation.load(Ordering::Acquire) != generation {
            return Counts::default();
        }
        unpack(self.sums.load(Ordering::Acquire))
    }
}

const BITS: u32 = 20;

/// Fits, because a window contains at most a million calls.
const fn pack(counts: Counts) -> u64 {
    counts.calls << (2 * BITS) | counts.failures << BITS | counts.slow
}

const fn unpack(word: u64) -> Counts {
    let mask = (1 << BITS) - 1;
    Counts { calls: word >> (2 * BITS), failures: word >> BITS & mask, slow: word & mask }
}

/// The pure ring: two bits per call.
#[derive(Debug)]
struct Ring {
    generation: u64,
    samples: Box<[Sample]>,
    next: usize,
    sums: Counts,
}

impl Ring {
    fn new(calls: usize) -> Self {
        let empty = Sample { failed: false, slow: false };
        Self { generation: 0, samples: vec![empty; calls].into(), next: 0, sums: Counts::default() }
    }

    /// The old content of the ring is beyond `sums.calls` afterwards and need not be overwritten.
    fn clear(&mut self, generation: u64) {
        *self =
            Self { generation, samples: std::mem::take(&mut self.samples), next: 0, sums: Counts::default() };
    }

    #[inline]
    fn push(&mut self, sample: Sample) {
        let full = self.sums.calls as usize == self.samples.len();
        let Some(slot) = self.samples.get_mut(self.next) else { return };
        let oldest = std::mem::replace(slot, sample);
        if full {
            self.sums.failures -= u64::from(oldest.failed);
            self.sums.slow -= u64::from(oldest.slow);
        } else {
            self.sums.calls += 1;
        }
        self.sums.failures += u64::from(sample.failed);
        self.sums.slow += u64::from(sample.slow);
        self.next = if self.next + 1 == self.samples.len() { 0 } else { self.next + 1 };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// After every call, the window equals the last N of a list.
        #[test]
        fn slides_like_a_list(
            size in 1_u32..20,
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), prop::bool::weighted(0.05)), 0..200),
        ) {
            let window = CallWindow::new(size);
            let (mut list, mut generation) = (Vec::new(), 1);
            for (failed, slow, turn) in steps {
                if turn {
                    generation += 1;
                    list.clear();
                    prop_assert_eq!(window.counts(generation), Counts::default());
                }
                window.record(generation, Sample { failed, slow });
                window.record(generation - 1, Sample { failed: true, slow: true });
                list.push((failed, slow));
                let last = &list[list.len().saturating_sub(size as usize)..];
                prop_assert_eq!(window.counts(generation), Counts {
                    calls: last.len() as u64,
                    failures: last.iter().filter(|(failed, _)| *failed).count() as u64,
                    slow: last.iter().filter(|(_, slow)| *slow).count() as u64,
                });
            }
        }
    }

    #[test]
    fn the_sums_of_a_full_window_fit_their_word() {
        let full = Counts { calls: 1_000_000, failures: 1_000_000, slow: 1_000_000 };
        assert_eq!(unpack(pack(full)), full);
    }
}
