//! A breaker as a [`tower::Layer`](tower_layer::Layer).
//!
//! Tower asks a service whether it is ready, and calls it only then. It is tempting to be unready while the breaker is
//! open, and wrong twice over: an error from `poll_ready` says that the service is broken for good, and callers drop it;
//! a pending one parks callers for the whole open time, which is what a breaker is there to spare them, and nobody wakes
//! them in a test of the half-open state either, because the probe is the call that never comes. So readiness is that of
//! the inner service alone, and a rejection is the answer of the call, at once.
//!
//! The permit is taken in `call`, not in `poll_ready`: a service that is polled and then dropped has taken no probe slot.
//! A response future that is dropped gives its slot back.
//!
//! The inner error is boxed, as tower's own layers do. Else the layer could not stand in front of
//! `tower::timeout` or `tower::buffer`: their error is a `Box<dyn Error>`, which is no error type
//! itself, so neither would the layer's be, and no other layer would take it.

mod future;
mod service;

use tower_layer::Layer;

pub use self::{future::ResponseFuture, service::CircuitBreakerService};
use crate::{AnyError, CircuitBreaker};

/// Puts a breaker in front of a service.
///
/// Services made by one layer, and clones of them, share its breaker. The classifier sees each `Result` of the inner
/// service; the default finds that every error is a failure. The service's own error is boxed in
/// [`CallError::Failed`](crate::CallError::Failed), a rejection is
/// [`CallError::Rejected`](crate::CallError::Rejected). Both are sources of the error, so
/// `downcast_ref` finds them also behind layers that box it again.
///
/// Put a time-out *inside*: `ServiceBuilder::new().layer(breaker).timeout(time)`. Then a call that
/// takes too long is an error of the guarded service, which opens the breaker. A `tower::timeout`
/// *outside* drops the call as a caller does that goes away, which is neutral: with one, set
/// [`Config::hung_after`](crate::Config::hung_after) to at most its time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use picarcade_breaker::{CallError, CircuitBreaker, CircuitBreakerLayer, Config};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let breaker = CircuitBreaker::new("echo", Config::default().failure_threshold(1)).expect("sound");
/// let service = CircuitBreakerLayer::new(breaker).layer(service_fn(|_: ()| async { Err::<(), _>("down") }));
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
    /// Every error of the service is a failure.
    #[must_use]
    pub const fn new(breaker: CircuitBreaker) -> Self {
        Self { breaker, classifier: AnyError }
    }
}

impl<C> CircuitBreakerLayer<C> {
    /// Lets `classifier` judge the service's results: a [`Classify`](crate::Classify), for example a closure from
    /// `&Result<Response, Error>` to [`Outcome`](crate::Outcome). It is cloned into each service and each response future.
    #[must_use]
    pub fn classifier<D>(self, classifier: D) -> CircuitBreakerLayer<D> {
        CircuitBreakerLayer { breaker: self.breaker, classifier }
    }
}

impl<S, C: Clone> Layer<S> for CircuitBreakerLayer<C> {
    type Service = CircuitBreakerService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreakerService::new(inner, self.breaker.clone(), self.classifier.clone())
    }
}
