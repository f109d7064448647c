//! Sessions: the one working medium that a user has open, between requests.
//!
//! The trait belongs here because the flow calls it; databases implement it elsewhere. A store that fails makes a request
//! go on without its session, never fail.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How many sessions the in-process store holds before it drops the one that expires first.
const MAX_SESSIONS: usize = 100_000;

/// One session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the contract's word for its name")]
pub struct Session {
    /// Its name, chosen by the caller.
    pub session_id: String,
    /// Its owner; nobody else sees it.
    pub user_id: String,
    /// The open image; never together with a video.
    pub working_image: Option<String>,
    /// The open video; never together with an image.
    pub working_video: Option<String>,
    /// Whatever the caller wants to keep with it.
    pub metadata: serde_json::Value,
    /// When it ends.
    pub expires_at: SystemTime,
}

/// What a caller changes. Setting one medium clears the other.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SessionUpdate {
    /// The image that is open from now on.
    pub working_image: Option<String>,
    /// The video that is open from now on.
    pub working_video: Option<String>,
    /// Replaces the metadata when given.
    pub metadata: Option<serde_json::Value>,
}

/// Why a store of sessions or generations did not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached now.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where sessions live.
///
/// The contract: `load` gives only sessions that have not expired at `now`; `store` replaces a session of the same owner and
/// reports `false`, changing nothing, when the id belongs to somebody else; `delete` tells whether there was one of this owner;
/// `forget_user` leaves none of this owner's.
#[async_trait]
pub trait SessionStore: Send + Sync + std::fmt::Debug {
    /// The session of this id, whoever owns it, unless it has expired.
    async fn load(&self, session_id: &str, now: SystemTime) -> Result<Option<Session>, StoreError>;
    /// Creates or replaces; `false` when the id is somebody else's live session.
    async fn store(&self, session: Session, now: SystemTime) -> Result<bool, StoreError>;
    /// Removes the session if `user_id` owns it.
    async fn delete(&self, session_id: &str, user_id: &str) -> Result<bool, StoreError>;
    /// Removes every session of this user; how many. None where they go with the rows of the events' database.
    async fn forget_user(&self, user_id: &str) -> Result<u64, StoreError>;
    /// Whether other processes change the same sessions. They are then cached only while these can tell of their changes.
    fn is_shared(&self) -> bool {
        false
    }
}

/// Sessions in this process, bounded; the default when no store is given.
#[derive(Debug, Default)]
pub struct MemorySessions {
    sessions: Mutex<HashMap<String, Session>>,
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn load(&self, session_id: &str, now: SystemTime) -> Result<Option<Session>, StoreError> {
        Ok(self.sessions.lock().get(session_id).filter(|session| session.expires_at > now).cloned())
    }

    async fn store(&self, session: Session, now: SystemTime) -> Result<bool, StoreError> {
        let mut sessions = self.sessions.lock();
        if let Some(present) = sessions.get(&session.session_id) {
            if present.user_id != session.user_id && present.expires_at > now {
                return Ok(false);
            }
        } else if sessions.len() >= MAX_SESSIONS {
            make_room(&mut sessions, now);
        }
        sessions.insert(session.session_id.clone(), session);
        Ok(true)
    }

    async fn delete(&self, session_id: &str, user_id: &str) -> Result<bool, StoreError> {
        let mut sessions = self.sessions.lock();
        if sessions.get(session_id).is_some_and(|session| session.user_id == user_id) {
            sessions.remove(session_id);
            return Ok(true);
        }
        Ok(false)
    }

    async fn forget_user(&self, user_id: &str) -> Result<u64, StoreError> {
        let mut sessions = self.sessions.lock();
        let before = sessions.len();
        sessions.retain(|_, session| session.user_id != user_id);
        Ok((before - sessions.len()) as u64)
    }
}

fn make_room(sessions: &mut HashMap<String, Session>, now: SystemTime) {
    sessions.retain(|_, session| session.expires_at > now);
    if sessions.len() < MAX_SESSIONS {
        return;
    }
    let first =
        sessions.values().min_by_key(|session| session.expires_at).map(|session| session.session_id.clone());
    if let Some(first) = first {
        sessions.remove(&first);
    }
}

impl SessionUpdate {
    /// The session that this change makes of `present` (or of nothing), living for `ttl` from `now`.
    pub(crate) fn apply(
        self,
        present: Option<Session>,
        session_id: &str,
        user_id: &str,
        now: SystemTime,
        ttl: Duration,
    ) -> Session {
        let mut session = present.unwrap_or_else(|| Session {
            session_id: session_id.to_owned(),
            user_id: user_id.to_owned(),
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
    fn one_medium_replaces_the_other() {
        let first = image("http://a/i").apply(None, "s", "u", at(0), Duration::from_secs(10));
        let video =
            SessionUpdate { working_video: Some("http://a/v".to_owned()), ..SessionUpdate::default() };
        let second = video.apply(Some(first), "s", "u", at(1), Duration::from_secs(10));
        assert_eq!((second.working_image, second.working_video.as_deref()), (None, Some("http://a/v")));
        assert_eq!(second.expires_at, at(11));
    }

    #[tokio::test]
    async fn a_session_is_its_owners_until_it_expires() {
        let store = MemorySessions::default();
        let mine = image("http://a/i").apply(None, "s", "me", at(0), Duration::from_secs(10));
        assert!(store.store(mine.clone(), at(0)).await.unwrap());
        let other = image("http://b/i").apply(None, "s", "you", at(5), Duration::from_secs(10));
        assert!(!store.store(other.clone(), at(5)).await.unwrap());
        assert!(!store.delete("s", "you").await.unwrap());
        assert_eq!(store.load("s", at(9)).await.unwrap(), Some(mine));
        assert_eq!(store.load("s", at(10)).await.unwrap(), None);
        assert!(store.store(other, at(11)).await.unwrap());
        assert_eq!((store.forget_user("me").await.unwrap(), store.forget_user("you").await.unwrap()), (0, 1));
        assert_eq!(store.load("s", at(11)).await.unwrap(), None);
    }
}
