//! Deletes a user: rows, sessions, cached answers, on every instance.
//!
//! One deletion cannot find everything. A request that is under way writes its rows when it ends,
//! and another instance has rows in its queue. So the instance that deletes announces it, and every
//! instance deletes again at once and once more when each request that was under way has ended.
//! While an instance has rows in its spool, or Redis could not be told, it goes on, for some hours.
//!
//! The repetitions also delete what a user who comes back has written in between; sessions are
//! deleted once only.
//!
//! **What remains.** Roll-ups name no user. What the limits count goes when its window has passed.
//! An instance that ends before its spool is written writes it after its next start, and a batch
//! may take longer than one request: delete again then. Rows in a dead-letter file stay. The
//! entries of the second cache level cannot be read any more from the deletion on; their bytes go
//! when their time to live is over.

use std::sync::Arc;
use std::time::Duration;

use picarcade_cache::Reach;

use crate::error::FlowError;
use crate::request::Caller;
use crate::service::{FlowService, Shared};
use crate::session::service::finished;

/// How long the user's events that are still in the queue may take to be written.
const FLUSH: Duration = Duration::from_secs(5);

/// When to ask again while the database does not answer.
const AGAIN: Duration = Duration::from_secs(5);

/// How long a request may take beyond its AI step and the wait for another instance's.
const BEYOND_AI: Duration = Duration::from_secs(5);

/// How often a deletion is repeated while rows wait in the spool. The pauses double, so the last
/// one ends after hours.
const MAX_REPETITIONS: u32 = 10;

/// How many deletions may wait for their repetition in one process.
pub(crate) const MAX_WAITING: usize = 1024;

impl FlowService {
    /// Deletes every row and every session of this user, and what is cached of both, and returns
    /// how many rows and sessions that were. Then tells the other instances, and repeats the
    /// deletion in the background for what was under way. Goes on when the future is dropped.
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
            // After the rows are counted: other instances delete the same ones.
            if let Some(fleet) = &shared.fleet {
                fleet.announce_deletion(&user);
            }
            shared.repeat_deletion(user, shared.request_limit());
            Ok(rows? + sessions?)
        })
        .await
    }

    /// Deletes what this process still has of a user whose deletion another instance has announced.
    pub fn apply_deletion(&self, user: &str) {
        // What comes from outside is checked as it is in a request.
        if Caller::user(user).check().is_ok() {
            self.shared.generations.forget_user(user);
            self.shared.repeat_deletion(user.to_owned(), Duration::ZERO);
        }
    }
}

impl Shared {
    /// How long a request that is under way can write rows and cache entries: it may wait for
    /// another instance's load for half of the time that its own may take.
    fn request_limit(&self) -> Duration {
        let ai = self.policy.classification_timeout;
        ai.saturating_add(ai / 2).saturating_add(BEYOND_AI)
    }

    /// Deletes the user again after `pause`, once more when every request of now has ended, and
    /// then until no rows wait in the spool.
    fn repeat_deletion(self: &Arc<Self>, user: String, mut pause: Duration) {
        let Ok(place) = Arc::clone(&self.deletions).try_acquire_owned() else {
            tracing::warn!("too many deletions of users wait for their repetition: one is not repeated");
            return;
        };
        // Weak: a service that nobody uses any more must be able to end.
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            let _place = place;
            for _ in 0..MAX_REPETITIONS {
                tokio::time::sleep(pause).await;
                let Some(shared) = shared.upgrade() else { return };
                if shared.delete_what_is_left(&user).await && !pause.is_zero() {
                    return;
                }
                pause = pause.saturating_mul(2).max(shared.request_limit());
            }
        });
    }

    /// Deletes the rows that were written since, and the cache entries. Returns whether nothing of
    /// that time is left in the queue or in the spool, and the second cache level knows.
    async fn delete_what_is_left(&self, user: &str) -> bool {
        let flushed = tokio::time::timeout(FLUSH, self.recorder.flush()).await.is_ok();
        let complete = flushed && self.recorder.counters().spooled == 0;
        self.generations.forget_user(user);
        let deleted = self.store.forget_user(user).await;
        let reach = self.caches.remove_user(user).await;
        match deleted {
            Ok(_) => complete && reach != Reach::Queued,
            Err(error) => {
                tracing::warn!(%error, "a user's rows cannot be deleted yet");
                false
            }
        }
    }
}
