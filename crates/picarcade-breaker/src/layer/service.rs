//! The service behind a breaker.

use std::task::{Context, Poll};

use tower_service::Service;

use super::ResponseFuture;
use crate::{BoxedError, CallError, CircuitBreaker, Classify, error::BoxError};

/// A service behind a breaker. [`CircuitBreakerLayer`](crate::CircuitBreakerLayer) creates it.
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

    /// Returns the breaker.
    pub const fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }

    /// Returns the inner service.
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

    /// Returns the readiness of the inner service, whatever the state of the breaker is.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(|error| CallError::Failed(BoxedError::from(error)))
    }

    /// Calls the same service that was polled ready, not a clone. If the breaker rejects, the inner
    /// service is not called and stays ready.
    fn call(&mut self, request: Request) -> Self::Future {
        match self.breaker.try_acquire_owned() {
            Ok(permit) => ResponseFuture::admitted(permit, self.inner.call(request), self.classifier.clone()),
            Err(rejected) => ResponseFuture::rejected(rejected),
        }
    }
}
