//! A bulkhead as a [`tower::Layer`](tower_layer::Layer).
//!
//! The service is always ready, and a call waits in its response future. The queue and its deadline
//! are those of the bulkhead: a pending `poll_ready` would be a second queue without a bound. The
//! inner service is asked for its readiness when a call has its place, so that a waiting call holds
//! nothing of it.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;

use super::ready;
use crate::{AsCause, BoxedError, Bulkhead, BulkheadFull, Deadline, error::BoxError};

/// Puts a bulkhead in front of a service.
///
/// Services of one layer, and clones of them, share the bulkhead. A call waits at most `max_wait`
/// for its place; with zero, no call waits. The place is free again when the response or an error
/// arrives, or the response future is dropped. A body that is still read then holds no place.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use picarcade_breaker::{Bulkhead, BulkheadLayer};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let bulkhead = Bulkhead::new(20, 100).expect("valid");
/// let echo = service_fn(|word: &'static str| async move { Ok::<_, std::io::Error>(word) });
/// let service = BulkheadLayer::new(bulkhead, Duration::from_secs(1)).layer(echo);
/// assert_eq!(service.oneshot("hello").await.expect("there is room"), "hello");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BulkheadLayer {
    bulkhead: Bulkhead,
    max_wait: Duration,
}

impl BulkheadLayer {
    /// Creates a layer.
    #[must_use]
    pub const fn new(bulkhead: Bulkhead, max_wait: Duration) -> Self {
        Self { bulkhead, max_wait }
    }
}

impl<S> Layer<S> for BulkheadLayer {
    type Service = BulkheadService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self { bulkhead, max_wait } = self.clone();
        BulkheadService { inner, bulkhead, max_wait }
    }
}

/// A service behind a bulkhead. [`BulkheadLayer`] creates it.
#[derive(Clone, Debug)]
pub struct BulkheadService<S> {
    inner: S,
    bulkhead: Bulkhead,
    max_wait: Duration,
}

impl<S, Request> Service<Request> for BulkheadService<S>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    Request: Send + 'static,
{
    type Response = S::Response;
    type Error = BulkheadError<BoxedError>;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { inner, bulkhead, max_wait } = self.clone();
        let deadline = Deadline::after(max_wait).instant();
        Box::pin(async move {
            // Without waiting first, because a call that may not wait has no time for a queue.
            let _permit = match bulkhead.try_acquire() {
                Some(permit) => permit,
                None => bulkhead.acquire(deadline).await?,
            };
            ready::call(inner, request).await.map_err(|error| BulkheadError::Failed(BoxedError::from(error)))
        })
    }
}

/// The error of a service behind a bulkhead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkheadError<E> {
    /// There was no room in time. Nothing was called.
    Full(BulkheadFull),
    /// The call was made and returned this error.
    Failed(E),
}

impl<E> From<BulkheadFull> for BulkheadError<E> {
    fn from(full: BulkheadFull) -> Self {
        Self::Full(full)
    }
}

impl<E> fmt::Display for BulkheadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "there was no room for the call",
            Self::Failed(_) => "the call failed",
        })
    }
}

impl<E: AsCause> Error for BulkheadError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Full(full) => Some(full),
            Self::Failed(error) => Some(error.as_cause()),
        }
    }
}
