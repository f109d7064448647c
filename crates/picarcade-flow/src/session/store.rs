//! A session, its changes, and the trait of its stores.
//!
//! The trait is here because the flow calls it; databases implement it elsewhere. If a store fails,
//! requests continue without their session.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::{SessionId, UserId};

/// The working medium that a user has open, between requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the field names of the contract")]
pub struct Session {
    /// The id, chosen by the caller.
    pub session_id: SessionId,
    /// The owner, the only user that sees the session.
    pub user_id: UserId,
    /// The open image, never together with a video.
    pub working_image: Option<String>,
    /// The open video, never together with an image.
    pub working_video: Option<String>,
    /// Data of the caller.
    pub metadata: serde_json::Value,
    /// When the session expires.
    pub expires_at: SystemTime,
}

/// A change of a session. Setting one medium clears the other.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SessionUpdate {
    /// The image that is open from now on.
    pub working_image: Option<String>,
    /// The video that is open from now on.
    pub working_video: Option<String>,
    /// The new metadata, if it changes.
    pub metadata: Option<serde_json::Value>,
}

/// The error of a store of sessions or generations.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached now.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A store of sessions.
#[async_trait]
pub trait SessionStore: Send + Sync + std::fmt::Debug {
    /// Returns the session with this id, of any owner, unless it has expired at `now`.
    async fn load(&self, session_id: &SessionId, now: SystemTime) -> Result<Option<Session>, StoreError>;
    /// Creates the session or replaces one of the same owner. Returns false, and changes nothing,
    /// if the id belongs to another user's session that has not expired at `now`.
    async fn store(&self, session: Session, now: SystemTime) -> Result<bool, StoreError>;
    /// Removes the session if `user_id` owns it, and returns whether it did.
    async fn delete(&self, session_id: &SessionId, user_id: &UserId) -> Result<bool, StoreError>;
    /// Removes every session of this user and returns their number. Returns 0 if the sessions are
    /// deleted with the rows of the events' database.
    async fn forget_user(&self, user_id: &UserId) -> Result<u64, StoreError>;
    /// Returns whether other processes change the same sessions. The sessions are then cached only
    /// while those processes can publish their changes.
    fn is_shared(&self) -> bool {
        false
    }
}

impl SessionUpdate {
    /// Returns the session after this change of `present`, or a new one. It expires `ttl` after
    /// `now`.
    pub(crate) fn apply(
        self,
        present: Option<Session>,
        session_id: &SessionId,
        user_id: &UserId,
        now: SystemTime,
        ttl: Duration,
    ) -> Session {
        let mut session = present.unwrap_or_else(|| Session {
            session_id: session_id.clone(),
            user_id: user_id.clone(),
            working_image: None,
            working_video: None,
            metadata: serde_json::Value::Object(serde_json::Map::new()),
            expires_at: now,
        });
        if let Some(image) = self.working_image {
            session.working_image = Some(image);
            session.working_video = None;
        } else if let Some(video) = self.working_video {
            session.working_video = Some(video);
            session.working_image = None;
        }
        if let Some(metadata) = self.metadata {
            session.metadata = metadata;
        }
        session.expires_at = now + ttl;
        session
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn image(url: &str) -> SessionUpdate {
        SessionUpdate { working_image: Some(url.to_owned()), ..SessionUpdate::default() }
    }

    #[test]
    fn setting_one_medium_clears_the_other() {
        let (id, user) = ("s".parse().unwrap(), "u".parse().unwrap());
        let first = image("http://a/i").apply(None, &id, &user, at(0), Duration::from_secs(10));
        let video =
            SessionUpdate { working_video: Some("http://a/v".to_owned()), ..SessionUpdate::default() };
        let second = video.apply(Some(first), &id, &user, at(1), Duration::from_secs(10));
        assert_eq!((second.working_image, second.working_video.as_deref()), (None, Some("http://a/v")));
        assert_eq!(second.expires_at, at(11));
    }
}
