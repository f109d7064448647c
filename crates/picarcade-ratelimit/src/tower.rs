//! A tower layer for request limits.
//!
//! The layer asks for requests, never for dollars. The cost of a call is known where the paid call
//! is made, so that is where a reservation is held, settled and released. The layer does not know
//! HTTP. A [`Policy`] decides whose limits a request counts against, how a refusal is answered, and
//! what becomes of the report (with HTTP: the fields of [`headers`](crate::headers)).
//!
//! Layers inside of this one do not run for a denied request. Layers outside of it do (tracing,
//! identity). If a caller leaves while the limiter decides, the request may be charged, but never
//! against only some of the limits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::tower::{Layer, Service};

use crate::{Decision, Demand, Denial, Error, Limiter, Report, Subjects};

/// Why a request did not reach the service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A limit had no room.
    Denied(Denial),
    /// No decision was made.
    Failed(Error),
}

/// Decides whose limits a request counts against, and how a refusal is answered.
pub trait Policy<Request, Response, Failure> {
    /// Returns the subjects whose limits the request counts against.
    fn subjects<'a>(&self, request: &'a Request) -> Subjects<'a>;

    /// Returns how many requests it counts for: one, unless it is a batch.
    fn requests(&self, request: &Request) -> u64 {
        let _ = request;
        1
    }

    /// Returns the answer to a request that does not reach the service.
    ///
    /// # Errors
    /// An error of the service, if it expresses refusals as errors.
    fn refuse(&self, refusal: Refusal) -> Result<Response, Failure>;

    /// Adds the report to the answer of the service.
    fn admit(&self, report: &Report, response: &mut Response) {
        let _ = (report, response);
    }
}

/// Puts a limiter in front of a service.
///
/// ```
/// use std::time::Duration;
/// use picarcade_ratelimit::tower::{Policy, RateLimitLayer, Refusal};
/// use picarcade_ratelimit::{Limit, Limiter, Scope, Subjects, Window};
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// #[derive(Clone)]
/// struct ByName;
/// impl Policy<String, String, std::convert::Infallible> for ByName {
///     fn subjects<'a>(&self, request: &'a String) -> Subjects<'a> {
///         Subjects::default().user(request.as_str())
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
    /// Creates a layer that asks `limiter` with the subjects of `policy`.
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
        let (limiter, policy) = (self.limiter.clone(), self.policy.clone());
        // Owned before the first await: a future that borrows from the request is `Send` only for a
        // request that is `Sync`, which the body types of axum and tonic are not.
        let subjects = policy.subjects(&request).into_owned();
        let requests = policy.requests(&request);
        Box::pin(async move {
            match limiter.acquire(&subjects, Demand::requests(requests)).await {
                Ok(Decision::Admitted(admission)) => {
                    let mut response = inner.call(request).await?;
                    policy.admit(&admission.report, &mut response);
                    Ok(response)
                }
                Ok(Decision::Denied(denial)) => policy.refuse(Refusal::Denied(denial)),
                Err(error) => policy.refuse(Refusal::Failed(error)),
            }
        })
    }
}
