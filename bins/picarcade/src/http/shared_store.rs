//! The store that all instances share, as operators see it.

use std::fmt::Debug;

use picarcade_flow::openapi::words;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Object;

/// The store that all instances share. The wiring implements it, so that HTTP knows no backend.
///
/// No method may make a call to the store, because probes and scrapes use them.
pub(crate) trait SharedStore: Debug + Send + Sync {
    /// Returns the state of the connection, as `/health/cache` shows it.
    fn status(&self) -> StoreStatus;

    /// Publishes the state of the connection as metrics.
    fn publish_metrics(&self);
}

/// The state of the connection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RedisStatus)]
pub(crate) struct StoreStatus {
    /// The active endpoint.
    #[schema(schema_with = endpoints)]
    pub(crate) active: &'static str,
    /// Why the active endpoint cannot be used, as a sentence.
    #[schema(required)]
    pub(crate) cause: Option<&'static str>,
    /// Whether the active endpoint has a working connection.
    pub(crate) connected: bool,
    /// The number of changes of the active connection.
    pub(crate) generation: u64,
    /// The cause of the last failure to connect to, to probe or to use the active endpoint, as a
    /// word.
    #[schema(required)]
    pub(crate) last_error: Option<&'static str>,
    /// The duration of the last probe of the active endpoint, in milliseconds.
    #[schema(required)]
    pub(crate) latency_ms: Option<f64>,
    /// The number of invalidations that an absent endpoint has missed.
    pub(crate) pending_invalidations: usize,
    /// The memory of the active server at the last check, in bytes.
    #[schema(required)]
    pub(crate) used_memory_bytes: Option<u64>,
}

fn endpoints() -> Object {
    words(["primary", "backup"])
}
