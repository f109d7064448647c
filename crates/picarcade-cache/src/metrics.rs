//! The statistics through the `metrics` facade.
//!
//! The counters of a cache are its own and are published as they stand, before a scrape or now and then: so a hit in
//! memory pays for one counter and not for two. Labels are the cache's name and fixed words. Amounts that are no whole
//! numbers (seconds, dollars) are gauges that only grow, because the facade's counters are whole.

use metrics::{counter, gauge};

use crate::Statistics;

impl Statistics {
    /// Hands these counts to the recorder that is installed. Does nothing without one.
    ///
    /// Each series has the label `cache`, the cache's name:
    ///
    /// | series | of [`Statistics`] |
    /// | --- | --- |
    /// | `picarcade_cache_lookups_total` with `result` `l1`, `l2`, `stale`, `miss` or `bypass` | how lookups ended |
    /// | `picarcade_cache_{loads,load_errors,load_panics,coalesced,refreshes,timeouts,overloaded}_total` | loads |
    /// | `picarcade_cache_{evictions,invalidations,suspicions,too_large,not_serializable,late_writes}_total` | what was not kept |
    /// | `picarcade_cache_{remote_errors,undecodable,writes_dropped}_total` | the second level |
    /// | `picarcade_cache_{load_seconds,saved_dollars}` | time spent in loaders, what hits have saved |
    /// | `picarcade_cache_{entries,bytes,max_bytes,loads_in_flight}` | as it is now |
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
