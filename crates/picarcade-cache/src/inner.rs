//! The state that all clones of a cache share, and the conversion of a value to an entry.
//!
//! Other files extend [`Inner`]: [`hit`](crate::level1::hit) with lookups in memory,
//! [`caller`](crate::single_flight::caller) with misses, [`invalidate`](crate::fleet::invalidate)
//! with changes from outside, [`read`](crate::level2::read) and [`write`](crate::level2::write)
//! with the second level.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::sync::Semaphore;

use crate::{
    Clock,
    clock::nanos,
    entry::{Entry, Stamps},
    level1::invalidations::Invalidations,
    level1::memory::{Memory, OVERHEAD_BYTES},
    level2::second_level::SecondLevel,
    policy::{MAX_LIFETIME, Policy},
    single_flight::table::SingleFlight,
    statistics::Counters,
    tag::Tag,
};

/// A function of the owner of the cache that returns how many bytes a value takes in memory.
pub(crate) type Weigher<V> = Box<dyn Fn(&V) -> usize + Send + Sync>;

/// The state that all clones of a cache share.
pub(crate) struct Inner<V> {
    pub(crate) name: Arc<str>,
    pub(crate) schema: u64,
    pub(crate) policy: Policy,
    pub(crate) clock: Clock,
    pub(crate) memory: Memory<V>,
    pub(crate) single_flight: SingleFlight<V>,
    pub(crate) invalidations: Invalidations,
    pub(crate) counters: Counters,
    pub(crate) second: Option<SecondLevel>,
    pub(crate) weigher: Option<Weigher<V>>,
    pub(crate) negative_when: Option<fn(&V) -> bool>,
    /// Returns what the load of a value cost.
    pub(crate) cost_micros: Option<fn(&V) -> u64>,
    /// Whether the log contains the warning about a value that cannot be written as JSON.
    pub(crate) unserializable_logged: AtomicBool,
    /// The permits of the loaders that run.
    pub(crate) loaders: Semaphore,
}

/// How a new value is stored.
pub(crate) struct Keeping {
    pub(crate) ttl: Option<Duration>,
    pub(crate) negative: bool,
    pub(crate) tags: Vec<Tag>,
    /// The duration of the load.
    pub(crate) took: Duration,
    /// The count of invalidations before the load.
    pub(crate) born: u64,
}

impl<V: Serialize> Inner<V> {
    /// Returns the weight of a value. `json` is its length as JSON if that is already known.
    pub(crate) fn weigh(&self, value: &V, json: Option<usize>) -> usize {
        match (&self.weigher, json) {
            (Some(weigher), _) => weigher(value),
            (None, Some(length)) => length,
            (None, None) => json_length(value),
        }
    }

    /// Returns whether a weight means that the value cannot be written as JSON. Only a weigher can
    /// return such a weight for a value that can.
    pub(crate) fn is_unserializable(&self, weight: usize) -> bool {
        self.weigher.is_none() && weight == usize::MAX
    }

    /// Counts a value that cannot be written as JSON. It is logged once per cache, because the
    /// fault is in the type and repeats with every value.
    pub(crate) fn not_serializable(&self) {
        self.counters.not_serializable.one();
        if !self.unserializable_logged.swap(true, Ordering::Relaxed) {
            let value = std::any::type_name::<V>();
            tracing::warn!(cache = %self.name, value, "value cannot be written as JSON and is not cached");
        }
    }

    /// Returns the entry of a value, and the weight of the value.
    pub(crate) fn entry(&self, value: V, keeping: Keeping, json: Option<usize>) -> (Entry<V>, usize) {
        let Keeping { ttl, negative, mut tags, took, born } = keeping;
        let fresh_for = self.policy.fresh_for(ttl, negative, fastrand::f64()).min(MAX_LIFETIME);
        let stale_for = self.policy.stale_for.min(MAX_LIFETIME.saturating_sub(fresh_for));
        tags.sort_unstable();
        tags.dedup();
        let weight = self.weigh(&value, json);
        let entry = Entry {
            value: Arc::new(value),
            stamps: Stamps::new(self.clock.now(), nanos(fresh_for), nanos(stale_for)),
            born,
            weight: Self::counted(weight, &tags),
            tags: (!tags.is_empty()).then(|| Arc::new(tags)),
            load_micros: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
        };
        (entry, weight)
    }

    /// Returns the weight of an entry, given the weight of its value.
    pub(crate) fn counted(value: usize, tags: &[Tag]) -> u32 {
        // The list of tags is a separate allocation with its own header.
        let tags = if tags.is_empty() { 0 } else { size_of::<Vec<Tag>>() + 32 + size_of_val(tags) };
        u32::try_from(value.saturating_add(OVERHEAD_BYTES + tags)).unwrap_or(u32::MAX)
    }
}

/// Returns the length of a value as JSON without storing the JSON, or `usize::MAX` if it cannot be
/// serialized.
fn json_length<V: Serialize>(value: &V) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}
