//! The service behind a breaker, and the future of its response.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{BoxedError, CallError, CircuitBreaker, Classify, OwnedPermit, Rejected, error::BoxError};

/// A service behind a breaker. [`CircuitBreakerLayer`](crate::CircuitBreakerLayer) creates it.
#[derive(Clone, Debug)]
pub struct CircuitBreakerService<S, C> {
    pub(super) inner: S,
    pub(super) breaker: CircuitBreaker,
    pub(super) classifier: C,
}

impl<S, C> CircuitBreakerService<S, C> {
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
        let kind = match self.breaker.try_acquire_owned() {
            Ok(permit) => {
                let (permit, call) = (Some(permit), self.inner.call(request));
                Kind::Admitted { permit, call, classifier: self.classifier.clone() }
            }
            Err(rejected) => Kind::Rejected { rejected: Some(rejected) },
        };
        ResponseFuture { kind }
    }
}

pin_project! {
    /// The future of a response or a rejection. If it is dropped before its end, the call counts
    /// like one whose [`Permit`](crate::Permit) is dropped.
    #[derive(Debug)]
    pub struct ResponseFuture<F, C> {
        #[pin]
        kind: Kind<F, C>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<F, C> {
        // `None` after the response.
        Admitted { permit: Option<OwnedPermit>, #[pin] call: F, classifier: C },
        Rejected { rejected: Option<Rejected> },
    }
}

impl<F, C, T, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
    E: Into<BoxError>,
{
    type Output = Result<T, CallError<BoxedError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Admitted { permit, call, classifier } => {
                let result = ready!(call.poll(cx));
                if let Some(permit) = permit.take() {
                    permit.record(classifier.classify(&result));
                }
                Poll::Ready(result.map_err(|error| CallError::Failed(BoxedError::from(error))))
            }
            // The behavior of a future that is polled after its response is unspecified; this one
            // stays pending.
            KindProjection::Rejected { rejected } => match rejected.take() {
                Some(rejected) => Poll::Ready(Err(CallError::Rejected(rejected))),
                None => Poll::Pending,
            },
        }
    }
}
