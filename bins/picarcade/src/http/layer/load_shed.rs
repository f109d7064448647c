//! The bound of the requests that are being answered: over it the server is full, and says so at once.
//!
//! Connections are bounded, but one HTTP/2 connection carries many requests. The probes are never refused: a full server is
//! alive.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::problem::Problem;

/// The most requests that are being answered at one time.
const MAX_REQUESTS: usize = 16_384;

/// When to come back to a full server.
const RETRY: Duration = Duration::from_secs(1);

static PLACES: Semaphore = Semaphore::const_new(MAX_REQUESTS);

/// The place of a request of this path, held while it is answered; a full server has none.
pub(crate) fn enter(path: &str) -> Result<Option<SemaphorePermit<'static>>, Problem> {
    match PLACES.try_acquire() {
        Ok(place) => Ok(Some(place)),
        Err(_) if path.starts_with("/health") => Ok(None),
        Err(_) => Err(Problem::unavailable("the server is full", RETRY)),
    }
}
