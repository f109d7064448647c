//! The layer, and the service that it creates.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::charge::Charge;
use super::policy::{Policy, Refusal};
use crate::{Decision, Limiter};

/// Puts a limiter in front of a service.
///
/// ```
/// use std::time::Duration;
/// use picarcade_ratelimit::tower::{Charge, Policy, RateLimitLayer, Refusal};
/// use picarcade_ratelimit::{Limit, Limiter, Scope, Subjects, Window};
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// #[derive(Clone)]
/// struct ByName;
/// impl Policy<String, String, std::convert::Infallible> for ByName {
///     fn charge<'a>(&self, request: &'a String) -> Charge<'a> {
///         Charge::to(Subjects::default().user(request.as_str()))
///     }
///     fn refuse(&self, _: Refusal) -> Result<String, std::convert::Infallible> {
///         Ok("later".to_owned())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main()
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let minute = Window::Sliding(Duration::from_secs(60));
/// let limiter = Limiter::builder().limit(Limit::requests(Scope::User, 1, minute)).build()?;
/// let mut service = ServiceBuilder::new()
///     .layer(RateLimitLayer::new(limiter, ByName))
///     .service_fn(|name: String| async move {
///         Ok::<_, std::convert::Infallible>(format!("hello {name}"))
///     });
/// assert_eq!(service.ready().await?.call("ada".to_owned()).await?, "hello ada");
/// assert_eq!(service.ready().await?.call("ada".to_owned()).await?, "later");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct RateLimitLayer<P> {
    limiter: Limiter,
    policy: P,
}

impl<P> RateLimitLayer<P> {
    /// Creates a layer that asks `limiter` with the charges of `policy`.
    pub fn new(limiter: Limiter, policy: P) -> Self {
        Self { limiter, policy }
    }
}

impl<S, P: Clone> Layer<S> for RateLimitLayer<P> {
    type Service = RateLimit<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit { inner, limiter: self.limiter.clone(), policy: self.policy.clone() }
    }
}

/// A service behind a limiter, created by [`RateLimitLayer`].
#[derive(Debug, Clone)]
pub struct RateLimit<S, P> {
    inner: S,
    limiter: Limiter,
    policy: P,
}

impl<S, P, Request> Service<Request> for RateLimit<S, P>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    P: Policy<Request, S::Response, S::Error> + Clone + Send + 'static,
    Request: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    /// Boxed, because the future of a decision has no name.
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The instance that was polled ready must answer this call. The clone stays for the next
        // one.
        let standby = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, standby);
        let policy = self.policy.clone();
        // Owned before the first await: a future that borrows from the request is `Send` only for a
        // request that is `Sync`, which the body types of axum and tonic are not.
        let Charge { subjects, demand, limiter } = policy.charge(&request).into_owned();
        let limiter = limiter.unwrap_or_else(|| self.limiter.clone());
        Box::pin(async move {
            match limiter.acquire(&subjects, demand).await {
                Ok(Decision::Admitted(admission)) => {
                    let mut reservation = admission.reservation;
                    reservation.dispatched();
                    let result = inner.call(request).await;
                    if !reservation.is_empty() {
                        // The demand is a price, so it is charged whatever the service answers. A
                        // settlement that fails leaves it charged as well.
                        let price = reservation.estimate_micros();
                        let _ = reservation.settle(price).await;
                    }
                    let mut response = result?;
                    policy.admit(&admission.report, &mut response);
                    Ok(response)
                }
                Ok(Decision::Denied(denial)) => policy.refuse(Refusal::Denied(denial)),
                Err(error) => policy.refuse(Refusal::Failed(error)),
            }
        })
    }
}
