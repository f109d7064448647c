//! The calls of the last period of time, counted in lanes.
//!
//! Time is divided into [`STEPS`] buckets that are used in turn. Each lane has its own buckets,
//! threads are distributed over the lanes, and a reader sums them. Two cores that record at once
//! therefore do not write to the same cache line.
//!
//! A new generation begins with an empty window, without clearing cells that other threads write: a
//! generation is a jump of one whole window in the tags. Cells of an earlier generation are then
//! too old to be read. A thread that still counts for an earlier generation has a tag too old to
//! overwrite newer ones.

use std::time::Duration;

use super::{
    cell::Cell,
    counts::{Counts, Sample},
};
use crate::{
    clock::{Tick, ticks},
    lane,
};

/// The number of steps in which a time window slides.
pub(crate) const STEPS: u64 = 16;

#[derive(Debug)]
pub(crate) struct LaneWindow {
    /// The length of a step.
    step: Tick,
    lanes: Box<[Lane]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Lane {
    buckets: [Bucket; STEPS as usize],
}

#[derive(Debug)]
struct Bucket {
    calls: Cell,
    failures: Cell,
    slow: Cell,
}

impl LaneWindow {
    pub(crate) fn new(time: Duration) -> Self {
        let bucket = |_| Bucket { calls: Cell::new(), failures: Cell::new(), slow: Cell::new() };
        let lane = |_| Lane { buckets: std::array::from_fn(bucket) };
        Self { step: (ticks(time) / STEPS).max(1), lanes: (0..lane::count()).map(lane).collect() }
    }

    /// Returns the newest tag of `generation` at `now`. At least [`STEPS`], because generations
    /// start at one.
    #[inline]
    const fn tag(&self, generation: u64, now: Tick) -> u64 {
        (now / self.step).saturating_add(generation.saturating_mul(STEPS))
    }

    #[inline]
    pub(crate) fn record(&self, generation: u64, now: Tick, sample: Sample) {
        let tag = self.tag(generation, now);
        let Some(lane) = self.lanes.get(lane::index() & (self.lanes.len() - 1)) else { return };
        let Some(bucket) = lane.buckets.get((tag % STEPS) as usize) else { return };
        // The call is counted before its parts and read after them: a part is never seen without
        // its call.
        bucket.calls.add(tag);
        if sample.failed {
            bucket.failures.add(tag);
        }
        if sample.slow {
            bucket.slow.add(tag);
        }
    }

    pub(crate) fn counts(&self, generation: u64, now: Tick) -> Counts {
        let newest = self.tag(generation, now);
        let tags = newest.saturating_sub(STEPS - 1)..=newest;
        let mut counts = Counts::default();
        for bucket in self.lanes.iter().flat_map(|lane| &lane.buckets) {
            counts.slow += bucket.slow.read(tags.clone());
            counts.failures += bucket.failures.read(tags.clone());
            counts.calls += bucket.calls.read(tags.clone());
        }
        counts
    }
}
