//! Backends in the shapes that the flow and the limits ask for: sessions and what was spent from the database, the state of
//! Redis from its handle.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use picarcade_analytics::{Period, SessionRow, SessionRows, Store};
use picarcade_flow::{RemoteWatch, Session, SessionStore, StoreError};
use picarcade_ratelimit::{Ledger, Scope, Window};
use picarcade_redis::{RedisHandle, Role};

/// The life of a session that somebody else stored without an end: a year.
const FOREVER: Duration = Duration::from_secs(31_536_000);

/// The window of the dollar limit of a user.
const HOUR: Duration = Duration::from_secs(3600);

/// Sessions in the database of the events.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) rows: Arc<dyn SessionRows>,
    /// A file is this process's own; a server may be that of a fleet.
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

    /// They go with the other rows of their user.
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

/// What was spent, as the table of costs tells it: from there a Redis that lost its counters learns the budgets anew.
#[derive(Debug)]
pub(super) struct Spent(pub(super) Arc<dyn Store>);

#[async_trait]
impl Ledger for Spent {
    async fn spent_micros(&self, scope: Scope, subject: &str, window: Window) -> Result<u64, String> {
        let now = SystemTime::now();
        let spent = match (scope, window) {
            (Scope::Global, Window::Sliding(length)) => self.0.spent_since(now - length, now).await,
            (Scope::Global, Window::UtcDay) => {
                let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
                let today = Duration::from_secs(since_epoch % 86_400);
                self.0.spent_since(now - today, now).await
            }
            (Scope::User, Window::Sliding(length)) if length == HOUR => {
                let statistics = self.0.user_statistics(subject, Period::Hour, now).await;
                statistics.map(|statistics| (statistics.cost_spent * 1e6).ceil() as u64)
            }
            _ => return Err("the ledger does not know this window".to_owned()),
        };
        spent.map_err(|error| error.kind().to_owned())
    }
}

/// Tells the flow whether Redis can be reached.
#[derive(Debug)]
pub(super) struct Watch(pub(super) RedisHandle);

impl RemoteWatch for Watch {
    fn is_up(&self) -> bool {
        self.0.status().connected
    }

    fn latency(&self) -> Option<Duration> {
        self.0.status().latency_ms.map(|latency| Duration::from_secs_f64(latency / 1e3))
    }

    fn last_error(&self) -> Option<String> {
        self.0.status().last_error.map(str::to_owned)
    }

    fn is_on_backup(&self) -> bool {
        self.0.status().active == Role::Backup
    }
}
