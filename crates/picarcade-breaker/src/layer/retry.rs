//! Retries as a [`tower::Layer`](tower_layer::Layer).
//!
//! The first attempt calls the service that was polled ready, so back-pressure of the inner service
//! reaches the caller. Each other attempt waits for the readiness of a clone, within the deadline.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;

use super::ready;
use crate::{BoxedError, Classify, Deadline, Retry, RetryError, RetryHint, error::BoxError};

/// Repeats calls of a service that failed for a moment.
///
/// The classifier judges each `Result` of the inner service. A transient
/// [`Outcome::Failure`](crate::Outcome::Failure) is repeated, not before its `Retry-After`. A
/// response can be such a failure: if no attempt is better, the last response is returned. All
/// attempts and pauses of a call end after `total`.
///
/// A request is repeated even if its first attempt had an effect. Use this layer for requests that
/// may be repeated (`GET`, `PUT`, or with an idempotency key), or a classifier that returns
/// [`Outcome::Neutral`](crate::Outcome::Neutral) for others. The request is cloned for each
/// attempt, so its body must be one that can be cloned, such as `String` or `Bytes`.
///
/// Put a breaker *inside*: `ServiceBuilder::new().layer(retry).layer(breaker)`. Then the breaker
/// judges every attempt, and the classifiers of [`http`](crate::http) do not repeat a rejection.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
/// use picarcade_breaker::{FailureKind, Outcome, Retry, RetryLayer};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let judge = |result: &Result<&str, std::io::Error>| match result {
///     Ok(_) => Outcome::Success,
///     Err(_) => Outcome::failure(FailureKind::Connect),
/// };
/// let echo = service_fn(|word: &'static str| async move { Ok::<_, std::io::Error>(word) });
/// let service = RetryLayer::new(Retry::default(), Duration::from_secs(5), judge).layer(echo);
/// assert_eq!(service.oneshot("hello").await.expect("it answers"), "hello");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RetryLayer<C> {
    retry: Retry,
    total: Duration,
    classifier: C,
}

impl<C> RetryLayer<C> {
    /// Creates a layer. The services of a layer, and clones of them, share the budget of `retry`.
    #[must_use]
    pub const fn new(retry: Retry, total: Duration, classifier: C) -> Self {
        Self { retry, total, classifier }
    }
}

impl<S, C: Clone> Layer<S> for RetryLayer<C> {
    type Service = RetryService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self { retry, total, classifier } = self.clone();
        RetryService { inner, retry, total, classifier }
    }
}

/// A service whose calls are repeated. [`RetryLayer`] creates it.
#[derive(Clone, Debug)]
pub struct RetryService<S, C> {
    inner: S,
    retry: Retry,
    total: Duration,
    classifier: C,
}

impl<S, C, Request> Service<Request> for RetryService<S, C>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Into<BoxError> + Send,
    C: Classify<S::Response, S::Error> + Clone + Send + 'static,
    Request: Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = RetryError<BoxedError>;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(|error| RetryError::Failed(BoxedError::from(error)))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { inner: standby, retry, total, classifier } = self.clone();
        let mut polled = Some(std::mem::replace(&mut self.inner, standby.clone()));
        Box::pin(async move {
            let attempt = move |_| {
                let (polled, standby) = (polled.take(), standby.clone());
                let (request, classifier) = (request.clone(), classifier.clone());
                async move {
                    let result = match polled {
                        Some(mut service) => service.call(request).await,
                        None => ready::call(standby, request).await,
                    };
                    // A response may be worth a second attempt, and an error may not.
                    match RetryHint::from(&classifier.classify(&result)) {
                        RetryHint::Never => Ok(result),
                        hint => Err((result, hint)),
                    }
                }
            };
            let hint = |(_, hint): &(_, RetryHint)| *hint;
            let last = match retry.run(Deadline::after(total), hint, attempt).await {
                Ok(result) | Err(RetryError::Failed((result, _))) => result,
                Err(RetryError::DeadlineExceeded) => return Err(RetryError::DeadlineExceeded),
            };
            last.map_err(|error| RetryError::Failed(BoxedError::from(error)))
        })
    }
}
