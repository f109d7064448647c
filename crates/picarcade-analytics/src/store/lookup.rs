//! Rows that are looked up by their id: sessions, earlier generations and feedback on them.
//!
//! A session is what a user is working on between requests. It has at most one working medium, an
//! image or a video, which a constraint of the databases enforces. It belongs to the user who
//! created it. Until it expires, no other user can change it.
//!
//! Generations are looked up for reports about their outcome. Their rows are those of
//! `model_selection_logs`, so every instance finds the generations of all others after they are
//! written. What is known about the decision is in the row of `intent_classification_logs` whose id
//! is that of the generation; this row may be missing, because it may have been dropped.

use std::time::SystemTime;

use async_trait::async_trait;
use uuid::Uuid;

use crate::Error;

/// A row of `user_sessions`.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRow {
    /// The session id, unique among all users.
    pub session_id: String,
    /// The owner.
    pub user_id: String,
    /// The URL of the working image.
    pub current_working_image: Option<String>,
    /// The URL of the working video.
    pub current_working_video: Option<String>,
    /// Data of the caller.
    pub metadata: serde_json::Value,
    /// When the session expires; `None` for never.
    pub expires_at: Option<SystemTime>,
    /// When the session was last written.
    pub updated_at: SystemTime,
}

impl SessionRow {
    /// Returns whether the session has expired at `now`.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// A database of sessions.
#[async_trait]
pub trait SessionRows: Send + Sync + std::fmt::Debug {
    /// Returns the session unless it does not exist or has expired. The caller checks the owner.
    async fn session(&self, session_id: &str) -> Result<Option<SessionRow>, Error>;

    /// Inserts or replaces the session. Returns `false` and changes nothing if another user owns a
    /// live session with this id.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Rejected`] if the row has both a working image and a working video.
    async fn put_session(&self, row: &SessionRow) -> Result<bool, Error>;

    /// Deletes the session if `user_id` owns it. Returns whether it existed.
    async fn delete_session(&self, session_id: &str, user_id: &str) -> Result<bool, Error>;
}

/// The part of a generation's row that a report needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRow {
    /// The owner.
    pub user_id: String,
    /// The chosen model.
    pub selected_model: String,
    /// The type of work.
    pub workflow_type: String,
    /// The source of the decision, if its classification was stored.
    pub source: Option<String>,
    /// The facts about media, as in [`ClassificationEvent`](crate::ClassificationEvent), if its
    /// classification was stored.
    pub media_facts: Option<u8>,
    /// The expected cost.
    pub estimated_cost_micros: u64,
    /// Whether an outcome has been written, applied to the row or not yet.
    pub reported: bool,
}

/// A database that knows earlier generations.
#[async_trait]
pub trait GenerationRows: Send + Sync + std::fmt::Debug {
    /// Returns the generation with this id, if it was written. The caller checks the owner.
    async fn generation(&self, generation_id: &str) -> Result<Option<GenerationRow>, Error>;
}

/// Feedback on a generation, with its classification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedbackRow {
    /// The generation.
    pub generation_id: Uuid,
    /// The type that was decided.
    pub decided_type: String,
    /// The source of the decision; empty if unknown.
    pub source: String,
    /// The type that would have been right.
    pub right_type: String,
    /// The words of the user about it.
    pub comment: Option<String>,
    /// The prompt, if the whole prompt was stored.
    pub prompt: Option<String>,
    /// The facts about media, as in [`ClassificationEvent`](crate::ClassificationEvent), if they
    /// were stored.
    pub media_facts: Option<u8>,
}

/// A database of feedback.
#[async_trait]
pub trait FeedbackRows: Send + Sync + std::fmt::Debug {
    /// Returns feedback that was given at `since` or later, in the order of the generations' ids:
    /// at most `limit` rows whose id is greater than `after`. A caller reads everything in bounded
    /// memory if it passes the last id of a page for the next one, at first the nil id.
    async fn feedback(&self, since: SystemTime, after: Uuid, limit: u32) -> Result<Vec<FeedbackRow>, Error>;
}

/// Returns the facts from a column. A value out of range is unknown.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn media_facts(column: Option<i16>) -> Option<u8> {
    column.and_then(|bits| u8::try_from(bits).ok())
}
