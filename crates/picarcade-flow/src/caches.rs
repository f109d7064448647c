//! The five cache levels of the flow, and what makes two requests the same one.
//!
//! A key holds everything that the cached value depends on and nothing else. The media's URLs are not in it: answers speak of
//! media by tag and number only, and are completed with URLs per request.

use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::{Period, Statistics};
use picarcade_cache::{Builder, Cache, ConfigError, Key, Reach, Remote, Statistics as CacheStatistics};
use picarcade_intent::{Media, PromptType, Request, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::policy::{Mode, Policy};
use crate::rules::Rules;
use crate::session::store::Session;

/// The layout of the cached values; raised when one of them changes its meaning.
const SCHEMA: u32 = 1;

/// Like [`SCHEMA`], for the levels whose values are made of a prompt: raised when prompts are
/// normalized in another way.
const PROMPT_SCHEMA: u32 = 2;

/// What a classification by AI costs on the average; the worth of a hit on level 1 when the provider tells nothing.
const CLASSIFICATION_MICROS: u64 = 20_000;

/// How long the sessions' database may take to answer.
pub(crate) const SESSION_PATIENCE: Duration = Duration::from_secs(3);

/// Statistics as they are cached, with what was spent since midnight (UTC).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) statistics: Statistics,
    pub(crate) spent_today_micros: u64,
}

/// An enhanced prompt as it is cached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Enhanced {
    pub(crate) text: String,
}

/// The five levels.
#[derive(Clone, Debug)]
pub struct CacheLevels {
    pub(crate) intent: Cache<Verdict>,
    pub(crate) enhancement: Cache<Enhanced>,
    pub(crate) parameters: Cache<Map<String, Value>>,
    pub(crate) statistics: Cache<Figures>,
    pub(crate) sessions: Cache<Session>,
}

impl CacheLevels {
    pub(crate) fn build(
        policy: &Policy,
        paid: bool,
        remote: Option<&Arc<dyn Remote>>,
    ) -> Result<Self, ConfigError> {
        let hard = policy.classification_timeout + Duration::from_secs(1);
        let ttls = policy.ttls;
        let intent = with_remote(Cache::builder("intent"), remote)
            .ttl(ttls.intent)
            .stale_for(ttls.intent)
            .hard_timeout(hard)
            .max_bytes(64 << 20)
            .cost_per_load_micros(if paid { CLASSIFICATION_MICROS } else { 0 })
            .build()?;
        // Only the intent level takes leases: its loads cost money. The others are made again for
        // less than a wait.
        let enhancement = with_remote(Cache::builder("enhancement"), remote)
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
            .hard_timeout(SESSION_PATIENCE)
            .max_bytes(16 << 20)
            .build()?;
        Ok(Self { intent, enhancement, parameters, statistics, sessions })
    }

    /// Removes what carries this tag, on every level and every instance. Returns how far that got:
    /// [`Reach::Queued`] when any level could not tell the others yet.
    pub async fn remove_by_tag(&self, tag: &str) -> Reach {
        let levels = [
            self.intent.remove_by_tag(tag).await,
            self.enhancement.remove_by_tag(tag).await,
            self.parameters.remove_by_tag(tag).await,
            self.statistics.remove_by_tag(tag).await,
            self.sessions.remove_by_tag(tag).await,
        ];
        levels.into_iter().find(|reach| *reach == Reach::Queued).unwrap_or(levels[0])
    }

    /// Removes everything that belongs to one user, like [`CacheLevels::remove_by_tag`].
    pub async fn remove_user(&self, user: &str) -> Reach {
        self.remove_by_tag(&user_tag(user)).await
    }

    /// Removes everything, on every instance.
    pub async fn clear(&self) {
        self.intent.clear().await;
        self.enhancement.clear().await;
        self.parameters.clear().await;
        self.statistics.clear().await;
        self.sessions.clear().await;
    }

    /// Waits until what is being loaded is written, for at most `deadline`: before the process ends.
    pub async fn drain(&self, deadline: Duration) {
        tokio::join!(self.intent.drain(deadline), self.enhancement.drain(deadline));
    }

    /// The statistics of every level, in the order of the levels.
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

/// The tag of everything that belongs to one user.
pub(crate) fn user_tag(user: &str) -> String {
    format!("user:{user}")
}

/// Level 1: the same words by the same user about media of the same shape, under the same rules, model and mode.
pub(crate) fn intent_key(request: &Request, user: &str, rules: &Rules, model: &str, mode: Mode) -> Key {
    let builder = Key::builder("intent", PROMPT_SCHEMA)
        .part(request.prompt.normalized().as_bytes())
        .part(user)
        .part([request.facts.bits()])
        .part(rules.matrix.version())
        .part(model)
        .part(mode.as_str());
    shape(builder, &request.media).finish()
}

/// Level 2: the same words by the same user as the same type, about media of the same shape, under
/// the same rules and model, with the same text of the AI.
///
/// Two users with the same words have an entry each. A shared one would show the second user that
/// another user asked the same before, and would outlive the deletion of the first. The AI's text is
/// part of the key so that a new answer is never replaced by what was derived from an older one.
pub(crate) fn enhancement_key(
    request: &Request,
    user: &str,
    verdict: &Verdict,
    rules: &Rules,
    model: &str,
) -> Key {
    let builder = Key::builder("enhancement", PROMPT_SCHEMA)
        .part(request.prompt.as_str())
        .part(user)
        .part([u8::from(verdict.enhancement.is_some())])
        .part(verdict.enhancement.as_deref().unwrap_or_default())
        .part(verdict.prompt_type.as_str())
        .part(verdict.goal.as_str())
        .part([request.facts.bits(), u8::from(verdict.audio)])
        .part(rules.matrix.version())
        .part(model);
    shape(builder, &request.media).finish()
}

/// Level 3: a model, a type, a catalogue.
pub(crate) fn parameters_key(model: &str, prompt_type: PromptType, rules: &Rules) -> Key {
    Key::builder("parameters", SCHEMA)
        .part(model)
        .part(prompt_type.as_str())
        .part(rules.catalogue.version())
        .finish()
}

/// Level 4: a period.
pub(crate) fn statistics_key(period: Period) -> Key {
    Key::builder("statistics", SCHEMA).part(period.as_str()).finish()
}

/// Level 5: a session.
pub(crate) fn session_key(session_id: &str) -> Key {
    Key::builder("sessions", SCHEMA).part(session_id).finish()
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
