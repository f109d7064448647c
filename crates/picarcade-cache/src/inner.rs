//! What all clones of a cache share, and how a value becomes an entry.
//!
//! The files beside this one each add one thing to it: [`hit`](crate::level1::hit) what memory says, [`caller`](crate::single_flight::caller) what a
//! miss does, [`invalidate`](crate::fleet::invalidate) changes from outside, [`read`](crate::level2::read) and
//! [`write`](crate::level2::write) the second level.

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

/// Bytes that a value takes in memory, as its owner estimates.
pub(crate) type Weigher<V> = Box<dyn Fn(&V) -> usize + Send + Sync>;

/// See the [module](self).
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
    /// Whether the log has said that a value cannot be written as JSON: once is enough.
    pub(crate) unserializable_logged: AtomicBool,
    /// Loaders that run.
    pub(crate) loaders: Semaphore,
}

/// How a value that was made now is to be kept.
pub(crate) struct Keeping {
    pub(crate) ttl: Option<Duration>,
    pub(crate) negative: bool,
    pub(crate) tags: Vec<Tag>,
    /// How long its load took.
    pub(crate) took: Duration,
    /// The count of invalidations before its load.
    pub(crate) born: u64,
}

impl<V: Serialize> Inner<V> {
    /// Bytes that a value is to count as; `json` is its length as JSON when that is known already.
    pub(crate) fn weigh(&self, value: &V, json: Option<usize>) -> usize {
        match (&self.weigher, json) {
            (Some(weigher), _) => weigher(value),
            (None, Some(length)) => length,
            (None, None) => json_length(value),
        }
    }

    /// Whether a weight says that the value cannot be written as JSON: only a weigher of the
    /// cache's owner can mean a value that large.
    pub(crate) fn is_unserializable(&self, weight: usize) -> bool {
        self.weigher.is_none() && weight == usize::MAX
    }

    /// Counts and reports a value that cannot be written as JSON. The log says so once per cache,
    /// because the fault is in the type and repeats with every value.
    pub(crate) fn not_serializable(&self) {
        self.counters.not_serializable.one();
        if !self.unserializable_logged.swap(true, Ordering::Relaxed) {
            let value = std::any::type_name::<V>();
            tracing::warn!(cache = %self.name, value, "a value cannot be written as JSON and is not cached");
        }
    }

    /// An entry of a value, and what the value weighs.
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

    /// What an entry counts against the bound in bytes, when its value weighs so much.
    pub(crate) fn counted(value: usize, tags: &[Tag]) -> u32 {
        // The list is one allocation more, with its own header.
        let tags = if tags.is_empty() { 0 } else { size_of::<Vec<Tag>>() + 32 + size_of_val(tags) };
        u32::try_from(value.saturating_add(OVERHEAD_BYTES + tags)).unwrap_or(u32::MAX)
    }
}

/// How long a value is as JSON, without writing it anywhere. What cannot be serialised is too long for any bound.
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
