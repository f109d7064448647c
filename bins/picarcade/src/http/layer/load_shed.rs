//! The limit of concurrent requests: over it the server refuses a request at once.
//!
//! Connections are limited, but one HTTP/2 connection carries many requests. Probes are never
//! refused, because a full server is alive.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::problem::Problem;

/// The most requests that are answered at the same time.
const MAX_REQUESTS: usize = 16_384;

/// When a refused client may retry.
const RETRY_AFTER: Duration = Duration::from_secs(1);

static PERMITS: Semaphore = Semaphore::const_new(MAX_REQUESTS);

/// Returns the permit of a request to this path, to be held until its response. A probe on a full
/// server needs none.
pub(crate) fn enter(path: &str) -> Result<Option<SemaphorePermit<'static>>, Problem> {
    match PERMITS.try_acquire() {
        Ok(permit) => Ok(Some(permit)),
        Err(_) if path.starts_with("/health") => Ok(None),
        Err(_) => Err(Problem::unavailable("the server is full", RETRY_AFTER)),
    }
}
