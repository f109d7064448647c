//! What can be seen of a handle from outside.

use serde::Serialize;

use crate::Role;

/// A snapshot of a [`RedisHandle`](crate::RedisHandle), for health pages.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Whether the active endpoint has a working connection.
    pub connected: bool,
    /// Which endpoint serves.
    pub active: Role,
    /// Counts every change of the connection that serves: a reconnect, a fail-over, a fail-back.
    pub generation: u64,
    /// How long the last probe of the active endpoint took.
    pub latency_ms: Option<f64>,
    /// The active server's `used_memory`, as of the last time it was asked.
    pub used_memory_bytes: Option<u64>,
    /// Invalidations that an absent endpoint has still to be told.
    pub pending_invalidations: usize,
    /// The kind of the last failure to connect or to probe the active endpoint.
    pub last_error: Option<&'static str>,
}
