//! The statistics through the `metrics` facade.
//!
//! A cache has its own counters and publishes their values on request, before a scrape or at
//! intervals. A hit in memory therefore increments one counter instead of two. Labels are the name
//! of the cache and fixed words. Amounts that are not whole numbers (seconds, dollars) are gauges
//! that only grow, because counters of the facade are whole numbers.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::CacheStatistics;

/// A series with the label `cache`: its name, its description and its value.
type Series<T> = (&'static str, &'static str, fn(&CacheStatistics) -> T);

const LOOKUPS: &str = "picarcade_cache_lookups_total";

const COUNTERS: [Series<u64>; 16] = [
    ("picarcade_cache_loads_total", "Loads after a miss of a cache level", |it| it.loads),
    ("picarcade_cache_load_errors_total", "Loads that ended without a value", |it| it.load_errors),
    ("picarcade_cache_load_panics_total", "Loads that panicked", |it| it.load_panics),
    ("picarcade_cache_coalesced_total", "Lookups that waited for the load of another caller", |it| {
        it.coalesced
    }),
    ("picarcade_cache_refreshes_total", "Loads that began before the value expired", |it| it.refreshes),
    ("picarcade_cache_timeouts_total", "Loads that timed out, and callers that stopped waiting", |it| {
        it.timeouts
    }),
    ("picarcade_cache_overloaded_total", "Lookups refused because of too many loads or waiters", |it| {
        it.overloaded
    }),
    ("picarcade_cache_evictions_total", "Entries evicted for lack of memory", |it| it.evictions),
    (
        "picarcade_cache_invalidations_total",
        "Keys, tags and clears invalidated here or by other instances",
        |it| it.invalidations,
    ),
    ("picarcade_cache_suspicions_total", "How often invalidations may have been missed", |it| it.suspicions),
    ("picarcade_cache_too_large_total", "Values that were not cached because of their size", |it| {
        it.too_large
    }),
    ("picarcade_cache_not_serializable_total", "Values that could not be written as JSON", |it| {
        it.not_serializable
    }),
    (
        "picarcade_cache_late_writes_total",
        "Values that were not cached because of an invalidation during their load",
        |it| it.late_writes,
    ),
    ("picarcade_cache_remote_errors_total", "Calls to the second cache tier that failed", |it| {
        it.remote_errors
    }),
    (
        "picarcade_cache_undecodable_total",
        "Entries of the second cache tier that could not be decoded",
        |it| it.undecodable,
    ),
    (
        "picarcade_cache_writes_dropped_total",
        "Writes to the second cache tier dropped because of too many concurrent ones",
        |it| it.writes_dropped,
    ),
];

const GAUGES: [Series<f64>; 6] = [
    ("picarcade_cache_load_seconds", "Time spent in loads of a cache level since the start", |it| {
        it.load_seconds
    }),
    (
        "picarcade_cache_saved_dollars",
        "What the loads cost whose values answered hits and shared loads of a cache level, in US dollars",
        |it| it.saved_micros as f64 / 1e6,
    ),
    ("picarcade_cache_entries", "Entries of a cache level in process", |it| it.entries as f64),
    ("picarcade_cache_bytes", "Bytes that a cache level takes in process", |it| it.bytes as f64),
    ("picarcade_cache_max_bytes", "The most bytes that a cache level may take in process", |it| {
        it.max_bytes as f64
    }),
    ("picarcade_cache_loads_in_flight", "Concurrent loads of a cache level", |it| it.in_flight as f64),
];

/// Describes every series of this crate to the installed recorder. Does nothing without one.
pub fn describe_metrics() {
    describe_counter!(LOOKUPS, "Lookups of a cache level, by result");
    for (name, help, _) in COUNTERS {
        describe_counter!(name, help);
    }
    for (name, help, _) in GAUGES {
        describe_gauge!(name, help);
    }
}

impl CacheStatistics {
    /// Publishes these counts to the installed recorder. Does nothing without one. The README lists
    /// the series.
    pub fn publish_metrics(&self) {
        for (result, count) in [
            ("l1", self.hits_l1),
            ("l2", self.hits_l2),
            ("stale", self.stale),
            ("miss", self.misses),
            ("bypass", self.bypasses),
        ] {
            counter!(LOOKUPS, "cache" => self.name.clone(), "result" => result).absolute(count);
        }
        for (name, _, count) in COUNTERS {
            counter!(name, "cache" => self.name.clone()).absolute(count(self));
        }
        for (name, _, amount) in GAUGES {
            gauge!(name, "cache" => self.name.clone()).set(amount(self));
        }
    }
}
