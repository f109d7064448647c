//! The AI step: reserve dollars, wait for a place, pass the breaker, call, settle.
//!
//! One deadline covers all of it, retries included. The order matters: money is reserved last but
//! one, because a reservation that waits in a queue blocks other people's budgets, and the breaker
//! is asked last, because a permit that waits would hold a probe. Every paid try is reserved and
//! settled by itself, so that the budget is checked again each time.
//!
//! On failure the caller of this step answers from the local classifier; the reason says why.
//!
//! # Calls that do not end
//!
//! A provider must return within the time that it is given. If it does not, this step ends the
//! call: the breaker counts a timeout, the place is free again, and the estimate is charged. A stop
//! of the process ends the calls that are still running in the same way, so that each leaves a row
//! of its cost. A call that ends without a result (a provider that panics, a task that is dropped)
//! leaves its row through [`Unfinished`].

use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::Recorder;
use picarcade_breaker::{Bulkhead, CircuitBreaker, FailureKind, Outcome};
use picarcade_intent::{Answer, Provider, ProviderError, ProviderErrorKind, Request, TypeSet, Unusable};
use picarcade_ratelimit::{Decision, Denial, Limiter, Reservation};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::degraded::Degraded;
use crate::events;
use crate::outcome::charge::{Bill, Charge, bounded, charge};
use crate::policy::Policy;
use crate::request::Caller;

/// The shortest time in which a provider can answer anything; with less left, a try is not begun.
const MIN_ATTEMPT: Duration = Duration::from_millis(50);

/// How much longer than its time a provider may take before its call is ended from here: its own
/// error says more, such as what was billed.
const GRACE: Duration = Duration::from_millis(250);

/// How often a stop checks whether the last call has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The pause before a second try, doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(200);

/// Why the AI gave no answer.
#[derive(Clone, Debug, Error)]
#[error("no answer from the provider: {}", .reason.as_str())]
pub(crate) struct AiFailure {
    pub(crate) reason: Degraded,
    /// The denial behind a reached dollar limit.
    pub(crate) denial: Option<Box<Denial>>,
}

impl From<Degraded> for AiFailure {
    fn from(reason: Degraded) -> Self {
        Self { reason, denial: None }
    }
}

/// The provider with everything that guards it.
#[derive(Clone, Debug)]
pub(crate) struct AiStep {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) bulkhead: Bulkhead,
    pub(crate) limiter: Limiter,
    pub(crate) recorder: Recorder,
    pub(crate) timeout: Duration,
    pub(crate) max_attempts: u32,
    /// True from the moment when running calls are to end.
    stopping: Arc<watch::Sender<bool>>,
}

impl AiStep {
    pub(crate) fn new(
        provider: Arc<dyn Provider>,
        breaker: CircuitBreaker,
        limiter: Limiter,
        recorder: Recorder,
        policy: &Policy,
    ) -> Result<Self, picarcade_breaker::ConfigError> {
        let bulkhead =
            Bulkhead::new(policy.max_concurrent_classifications, policy.max_queued_classifications)?;
        let (timeout, max_attempts) = (policy.classification_timeout, policy.max_attempts.max(1));
        let stopping = Arc::new(watch::Sender::new(false));
        Ok(Self { provider, breaker, bulkhead, limiter, recorder, timeout, max_attempts, stopping })
    }

    /// Asks the provider, within the deadline and the budget.
    pub(crate) async fn classify(
        &self,
        request: &Request,
        feasible: TypeSet,
        caller: &Caller,
    ) -> Result<Answer, AiFailure> {
        let deadline = Instant::now() + self.timeout;
        let mut attempt = 1;
        loop {
            let error = match self.attempt(request, feasible, caller, deadline).await? {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = error.retry_after.unwrap_or(BACKOFF * (1 << (attempt - 1).min(8)));
            let left = deadline.saturating_duration_since(Instant::now());
            if !error.is_transient() || attempt >= self.max_attempts || pause + MIN_ATTEMPT > left {
                return Err(reason(error.kind).into());
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// Waits until no call is under way.
    pub(crate) async fn idle(&self) {
        while self.bulkhead.in_use() > 0 {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Ends the calls that are under way, each with a row of its cost and a settled reservation. No
    /// call begins afterwards.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    async fn stopped(&self) {
        // The sender is a part of `self`, so the channel is open.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    async fn attempt(
        &self,
        request: &Request,
        feasible: TypeSet,
        caller: &Caller,
        deadline: Instant,
    ) -> Result<Result<Answer, ProviderError>, AiFailure> {
        if !self.breaker.is_available() {
            return Err(Degraded::BreakerOpen.into());
        }
        let _place = self.bulkhead.acquire(deadline).await.map_err(|_| Degraded::ConcurrencyLimit)?;
        if *self.stopping.borrow() {
            return Err(Degraded::LlmError.into());
        }
        let estimate = bounded(self.provider.estimate_micros(request));
        let mut reservation = self.reserve(estimate, caller).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left < MIN_ATTEMPT {
            // Only the wait for a place can have used up the time.
            return Err(Degraded::ConcurrencyLimit.into());
        }
        let permit = self.breaker.try_acquire().map_err(|_| Degraded::BreakerOpen)?;
        reservation.dispatched();
        let unfinished = Unfinished { step: self, caller, estimate, reservation: Some(reservation) };
        let trace = caller.trace.as_ref();
        let traced = trace.map(|trace| trace.ai_call(self.provider.name(), self.provider.model()));
        let answered = tokio::time::timeout(left + GRACE, self.provider.classify(request, feasible, left));
        let result = tokio::select! {
            answered = answered => answered.unwrap_or_else(|_| Err(overstayed())),
            () = self.stopped() => {
                // The end says nothing about the provider's health.
                permit.record(Outcome::Neutral);
                unfinished.end(Charge { micros: estimate, flag: None }, Some("shutdown")).await;
                return Err(Degraded::LlmTimeout.into());
            }
        };
        permit.record(outcome(&result));
        let charge = charge(bill(&result), estimate);
        if let Some(flag) = charge.flag {
            let (provider, charged_micros) = (self.provider.name(), charge.micros);
            tracing::warn!(
                provider,
                charged_micros,
                flag = flag.as_str(),
                "a provider's bill is implausible"
            );
        }
        if let Some(call) = traced {
            call.ended(&result, charge.micros);
        }
        unfinished.end(charge, result.as_ref().err().map(|error| error.kind.as_str())).await;
        Ok(result)
    }

    async fn reserve(&self, estimate: u64, caller: &Caller) -> Result<Reservation, AiFailure> {
        match self.limiter.acquire(&caller.subjects(), 0, estimate).await {
            Ok(Decision::Admitted(admission)) => Ok(admission.reservation),
            Ok(Decision::Denied(denial)) => {
                Err(AiFailure { reason: Degraded::CostLimit, denial: Some(Box::new(denial)) })
            }
            Err(error) => {
                // Money is closed when nobody can say how much is left.
                tracing::debug!(%error, "the dollar limits did not answer");
                Err(Degraded::CostLimit.into())
            }
        }
    }
}

/// A paid call that has no row of its cost yet. Dropped, it records one at the estimate: the
/// provider may bill it.
struct Unfinished<'a> {
    step: &'a AiStep,
    caller: &'a Caller,
    estimate: u64,
    /// Taken when the call has ended.
    reservation: Option<Reservation>,
}

impl Unfinished<'_> {
    /// Records what the call cost, then settles its reservation.
    async fn end(mut self, charge: Charge, error: Option<&'static str>) {
        let Some(reservation) = self.reservation.take() else { return };
        self.record(charge, error);
        if let Err(error) = reservation.settle(charge.micros).await {
            // The reservation expires and is then charged in full: the budget errs on the safe
            // side.
            tracing::warn!(%error, "a paid call could not be settled");
        }
    }

    fn record(&self, charge: Charge, error: Option<&'static str>) {
        let Self { step, caller, estimate, .. } = self;
        step.recorder.record(events::paid_call(caller, step.provider.model(), *estimate, charge, error));
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let Some(reservation) = self.reservation.take() else { return };
        let micros = self.estimate;
        self.record(Charge { micros, flag: None }, Some("unfinished"));
        // Unsettled, the dollars would count a second time when the reservation expires.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(reservation.settle(micros));
        }
    }
}

/// The error of a provider that does not return within its time.
fn overstayed() -> ProviderError {
    ProviderError::new(ProviderErrorKind::Timeout, "the provider did not return within its time")
}

/// Returns what a result says about the price of the call. An answer that cannot be used was made
/// all the same.
fn bill(result: &Result<Answer, ProviderError>) -> Bill {
    let error = match result {
        Ok(answer) => return Bill::Done(answer.cost_micros),
        Err(error) => error,
    };
    match (error.kind, error.cost_micros) {
        (ProviderErrorKind::Unusable(_), Some(micros)) => Bill::Done(micros),
        (_, Some(micros)) => Bill::Failed(micros),
        (ProviderErrorKind::Timeout | ProviderErrorKind::Unusable(_), None) => Bill::Unknown,
        (_, None) => Bill::Free,
    }
}

/// What the breaker should think of a call. A caller's mistake and a spent budget say nothing of
/// the provider's health, and an answer that breaks the contract is a failure: a provider that only
/// talks nonsense is as good as down.
fn outcome(result: &Result<Answer, ProviderError>) -> Outcome {
    let Err(error) = result else { return Outcome::Success };
    let kind = match error.kind {
        ProviderErrorKind::Connect => FailureKind::Connect,
        ProviderErrorKind::Timeout => FailureKind::Timeout,
        ProviderErrorKind::RateLimited => FailureKind::RateLimited,
        ProviderErrorKind::Overloaded => FailureKind::Overloaded,
        ProviderErrorKind::Server => FailureKind::Server,
        // A model that declines has worked, and an answer that is cut off may be the prompt's
        // doing: nobody's words shall be able to open the breaker for everybody.
        ProviderErrorKind::Unusable(Unusable::Refusal) => return Outcome::Success,
        ProviderErrorKind::Unusable(Unusable::Truncated | Unusable::TooLarge) => return Outcome::Neutral,
        ProviderErrorKind::Unusable(_) => FailureKind::Unusable,
        ProviderErrorKind::Rejected => return Outcome::Neutral,
        _ => FailureKind::Other,
    };
    Outcome::Failure { kind, retry_after: error.retry_after }
}

fn reason(kind: ProviderErrorKind) -> Degraded {
    match kind {
        ProviderErrorKind::Timeout => Degraded::LlmTimeout,
        ProviderErrorKind::Unusable(_) => Degraded::LlmUnusable,
        _ => Degraded::LlmError,
    }
}
