//! The AI step: reserve dollars, wait for a place, pass the breaker, call, settle.
//!
//! One deadline covers all of it, retries included. The order matters: money is reserved last but one, because a reservation
//! that waits in a queue blocks other people's budgets, and the breaker is asked last, because a permit that waits would
//! hold a probe. Every paid try is reserved and settled by itself, so that the budget is checked again each time.
//!
//! On failure the caller of this step answers from the local classifier; the reason says why.

use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::Recorder;
use picarcade_breaker::{Bulkhead, CircuitBreaker, FailureKind, Outcome};
use picarcade_intent::{Answer, Provider, ProviderError, ProviderErrorKind, Request, TypeSet, Unusable};
use picarcade_ratelimit::{Decision, Denial, Limiter, Reservation, Subjects};
use thiserror::Error;
use tokio::time::Instant;

use crate::degraded::Degraded;
use crate::events;
use crate::policy::Policy;
use crate::request::Caller;

/// The shortest time in which a provider can answer anything; with less left, a try is not begun.
const MIN_ATTEMPT: Duration = Duration::from_millis(50);

/// A bill of more than so many times the estimate, itself an upper bound, is a mistake of the provider's. Believed, one
/// such answer would use up everybody's budget.
const IMPLAUSIBLE: u64 = 20;

/// How often a stop looks whether the last call has ended.
const LOOK: Duration = Duration::from_millis(10);

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
        Ok(Self { provider, breaker, bulkhead, limiter, recorder, timeout, max_attempts })
    }

    /// Asks the provider, within the deadline and the budget.
    pub(crate) async fn ask(
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
            tokio::time::sleep(LOOK).await;
        }
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
        let mut reservation = self.reserve(request, caller).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left < MIN_ATTEMPT {
            // Only the wait for a place can have used up the time.
            return Err(Degraded::ConcurrencyLimit.into());
        }
        let permit = self.breaker.try_acquire().map_err(|_| Degraded::BreakerOpen)?;
        reservation.dispatched();
        let estimate = self.provider.estimate_micros(request);
        let trace = caller.trace.as_ref();
        let told = trace.map(|trace| trace.ai_call(self.provider.name(), self.provider.model()));
        let result = self.provider.classify(request, feasible, left).await;
        permit.record(outcome(&result));
        let cost = cost_of(&result, estimate);
        if let Some(call) = told {
            call.ended(&result, cost);
        }
        self.recorder.record(events::paid_call(caller, &*self.provider, estimate, cost, &result));
        if let Err(error) = reservation.settle(cost).await {
            // The reservation expires and is then charged in full: the budget errs on the safe side.
            tracing::warn!(%error, "a paid call could not be settled");
        }
        Ok(result)
    }

    async fn reserve(&self, request: &Request, caller: &Caller) -> Result<Reservation, AiFailure> {
        let estimate = self.provider.estimate_micros(request);
        match self.limiter.acquire(&subjects(caller), 0, estimate).await {
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

/// The subjects of a caller, for the limits.
pub(crate) fn subjects(caller: &Caller) -> Subjects<'_> {
    let subjects = Subjects::default().user(&*caller.user).endpoint(&*caller.endpoint);
    match &caller.api_key {
        Some(name) => subjects.api_key(&**name),
        None => subjects,
    }
}

/// What a call has cost: as billed where the provider said so, nothing where it surely did not run, else the estimate.
fn cost_of(result: &Result<Answer, ProviderError>, estimate: u64) -> u64 {
    match result {
        Ok(answer) => answer.cost_micros.min(estimate.saturating_mul(IMPLAUSIBLE)),
        Err(error) => error.cost_micros.unwrap_or(match error.kind {
            ProviderErrorKind::Timeout | ProviderErrorKind::Unusable(_) => estimate,
            _ => 0,
        }),
    }
}

/// What the breaker should think of a call. A caller's mistake and a spent budget say nothing of the provider's health,
/// and an answer that breaks the contract is a failure: a provider that only talks nonsense is as good as down.
fn outcome(result: &Result<Answer, ProviderError>) -> Outcome {
    let Err(error) = result else { return Outcome::Success };
    let kind = match error.kind {
        ProviderErrorKind::Connect => FailureKind::Connect,
        ProviderErrorKind::Timeout => FailureKind::Timeout,
        ProviderErrorKind::RateLimited => FailureKind::RateLimited,
        ProviderErrorKind::Overloaded => FailureKind::Overloaded,
        ProviderErrorKind::Server => FailureKind::Server,
        // A model that declines has worked, and an answer that is cut off may be the prompt's doing: nobody's words shall
        // be able to open the breaker for everybody.
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
