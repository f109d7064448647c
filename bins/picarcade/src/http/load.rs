//! The bound of the requests that are being answered: over it the server is full, and says so at once.
//!
//! Connections are bounded, but one HTTP/2 connection carries many requests. The probes are never refused: a full server is
//! alive.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::http::problem::Problem;

/// The most requests that are being answered at one time.
const MAX_REQUESTS: usize = 16_384;

/// When to come back to a full server.
const RETRY: Duration = Duration::from_secs(1);

static PLACES: Semaphore = Semaphore::const_new(MAX_REQUESTS);

/// Lets a request in while there is room.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    match PLACES.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) if request.uri().path().starts_with("/health") => next.run(request).await,
        Err(_) => Problem::unavailable("the server is full", RETRY).into_response(),
    }
}
