//! The status of a handle through the `metrics` facade.

use metrics::{describe_gauge, gauge};

use crate::{RedisStatus, Role};

const CONNECTED: &str = "picarcade_redis_connected";
const ENDPOINT: &str = "picarcade_redis_endpoint";
const LATENCY: &str = "picarcade_redis_latency_seconds";
const USED_MEMORY: &str = "picarcade_redis_used_memory_bytes";
const PENDING_INVALIDATIONS: &str = "picarcade_redis_pending_invalidations";

/// Describes every series of this crate to the installed recorder. Does nothing without one.
pub fn describe_metrics() {
    describe_gauge!(CONNECTED, "1 while Redis can be reached");
    describe_gauge!(ENDPOINT, "1 for the endpoint of Redis that serves");
    describe_gauge!(LATENCY, "How long the last probe of Redis took");
    describe_gauge!(USED_MEMORY, "Memory that the serving Redis uses");
    describe_gauge!(PENDING_INVALIDATIONS, "Invalidations that wait for an unavailable Redis");
}

impl RedisStatus {
    /// Publishes this status to the installed recorder. Does nothing without one. The README lists
    /// the series.
    pub fn publish_metrics(&self) {
        gauge!(CONNECTED).set(one_if(self.connected));
        for role in [Role::Primary, Role::Backup] {
            let serves = self.connected && role == self.active;
            gauge!(ENDPOINT, "endpoint" => role.as_str()).set(one_if(serves));
        }
        gauge!(LATENCY).set(self.latency_ms.unwrap_or(0.0) / 1e3);
        gauge!(USED_MEMORY).set(self.used_memory_bytes.unwrap_or(0) as f64);
        gauge!(PENDING_INVALIDATIONS).set(self.pending_invalidations as f64);
    }
}

fn one_if(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}
