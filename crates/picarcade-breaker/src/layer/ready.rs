//! A call of a service that was not polled ready.

use std::future::poll_fn;

use tower_service::Service;

/// Waits until `service` is ready, and calls it.
pub(super) async fn call<S, Request>(mut service: S, request: Request) -> Result<S::Response, S::Error>
where
    S: Service<Request>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}
