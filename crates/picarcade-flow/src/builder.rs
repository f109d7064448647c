//! The builder of the flow service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use arc_swap::ArcSwap;
use picarcade_analytics::{Recorder, Store};
use picarcade_breaker::Registry;
use picarcade_cache::Remote;
use picarcade_intent::Provider;
use picarcade_ratelimit::Limiter;
use tokio::sync::Semaphore;

use crate::answer_counts::AnswerCounts;
use crate::caches::FlowCaches;
use crate::error::BuildError;
use crate::fleet::transport::Fleet;
use crate::health::budget::BudgetRefusals;
use crate::health::check::BackgroundCheck;
use crate::health::watch::RemoteWatch;
use crate::ledger::CostLedger;
use crate::outcome::generations::{GenerationLog, Generations};
use crate::outcome::look_up::LookUps;
use crate::policy::{Mode, Policy, default_limits};
use crate::rules::Rules;
use crate::service::{FlowService, Inner, MAX_WAITING_DELETIONS};
use crate::session::memory::MemorySessions;
use crate::session::store::SessionStore;
use crate::step::ai::AiStep;
use crate::step::denials::Denials;
use crate::worker_pool::WorkerPool;

/// A builder of a [`FlowService`]. Only the recorder and the store are required; every other part
/// has an in-process default.
#[derive(Debug)]
pub struct FlowBuilder {
    recorder: Recorder,
    store: Arc<dyn Store>,
    policy: Policy,
    rules: Rules,
    provider: Option<Arc<dyn Provider>>,
    limiter: Option<Limiter>,
    breakers: Registry,
    remote: Option<Arc<dyn Remote>>,
    local_remote: Option<Arc<dyn Remote>>,
    watch: Option<Arc<dyn RemoteWatch>>,
    sessions: Arc<dyn SessionStore>,
    generation_log: Option<Arc<dyn GenerationLog>>,
    fleet: Option<Arc<dyn Fleet>>,
    worker_pool: Option<WorkerPool>,
}

impl FlowBuilder {
    pub(crate) fn new(recorder: Recorder, store: Arc<dyn Store>) -> Self {
        Self {
            recorder,
            store,
            policy: Policy::default(),
            rules: Rules::embedded(),
            provider: None,
            limiter: None,
            breakers: Registry::new(),
            remote: None,
            local_remote: None,
            watch: None,
            sessions: Arc::new(MemorySessions::default()),
            generation_log: None,
            fleet: None,
            worker_pool: None,
        }
    }

    /// Sets timeouts, TTLs and modes. Default: [`Policy::default`].
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the matrix and the catalogue. Default: the embedded ones.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets the AI that classifies. Default: none, the local classifier decides.
    #[must_use]
    pub fn provider(mut self, provider: Arc<dyn Provider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Sets the limits. Default: [`default_limits`] in this process, with the costs in the database
    /// as their ledger.
    #[must_use]
    pub fn limiter(mut self, limiter: Limiter) -> Self {
        self.limiter = Some(limiter);
        self
    }

    /// Sets the breakers of the AI and of the model providers. Default: presets by name.
    #[must_use]
    pub fn breakers(mut self, breakers: Registry) -> Self {
        self.breakers = breakers;
        self
    }

    /// Sets the second cache level and the watch of its connection. Default: none.
    #[must_use]
    pub fn remote(mut self, remote: Arc<dyn Remote>, watch: Arc<dyn RemoteWatch>) -> Self {
        self.remote = Some(remote);
        self.watch = Some(watch);
        self
    }

    /// Sets a second level for the intent and the enhancement cache alone, which no other instance
    /// shares: it keeps answers over a restart. [`FlowBuilder::remote`] replaces it. Default: none.
    #[must_use]
    pub fn local_remote(mut self, remote: Arc<dyn Remote>) -> Self {
        self.local_remote = Some(remote);
        self
    }

    /// Sets the store of sessions. Default: in this process.
    #[must_use]
    pub fn sessions(mut self, sessions: Arc<dyn SessionStore>) -> Self {
        self.sessions = sessions;
        self
    }

    /// Sets the log in which generations of other processes are found when their outcome is
    /// reported. Default: none.
    #[must_use]
    pub fn generation_log(mut self, log: Arc<dyn GenerationLog>) -> Self {
        self.generation_log = Some(log);
        self
    }

    /// Sets the transport to the other instances. Default: there are none.
    #[must_use]
    pub fn fleet(mut self, fleet: Arc<dyn Fleet>) -> Self {
        self.fleet = Some(fleet);
        self
    }

    /// Sets the threads on which the slow stage of the local classifier runs. Default: none, so the
    /// fast stage decides alone.
    #[must_use]
    pub fn worker_pool(mut self, pool: WorkerPool) -> Self {
        self.worker_pool = Some(pool);
        self
    }

    /// Builds the service. Call it inside a tokio runtime: it starts the background health check,
    /// which ends when the last clone of the service is dropped.
    ///
    /// # Errors
    ///
    /// Returns [`BuildError`] for a setting out of range. It names the part and the field.
    pub fn build(self) -> Result<FlowService, BuildError> {
        let limiter = match self.limiter {
            Some(limiter) => limiter,
            None => Limiter::builder()
                .limits(default_limits())
                .ledger(Arc::new(CostLedger::new(Arc::clone(&self.store), self.recorder.clone())))
                .build()?,
        };
        let provider = self.provider.filter(|_| self.policy.mode != Mode::Local);
        let classifier_id = provider
            .as_ref()
            .map_or_else(|| "local".to_owned(), |ai| format!("{}/{}", ai.name(), ai.model()));
        let caches = FlowCaches::build(&self.policy, self.remote.as_ref(), self.local_remote.as_ref())?;
        let refusals = BudgetRefusals::default();
        let ai = match provider {
            Some(provider) => {
                let breaker = self.breakers.breaker(provider.name());
                let (limiter, recorder) = (limiter.clone(), self.recorder.clone());
                Some(AiStep::new(provider, breaker, limiter, refusals.clone(), recorder, &self.policy)?)
            }
            None => None,
        };
        for model in self.rules.catalogue.models() {
            // Creates the breaker, so that the status shows every provider from the start.
            let _ = self.breakers.breaker(&model.provider);
        }
        let check = BackgroundCheck::start(
            Arc::clone(&self.store),
            limiter.clone(),
            self.recorder.clone(),
            self.watch.clone(),
            refusals.clone(),
        );
        let inner = Inner {
            policy: self.policy,
            rules: ArcSwap::from_pointee(self.rules),
            rules_refused: AtomicBool::new(false),
            caches,
            watch: self.watch,
            breakers: self.breakers,
            ai,
            classifier_id,
            limiter,
            recorder: self.recorder,
            store: self.store,
            sessions: self.sessions,
            fleet: self.fleet,
            worker_pool: self.worker_pool,
            confirmations: AtomicU64::new(0),
            generations: Generations::default(),
            look_ups: LookUps::new(self.generation_log),
            denials: Denials::default(),
            refusals,
            answers: AnswerCounts::default(),
            check,
            deletions: Arc::new(Semaphore::new(MAX_WAITING_DELETIONS)),
        };
        Ok(FlowService { inner: Arc::new(inner) })
    }
}
