//! Forgetting a user: rows, sessions, cached answers.
//!
//! What other instances have in their queues or on their disks is written later: whoever wants to be sure asks again when
//! they have written. Roll-ups name no user and stay, and what the limits count stays until its window has passed.

use std::sync::Arc;
use std::time::Duration;

use crate::error::FlowError;
use crate::request::Caller;
use crate::service::FlowService;
use crate::working::finished;

/// How long the user's events that are still in the queue may take to be written.
const FLUSH: Duration = Duration::from_secs(5);

/// When to ask again while the database does not answer.
const AGAIN: Duration = Duration::from_secs(5);

impl FlowService {
    /// Deletes every row and every session of this user, and what is cached of both on every instance; how many rows and
    /// sessions. Goes on when the future is dropped. Asked again, it deletes what came since.
    ///
    /// # Errors
    ///
    /// [`FlowError::Invalid`] for an unusable user; [`FlowError::Unavailable`] when the database does not answer: a part may
    /// be deleted then.
    pub async fn forget_user(&self, user: &str) -> Result<u64, FlowError> {
        Caller::user(user).check()?;
        let (shared, user) = (Arc::clone(&self.shared), user.to_owned());
        finished(async move {
            // What is written later would stay.
            let _ = tokio::time::timeout(FLUSH, shared.recorder.flush()).await;
            shared.generations.forget_user(&user);
            let unavailable = |error: &dyn std::error::Error| {
                tracing::warn!(%error, "a user's rows cannot be deleted");
                FlowError::Unavailable { retry_after: AGAIN }
            };
            let rows = shared.store.forget_user(&user).await.map_err(|error| unavailable(&error));
            let sessions = shared.sessions.forget_user(&user).await.map_err(|error| unavailable(&error));
            // Last, so that nothing deleted is cached again; and whatever the database said.
            shared.caches.remove_user(&user).await;
            Ok(rows? + sessions?)
        })
        .await
    }
}
