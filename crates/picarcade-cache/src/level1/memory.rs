//! The first level: the memory of this process, bounded in bytes.
//!
//! The entries are in quick_cache: a hit costs about 20 ns, and its eviction resists scans (like
//! S3-FIFO). It has no notion of time, which suits entries with their own stamps. Keys are hashes
//! already, so hashing them costs nothing. Evicted entries are dropped after the lock is released,
//! because the destructor of a value may take long.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use quick_cache::{Lifecycle, OptionsBuilder, Weighter, sync};

use crate::{
    entry::Entry,
    key::{Key, KeyHash},
    policy::Policy,
};

/// The cost of an entry without its value: the key, the stamps, the `Arc`, and the slots in the
/// slab and the table of quick_cache. `tests/it/memory.rs` measures it.
pub(crate) const OVERHEAD_BYTES: usize = 192;

#[derive(Debug, Clone, Copy)]
struct ByWeight;

impl<V> Weighter<Key, Entry<V>> for ByWeight {
    fn weight(&self, _: &Key, entry: &Entry<V>) -> u64 {
        u64::from(entry.weight)
    }
}

#[derive(Debug, Clone)]
struct CountEvictions(Arc<AtomicU64>);

impl<V> Lifecycle<Key, Entry<V>> for CountEvictions {
    type RequestState = Vec<Entry<V>>;

    fn on_evict(&self, fallen: &mut Vec<Entry<V>>, _: Key, entry: Entry<V>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        fallen.push(entry);
    }
}

/// The entries of the first level.
pub(crate) struct Memory<V> {
    entries: sync::Cache<Key, Entry<V>, ByWeight, KeyHash, CountEvictions>,
    evictions: Arc<AtomicU64>,
}

impl<V> Memory<V> {
    pub(crate) fn new(policy: &Policy) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        // Each shard has its own bound and must hold several of the largest entries, or a large
        // entry would empty it.
        let largest = (policy.max_entry_bytes + OVERHEAD_BYTES) as u64;
        let cores = std::thread::available_parallelism().map_or(4, usize::from);
        let shards = usize::try_from(policy.max_bytes / largest.saturating_mul(8)).unwrap_or(usize::MAX);
        let shards = shards.clamp(1, cores.saturating_mul(4));
        let expected = usize::try_from(policy.max_bytes / 1024).unwrap_or(usize::MAX).clamp(64, 1 << 20);
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(expected)
            .weight_capacity(policy.max_bytes)
            .ghost_allocation(0.25)
            .build();
        let lifecycle = CountEvictions(Arc::clone(&evictions));
        let entries = match options {
            Ok(options) => sync::Cache::with_options(options, ByWeight, KeyHash::default(), lifecycle),
            // Both required options are set above. This arm only avoids a panic.
            Err(_) => sync::Cache::with(expected, policy.max_bytes, ByWeight, KeyHash::default(), lifecycle),
        };
        Self { entries, evictions }
    }

    #[inline]
    pub(crate) fn get(&self, key: &Key) -> Option<Entry<V>> {
        self.entries.get(key)
    }

    pub(crate) fn insert(&self, key: Key, entry: Entry<V>) {
        self.entries.insert(key, entry);
    }

    pub(crate) fn remove(&self, key: &Key) {
        self.entries.remove(key);
    }

    /// Removes the entry if it still has this value.
    pub(crate) fn remove_same(&self, key: &Key, seen: &Arc<V>) {
        drop(self.entries.remove_if(key, |entry| Arc::ptr_eq(&entry.value, seen)));
    }

    pub(crate) fn clear(&self) {
        self.entries.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}
