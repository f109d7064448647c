//! The sessions of a caller, through their cache level.
//!
//! A session is cached with its owner inside; who asks is checked after every read. Sessions that other processes change too
//! are read from the cache only while there is a remote by which these tell of it, or while the store does not answer.
//!
//! A store that does not answer makes `process` go on without the session, after a moment at the most, and the session routes
//! say that they are unavailable. A change that has begun is finished, whoever has stopped waiting for it: the store and the
//! caches must not part.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picarcade_cache::{LoadError, Options};
use picarcade_intent::{Media, Request};

use crate::caches::{SESSION_PATIENCE, session_key, user_tag};
use crate::error::FlowError;
use crate::request::{Caller, Valid, check_id, check_url};
use crate::service::Shared;
use crate::session::store::{Session, SessionUpdate, StoreError};

/// How long `process` waits for a session. A store that the last check found away is not waited for at all.
const PROCESS_PATIENCE: Duration = Duration::from_millis(500);

/// The largest metadata of a session, in bytes of JSON.
const MAX_METADATA: usize = 16 * 1024;

impl Shared {
    /// Fills in the session's working medium where the request states none.
    pub(crate) async fn with_session(&self, valid: Valid, caller: &Caller) -> Request {
        let Valid { prompt, mut facts, mut media, session_id, .. } = valid;
        let stated = facts.bits() != 0 || media != Media::default();
        if let (false, Some(id)) = (stated, session_id) {
            let session = if self.database_is_away() {
                self.cached_session(&id).await
            } else {
                let found = tokio::time::timeout(PROCESS_PATIENCE, self.find_session(&id, caller)).await;
                found.unwrap_or_else(|_| Err(slow())).unwrap_or_else(|error| {
                    tracing::debug!(%error, "a session could not be read");
                    None
                })
            };
            if let Some(session) = session.filter(|session| *session.user_id == *caller.user) {
                facts.active_image = session.working_image.is_some();
                facts.active_video = session.working_video.is_some();
                media.working_image = session.working_image;
                media.working_video = session.working_video;
            }
        }
        Request { prompt, facts, media }
    }

    pub(crate) async fn own_session(&self, id: &str, caller: &Caller) -> Result<Session, FlowError> {
        check(id)?;
        let found = self.find_session(id, caller).await.map_err(|error| unavailable(&error))?;
        found.filter(|session| *session.user_id == *caller.user).ok_or(FlowError::NotFound)
    }

    pub(crate) async fn update_session(
        self: &Arc<Self>,
        id: &str,
        caller: &Caller,
        update: SessionUpdate,
    ) -> Result<Session, FlowError> {
        check_update(id, &update)?;
        let (shared, id, user) = (Arc::clone(self), id.to_owned(), Arc::clone(&caller.user));
        finished(async move {
            let now = SystemTime::now();
            // The store, not the cache, is read before a change: a change must not bring an old medium back.
            let present = in_time(shared.sessions.load(&id, now)).await?;
            if present.as_ref().is_some_and(|session| *session.user_id != *user) {
                return Err(FlowError::NotFound);
            }
            let session = update.apply(present, &id, &user, now, shared.policy.session_lifetime);
            let stored = in_time(shared.sessions.store(session.clone(), now)).await;
            // Whatever the store says: what it did not acknowledge it may have done.
            shared.caches.sessions.remove(&session_key(&id)).await;
            if stored? { Ok(session) } else { Err(FlowError::NotFound) }
        })
        .await
    }

    pub(crate) async fn delete_session(self: &Arc<Self>, id: &str, caller: &Caller) -> Result<(), FlowError> {
        check(id)?;
        let (shared, id, user) = (Arc::clone(self), id.to_owned(), Arc::clone(&caller.user));
        finished(async move {
            let deleted = in_time(shared.sessions.delete(&id, &user)).await;
            shared.caches.sessions.remove(&session_key(&id)).await;
            if deleted? { Ok(()) } else { Err(FlowError::NotFound) }
        })
        .await
    }

    /// The session from the cache, however the store does.
    async fn cached_session(&self, id: &str) -> Option<Session> {
        let hit = self.caches.sessions.get(&session_key(id)).await?;
        Some(hit.value.as_ref().clone()).filter(|session| session.expires_at > SystemTime::now())
    }

    /// Whether what is cached may be older than what another process has stored.
    fn sessions_may_be_stale(&self) -> bool {
        self.sessions.is_shared() && !self.watch.as_ref().is_some_and(|watch| watch.is_up())
    }

    async fn find_session(&self, id: &str, caller: &Caller) -> Result<Option<Session>, StoreError> {
        let now = SystemTime::now();
        let key = session_key(id);
        if self.sessions_may_be_stale() {
            let found = tokio::time::timeout(SESSION_PATIENCE, self.sessions.load(id, now)).await;
            return found.unwrap_or_else(|_| Err(slow()));
        }
        // One that has outlived its time in the cache is at most what is left when the store does not answer.
        let hit = self.caches.sessions.get(&key).await;
        if let Some(hit) = hit.filter(|hit| hit.source != picarcade_cache::Source::Stale) {
            return Ok(Some(hit.value.as_ref().clone()).filter(|session| session.expires_at > now));
        }
        let store = Arc::clone(&self.sessions);
        let owned = id.to_owned();
        let loader = move || async move {
            match store.load(&owned, now).await {
                Ok(Some(session)) => {
                    let tag = user_tag(&session.user_id);
                    Ok(picarcade_cache::Loaded::new(session).tag(tag))
                }
                Ok(None) => Err(None),
                Err(error) => Err(Some(error)),
            }
        };
        // The caller is nearly always the owner, whose tag is better known before the load.
        let options = Options::default().tag(user_tag(&caller.user));
        match self.caches.sessions.get_or_load_with(&key, options, loader).await {
            Ok(found) => Ok(Some(found.value.as_ref().clone())),
            Err(LoadError::Failed(reason)) => match &*reason {
                Some(error) => Err(StoreError::Unavailable(error.to_string().into())),
                None => Ok(None),
            },
            Err(error) => Err(StoreError::Unavailable(error.kind().into())),
        }
    }
}

/// Runs to its end, whether or not anybody waits for it.
pub(crate) async fn finished<T: Send + 'static>(
    work: impl Future<Output = Result<T, FlowError>> + Send + 'static,
) -> Result<T, FlowError> {
    let stopped = |error: tokio::task::JoinError| unavailable(&StoreError::Unavailable(error.into()));
    tokio::spawn(work).await.map_err(stopped)?
}

async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, FlowError> {
    let done = tokio::time::timeout(SESSION_PATIENCE, work).await;
    done.unwrap_or_else(|_| Err(slow())).map_err(|error| unavailable(&error))
}

fn slow() -> StoreError {
    StoreError::Unavailable("no answer in time".into())
}

fn check(id: &str) -> Result<(), FlowError> {
    let mut problems = Vec::new();
    check_id("/session_id", Some(id), &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(FlowError::Invalid(problems)) }
}

fn check_update(id: &str, update: &SessionUpdate) -> Result<(), FlowError> {
    let mut problems = Vec::new();
    check_id("/session_id", Some(id), &mut problems);
    if let Some(url) = &update.working_image {
        check_url(|| "/working_image".to_owned(), url, &mut problems);
    }
    if let Some(url) = &update.working_video {
        check_url(|| "/working_video".to_owned(), url, &mut problems);
    }
    if update.working_image.is_some() && update.working_video.is_some() {
        let detail = "a session has a working image or a working video, not both";
        problems.push(crate::error::FieldProblem::new("/working_video", detail));
    }
    if let Some(metadata) = &update.metadata {
        if !metadata.is_object() {
            problems.push(crate::error::FieldProblem::new("/metadata", "must be an object"));
        } else if metadata.to_string().len() > MAX_METADATA {
            let detail = format!("must have at most {MAX_METADATA} bytes");
            problems.push(crate::error::FieldProblem::new("/metadata", detail));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(FlowError::Invalid(problems)) }
}

fn unavailable(error: &StoreError) -> FlowError {
    tracing::warn!(%error, "sessions are unavailable");
    FlowError::Unavailable { retry_after: Duration::from_secs(1) }
}
