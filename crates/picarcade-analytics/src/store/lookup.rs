//! Rows that are looked up by their id: sessions and earlier generations.
//!
//! A session is what a user is working on between requests. It has at most one working medium, an
//! image or a video, which a constraint of the databases enforces. It belongs to the user who
//! created it. Until it expires, no other user can change it.
//!
//! Generations are looked up for reports about their outcome. Their rows are those of
//! `model_selection_logs`, so every instance finds the generations of all others after they are
//! written.

use std::time::SystemTime;

use async_trait::async_trait;

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
