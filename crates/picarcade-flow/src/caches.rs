//! The five caches of the flow and their keys: intent, enhancement, parameters, statistics and
//! sessions. Each has a level in process and, with a remote, a second one.
//!
//! A key contains everything that the cached value depends on and nothing else. It does not contain
//! the URLs of media: answers name media by tag and number only, and get URLs per request.

use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::{Period, Statistics};
use picarcade_cache::{Builder, Cache, CacheStatistics, ConfigError, Key, Options, Reach, Remote};
use picarcade_intent::{Media, PromptType, Request, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{SessionId, UserId};
use crate::policy::{Mode, Policy};
use crate::request::CacheControl;
use crate::rules::Rules;
use crate::session::store::Session;

/// The version of the layout of cached values. It is raised when a value changes its meaning.
const SCHEMA: u32 = 1;

/// The version of the caches whose values are derived from a prompt. It is raised when the
/// normalization of prompts changes.
const PROMPT_SCHEMA: u32 = 2;

/// How long the session store may take to answer.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(3);

/// Cached statistics, with the expenses since midnight (UTC).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) statistics: Statistics,
    pub(crate) spent_today_micros: u64,
}

/// A cached enhanced prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Enhanced {
    pub(crate) text: String,
}

/// The five caches of the flow.
#[derive(Clone, Debug)]
pub struct FlowCaches {
    pub(crate) intent: Cache<Verdict>,
    pub(crate) enhancement: Cache<Enhanced>,
    pub(crate) parameters: Cache<Map<String, Value>>,
    pub(crate) statistics: Cache<Figures>,
    pub(crate) sessions: Cache<Session>,
}

impl FlowCaches {
    pub(crate) fn build(
        policy: &Policy,
        remote: Option<&Arc<dyn Remote>>,
        local_remote: Option<&Arc<dyn Remote>>,
    ) -> Result<Self, ConfigError> {
        // What an AI was paid for survives a restart. The other caches are cheap to fill again.
        let answers = remote.or(local_remote);
        let hard = policy.classification_timeout + Duration::from_secs(1);
        let ttls = policy.ttls;
        let intent = with_remote(Cache::builder("intent"), answers)
            .ttl(ttls.intent)
            .stale_for(ttls.intent)
            .hard_timeout(hard)
            .max_bytes(64 << 20)
            .cost_micros(|verdict: &Verdict| verdict.cost_micros)
            .build()?;
        // Only the intent cache takes leases and saves money, because only its loads cost any: an
        // enhanced prompt of the AI is a part of its answer. In the other caches a load takes less
        // time than a wait.
        let enhancement = with_remote(Cache::builder("enhancement"), answers)
            .no_lease()
            .ttl(ttls.enhancement)
            .max_bytes(64 << 20)
            .build()?;
        let parameters = with_remote(Cache::builder("parameters"), remote)
            .no_lease()
            .ttl(ttls.parameters)
            .max_bytes(1 << 20)
            .build()?;
        let statistics = with_remote(Cache::builder("statistics"), remote)
            .no_lease()
            .ttl(ttls.statistics)
            .stale_for(ttls.statistics)
            .hard_timeout(Duration::from_secs(10))
            .max_bytes(1 << 20)
            .build()?;
        let sessions = with_remote(Cache::builder("sessions"), remote)
            .no_lease()
            .ttl(ttls.sessions)
            .hard_timeout(SESSION_TIMEOUT)
            .max_bytes(16 << 20)
            .build()?;
        Ok(Self { intent, enhancement, parameters, statistics, sessions })
    }

    /// Removes every entry with this tag, in every cache and on every instance. Returns
    /// [`Reach::Queued`] if any cache could not notify the other instances yet.
    pub async fn remove_by_tag(&self, tag: &str) -> Reach {
        let reached = [
            self.intent.remove_by_tag(tag).await,
            self.enhancement.remove_by_tag(tag).await,
            self.parameters.remove_by_tag(tag).await,
            self.statistics.remove_by_tag(tag).await,
            self.sessions.remove_by_tag(tag).await,
        ];
        reached.into_iter().find(|reach| *reach == Reach::Queued).unwrap_or(reached[0])
    }

    /// Removes every entry of one user, like [`FlowCaches::remove_by_tag`].
    pub async fn remove_user(&self, user: &UserId) -> Reach {
        self.remove_by_tag(&user_tag(user)).await
    }

    /// Removes every entry, on every instance.
    pub async fn clear(&self) {
        self.intent.clear().await;
        self.enhancement.clear().await;
        self.parameters.clear().await;
        self.statistics.clear().await;
        self.sessions.clear().await;
    }

    /// Waits until running loads are written, for at most `deadline`. Call it before the process
    /// ends.
    pub async fn drain(&self, deadline: Duration) {
        tokio::join!(self.intent.drain(deadline), self.enhancement.drain(deadline));
    }

    /// Returns the statistics of every cache, in the order of the fields.
    pub fn statistics(&self) -> Vec<CacheStatistics> {
        vec![
            self.intent.statistics(),
            self.enhancement.statistics(),
            self.parameters.statistics(),
            self.statistics.statistics(),
            self.sessions.statistics(),
        ]
    }
}

fn with_remote<V>(builder: Builder<V>, remote: Option<&Arc<dyn Remote>>) -> Builder<V> {
    match remote {
        Some(remote) => builder.remote(Arc::clone(remote)),
        None => builder,
    }
}

/// Returns the options of a read or load under the caller's cache control.
pub(crate) fn options(control: CacheControl) -> Options {
    match control {
        CacheControl::Use => Options::default(),
        CacheControl::NoCache => Options::default().no_read(),
        CacheControl::NoStore => Options::default().no_read().no_write(),
    }
}

/// Returns the tag of every entry that belongs to one user.
pub(crate) fn user_tag(user: &UserId) -> String {
    format!("user:{user}")
}

/// Returns the key in the intent cache: the normalized prompt, the user, the shape of the media,
/// the rules with the examples, the model and the mode.
pub(crate) fn intent_key(request: &Request, user: &UserId, rules: &Rules, model: &str, mode: Mode) -> Key {
    let builder = Key::builder("intent", PROMPT_SCHEMA)
        .part(request.prompt.normalized().as_bytes())
        .part(user.as_str())
        .part([request.facts.bits()])
        .part(rules.decision_version())
        .part(model)
        .part(mode.as_str());
    shape(builder, &request.media).finish()
}

/// Returns the key in the enhancement cache: the prompt, the user, the type, the shape of the
/// media, the rules, the model and the AI's text.
///
/// Two users with the same prompt have an entry each. A shared entry would show the second user
/// that another user sent the same prompt, and would outlive the deletion of the first. The AI's
/// text is part of the key so that a new answer is never replaced by one derived from an older
/// text.
pub(crate) fn enhancement_key(
    request: &Request,
    user: &UserId,
    verdict: &Verdict,
    rules: &Rules,
    model: &str,
) -> Key {
    let builder = Key::builder("enhancement", PROMPT_SCHEMA)
        .part(request.prompt.as_str())
        .part(user.as_str())
        .part([u8::from(verdict.enhancement.is_some())])
        .part(verdict.enhancement.as_deref().unwrap_or_default())
        .part(verdict.prompt_type.as_str())
        .part(verdict.goal.as_str())
        .part([request.facts.bits(), u8::from(verdict.audio)])
        .part(rules.matrix.version())
        .part(model);
    shape(builder, &request.media).finish()
}

/// Returns the key in the parameters cache: the model, the type and the catalogue.
pub(crate) fn parameters_key(model: &str, prompt_type: PromptType, rules: &Rules) -> Key {
    Key::builder("parameters", SCHEMA)
        .part(model)
        .part(prompt_type.as_str())
        .part(rules.catalogue.version())
        .finish()
}

/// Returns the key in the statistics cache: the period.
pub(crate) fn statistics_key(period: Period) -> Key {
    Key::builder("statistics", SCHEMA).part(period.as_str()).finish()
}

/// Returns the key in the session cache: the id of the session.
pub(crate) fn session_key(session_id: &SessionId) -> Key {
    Key::builder("sessions", SCHEMA).part(session_id.as_str()).finish()
}

fn shape(mut builder: picarcade_cache::KeyBuilder, media: &Media) -> picarcade_cache::KeyBuilder {
    builder = builder
        .part_u64(media.uploaded_images.len() as u64)
        .part([u8::from(media.working_image.is_some()), u8::from(media.working_video.is_some())])
        .part_u64(media.reference_images.len() as u64);
    for reference in &media.reference_images {
        builder = builder.part(&reference.tag);
    }
    builder
}
