//! The cells of one scope, in shards under their own locks.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;
use parking_lot::{Mutex, MutexGuard};

use super::cell::Cell;
use super::shard::Shard;
use crate::limit::Group;

/// Fewer subjects than this to a shard would make its tenth too small a door.
const LEAST_PER_SHARD: usize = 64;
const MOST_SHARDS: usize = 256;

/// The cells of one scope.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[Mutex<Shard>]>,
    /// Keyed at random, for each table by itself: subjects are chosen by strangers.
    hasher: RandomState,
    born: AtomicU64,
}

/// One subject's cell, locked.
#[derive(Debug)]
pub(super) struct Held<'a> {
    shard: MutexGuard<'a, Shard>,
    place: u32,
}

impl Held<'_> {
    pub(super) fn cell(&mut self) -> Option<&mut Cell> {
        self.shard.cell(self.place)
    }

    pub(super) fn keep(&mut self) {
        self.shard.keep(self.place);
    }
}

impl Table {
    /// A table of at most `capacity` subjects (rounded up to whole shards).
    pub(super) fn new(capacity: usize) -> Self {
        let shards = (capacity / LEAST_PER_SHARD).clamp(1, MOST_SHARDS).next_power_of_two();
        let each = capacity.div_ceil(shards);
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::new(each))).collect(),
            hasher: RandomState::default(),
            born: AtomicU64::new(0),
        }
    }

    /// Locks the cell of `subject`, which gets one if it has none.
    pub(super) fn enter(&self, subject: &str, group: &Group, now: u64) -> Option<Held<'_>> {
        let (hash, shard) = self.place(subject, group.print)?;
        let mut shard = shard.lock();
        let place = shard.enter(hash, subject, group, now, || self.born.fetch_add(1, Ordering::Relaxed));
        Some(Held { shard, place })
    }

    /// Locks the cell of `subject`, if it has one.
    pub(super) fn find(&self, subject: &str, print: u32) -> Option<Held<'_>> {
        let (hash, shard) = self.place(subject, print)?;
        let shard = shard.lock();
        let place = shard.find(hash, subject, print)?;
        Some(Held { shard, place })
    }

    /// How many subjects are kept, and how many were forgotten while they had counts.
    pub(super) fn census(&self) -> (usize, u64) {
        self.shards.iter().fold((0, 0), |(kept, evicted), shard| {
            let shard = shard.lock();
            (kept + shard.len(), evicted + shard.evicted())
        })
    }

    fn place(&self, subject: &str, print: u32) -> Option<(u64, &Mutex<Shard>)> {
        // The global scope has one subject and needs no hash.
        let hash = if subject.is_empty() { u64::from(print) } else { self.hasher.hash_one((print, subject)) };
        // The map inside takes the lowest and the highest bits; these are from between.
        let shard = (hash >> 32) as usize & (self.shards.len() - 1);
        Some((hash, self.shards.get(shard)?))
    }
}
