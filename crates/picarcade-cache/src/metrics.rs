//! The statistics through the `metrics` facade.
//!
//! A cache has its own counters and publishes their values on request, before a scrape or at
//! intervals. A hit in memory therefore increments one counter instead of two. Labels are the name
//! of the cache and fixed words. Amounts that are not whole numbers (seconds, dollars) are gauges
//! that only grow, because counters of the facade are whole numbers.

use metrics::{counter, gauge};

use crate::CacheStatistics;

impl CacheStatistics {
    /// Publishes these counts to the installed recorder. Does nothing without one.
    ///
    /// Each series has the label `cache` with the name of the cache:
    ///
    /// | series | of [`CacheStatistics`] |
    /// | --- | --- |
    /// | `picarcade_cache_lookups_total`, with a label `result` | lookups by result |
    /// | `picarcade_cache_{loads,load_errors,load_panics}_total` | loads |
    /// | `picarcade_cache_{coalesced,refreshes,timeouts,overloaded}_total` | loads |
    /// | `picarcade_cache_{evictions,invalidations,suspicions}_total` | entries in memory |
    /// | `picarcade_cache_{too_large,not_serializable,late_writes}_total` | values not stored |
    /// | `picarcade_cache_{remote_errors,undecodable,writes_dropped}_total` | the second level |
    /// | `picarcade_cache_{load_seconds,saved_dollars}` | time in loaders, savings by hits |
    /// | `picarcade_cache_{entries,bytes,max_bytes,loads_in_flight}` | current state |
    ///
    /// The results of lookups are `l1`, `l2`, `stale`, `miss` and `bypass`.
    pub fn publish_metrics(&self) {
        for (result, count) in [
            ("l1", self.hits_l1),
            ("l2", self.hits_l2),
            ("stale", self.stale),
            ("miss", self.misses),
            ("bypass", self.bypasses),
        ] {
            counter!("picarcade_cache_lookups_total", "cache" => self.name.clone(), "result" => result)
                .absolute(count);
        }
        for (name, count) in [
            ("picarcade_cache_loads_total", self.loads),
            ("picarcade_cache_load_errors_total", self.load_errors),
            ("picarcade_cache_load_panics_total", self.load_panics),
            ("picarcade_cache_coalesced_total", self.coalesced),
            ("picarcade_cache_refreshes_total", self.refreshes),
            ("picarcade_cache_timeouts_total", self.timeouts),
            ("picarcade_cache_overloaded_total", self.overloaded),
            ("picarcade_cache_evictions_total", self.evictions),
            ("picarcade_cache_invalidations_total", self.invalidations),
            ("picarcade_cache_suspicions_total", self.suspicions),
            ("picarcade_cache_too_large_total", self.too_large),
            ("picarcade_cache_not_serializable_total", self.not_serializable),
            ("picarcade_cache_late_writes_total", self.late_writes),
            ("picarcade_cache_remote_errors_total", self.remote_errors),
            ("picarcade_cache_undecodable_total", self.undecodable),
            ("picarcade_cache_writes_dropped_total", self.writes_dropped),
        ] {
            counter!(name, "cache" => self.name.clone()).absolute(count);
        }
        for (name, amount) in [
            ("picarcade_cache_load_seconds", self.load_seconds),
            ("picarcade_cache_saved_dollars", self.saved_micros as f64 / 1e6),
            ("picarcade_cache_entries", self.entries as f64),
            ("picarcade_cache_bytes", self.bytes as f64),
            ("picarcade_cache_max_bytes", self.max_bytes as f64),
            ("picarcade_cache_loads_in_flight", self.in_flight as f64),
        ] {
            gauge!(name, "cache" => self.name.clone()).set(amount);
        }
    }
}
