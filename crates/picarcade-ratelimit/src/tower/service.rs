//! The service behind a limiter.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::tower::Service;

use super::policy::{Policy, Refusal};
use crate::{Decision, Demand, Limiter};

/// A service behind a limiter, created by [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Debug, Clone)]
pub struct RateLimit<S, P> {
    inner: S,
    limiter: Limiter,
    policy: P,
}

impl<S, P> RateLimit<S, P> {
    pub(super) fn new(inner: S, limiter: Limiter, policy: P) -> Self {
        Self { inner, limiter, policy }
    }
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
