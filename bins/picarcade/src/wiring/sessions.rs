//! Sessions of the flow in the database.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use picarcade_analytics::{SessionRow, SessionRows};
use picarcade_flow::{Session, SessionId, SessionStore, StoreError, UserId};

/// The life of a session that another program stored without an end: a year.
const FOREVER: Duration = Duration::from_secs(31_536_000);

/// Sessions in the database of the events.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) rows: Arc<dyn SessionRows>,
    /// Whether other instances may use the same database. A file belongs to this process; a server
    /// may be shared by a fleet.
    pub(super) is_shared: bool,
}

#[async_trait]
impl SessionStore for Sessions {
    async fn load(&self, session_id: &SessionId, now: SystemTime) -> Result<Option<Session>, StoreError> {
        let row = self.rows.session(session_id.as_str()).await.map_err(unavailable)?;
        let Some(row) = row.filter(|row| !row.is_expired(now)) else { return Ok(None) };
        // A text that is no id is the user of no caller.
        let Ok(user_id) = UserId::try_from(row.user_id) else { return Ok(None) };
        Ok(Some(Session {
            session_id: session_id.clone(),
            user_id,
            working_image: row.current_working_image,
            working_video: row.current_working_video,
            metadata: row.metadata,
            expires_at: row.expires_at.unwrap_or(now + FOREVER),
        }))
    }

    async fn store(&self, session: Session, now: SystemTime) -> Result<bool, StoreError> {
        let row = SessionRow {
            session_id: session.session_id.to_string(),
            user_id: session.user_id.to_string(),
            current_working_image: session.working_image,
            current_working_video: session.working_video,
            metadata: session.metadata,
            expires_at: Some(session.expires_at),
            updated_at: now,
        };
        self.rows.put_session(&row).await.map_err(unavailable)
    }

    async fn delete(&self, session_id: &SessionId, user_id: &UserId) -> Result<bool, StoreError> {
        self.rows.delete_session(session_id.as_str(), user_id.as_str()).await.map_err(unavailable)
    }

    /// Deletes nothing, because the sessions are deleted together with the other rows of their
    /// user.
    async fn forget_user(&self, _: &UserId) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }
}

fn unavailable(error: picarcade_analytics::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}
