//! Sessions of the flow in the database.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use picarcade_analytics::{SessionRow, SessionRows};
use picarcade_flow::{Session, SessionStore, StoreError};

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
    async fn load(&self, session_id: &str, now: SystemTime) -> Result<Option<Session>, StoreError> {
        let row = self.rows.session(session_id).await.map_err(unavailable)?;
        Ok(row.filter(|row| !row.is_expired(now)).map(|row| Session {
            session_id: row.session_id,
            user_id: row.user_id,
            working_image: row.current_working_image,
            working_video: row.current_working_video,
            metadata: row.metadata,
            expires_at: row.expires_at.unwrap_or(now + FOREVER),
        }))
    }

    async fn store(&self, session: Session, now: SystemTime) -> Result<bool, StoreError> {
        let row = SessionRow {
            session_id: session.session_id,
            user_id: session.user_id,
            current_working_image: session.working_image,
            current_working_video: session.working_video,
            metadata: session.metadata,
            expires_at: Some(session.expires_at),
            updated_at: now,
        };
        self.rows.put_session(&row).await.map_err(unavailable)
    }

    async fn delete(&self, session_id: &str, user_id: &str) -> Result<bool, StoreError> {
        self.rows.delete_session(session_id, user_id).await.map_err(unavailable)
    }

    /// Deletes nothing, because the sessions are deleted together with the other rows of their
    /// user.
    async fn forget_user(&self, _: &str) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }
}

fn unavailable(error: picarcade_analytics::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}
