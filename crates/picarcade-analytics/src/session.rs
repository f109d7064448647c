//! Session rows: what a user is working on, between requests.
//!
//! A session has at most one working medium: setting the image clears the video and the other way round, here and by a
//! constraint in the databases. A session belongs to the user who made it; until it expires nobody else can change it.

use std::time::SystemTime;

use async_trait::async_trait;

use crate::Error;

/// A row of `user_sessions`.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRow {
    /// The caller's name for the session; unique among all users.
    pub session_id: String,
    /// Its owner.
    pub user_id: String,
    /// URL of the image being worked on.
    pub current_working_image: Option<String>,
    /// URL of the video being worked on.
    pub current_working_video: Option<String>,
    /// Whatever the caller keeps with it.
    pub metadata: serde_json::Value,
    /// From when on it is no longer there; `None` for never.
    pub expires_at: Option<SystemTime>,
    /// When it was last put.
    pub updated_at: SystemTime,
}

impl SessionRow {
    /// Makes `url` the working image; there is no working video from then on.
    #[must_use]
    pub fn with_working_image(mut self, url: impl Into<String>) -> Self {
        self.current_working_image = Some(url.into());
        self.current_working_video = None;
        self
    }

    /// Makes `url` the working video; there is no working image from then on.
    #[must_use]
    pub fn with_working_video(mut self, url: impl Into<String>) -> Self {
        self.current_working_video = Some(url.into());
        self.current_working_image = None;
        self
    }

    /// Whether it has expired at `now`.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// A database that keeps session rows.
#[async_trait]
pub trait SessionRows: Send + Sync + std::fmt::Debug {
    /// The session, unless it does not exist or has expired. The caller checks the owner.
    async fn session(&self, session_id: &str) -> Result<Option<SessionRow>, Error>;

    /// Inserts or replaces the session. `false`, and nothing is changed, when another user owns a live session of this id.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the row has both a working image and a working video.
    async fn put_session(&self, row: &SessionRow) -> Result<bool, Error>;

    /// Deletes the session if `user_id` owns it; whether there was one.
    async fn delete_session(&self, session_id: &str, user_id: &str) -> Result<bool, Error>;
}
