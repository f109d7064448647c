//! The sessions of a caller, through their cache.
//!
//! The cached session includes its owner, so every read checks the caller against it. Sessions that
//! other processes change too are read from the cache only while a remote level publishes those
//! changes, or while the store does not answer.
//!
//! If the store does not answer, `process` continues without the session after a short time, and
//! the session routes report that they are unavailable. A change that has begun is completed even
//! if its caller leaves, so that the store and the caches stay consistent.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picarcade_cache::{CacheSource, LoadError, Loaded, Options};
use picarcade_intent::{Media, Request};

use crate::caches::{SESSION_TIMEOUT, session_key, user_tag};
use crate::caller::Caller;
use crate::error::{FieldProblem, FlowError};
use crate::id::{IdError, SessionId};
use crate::request::Valid;
use crate::service::FlowService;
use crate::session::store::{Session, SessionUpdate, StoreError};
use crate::task::run_to_end;
use crate::validate::check_url;

/// How long `process` waits for a session. It does not wait if the last check found the store down.
const PROCESS_TIMEOUT: Duration = Duration::from_millis(500);

/// The largest metadata of a session, in bytes of JSON.
const MAX_METADATA: usize = 16 * 1024;

impl FlowService {
    /// Returns the caller's session with this id.
    ///
    /// # Errors
    ///
    /// Returns [`FlowError::NotFound`] if there is none or another user owns it, and
    /// [`FlowError::Unavailable`].
    pub async fn session(&self, session_id: &str, caller: &Caller) -> Result<Session, FlowError> {
        let id = parse(session_id)?;
        let found = self.find_session(&id, caller).await.map_err(|error| unavailable(&error))?;
        found.filter(|session| session.user_id == caller.user).ok_or(FlowError::NotFound)
    }

    /// Creates or changes the session. Every instance sees the change at once.
    ///
    /// # Errors
    ///
    /// Returns [`FlowError::Invalid`], [`FlowError::NotFound`] if another user owns the id, and
    /// [`FlowError::Unavailable`].
    pub async fn update_session(
        &self,
        session_id: &str,
        caller: &Caller,
        update: SessionUpdate,
    ) -> Result<Session, FlowError> {
        let id = check_update(session_id, &update)?;
        let (flow, user) = (self.clone(), caller.user.clone());
        run_to_end(async move {
            let (inner, now) = (&flow.inner, SystemTime::now());
            // A change is based on the store and not on the cache, so that it cannot restore an old
            // medium.
            let present = in_time(inner.sessions.load(&id, now)).await?;
            if present.as_ref().is_some_and(|session| session.user_id != user) {
                return Err(FlowError::NotFound);
            }
            let session = update.apply(present, &id, &user, now, inner.policy.session_lifetime);
            let stored = in_time(inner.sessions.store(session.clone(), now)).await;
            // Also after an error: the store may have applied a change that it did not acknowledge.
            inner.caches.sessions.remove(&session_key(&id)).await;
            if stored? { Ok(session) } else { Err(FlowError::NotFound) }
        })
        .await
    }

    /// Removes the caller's session.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`FlowService::session`].
    pub async fn delete_session(&self, session_id: &str, caller: &Caller) -> Result<(), FlowError> {
        let id = parse(session_id)?;
        let (flow, user) = (self.clone(), caller.user.clone());
        run_to_end(async move {
            let deleted = in_time(flow.inner.sessions.delete(&id, &user)).await;
            flow.inner.caches.sessions.remove(&session_key(&id)).await;
            if deleted? { Ok(()) } else { Err(FlowError::NotFound) }
        })
        .await
    }

    /// Adds the session's working medium to a request that states no facts and no media.
    pub(crate) async fn with_session(&self, valid: Valid, caller: &Caller) -> Request {
        let Valid { prompt, mut facts, mut media, session_id, .. } = valid;
        let is_stated = facts.bits() != 0 || media != Media::default();
        if let (false, Some(id)) = (is_stated, session_id) {
            let session = if self.inner.check.database_is_down() {
                self.cached_session(&id).await
            } else {
                let found = tokio::time::timeout(PROCESS_TIMEOUT, self.find_session(&id, caller)).await;
                found.unwrap_or_else(|_| Err(timed_out())).unwrap_or_else(|error| {
                    tracing::debug!(%error, "a session could not be read");
                    None
                })
            };
            if let Some(session) = session.filter(|session| session.user_id == caller.user) {
                facts.active_image = session.working_image.is_some();
                facts.active_video = session.working_video.is_some();
                media.working_image = session.working_image;
                media.working_video = session.working_video;
            }
        }
        Request { prompt, facts, media }
    }

    /// Returns the session from the cache, in whatever state the store is.
    async fn cached_session(&self, id: &SessionId) -> Option<Session> {
        let hit = self.inner.caches.sessions.get(&session_key(id)).await?;
        Some(Session::clone(&hit.value)).filter(|session| session.expires_at > SystemTime::now())
    }

    async fn find_session(&self, id: &SessionId, caller: &Caller) -> Result<Option<Session>, StoreError> {
        let inner = &self.inner;
        let now = SystemTime::now();
        let key = session_key(id);
        if self.sessions_may_be_stale() {
            let found = tokio::time::timeout(SESSION_TIMEOUT, inner.sessions.load(id, now)).await;
            return found.unwrap_or_else(|_| Err(timed_out()));
        }
        // A stale entry is used only if the store does not answer.
        let hit = inner.caches.sessions.get(&key).await;
        if let Some(hit) = hit.filter(|hit| hit.source != CacheSource::Stale) {
            return Ok(Some(Session::clone(&hit.value)).filter(|session| session.expires_at > now));
        }
        let (store, owned) = (Arc::clone(&inner.sessions), id.clone());
        let loader = move || async move {
            match store.load(&owned, now).await {
                Ok(Some(session)) => {
                    let tag = user_tag(&session.user_id);
                    Ok(Loaded::new(session).tag(tag))
                }
                Ok(None) => Err(None),
                Err(error) => Err(Some(error)),
            }
        };
        // The caller is nearly always the owner, and a tag is safest if it is known before the
        // load.
        let options = Options::default().tag(user_tag(&caller.user));
        match inner.caches.sessions.get_or_load_with(&key, options, loader).await {
            Ok(found) => Ok(Some(Session::clone(&found.value))),
            Err(LoadError::Failed(reason)) => match &*reason {
                Some(error) => Err(StoreError::Unavailable(error.to_string().into())),
                None => Ok(None),
            },
            Err(error) => Err(StoreError::Unavailable(error.kind().into())),
        }
    }

    /// Returns whether a cached session may be older than one that another process has stored.
    fn sessions_may_be_stale(&self) -> bool {
        self.inner.sessions.is_shared() && !self.inner.watch.as_ref().is_some_and(|watch| watch.is_up())
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, FlowError> {
    let done = tokio::time::timeout(SESSION_TIMEOUT, work).await;
    done.unwrap_or_else(|_| Err(timed_out())).map_err(|error| unavailable(&error))
}

fn timed_out() -> StoreError {
    StoreError::Unavailable("the session store did not answer in time".into())
}

fn unavailable(error: &StoreError) -> FlowError {
    tracing::warn!(%error, "sessions are unavailable");
    FlowError::Unavailable { retry_after: Duration::from_secs(1) }
}

fn parse(id: &str) -> Result<SessionId, FlowError> {
    id.parse().map_err(|error: IdError| FlowError::Invalid(vec![error.at("/session_id")]))
}

/// Returns the id if it and the update are valid. The error names every wrong field of both.
fn check_update(id: &str, update: &SessionUpdate) -> Result<SessionId, FlowError> {
    let (id, mut problems) = match id.parse::<SessionId>() {
        Ok(id) => (Some(id), Vec::new()),
        Err(error) => (None, vec![error.at("/session_id")]),
    };
    if let Some(url) = &update.working_image {
        check_url(|| "/working_image".to_owned(), url, &mut problems);
    }
    if let Some(url) = &update.working_video {
        check_url(|| "/working_video".to_owned(), url, &mut problems);
    }
    if update.working_image.is_some() && update.working_video.is_some() {
        let detail = "a session has a working image or a working video, not both";
        problems.push(FieldProblem::new("/working_video", detail));
    }
    if let Some(metadata) = &update.metadata {
        if !metadata.is_object() {
            problems.push(FieldProblem::new("/metadata", "must be an object"));
        } else if metadata.to_string().len() > MAX_METADATA {
            let detail = format!("must have at most {MAX_METADATA} bytes");
            problems.push(FieldProblem::new("/metadata", detail));
        }
    }
    match id {
        Some(id) if problems.is_empty() => Ok(id),
        _ => Err(FlowError::Invalid(problems)),
    }
}
