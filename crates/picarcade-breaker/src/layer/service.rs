//! The service behind a breaker.

use std::task::{Context, Poll};

use tower_service::Service;

use super::ResponseFuture;
use crate::{BoxedError, CallError, CircuitBreaker, Classify, error::BoxError};

/// A service behind a breaker. Made by [`CircuitBreakerLayer`](crate::CircuitBreakerLayer).
#[derive(Clone, Debug)]
pub struct CircuitBreakerService<S, C> {
    inner: S,
    breaker: CircuitBreaker,
    classifier: C,
}

impl<S, C> CircuitBreakerService<S, C> {
    pub(super) const fn new(inner: S, breaker: CircuitBreaker, classifier: C) -> Self {
        Self { inner, breaker, classifier }
    }

    /// The breaker.
    pub const fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    /// The service.
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, C, Request> Service<Request> for CircuitBreakerService<S, C>
where
    S: Service<Request>,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = CallError<BoxedError>;
    type Future = ResponseFuture<S::Future, C>;

    /// The inner service's readiness, whatever the state of the breaker.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(|error| CallError::Failed(BoxedError::from(error)))
    }

    /// Calls the very service that was polled ready, never a clone of it. When the breaker rejects, the inner service is
    /// not called and stays ready.
    fn call(&mut self, request: Request) -> Self::Future {
        match self.breaker.try_acquire_owned() {
            Ok(permit) => ResponseFuture::admitted(permit, self.inner.call(request), self.classifier.clone()),
            Err(rejected) => ResponseFuture::rejected(rejected),
        }
    }
}
