//! Steps 2 to 5: the type of a request, from the cache, the rules, the AI or the local classifier.
//!
//! The cache's loader does all of it, so a thousand callers of one missing answer make one paid
//! call. If the AI was needed and did not answer, the loader fails. A stale answer then serves if
//! there is one, and the local classifier otherwise. The answer of the local classifier is not
//! cached then, so that the next request can get that of the AI.

use std::sync::Arc;

use picarcade_cache::{CacheSource, LoadError, Loaded, Lookup};
use picarcade_intent::local::Goals;
use picarcade_intent::{Request, Verdict};

use crate::caches::{intent_key, options, user_tag};
use crate::caller::Caller;
use crate::degraded::Degraded;
use crate::error::FlowError;
use crate::policy::{CostAction, Mode};
use crate::request::CacheControl;
use crate::rules::Rules;
use crate::service::FlowService;
use crate::step::ai::AiFailure;
use crate::step::resolved::Classification;

impl FlowService {
    /// Returns the type of the request and its source.
    pub(crate) async fn find_classification(
        &self,
        request: &Arc<Request>,
        caller: &Caller,
        rules: &Arc<Rules>,
        control: CacheControl,
    ) -> Result<Classification, FlowError> {
        let inner = &self.inner;
        let key = intent_key(request, &caller.user, rules, &inner.classifier_id, inner.policy.mode);
        if control == CacheControl::Use
            && let Some(hit) = inner.caches.intent.peek(&key)
        {
            return Ok(found(hit));
        }
        // The tag is known before the load, so that an invalidation during the load is noticed even
        // if its message is lost.
        let mut options = options(control).tag(user_tag(&caller.user));
        if inner.ai.is_none() || rules.classifier.feasible(request.facts).single().is_some() {
            // The load makes no paid call: it takes less time than a wait for another instance.
            options = options.no_lease();
        }
        let loader = {
            let (flow, request, rules) = (self.clone(), Arc::clone(request), Arc::clone(rules));
            let caller = caller.clone();
            move || async move { flow.load_verdict(&request, &caller, &rules).await }
        };
        match inner.caches.intent.get_or_load_with(&key, options, loader).await {
            Ok(lookup) => Ok(found(lookup)),
            Err(error) => {
                let failure = ai_failure(&error);
                if let (CostAction::Reject, Some(denial)) = (inner.policy.cost_action, failure.denial) {
                    return Err(FlowError::Limited(denial));
                }
                let read = self.read_words(request, rules).await;
                let verdict = Arc::new(rules.classifier.classify_goals(request.facts, read.goals));
                let (cache, failed) = (CacheSource::Bypass, Some(failure.reason));
                Ok(Classification { verdict, cache, saved_micros: 0, failed })
            }
        }
    }

    /// Loads a verdict for the intent cache. Runs as a task of its own and ends even if every
    /// caller has left.
    async fn load_verdict(
        &self,
        request: &Arc<Request>,
        caller: &Caller,
        rules: &Arc<Rules>,
    ) -> Result<Loaded<Verdict>, AiFailure> {
        let (policy, classifier) = (&self.inner.policy, &rules.classifier);
        // Step 3: the rules.
        if let Some(verdict) = classifier.classify_by_facts(request) {
            return Ok(Loaded::new(verdict));
        }
        let Some(ai) = &self.inner.ai else {
            let read = self.read_words(request, rules).await;
            return Ok(self.local_verdict(classifier.classify_goals(request.facts, read.goals), read));
        };
        // In cascade the words decide whether the AI is asked.
        let mut goals = None;
        if policy.mode == Mode::Cascade {
            let read = self.read_words(request, rules).await;
            let verdict = classifier.classify_goals(request.facts, read.goals);
            if verdict.unclear || verdict.confidence >= policy.cascade_threshold {
                return Ok(self.local_verdict(verdict, read));
            }
            goals = Some(read.goals);
        }
        // Steps 4 and 5: the AI and the correction of its answer.
        let answer = ai.classify_with_ai(request, classifier.feasible(request.facts), caller).await?;
        let goals = match goals {
            Some(goals) => goals,
            None => self.read_words(request, rules).await.goals,
        };
        let verdict = classifier.correct_with(request, answer, goals);
        let is_unsure = verdict.confidence < policy.low_confidence;
        let loaded = Loaded::new(verdict);
        Ok(if is_unsure { loaded.ttl(policy.low_confidence_ttl) } else { loaded })
    }

    /// Returns what the words ask for, as all stages of the local classifier read them on a thread
    /// of the pool. If the pool is full or missing, the fast stage answers.
    async fn read_words(&self, request: &Arc<Request>, rules: &Arc<Rules>) -> Reading {
        let Some(pool) = &self.inner.worker_pool else {
            return Reading { goals: rules.classifier.read_fast(request), is_whole: true };
        };
        let (own_rules, own_request) = (Arc::clone(rules), Arc::clone(request));
        match pool.run(move || own_rules.classifier.read(&own_request)).await {
            Some(goals) => Reading { goals, is_whole: true },
            None => Reading { goals: rules.classifier.read_fast(request), is_whole: false },
        }
    }

    /// Returns a verdict of the local classifier for the cache. One of the fast stage alone is kept
    /// for a short time, so that the other stages and the examples decide soon.
    fn local_verdict(&self, verdict: Verdict, read: Reading) -> Loaded<Verdict> {
        let loaded = Loaded::new(verdict);
        if read.is_whole { loaded } else { loaded.ttl(self.inner.policy.low_confidence_ttl) }
    }
}

/// What the words of a request ask for.
#[derive(Clone, Copy)]
struct Reading {
    goals: Goals,
    /// Whether every stage of the local classifier read them.
    is_whole: bool,
}

fn found(lookup: Lookup<Verdict>) -> Classification {
    let Lookup { value: verdict, source: cache, saved_micros, .. } = lookup;
    Classification { verdict, cache, saved_micros, failed: None }
}

fn ai_failure(error: &LoadError<AiFailure>) -> AiFailure {
    match error {
        LoadError::Failed(failure) => AiFailure::clone(failure),
        LoadError::TimedOut => Degraded::LlmTimeout.into(),
        LoadError::Overloaded => Degraded::ConcurrencyLimit.into(),
        _ => Degraded::LlmError.into(),
    }
}
