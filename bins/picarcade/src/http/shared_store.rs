//! The store that all instances share, as operators see it.

use std::fmt::Debug;

use serde_json::Value;

/// The store that all instances share. The wiring implements it, so that HTTP knows no backend.
///
/// No method may make a call to the store, because probes and scrapes use them.
pub(crate) trait SharedStore: Debug + Send + Sync {
    /// Returns the state of the connection, as `/health/cache` shows it.
    fn status(&self) -> Value;

    /// Publishes the state of the connection as metrics.
    fn publish_metrics(&self);
}
