//! The sessions of a caller, through their cache level.
//!
//! A session is cached with its owner inside; who asks is checked after every read. A store that does not answer makes
//! `process` go on without the session, and the session routes say that they are unavailable.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picarcade_intent::{Media, Request};

use crate::caches::{session_key, user_tag};
use crate::error::FlowError;
use crate::request::{Caller, Valid, check_id, check_url};
use crate::service::Shared;
use crate::session::{Session, SessionUpdate, StoreError};

/// The largest metadata of a session, in bytes of JSON.
const MAX_METADATA: usize = 16 * 1024;

impl Shared {
    /// Fills in the session's working medium where the request states none.
    pub(crate) async fn with_session(&self, valid: Valid, caller: &Caller) -> Request {
        let Valid { prompt, mut facts, mut media, session_id, .. } = valid;
        let stated = facts.bits() != 0 || media != Media::default();
        if let (false, Some(id)) = (stated, session_id) {
            let session = self.find_session(&id).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "a session could not be read");
                None
            });
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
        let found = self.find_session(id).await.map_err(|error| unavailable(&error))?;
        found.filter(|session| *session.user_id == *caller.user).ok_or(FlowError::NotFound)
    }

    pub(crate) async fn update_session(
        self: &Arc<Self>,
        id: &str,
        caller: &Caller,
        update: SessionUpdate,
    ) -> Result<Session, FlowError> {
        check_update(id, &update)?;
        let now = SystemTime::now();
        // The store, not the cache, is read before a change: a change must not bring an old medium back.
        let present = self.sessions.load(id, now).await.map_err(|error| unavailable(&error))?;
        if present.as_ref().is_some_and(|session| *session.user_id != *caller.user) {
            return Err(FlowError::NotFound);
        }
        let session = update.apply(present, id, &caller.user, now, self.policy.session_lifetime);
        let stored = self.sessions.store(session.clone(), now).await.map_err(|error| unavailable(&error))?;
        self.caches.sessions.remove(&session_key(id)).await;
        if stored { Ok(session) } else { Err(FlowError::NotFound) }
    }

    pub(crate) async fn delete_session(&self, id: &str, caller: &Caller) -> Result<(), FlowError> {
        check(id)?;
        let deleted = self.sessions.delete(id, &caller.user).await.map_err(|error| unavailable(&error))?;
        self.caches.sessions.remove(&session_key(id)).await;
        if deleted { Ok(()) } else { Err(FlowError::NotFound) }
    }

    async fn find_session(&self, id: &str) -> Result<Option<Session>, StoreError> {
        let now = SystemTime::now();
        let key = session_key(id);
        if let Some(hit) = self.caches.sessions.get(&key).await {
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
        match self.caches.sessions.get_or_load_with(&key, picarcade_cache::Options::default(), loader).await {
            Ok(found) => Ok(Some(found.value.as_ref().clone())),
            Err(picarcade_cache::LoadError::Failed(reason)) if reason.is_none() => Ok(None),
            Err(error) => Err(StoreError::Unavailable(error.to_string().into())),
        }
    }
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
