//! Work that outlives its caller.

use std::time::Duration;

use crate::error::FlowError;

/// Runs `work` in a task of its own, so that it ends even if the caller's future is dropped.
pub(crate) async fn run_to_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, FlowError>> + Send + 'static,
) -> Result<T, FlowError> {
    tokio::spawn(work).await.map_err(|error| {
        tracing::warn!(%error, "a task ended without a result");
        FlowError::Unavailable { retry_after: Duration::from_secs(1) }
    })?
}
