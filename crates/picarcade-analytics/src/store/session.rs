//! Session rows: what a user is working on between requests.
//!
//! A session has at most one working medium, an image or a video, which a constraint of the
//! databases enforces. A session belongs to the user who created it. Until it expires, no other
//! user can change it.

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
