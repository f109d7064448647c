//! The counters of a cache.
//!
//! Every lookup increments exactly one of `hits_l1`, `hits_l2`, `stale`, `misses` and `bypasses`.
//! The counters of first-level hits and of savings are striped by key, because every core
//! increments them all the time.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::{CacheSource, key::Key};

/// A snapshot of the counters of one cache. All counts are since the cache was created.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct CacheStatistics {
    /// The name of the cache.
    pub name: String,
    /// The number of entries in the first level.
    pub entries: u64,
    /// The weight of the entries, overhead included.
    pub bytes: u64,
    /// The limit of `bytes`.
    pub max_bytes: u64,
    /// Lookups answered from memory.
    pub hits_l1: u64,
    /// Lookups answered from the second level.
    pub hits_l2: u64,
    /// Lookups answered with an expired value.
    pub stale: u64,
    /// Lookups that needed a load, by any caller, or found nothing.
    pub misses: u64,
    /// Loads that by their options did not use the cache.
    pub bypasses: u64,
    /// The share of hits among all lookups, 0 to 1; 0 before the first.
    pub hit_rate: f64,
    /// Runs of a loader.
    pub loads: u64,
    /// Lookups that shared a load of another caller.
    pub coalesced: u64,
    /// Loads started ahead of time.
    pub refreshes: u64,
    /// Loads under way now, including those whose result is no longer wanted.
    pub in_flight: u64,
    /// Seconds spent in loaders.
    pub load_seconds: f64,
    /// Loads that ended without a value: failed, panicked and timed out together.
    pub load_errors: u64,
    /// Loaders that panicked.
    pub load_panics: u64,
    /// Loads that reached the load limit, and callers that reached the hard timeout.
    pub timeouts: u64,
    /// Lookups rejected because of too many loads or waiters.
    pub overloaded: u64,
    /// Entries evicted from memory because of its limit.
    pub evictions: u64,
    /// Values not stored because they are larger than an entry may be.
    pub too_large: u64,
    /// Values that cannot be written as JSON and are therefore not in the second level.
    pub not_serializable: u64,
    /// Results not stored because the key was invalidated during their load.
    pub late_writes: u64,
    /// Invalidations of keys, tags and everything, by this instance or by others.
    pub invalidations: u64,
    /// Times when invalidations may have been missed, so that memory was verified with the second
    /// level.
    pub suspicions: u64,
    /// Failed calls of the second level.
    pub remote_errors: u64,
    /// Entries of the second level that could not be decoded.
    pub undecodable: u64,
    /// Writes to the second level dropped because too many were under way.
    pub writes_dropped: u64,
    /// What the loads cost whose values answered hits and shared loads, in micro-dollars.
    pub saved_micros: u64,
}

const STRIPES: usize = 16;

/// The counters that every hit increments, on a separate cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    hits_l1: AtomicU64,
    saved_micros: AtomicU64,
}

/// The live counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    stripes: [Stripe; STRIPES],
    pub(crate) hits_l2: Counter,
    pub(crate) stale: Counter,
    pub(crate) misses: Counter,
    pub(crate) bypasses: Counter,
    pub(crate) loads: Counter,
    pub(crate) coalesced: Counter,
    pub(crate) refreshes: Counter,
    pub(crate) load_nanos: Counter,
    pub(crate) load_errors: Counter,
    pub(crate) load_panics: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) overloaded: Counter,
    pub(crate) too_large: Counter,
    pub(crate) not_serializable: Counter,
    pub(crate) late_writes: Counter,
    pub(crate) invalidations: Counter,
    pub(crate) suspicions: Counter,
    pub(crate) remote_errors: Counter,
    pub(crate) undecodable: Counter,
    pub(crate) writes_dropped: Counter,
}

/// A plain counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    #[inline]
    pub(crate) fn hit_l1(&self, key: &Key) {
        self.stripe(key).hits_l1.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn save(&self, key: &Key, micros: u64) {
        self.stripe(key).saved_micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn stripe(&self, key: &Key) -> &Stripe {
        &self.stripes[key.stripe() / 16 % STRIPES]
    }

    fn sum(&self, counter: fn(&Stripe) -> &AtomicU64) -> u64 {
        self.stripes.iter().map(|stripe| counter(stripe).load(Ordering::Relaxed)).sum()
    }

    /// Returns the counters. The caller adds the name and the numbers of memory.
    pub(crate) fn snapshot(&self) -> CacheStatistics {
        let l1 = self.sum(|stripe| &stripe.hits_l1);
        let (l2, stale, misses) = (self.hits_l2.value(), self.stale.value(), self.misses.value());
        let (bypasses, coalesced) = (self.bypasses.value(), self.coalesced.value());
        let hits = l1 + l2 + stale;
        let asked = hits + misses + bypasses;
        CacheStatistics {
            hits_l1: l1,
            hits_l2: l2,
            stale,
            misses,
            bypasses,
            hit_rate: if asked == 0 { 0.0 } else { hits as f64 / asked as f64 },
            loads: self.loads.value(),
            coalesced,
            refreshes: self.refreshes.value(),
            load_seconds: self.load_nanos.value() as f64 / 1e9,
            load_errors: self.load_errors.value(),
            load_panics: self.load_panics.value(),
            timeouts: self.timeouts.value(),
            overloaded: self.overloaded.value(),
            too_large: self.too_large.value(),
            not_serializable: self.not_serializable.value(),
            late_writes: self.late_writes.value(),
            invalidations: self.invalidations.value(),
            suspicions: self.suspicions.value(),
            remote_errors: self.remote_errors.value(),
            undecodable: self.undecodable.value(),
            writes_dropped: self.writes_dropped.value(),
            saved_micros: self.sum(|stripe| &stripe.saved_micros),
            ..CacheStatistics::default()
        }
    }

    /// Counts a lookup by the source of its value.
    pub(crate) fn served(&self, key: &Key, source: CacheSource) {
        match source {
            CacheSource::L1 => self.hit_l1(key),
            CacheSource::L2 => self.hits_l2.one(),
            CacheSource::Stale => self.stale.one(),
            CacheSource::Loaded => self.misses.one(),
            CacheSource::Bypass => self.bypasses.one(),
        }
    }
}
