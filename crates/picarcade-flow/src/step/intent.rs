//! Steps 2 to 5: what the request is, from the cache, the rules, the AI or the local classifier.
//!
//! The cache's loader does the whole of it, so that a thousand callers of one missing answer make one paid call. The loader
//! fails when the AI was wanted and did not answer; then a stale answer serves if there is one, and the local classifier
//! otherwise. Its answer is not cached: the next request should have the real one.

use std::sync::Arc;

use picarcade_cache::{LoadError, Loaded, Options, Source as CacheSource};
use picarcade_intent::{Request, Verdict};
use picarcade_ratelimit::Denial;

use crate::caches::{intent_key, user_tag};
use crate::degraded::Degraded;
use crate::error::FlowError;
use crate::policy::{CostAction, Mode};
use crate::request::{CacheControl, Caller};
use crate::rules::Rules;
use crate::service::Shared;
use crate::step::ai::AiFailure;

/// A verdict and how it was come by.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) verdict: Arc<Verdict>,
    pub(crate) cache: CacheSource,
    /// Why the local classifier had to step in.
    pub(crate) failed: Option<Degraded>,
}

impl Decided {
    pub(crate) fn cache_hit(&self) -> bool {
        matches!(self.cache, CacheSource::L1 | CacheSource::L2 | CacheSource::Stale)
    }
}

impl Shared {
    pub(crate) async fn decide(
        self: &Arc<Self>,
        request: &Arc<Request>,
        caller: &Caller,
        rules: &Arc<Rules>,
        control: CacheControl,
    ) -> Result<Decided, FlowError> {
        let key = intent_key(request, &caller.user, rules, self.classifier_id(), self.policy.mode);
        if control == CacheControl::Use
            && let Some(hit) = self.caches.intent.peek(&key)
        {
            return Ok(Decided { verdict: hit.value, cache: hit.source, failed: None });
        }
        // Tagged before the load: an invalidation during it is then noticed even if its message is
        // lost.
        let mut options = options(control).tag(user_tag(&caller.user));
        if self.ai.is_none() || rules.classifier.feasible(request.facts).single().is_some() {
            // Decided here and for free: to wait for another instance would take longer.
            options = options.no_lease();
        }
        let loader = {
            let (shared, request, rules) = (Arc::clone(self), Arc::clone(request), Arc::clone(rules));
            let caller = caller.clone();
            move || async move { shared.load(&request, &caller, &rules).await }
        };
        match self.caches.intent.get_or_load_with(&key, options, loader).await {
            Ok(found) => Ok(Decided { verdict: found.value, cache: found.source, failed: None }),
            Err(error) => {
                let failure = failure(&error);
                if let (CostAction::Reject, Some(denial)) = (self.policy.cost_action, failure.denial) {
                    return Err(FlowError::Limited(denial));
                }
                let verdict = Arc::new(rules.classifier.locally(request));
                Ok(Decided { verdict, cache: CacheSource::Bypass, failed: Some(failure.reason) })
            }
        }
    }

    /// The loader of level 1. Runs as a task of its own and is finished even if everybody who asked has left.
    async fn load(
        &self,
        request: &Request,
        caller: &Caller,
        rules: &Rules,
    ) -> Result<Loaded<Verdict>, AiFailure> {
        if let Some(verdict) = rules.classifier.by_rules(request) {
            return Ok(Loaded::new(verdict));
        }
        let Some(ai) = &self.ai else { return Ok(Loaded::new(rules.classifier.locally(request))) };
        if self.policy.mode == Mode::Cascade {
            let verdict = rules.classifier.locally(request);
            if verdict.confidence >= self.policy.cascade_threshold {
                return Ok(Loaded::new(verdict));
            }
        }
        let feasible = rules.classifier.feasible(request.facts);
        let answer = ai.ask(request, feasible, caller).await?;
        let verdict = rules.classifier.corrected(request, answer);
        let confidence = verdict.confidence;
        let loaded = Loaded::new(verdict);
        if confidence < self.policy.low_confidence {
            return Ok(loaded.ttl(self.policy.low_confidence_ttl));
        }
        Ok(loaded)
    }
}

pub(crate) fn options(control: CacheControl) -> Options {
    match control {
        CacheControl::Use => Options::default(),
        CacheControl::NoCache => Options::default().no_read(),
        CacheControl::NoStore => Options::default().no_read().no_write(),
    }
}

struct Failure {
    reason: Degraded,
    denial: Option<Box<Denial>>,
}

fn failure(error: &LoadError<AiFailure>) -> Failure {
    match error {
        LoadError::Failed(failure) => Failure { reason: failure.reason, denial: failure.denial.clone() },
        LoadError::TimedOut => Failure { reason: Degraded::LlmTimeout, denial: None },
        LoadError::Overloaded => Failure { reason: Degraded::ConcurrencyLimit, denial: None },
        _ => Failure { reason: Degraded::LlmError, denial: None },
    }
}
