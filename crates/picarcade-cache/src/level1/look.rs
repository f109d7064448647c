//! What memory says of a key: the path of a hit, and the only one that must be fast.
//!
//! A hit reads the clock once, counts one reference and one counter, and allocates nothing.

use std::{sync::Arc, time::Duration};

use crate::{
    Key, Lookup, Source,
    clock::Nanos,
    entry::{Entry, Freshness},
    inner::Inner,
    level1::invalidations::Standing,
    policy::Policy,
};

/// What memory says of a key.
pub(crate) enum Look<V> {
    /// Answer with this, as of the time that was looked at.
    Hit(Entry<V>, Source, Nanos),
    /// Answer with this, and load anew behind.
    Ahead(Entry<V>),
    /// Load, with this at hand.
    Stale(Entry<V>),
    /// Ask the second level whether this is still good.
    Suspect(Entry<V>),
    Miss,
}

impl<V> Inner<V> {
    /// What memory says of a key.
    #[inline]
    pub(crate) fn look(&self, key: &Key) -> Look<V> {
        let Some(entry) = self.memory.get(key) else { return Look::Miss };
        let now = self.clock.now();
        let tags = entry.tags.as_ref().map(|tags| tags.as_slice());
        match self.invalidations.standing(entry.born, tags) {
            Standing::Good => {
                let Policy { beta, .. } = self.policy;
                match entry.stamps.assess_ahead(now, entry.load_micros, beta, fastrand::f64) {
                    Freshness::Fresh => Look::Hit(entry, Source::L1, now),
                    Freshness::RefreshAhead => Look::Ahead(entry),
                    Freshness::Held => Look::Hit(entry, Source::Stale, now),
                    Freshness::Stale => Look::Stale(entry),
                    Freshness::Dead => self.let_go(key, &entry),
                }
            }
            Standing::Suspect => match entry.stamps.assess(now) {
                Freshness::Dead => self.let_go(key, &entry),
                Freshness::Held => Look::Hit(entry, Source::Stale, now),
                _ => Look::Suspect(entry),
            },
            Standing::Invalidated => self.let_go(key, &entry),
        }
    }

    #[cold]
    fn let_go(&self, key: &Key, entry: &Entry<V>) -> Look<V> {
        self.memory.remove_same(key, &entry.value);
        Look::Miss
    }

    /// The answer from memory, counted. Takes the entry and the time as they were looked at: a hit reads the clock
    /// once and counts one reference.
    #[inline]
    pub(crate) fn hit(&self, key: &Key, entry: Entry<V>, source: Source, now: Nanos) -> Lookup<V> {
        self.counters.served(key, source);
        let age = Duration::from_nanos(now.saturating_sub(entry.stamps.stored));
        Lookup { value: entry.value, source, age, refreshing: false }
    }

    /// The answer to a caller, counted.
    pub(crate) fn serve(&self, key: &Key, entry: &Entry<V>, source: Source, refreshing: bool) -> Lookup<V> {
        self.counters.served(key, source);
        let age = self.clock.now().saturating_sub(entry.stamps.stored);
        Lookup { value: Arc::clone(&entry.value), source, age: Duration::from_nanos(age), refreshing }
    }
}
