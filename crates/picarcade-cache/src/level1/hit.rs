//! The path of a hit in memory, which is the only path that must be fast.
//!
//! A hit reads the clock once, increments one reference count and one counter, and allocates
//! nothing.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use crate::{
    CacheSource, Key, Lookup,
    clock::Nanos,
    entry::{Entry, Freshness},
    inner::Inner,
    known::Known,
    level1::invalidations::Standing,
};

/// A value that answers at once.
pub(crate) struct Hit<V> {
    entry: Entry<V>,
    pub(crate) source: CacheSource,
    /// The time of the lookup.
    now: Nanos,
}

impl<V> Inner<V> {
    /// Looks a key up in memory. Breaks with a value that answers at once, and otherwise continues
    /// with what is known.
    #[inline]
    pub(crate) fn look_up(&self, key: &Key) -> ControlFlow<Hit<V>, Known<V>> {
        let Some(entry) = self.memory.get(key) else { return ControlFlow::Continue(Known::Nothing) };
        let now = self.clock.now();
        let tags = entry.tags.as_ref().map(|tags| tags.as_slice());
        let (freshness, is_verified) = match self.invalidations.standing(entry.born, tags) {
            Standing::Good => {
                let beta = self.policy.beta;
                (entry.stamps.assess_ahead(now, entry.load_micros, beta, fastrand::f64), true)
            }
            Standing::Suspect => (entry.stamps.assess(now), false),
            Standing::Invalidated => (Freshness::Dead, true),
        };
        match freshness {
            Freshness::Dead => {
                self.drop_dead(key, &entry);
                ControlFlow::Continue(Known::Nothing)
            }
            Freshness::Held => ControlFlow::Break(Hit { entry, source: CacheSource::Stale, now }),
            _ if !is_verified => ControlFlow::Continue(Known::Unverified(entry)),
            Freshness::Fresh => ControlFlow::Break(Hit { entry, source: CacheSource::L1, now }),
            Freshness::RefreshAhead => ControlFlow::Continue(Known::Fresh(entry)),
            Freshness::Stale => ControlFlow::Continue(Known::Stale(entry)),
        }
    }

    #[cold]
    fn drop_dead(&self, key: &Key, entry: &Entry<V>) {
        self.memory.remove_same(key, &entry.value);
    }

    /// Counts a hit and returns its answer, without a second look at the clock.
    #[inline]
    pub(crate) fn serve_hit(&self, key: &Key, hit: Hit<V>) -> Lookup<V> {
        let Hit { entry, source, now } = hit;
        self.counters.served(key, source);
        let saved_micros = self.save(key, &entry.value);
        let age = Duration::from_nanos(now.saturating_sub(entry.stamps.stored));
        Lookup { value: entry.value, source, age, refreshing: false, saved_micros }
    }

    /// Counts an answer and returns it.
    pub(crate) fn serve(
        &self,
        key: &Key,
        entry: &Entry<V>,
        source: CacheSource,
        refreshing: bool,
    ) -> Lookup<V> {
        self.counters.served(key, source);
        let saved_micros = if source.is_hit() { self.save(key, &entry.value) } else { 0 };
        let age = Duration::from_nanos(self.clock.now().saturating_sub(entry.stamps.stored));
        Lookup { value: Arc::clone(&entry.value), source, age, refreshing, saved_micros }
    }

    /// Counts and returns what a lookup saved that got this value without a load of its own.
    #[inline]
    pub(crate) fn save(&self, key: &Key, value: &V) -> u64 {
        let saved = self.cost_micros.map_or(0, |cost| cost(value));
        if saved > 0 {
            self.counters.save(key, saved);
        }
        saved
    }
}
