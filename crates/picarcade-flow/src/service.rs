//! The flow service: what a program holds, and the parts behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::stream;
use picarcade_analytics::{Period, Recorder, Store};
use picarcade_breaker::Registry;
use picarcade_cache::{Loaded, Source as CacheSource};
use picarcade_intent::Request;
use picarcade_ratelimit::{Denial, Limiter, Report, Scope, Subjects, Unit, Window};
use tokio::sync::Semaphore;

use crate::builder::FlowBuilder;
use crate::caches::{CacheLevels, Figures, statistics_key};
use crate::error::FlowError;
use crate::fleet::message::Fleet;
use crate::health::report::{Checked, Health, RemoteWatch};
use crate::outcome::generations::{GenerationLog, Generations};
use crate::outcome::report::{OutcomeReport, Reported};
use crate::outcome::settle::LookUps;
use crate::policy::Policy;
use crate::request::{Authority, CacheControl, Caller, FlowRequest};
use crate::response::{BudgetBurn, Classified, ModelAvailability, Processed, Response, StatsAnswer};
use crate::rules::Rules;
use crate::session::store::{Session, SessionStore, SessionUpdate};
use crate::step::ai::{AiStep, subjects};
use crate::step::denials::Denials;

/// How long a statistics query waits for events that are still in the queue.
const STATISTICS_FLUSH: Duration = Duration::from_secs(1);

/// What every request shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) policy: Policy,
    pub(crate) rules: ArcSwap<Rules>,
    pub(crate) rules_refused: AtomicBool,
    pub(crate) caches: CacheLevels,
    pub(crate) watch: Option<Arc<dyn RemoteWatch>>,
    pub(crate) breakers: Registry,
    pub(crate) ai: Option<AiStep>,
    pub(crate) classifier_id: String,
    pub(crate) limiter: Limiter,
    pub(crate) recorder: Recorder,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) generation_log: Option<Arc<dyn GenerationLog>>,
    pub(crate) generations: Generations,
    pub(crate) look_ups: LookUps,
    pub(crate) denials: Denials,
    pub(crate) fleet: Option<Arc<dyn Fleet>>,
    pub(crate) checked: ArcSwap<Checked>,
    /// Places for deletions of users that wait for their repetition.
    pub(crate) deletions: Arc<Semaphore>,
}

/// Answers requests: limits, cache, rules, AI, correction, routing, analytics.
///
/// Cheap to clone; all clones are one service. Build it with [`FlowService::builder`], or with `FlowService::embedded`
/// (feature `embedded`) when nothing but a directory is at hand.
#[derive(Clone, Debug)]
pub struct FlowService {
    pub(crate) shared: Arc<Shared>,
}

impl FlowService {
    /// A builder over these events' way to the database and the database itself.
    pub fn builder(recorder: Recorder, store: Arc<dyn Store>) -> FlowBuilder {
        FlowBuilder::new(recorder, store)
    }

    /// Classifies, routes and enhances one request.
    ///
    /// The future is safe to drop: a paid call that has begun goes on, is cached and settled.
    ///
    /// # Errors
    ///
    /// [`FlowError::Invalid`], [`FlowError::Limited`]; nothing that happens behind the service is an error.
    pub async fn process(
        &self,
        request: FlowRequest,
        caller: &Caller,
        control: CacheControl,
    ) -> Result<Processed<Response>, FlowError> {
        self.shared.process(request, caller, control).await
    }

    /// Classifies one request and says how it was decided; no generation begins.
    ///
    /// # Errors
    ///
    /// As [`FlowService::process`].
    pub async fn classify_only(
        &self,
        request: FlowRequest,
        caller: &Caller,
        control: CacheControl,
    ) -> Result<Processed<Classified>, FlowError> {
        self.shared.classify_only(request, caller, control).await
    }

    /// Processes many requests, some at a time, and gives their results in the order of the requests.
    pub async fn process_batch(
        &self,
        requests: Vec<(FlowRequest, Caller)>,
        control: CacheControl,
    ) -> Vec<Result<Processed<Response>, FlowError>> {
        let run = |(request, caller): (FlowRequest, Caller)| async move {
            self.shared.process(request, &caller, control).await
        };
        stream::iter(requests).map(run).buffered(self.shared.policy.batch_concurrency.max(1)).collect().await
    }

    /// Takes one request from the caller's limits, for a route that asks the flow for something
    /// else than an answer.
    ///
    /// # Errors
    ///
    /// [`FlowError::Invalid`] for an unusable user; [`FlowError::Limited`];
    /// [`FlowError::Unavailable`] when the limits do not answer.
    pub async fn admit(&self, caller: &Caller) -> Result<Report, FlowError> {
        caller.check()?;
        self.shared.admit(&subjects(caller)).await
    }

    /// Takes one request from the limits for a report on a generation.
    ///
    /// A holder of an API key reports for the users it names. Such a report counts for the key, the
    /// endpoint and all together, but not for the user: a user at its limit must not keep the
    /// operator from settling.
    ///
    /// # Errors
    ///
    /// As [`FlowService::admit`].
    pub async fn admit_report(&self, caller: &Caller) -> Result<Report, FlowError> {
        caller.check()?;
        match &caller.api_key {
            Some(name) if caller.authority == Authority::Operator => {
                self.shared.admit(&Subjects::default().endpoint(&*caller.endpoint).api_key(&**name)).await
            }
            _ => self.shared.admit(&subjects(caller)).await,
        }
    }

    /// Records what became of a generation of this caller. What that changes depends on the
    /// [`Authority`] of the caller.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] for an unknown generation or somebody else's; [`FlowError::Invalid`] for numbers that cannot be;
    /// [`FlowError::Unavailable`] while the log of generations that other instances have begun does not answer.
    pub async fn report_outcome(
        &self,
        generation_id: &str,
        caller: &Caller,
        report: OutcomeReport,
    ) -> Result<Reported, FlowError> {
        self.shared.report(generation_id, caller, report).await
    }

    /// The caller's session of this id.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] when there is none, or when it is somebody else's; [`FlowError::Unavailable`].
    pub async fn session(&self, session_id: &str, caller: &Caller) -> Result<Session, FlowError> {
        self.shared.own_session(session_id, caller).await
    }

    /// Creates the session or changes it; every instance sees the change at once.
    ///
    /// # Errors
    ///
    /// [`FlowError::Invalid`], [`FlowError::NotFound`] when the id is somebody else's, [`FlowError::Unavailable`].
    pub async fn update_session(
        &self,
        session_id: &str,
        caller: &Caller,
        update: SessionUpdate,
    ) -> Result<Session, FlowError> {
        self.shared.update_session(session_id, caller, update).await
    }

    /// Removes the caller's session.
    ///
    /// # Errors
    ///
    /// As [`FlowService::session`].
    pub async fn delete_session(&self, session_id: &str, caller: &Caller) -> Result<(), FlowError> {
        self.shared.delete_session(session_id, caller).await
    }

    /// Statistics over a period, at most as old as their cache's TTL.
    ///
    /// # Errors
    ///
    /// [`FlowError::Unavailable`] when the database does not answer and nothing is cached.
    pub async fn stats(&self, period: Period) -> Result<StatsAnswer, FlowError> {
        let loader = {
            let (recorder, store) = (self.shared.recorder.clone(), Arc::clone(&self.shared.store));
            move || async move {
                // What was recorded before the question belongs into the answer, unless the database is slow.
                let _ = tokio::time::timeout(STATISTICS_FLUSH, recorder.flush()).await;
                let now = SystemTime::now();
                let statistics = store.statistics(period, now).await?;
                let spent_today_micros = store.spent_since(midnight(now), now).await?;
                Ok::<_, picarcade_analytics::Error>(Loaded::new(Figures { statistics, spent_today_micros }))
            }
        };
        let key = statistics_key(period);
        match self
            .shared
            .caches
            .statistics
            .get_or_load_with(&key, picarcade_cache::Options::default(), loader)
            .await
        {
            Ok(found) => Ok(StatsAnswer {
                statistics: found.value.statistics.clone(),
                budget: BudgetBurn::new(self.shared.budget_per_day(), found.value.spent_today_micros),
                cached: !matches!(found.source, CacheSource::Loaded | CacheSource::Bypass),
            }),
            Err(error) => {
                tracing::warn!(%error, "statistics could not be read");
                Err(FlowError::Unavailable { retry_after: Duration::from_secs(5) })
            }
        }
    }

    /// The caller's limits, without consuming anything.
    ///
    /// # Errors
    ///
    /// [`FlowError::Invalid`] for an unusable user; [`FlowError::Unavailable`] when the limits do not answer.
    pub async fn usage(&self, caller: &Caller) -> Result<Report, FlowError> {
        caller.check()?;
        self.shared.limiter.usage(&subjects(caller)).await.map_err(|error| {
            tracing::warn!(%error, "usage could not be read");
            FlowError::Unavailable { retry_after: Duration::from_secs(1) }
        })
    }

    /// Returns the denial of a caller whose request limits are used up, and consumes nothing. A program
    /// asks this before expensive work, such as reading a large body; the request itself is decided
    /// on its way as usual.
    ///
    /// With `user_is_final` false, the user may still turn out to be another one. The limits of users
    /// are not asked then.
    pub async fn denial(&self, caller: &Caller, user_is_final: bool) -> Option<Denial> {
        let (limiter, subjects) = (&self.shared.limiter, subjects(caller));
        let report = limiter.usage(&subjects).await.ok()?;
        let used_up = report.statuses.iter().any(|status| {
            let asked = user_is_final || status.scope != Scope::User;
            status.unit == Unit::Requests && status.remaining == 0 && asked
        });
        if !used_up {
            return None;
        }
        // Only the decision knows when to come back. It denies and so consumes nothing, except if a
        // request became free since the look: then that one is spent.
        limiter.acquire(&subjects, 1, 0).await.ok()?.denied()
    }

    /// The catalogue, each model with its availability.
    pub fn models(&self) -> Vec<ModelAvailability> {
        self.shared.models(&self.shared.rules.load())
    }

    /// The matrix and the catalogue in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.shared.rules.load_full()
    }

    /// Puts another matrix and catalogue in force, for every request that begins from now on.
    pub fn replace_rules(&self, rules: Rules) {
        self.shared.rules.store(Arc::new(rules));
        self.shared.rules_refused.store(false, Ordering::Relaxed);
    }

    /// Lets health say that newer rules were wrong, so that the old ones are still in force; until good ones come.
    pub fn refuse_rules(&self) {
        self.shared.rules_refused.store(true, Ordering::Relaxed);
    }

    /// The state of every part, as the last background check and the parts themselves tell it. Costs no call.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// The dollar limits that all users share, as the last background check found them. Costs no call.
    pub fn budget(&self) -> Arc<[picarcade_ratelimit::Status]> {
        self.shared.budget()
    }

    /// The breakers, for status and manual override.
    pub fn breakers(&self) -> &Registry {
        &self.shared.breakers
    }

    /// The five cache levels.
    pub fn caches(&self) -> &CacheLevels {
        &self.shared.caches
    }

    /// How many AI calls are under way, and how many requests wait for a place among them.
    pub fn classifications(&self) -> (usize, usize) {
        self.shared.ai.as_ref().map_or((0, 0), |ai| (ai.bulkhead.in_use(), ai.bulkhead.queued()))
    }

    /// The way of events to the database, for its counters.
    pub fn recorder(&self) -> &Recorder {
        &self.shared.recorder
    }

    /// The limits, for their counters.
    pub fn limiter(&self) -> &Limiter {
        &self.shared.limiter
    }

    /// Waits for running paid calls, for at most half of `deadline`, and ends those that are left:
    /// each leaves a row at its estimate, and its reservation is settled. Writes out what is queued
    /// in the rest of the time; what is left is spooled or counted as dropped.
    pub async fn shutdown(&self, deadline: Duration) {
        let begun = tokio::time::Instant::now();
        if let Some(ai) = &self.shared.ai {
            let _ = tokio::time::timeout(deadline / 2, ai.idle()).await;
            ai.stop();
            let _ = tokio::time::timeout(deadline / 8, ai.idle()).await;
        }
        // What was paid for is to reach the second level.
        self.shared.caches.drain(deadline / 4).await;
        let counters = self.shared.recorder.shutdown(deadline.saturating_sub(begun.elapsed())).await;
        tracing::debug!(?counters, "analytics are written");
    }
}

impl Shared {
    /// What classifies, as part of the cache keys.
    pub(crate) fn classifier_id(&self) -> &str {
        &self.classifier_id
    }

    pub(crate) fn provider_state(&self) -> &'static str {
        self.ai.as_ref().map_or("none", |ai| ai.breaker.state().as_str())
    }

    pub(crate) fn saved_by_hit(&self, request: &Request) -> u64 {
        self.ai.as_ref().map_or(0, |ai| ai.provider.estimate_micros(request))
    }

    /// What all together may cost a day, in micro-dollars.
    fn budget_per_day(&self) -> Option<u64> {
        let day = |window| {
            matches!(window, Window::UtcDay) || window == Window::Sliding(Duration::from_secs(86_400))
        };
        let mut limits = self.limiter.limits().iter();
        let budget = limits.find(|limit| {
            limit.scope() == Scope::Global && limit.unit() == Unit::Cost && day(limit.window())
        });
        budget.map(picarcade_ratelimit::Limit::limit)
    }

    pub(crate) fn remote_is_up(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| watch.is_up())
    }
}

/// The beginning of the UTC day.
fn midnight(now: SystemTime) -> SystemTime {
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs() / 86_400 * 86_400)
}
