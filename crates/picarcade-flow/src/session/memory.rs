//! Sessions in this process.

use std::collections::HashMap;
use std::time::SystemTime;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::id::{SessionId, UserId};
use crate::session::store::{Session, SessionStore, StoreError};

/// The most sessions that the store holds. At this bound the one that expires first is dropped.
const MAX_SESSIONS: usize = 100_000;

/// A bounded store of sessions in this process. It is the default.
#[derive(Debug, Default)]
pub struct MemorySessions {
    sessions: Mutex<HashMap<SessionId, Session>>,
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn load(&self, session_id: &SessionId, now: SystemTime) -> Result<Option<Session>, StoreError> {
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

    async fn delete(&self, session_id: &SessionId, user_id: &UserId) -> Result<bool, StoreError> {
        let mut sessions = self.sessions.lock();
        if sessions.get(session_id).is_some_and(|session| session.user_id == *user_id) {
            sessions.remove(session_id);
            return Ok(true);
        }
        Ok(false)
    }

    async fn forget_user(&self, user_id: &UserId) -> Result<u64, StoreError> {
        let mut sessions = self.sessions.lock();
        let before = sessions.len();
        sessions.retain(|_, session| session.user_id != *user_id);
        Ok((before - sessions.len()) as u64)
    }
}

fn make_room(sessions: &mut HashMap<SessionId, Session>, now: SystemTime) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::store::SessionUpdate;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn image(url: &str) -> SessionUpdate {
        SessionUpdate { working_image: Some(url.to_owned()), ..SessionUpdate::default() }
    }

    #[tokio::test]
    async fn only_the_owner_changes_a_session_until_it_expires() {
        let store = MemorySessions::default();
        let (id, me, you) = ("s".parse().unwrap(), "me".parse().unwrap(), "you".parse().unwrap());
        let mine = image("http://a/i").apply(None, &id, &me, at(0), Duration::from_secs(10));
        assert!(store.store(mine.clone(), at(0)).await.unwrap());
        let other = image("http://b/i").apply(None, &id, &you, at(5), Duration::from_secs(10));
        assert!(!store.store(other.clone(), at(5)).await.unwrap());
        assert!(!store.delete(&id, &you).await.unwrap());
        assert_eq!(store.load(&id, at(9)).await.unwrap(), Some(mine));
        assert_eq!(store.load(&id, at(10)).await.unwrap(), None);
        assert!(store.store(other, at(11)).await.unwrap());
        assert_eq!((store.forget_user(&me).await.unwrap(), store.forget_user(&you).await.unwrap()), (0, 1));
        assert_eq!(store.load(&id, at(11)).await.unwrap(), None);
    }
}
