//! The layer, which puts a limiter in front of a service.

use ::tower::Layer;

use super::service::RateLimit;
use crate::Limiter;

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
        RateLimit::new(inner, self.limiter.clone(), self.policy.clone())
    }
}
