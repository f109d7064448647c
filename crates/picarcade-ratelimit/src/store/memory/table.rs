//! The cells of one scope, in shards with one lock each.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

use super::shard::{Cell, Shard};
use crate::limit::Group;

/// With fewer subjects, the small queue of a shard (a tenth of it) would be too short.
const MIN_PER_SHARD: usize = 64;
const MAX_SHARDS: usize = 256;

/// The cells of one scope.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
    /// Randomly seeded for each table, because clients choose the subjects.
    hasher: RandomState,
    born: AtomicU64,
}

/// The locked cell of one subject.
pub(super) type Held<'a> = MappedMutexGuard<'a, Cell>;

impl Table {
    /// Creates a table of at most `capacity` subjects, rounded up to whole shards.
    pub(super) fn new(capacity: usize) -> Self {
        let shards = (capacity / MIN_PER_SHARD).clamp(1, MAX_SHARDS).next_power_of_two();
        let each = capacity.div_ceil(shards);
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::new(each))).collect(),
            hasher: RandomState::default(),
            born: AtomicU64::new(0),
        }
    }

    /// Locks the cell of `subject`, which is created if it has none.
    pub(super) fn enter(&self, subject: &str, group: &Group, now: u64) -> Option<Held<'_>> {
        let (hash, shard) = self.place(subject, group.layout_hash)?;
        let born = || self.born.fetch_add(1, Ordering::Relaxed);
        MutexGuard::try_map(shard.lock(), |shard| shard.enter(hash, subject, group, now, born)).ok()
    }

    /// Locks the cell of `subject`, if it has one.
    pub(super) fn find(&self, subject: &str, layout_hash: u32) -> Option<Held<'_>> {
        let (hash, shard) = self.place(subject, layout_hash)?;
        MutexGuard::try_map(shard.lock(), |shard| shard.find(hash, subject, layout_hash)).ok()
    }

    /// Returns the number of subjects, and of subjects that were evicted while they had counts.
    pub(super) fn census(&self) -> (usize, u64) {
        self.shards.iter().fold((0, 0), |(kept, evicted), shard| {
            let shard = shard.lock();
            (kept + shard.len(), evicted + shard.evicted())
        })
    }

    fn place(&self, subject: &str, layout_hash: u32) -> Option<(u64, &Mutex<Shard>)> {
        // The global scope has one subject and needs no hash.
        let hash = if subject.is_empty() {
            u64::from(layout_hash)
        } else {
            self.hasher.hash_one((layout_hash, subject))
        };
        // The map of the shard uses the lowest and the highest bits, so these are from the middle.
        let shard = (hash >> 32) as usize & (self.shards.len() - 1);
        Some((hash, self.shards.get(shard)?))
    }
}
