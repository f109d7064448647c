//! The flow service, and the path of a request through its seven steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::stream;
use picarcade_analytics::{Recorder, Store};
use picarcade_breaker::Registry;
use picarcade_intent::Route;
use picarcade_ratelimit::{Limiter, Report};
use tokio::sync::Semaphore;

use crate::answer_counts::AnswerCounts;
use crate::builder::FlowBuilder;
use crate::caches::FlowCaches;
use crate::caller::Caller;
use crate::degraded::Degraded;
use crate::error::FlowError;
use crate::fleet::transport::Fleet;
use crate::health::budget::BudgetRefusals;
use crate::health::check::BackgroundCheck;
use crate::health::watch::RemoteWatch;
use crate::outcome::generations::Generations;
use crate::outcome::look_up::LookUps;
use crate::policy::Policy;
use crate::request::{CacheControl, FlowRequest, Valid};
use crate::response::{Classified, Processed, Response};
use crate::rules::Rules;
use crate::session::store::SessionStore;
use crate::step::ai::AiStep;
use crate::step::denials::Denials;
use crate::step::resolved::{Classification, Resolved};
use crate::worker_pool::WorkerPool;

/// How many deletions of users may wait for their repetition in one process.
pub(crate) const MAX_WAITING_DELETIONS: usize = 1024;

/// The state that all requests share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) policy: Policy,
    pub(crate) rules: ArcSwap<Rules>,
    pub(crate) rules_refused: AtomicBool,
    pub(crate) caches: FlowCaches,
    pub(crate) watch: Option<Arc<dyn RemoteWatch>>,
    pub(crate) breakers: Registry,
    pub(crate) ai: Option<AiStep>,
    /// The provider and model that classify, as a part of the cache keys.
    pub(crate) classifier_id: String,
    pub(crate) limiter: Limiter,
    pub(crate) denials: Denials,
    pub(crate) refusals: BudgetRefusals,
    pub(crate) recorder: Recorder,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) generations: Generations,
    pub(crate) look_ups: LookUps,
    pub(crate) fleet: Option<Arc<dyn Fleet>>,
    /// Threads for the slow stage of the local classifier.
    pub(crate) worker_pool: Option<WorkerPool>,
    /// The number of answers with a question about the price.
    pub(crate) confirmations: AtomicU64,
    /// The answers by source, first degraded reason and type.
    pub(crate) answers: AnswerCounts,
    pub(crate) check: Arc<BackgroundCheck>,
    /// Permits for deletions of users that wait for their repetition.
    pub(crate) deletions: Arc<Semaphore>,
}

/// Answers requests: limits, cache, rules, AI, correction, routing, analytics.
///
/// Cheap to clone; all clones are one service. Build it with [`FlowService::builder`], or with
/// `FlowService::embedded` (feature `embedded`) when only a directory is available.
#[derive(Clone, Debug)]
pub struct FlowService {
    pub(crate) inner: Arc<Inner>,
}

impl FlowService {
    /// Creates a builder that writes events through `recorder` and reads them from `store`.
    pub fn builder(recorder: Recorder, store: Arc<dyn Store>) -> FlowBuilder {
        FlowBuilder::new(recorder, store)
    }

    /// Classifies, routes and enhances one request.
    ///
    /// The future is safe to drop: a paid call that has begun continues, is cached and settled.
    ///
    /// # Errors
    ///
    /// Returns [`FlowError::Invalid`] or [`FlowError::Limited`], and [`FlowError::Unavailable`] if
    /// the limits do not answer. Every other failure behind the service degrades the answer.
    pub async fn process(
        &self,
        request: FlowRequest,
        caller: &Caller,
        control: CacheControl,
    ) -> Result<Processed<Response>, FlowError> {
        let started = Instant::now();
        let valid = request.validate(caller)?;
        let reserve = valid.reserve;
        let limits = self.check_classification_limits(caller, started).await?;
        let resolved = self.resolve(valid, caller, control, &limits).await?;
        let reservation =
            if reserve { Some(self.reserve_generation(&resolved.route, caller).await?) } else { None };
        let parameters = self.parameters(&resolved, control).await;
        // No wait follows, so a caller that is still here receives the id of its reservation.
        let generation_id = self.begin_generation(&resolved, caller, reservation);
        let elapsed = started.elapsed();
        self.record_classification(&resolved, caller, Some(&generation_id), elapsed);
        let answer = Response::new(resolved, parameters, generation_id, self.provider_state(), elapsed);
        if answer.confirm {
            self.inner.confirmations.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Processed { answer, limits })
    }

    /// Classifies one request and reports how the type was decided. No generation begins.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`FlowService::process`].
    pub async fn classify_only(
        &self,
        request: FlowRequest,
        caller: &Caller,
        control: CacheControl,
    ) -> Result<Processed<Classified>, FlowError> {
        let started = Instant::now();
        let valid = request.validate(caller)?;
        let limits = self.check_classification_limits(caller, started).await?;
        let resolved = self.resolve(valid, caller, control, &limits).await?;
        let elapsed = started.elapsed();
        self.record_classification(&resolved, caller, None, elapsed);
        Ok(Processed { answer: Classified::new(resolved, elapsed), limits })
    }

    /// Processes many requests, at most [`Policy::batch_concurrency`] at once, and returns their
    /// results in the order of the requests.
    pub async fn process_batch(
        &self,
        requests: Vec<(FlowRequest, Caller)>,
        control: CacheControl,
    ) -> Vec<Result<Processed<Response>, FlowError>> {
        let run = |(request, caller): (FlowRequest, Caller)| async move {
            self.process(request, &caller, control).await
        };
        stream::iter(requests).map(run).buffered(self.inner.policy.batch_concurrency.max(1)).collect().await
    }

    /// Runs steps 2 to 6, except for the model's parameters, which only `process` needs.
    async fn resolve(
        &self,
        mut valid: Valid,
        caller: &Caller,
        control: CacheControl,
        limits: &Report,
    ) -> Result<Resolved, FlowError> {
        let rules = self.rules();
        let warnings = std::mem::take(&mut valid.warnings);
        let request = Arc::new(self.with_session(valid, caller).await);
        let classification = self.find_classification(&request, caller, &rules, control).await?;
        let (row, route) = self.route(&request, &classification.verdict, &rules);
        let row = row.clone();
        let enhanced = self.enhance(&request, caller, &classification, &rules, control).await;
        let degraded = self.degraded(&classification, &route, limits);
        let model = route.model.as_str().into();
        Ok(Resolved { request, rules, classification, row, route, model, enhanced, degraded, warnings })
    }

    /// Returns the reasons why the answer is less than it could have been.
    fn degraded(&self, classification: &Classification, route: &Route, limits: &Report) -> Vec<Degraded> {
        let reasons = [
            classification.failed,
            (!self.remote_is_up()).then_some(Degraded::CacheUnavailable),
            self.inner.recorder.spooling().then_some(Degraded::AnalyticsSpooling),
            limits.local.then_some(Degraded::LimitsLocal),
            (route.replaced.is_some() || !route.available).then_some(Degraded::ModelUnavailable),
        ];
        reasons.into_iter().flatten().collect()
    }

    /// Returns the matrix and the catalogue in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.inner.rules.load_full()
    }

    /// Replaces the matrix and the catalogue for every request that begins from now on.
    pub fn replace_rules(&self, rules: Rules) {
        self.inner.rules.store(Arc::new(rules));
        self.inner.rules_refused.store(false, Ordering::Relaxed);
    }

    /// Replaces the examples for every request that begins from now on. The matrix and the
    /// catalogue stay, and so does the report of [`FlowService::refuse_rules`].
    #[cfg(feature = "encoder")]
    pub fn replace_examples(&self, examples: Arc<picarcade_intent::examples::Examples>) {
        let rules = Rules::clone(&self.rules()).with_examples(Some(examples));
        self.inner.rules.store(Arc::new(rules));
    }

    /// Makes health report that newer rules were rejected and the old ones are still in force,
    /// until [`FlowService::replace_rules`] is called.
    pub fn refuse_rules(&self) {
        self.inner.rules_refused.store(true, Ordering::Relaxed);
    }

    /// Returns the breakers, for their status.
    pub fn breakers(&self) -> &Registry {
        &self.inner.breakers
    }

    /// Returns the five caches.
    pub fn caches(&self) -> &FlowCaches {
        &self.inner.caches
    }

    /// Returns the number of running AI calls and the number of requests that wait for one.
    pub fn classifications(&self) -> (usize, usize) {
        self.inner.ai.as_ref().map_or((0, 0), |ai| (ai.bulkhead.in_use(), ai.bulkhead.queued()))
    }

    /// Returns the recorder of events, for its counters.
    pub fn recorder(&self) -> &Recorder {
        &self.inner.recorder
    }

    /// Returns the limiter, for its counters.
    pub fn limiter(&self) -> &Limiter {
        &self.inner.limiter
    }

    /// Waits for running paid calls, for at most half of `deadline`, and ends those that are left:
    /// each leaves a row at its estimate, and its reservation is settled. Writes queued events in
    /// the rest of the time; events that are left are spooled or counted as dropped.
    pub async fn shutdown(&self, deadline: Duration) {
        let begun = tokio::time::Instant::now();
        if let Some(ai) = &self.inner.ai {
            let _ = tokio::time::timeout(deadline / 2, ai.idle()).await;
            ai.stop();
            let _ = tokio::time::timeout(deadline / 8, ai.idle()).await;
        }
        // Answers that were paid for must reach the second cache level.
        self.inner.caches.drain(deadline / 4).await;
        let counters = self.inner.recorder.shutdown(deadline.saturating_sub(begun.elapsed())).await;
        tracing::debug!(?counters, "analytics events written");
    }

    /// Returns the state of the AI provider's breaker, or `none` without a provider.
    pub(crate) fn provider_state(&self) -> &'static str {
        self.inner.ai.as_ref().map_or("none", |ai| ai.breaker.state().as_str())
    }

    pub(crate) fn remote_is_up(&self) -> bool {
        self.inner.watch.as_ref().is_none_or(|watch| watch.is_up())
    }
}
