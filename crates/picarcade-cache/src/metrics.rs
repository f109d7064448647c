//! The statistics through the `metrics` facade.
//!
//! The counters of a cache are its own and are published as they stand, before a scrape or now and then: so a hit in
//! memory pays for one counter and not for two. Labels are the cache's name and fixed words.

use metrics::{counter, gauge};

use crate::Statistics;

impl Statistics {
    /// Hands these counts to the recorder that is installed, as
    /// `picarcade_cache_{lookups,loads,load_errors,coalesced,evictions,invalidations,remote_errors,undecodable}_total`,
    /// `picarcade_cache_load_seconds_total`, `picarcade_cache_saved_micros_total`, `picarcade_cache_{entries,bytes}` and
    /// `picarcade_cache_loads_in_flight`, each with the label `cache`. Does nothing without a recorder.
    pub fn publish(&self) {
        let outcomes = [
            ("l1", self.hits_l1),
            ("l2", self.hits_l2),
            ("stale", self.stale),
            ("miss", self.misses),
            ("bypass", self.bypasses),
        ];
        for (outcome, count) in outcomes {
            counter!("picarcade_cache_lookups_total", "cache" => self.name.clone(), "outcome" => outcome)
                .absolute(count);
        }
        let counts = [
            ("picarcade_cache_loads_total", self.loads),
            ("picarcade_cache_load_errors_total", self.load_errors),
            ("picarcade_cache_coalesced_total", self.coalesced),
            ("picarcade_cache_evictions_total", self.evictions),
            ("picarcade_cache_invalidations_total", self.invalidations),
            ("picarcade_cache_remote_errors_total", self.remote_errors),
            ("picarcade_cache_undecodable_total", self.undecodable),
            ("picarcade_cache_saved_micros_total", self.saved_micros),
        ];
        for (name, count) in counts {
            counter!(name, "cache" => self.name.clone()).absolute(count);
        }
        let levels = [
            // The facade's counters are whole numbers; seconds are not.
            ("picarcade_cache_load_seconds_total", self.load_seconds),
            ("picarcade_cache_entries", self.entries as f64),
            ("picarcade_cache_bytes", self.bytes as f64),
            ("picarcade_cache_loads_in_flight", self.in_flight as f64),
        ];
        for (name, level) in levels {
            gauge!(name, "cache" => self.name.clone()).set(level);
        }
    }
}
