//! The observable state of a handle.

use serde::Serialize;

use crate::Role;

/// A snapshot of a [`RedisHandle`](crate::RedisHandle), for health pages.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RedisStatus {
    /// Whether the active endpoint has a working connection.
    pub connected: bool,
    /// The active endpoint.
    pub active: Role,
    /// The number of changes of the active connection: a reconnect, a fail-over, a fail-back.
    pub generation: u64,
    /// The duration of the last probe of the active endpoint.
    pub latency_ms: Option<f64>,
    /// The `used_memory` of the active server at the last check.
    pub used_memory_bytes: Option<u64>,
    /// The number of invalidations that an absent endpoint has missed.
    pub pending_invalidations: usize,
    /// The kind of the last failure to connect to or to probe the active endpoint.
    pub last_error: Option<&'static str>,
}
