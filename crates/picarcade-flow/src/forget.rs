//! The deletion of a user: rows, sessions and cached answers, on every instance.
//!
//! One deletion cannot find everything. A running request writes its rows when it ends, and another
//! instance has rows in its queue. So the instance that deletes notifies the others, and every
//! instance deletes again at once, and once more when each request that was running has ended.
//! While an instance has rows in its spool, or Redis could not be notified, it repeats the deletion
//! for some hours.
//!
//! The repetitions also delete rows that a returning user has written in between. Sessions are
//! deleted once only.
//!
//! **What remains.** Roll-ups name no user. The counters of the limits expire with their window. An
//! instance that ends before its spool is written writes it after its next start, and a batch may
//! take longer than one request: repeat the deletion then. Rows in a dead-letter file stay. The
//! entries of the second cache level, in Redis or on disk, cannot be read after the deletion; their
//! bytes remain until their time to live is over.

use std::sync::Arc;
use std::time::Duration;

use picarcade_cache::Reach;

use crate::error::FlowError;
use crate::id::UserId;
use crate::service::FlowService;
use crate::task::run_to_end;

/// How long the user's queued events may take to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// When to retry while the database does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How long a request may take in addition to its AI step and its wait for another instance.
const BEYOND_AI: Duration = Duration::from_secs(5);

/// How often a deletion is repeated while rows are in the spool. The pauses double, so the last one
/// ends after hours.
const MAX_REPETITIONS: u32 = 10;

impl FlowService {
    /// Deletes every row and every session of this user and the cached copies, and returns the
    /// number of rows and sessions. Then notifies the other instances, and repeats the deletion in
    /// the background for requests that were running. Continues if the future is dropped.
    ///
    /// # Errors
    ///
    /// Returns [`FlowError::Unavailable`] if the database does not answer: a part may be deleted
    /// then.
    pub async fn forget_user(&self, user: &UserId) -> Result<u64, FlowError> {
        let (flow, user) = (self.clone(), user.clone());
        run_to_end(async move {
            let inner = &flow.inner;
            // Rows that are written after the deletion would stay.
            let _ = tokio::time::timeout(FLUSH_TIMEOUT, inner.recorder.flush()).await;
            inner.generations.forget_user(&user);
            let unavailable = |error: &dyn std::error::Error| {
                tracing::warn!(%error, "a user's rows cannot be deleted");
                FlowError::Unavailable { retry_after: RETRY_AFTER }
            };
            let rows = inner.store.forget_user(user.as_str()).await.map_err(|error| unavailable(&error));
            let sessions = inner.sessions.forget_user(&user).await.map_err(|error| unavailable(&error));
            // After the stores, so that no deleted row is cached again; and even if they failed.
            inner.caches.remove_user(&user).await;
            // After the rows are counted: other instances delete the same ones.
            if let Some(fleet) = &inner.fleet {
                fleet.announce_deletion(&user);
            }
            flow.repeat_deletion(user, flow.request_limit());
            Ok(rows? + sessions?)
        })
        .await
    }

    /// Deletes this process's data of a user whose deletion another instance has announced.
    pub fn apply_deletion(&self, user: &UserId) {
        self.inner.generations.forget_user(user);
        self.repeat_deletion(user.clone(), Duration::ZERO);
    }

    /// Returns how long a running request can write rows and cache entries: it may wait for another
    /// instance's load for half of the time that its own load may take.
    fn request_limit(&self) -> Duration {
        let ai = self.inner.policy.classification_timeout;
        ai.saturating_add(ai / 2).saturating_add(BEYOND_AI)
    }

    /// Deletes the user again after `pause`, once more when every request that runs now has ended,
    /// and then until no rows are in the spool.
    fn repeat_deletion(&self, user: UserId, mut pause: Duration) {
        let Ok(permit) = Arc::clone(&self.inner.deletions).try_acquire_owned() else {
            tracing::warn!("a deletion of a user is not repeated: too many wait");
            return;
        };
        // Weak, so that a service without handles can end.
        let weak = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            let _permit = permit;
            for _ in 0..MAX_REPETITIONS {
                tokio::time::sleep(pause).await;
                let Some(inner) = weak.upgrade() else { return };
                let flow = Self { inner };
                if flow.delete_rest(&user).await && !pause.is_zero() {
                    return;
                }
                pause = pause.saturating_mul(2).max(flow.request_limit());
            }
        });
    }

    /// Deletes the rows that were written since, and the cache entries. Returns whether the queue
    /// and the spool have no such rows left and the second cache level was notified.
    async fn delete_rest(&self, user: &UserId) -> bool {
        let inner = &self.inner;
        let flushed = tokio::time::timeout(FLUSH_TIMEOUT, inner.recorder.flush()).await.is_ok();
        let is_complete = flushed && inner.recorder.counters().spooled == 0;
        inner.generations.forget_user(user);
        let deleted = inner.store.forget_user(user.as_str()).await;
        let reach = inner.caches.remove_user(user).await;
        match deleted {
            Ok(_) => is_complete && reach != Reach::Queued,
            Err(error) => {
                tracing::warn!(%error, "a user's rows cannot be deleted yet");
                false
            }
        }
    }
}
