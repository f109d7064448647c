//! A breaker as a [`tower::Layer`](tower_layer::Layer).
//!
//! # Readiness
//!
//! Tower calls a service only when it is ready. Rejecting in `poll_ready` while the breaker is open
//! would be wrong in both possible ways. An error from `poll_ready` means that the service is
//! broken for good, and callers drop it. A pending `poll_ready` parks callers for the whole open
//! time, which a breaker must prevent. It also blocks recovery, because the probe is the call that
//! never comes. Readiness is therefore that of the inner service alone, and a rejection is the
//! immediate response of the call.
//!
//! # Permits
//!
//! The permit is taken in `call`, not in `poll_ready`, so a service that is polled and then dropped
//! holds no probe slot. A dropped response future releases its slot.
//!
//! # Errors
//!
//! The inner error is boxed, as in tower's own layers. Otherwise the layer could not wrap
//! `tower::timeout` or `tower::buffer`: their error `Box<dyn Error>` is no error type, so neither
//! would be the error of this layer, and no other layer would accept it.

mod bulkhead;
mod ready;
mod retry;
mod service;

use tower_layer::Layer;

pub use self::{
    bulkhead::{BulkheadError, BulkheadLayer, BulkheadService},
    retry::{RetryLayer, RetryService},
    service::{CircuitBreakerService, ResponseFuture},
};
use crate::{AnyError, CircuitBreaker};

/// Puts a breaker in front of a service.
///
/// Services of one layer, and clones of them, share its breaker. The classifier judges each
/// `Result` of the inner service; by default every error is a failure. The error of the service is
/// boxed in [`CallError::Failed`](crate::CallError::Failed), and a rejection is
/// [`CallError::Rejected`](crate::CallError::Rejected). Both are sources of the error, so
/// `downcast_ref` also finds them behind layers that box it again.
///
/// Put a time-out *inside*: `ServiceBuilder::new().layer(breaker).timeout(time)`. Then a call that
/// takes too long is an error of the guarded service and opens the breaker. A `tower::timeout`
/// *outside* drops the call like a caller that goes away, which is neutral. With such a time-out,
/// set [`Config::hung_after`](crate::Config::hung_after) to at most its time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use picarcade_breaker::{CallError, CircuitBreaker, CircuitBreakerLayer, Config};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let config = Config::default().failure_threshold(1);
/// let breaker = CircuitBreaker::new("echo", config).expect("valid");
/// let echo = service_fn(|_: ()| async { Err::<(), _>("down") });
/// let service = CircuitBreakerLayer::new(breaker).layer(echo);
/// let failed = service.clone().oneshot(()).await.expect_err("down");
/// assert_eq!(failed.into_failed().expect("it was called").to_string(), "down");
/// assert!(matches!(service.oneshot(()).await, Err(CallError::Rejected(_))));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer<C = AnyError> {
    breaker: CircuitBreaker,
    classifier: C,
}

impl CircuitBreakerLayer {
    /// Creates a layer that counts every error of the service as a failure.
    #[must_use]
    pub const fn new(breaker: CircuitBreaker) -> Self {
        Self { breaker, classifier: AnyError }
    }
}

impl<C> CircuitBreakerLayer<C> {
    /// Sets the classifier of results: a [`Classify`](crate::Classify), for example a closure from
    /// `&Result<Response, Error>` to [`Outcome`](crate::Outcome). It is cloned into each service
    /// and each response future.
    #[must_use]
    pub fn classifier<D>(self, classifier: D) -> CircuitBreakerLayer<D> {
        CircuitBreakerLayer { breaker: self.breaker, classifier }
    }
}

impl<S, C: Clone> Layer<S> for CircuitBreakerLayer<C> {
    type Service = CircuitBreakerService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self { breaker, classifier } = self.clone();
        CircuitBreakerService { inner, breaker, classifier }
    }
}
