//! Redis: its state for the flow and for operators.

use std::time::Duration;

use picarcade_flow::RemoteWatch;
use picarcade_redis::{Cause, RedisHandle, Role};

use crate::http::{SharedStore, StoreStatus};

/// The state of Redis, for the flow and for operators. It is what the handle knows, so that no
/// method makes a call.
#[derive(Debug)]
pub(super) struct Watch(pub(super) RedisHandle);

impl RemoteWatch for Watch {
    fn is_up(&self) -> bool {
        self.0.status().connected
    }

    fn latency(&self) -> Option<Duration> {
        self.0.status().latency_ms.map(|latency| Duration::from_secs_f64(latency / 1e3))
    }

    fn last_error(&self) -> Option<String> {
        self.0.status().last_error.map(str::to_owned)
    }

    fn cause(&self) -> Option<&'static str> {
        self.0.status().cause.map(Cause::sentence)
    }

    fn is_on_backup(&self) -> bool {
        self.0.status().active == Role::Backup
    }
}

impl SharedStore for Watch {
    fn status(&self) -> StoreStatus {
        let status = self.0.status();
        StoreStatus {
            active: status.active.as_str(),
            cause: status.cause.filter(|_| !status.connected).map(Cause::sentence),
            connected: status.connected,
            generation: status.generation,
            last_error: status.last_error,
            latency_ms: status.latency_ms,
            pending_invalidations: status.pending_invalidations,
            used_memory_bytes: status.used_memory_bytes,
        }
    }

    fn publish_metrics(&self) {
        self.0.status().publish_metrics();
    }
}
