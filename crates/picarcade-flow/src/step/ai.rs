//! Step 4: the AI, with everything that guards it.
//!
//! One deadline covers the whole step: the bulkhead, the reservation of dollars, the breaker, the
//! call, and the retries. The order matters. Dollars are reserved after the wait in the bulkhead,
//! because a reservation that waits in a queue blocks the budgets of other users. The breaker is
//! asked last, because a permit that waits would hold a probe. Every paid attempt is reserved and
//! settled separately, so that the budget is checked each time.
//!
//! If the step fails, the local classifier answers; [`AiFailure`] contains the reason.
//!
//! # Calls that do not end
//!
//! A provider must return within its time. If it does not, this step ends the call: the breaker
//! counts a timeout, the bulkhead gets its permit back, and the estimate is charged. A stop of the
//! process ends running calls in the same way, so that each leaves a row of its cost. A call that
//! ends without a result (a provider that panics, a task that is dropped) leaves its row through
//! [`PaidCall`].

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use picarcade_analytics::Recorder;
use picarcade_breaker::{
    Bulkhead, BulkheadPermit, CircuitBreaker, Deadline, Outcome, Permit, Retry, RetryBackoff, RetryError,
    RetryHint,
};
use picarcade_intent::{Answer, Provider, ProviderError, ProviderErrorKind, Request, TypeSet};
use picarcade_ratelimit::{Decision, Demand, Denial, Limiter, Reservation};
use thiserror::Error;
use tokio::sync::watch;

use crate::caller::Caller;
use crate::degraded::Degraded;
use crate::health::ai::AiHealth;
use crate::health::budget::BudgetRefusals;
use crate::outcome::charge::{Charge, bounded, charge};
use crate::policy::Policy;
#[cfg(feature = "metrics")]
use crate::step::call_metrics;
use crate::step::paid_call::{PaidCall, bill, outcome};

/// The shortest time in which a provider can answer. With less time left, no attempt is made.
const MIN_ATTEMPT: Duration = Duration::from_millis(50);

/// How long a provider may exceed its time before its call is ended here. The provider's own error
/// contains more, such as the bill.
const GRACE: Duration = Duration::from_millis(250);

/// How often [`AiStep::idle`] checks whether the last call has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The pause before the second attempt. It doubles for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Why the AI gave no answer.
#[derive(Clone, Debug, Error)]
#[error("no answer from the provider: {}", .reason.as_str())]
pub(crate) struct AiFailure {
    pub(crate) reason: Degraded,
    /// The denial of a reached dollar limit.
    pub(crate) denial: Option<Box<Denial>>,
}

impl From<Degraded> for AiFailure {
    fn from(reason: Degraded) -> Self {
        Self { reason, denial: None }
    }
}

/// The end of one attempt.
#[derive(Debug)]
enum Attempt {
    Answered(Answer),
    /// The provider failed. A retry may succeed.
    Failed(ProviderError),
    /// A guard rejected the attempt, or the process stops. No retry follows.
    NotMade(AiFailure),
}

/// An attempt that passed all guards, before its call.
#[derive(Debug)]
struct Admitted<'a> {
    /// Held until the call is settled.
    bulkhead: BulkheadPermit,
    permit: Permit<'a>,
    reservation: Reservation,
    estimate: u64,
    /// The time that the provider has.
    time: Duration,
}

/// The provider with everything that guards it.
#[derive(Clone, Debug)]
pub(crate) struct AiStep {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) bulkhead: Bulkhead,
    pub(crate) health: Arc<AiHealth>,
    limiter: Limiter,
    refusals: BudgetRefusals,
    recorder: Recorder,
    timeout: Duration,
    backoff: RetryBackoff,
    retry: Retry,
    /// True once running calls must end.
    stopping: Arc<watch::Sender<bool>>,
}

impl AiStep {
    pub(crate) fn new(
        provider: Arc<dyn Provider>,
        breaker: CircuitBreaker,
        limiter: Limiter,
        refusals: BudgetRefusals,
        recorder: Recorder,
        policy: &Policy,
    ) -> Result<Self, picarcade_breaker::ConfigError> {
        let bulkhead =
            Bulkhead::new(policy.max_concurrent_classifications, policy.max_queued_classifications)?;
        let backoff = RetryBackoff::new(FIRST_PAUSE, MAX_PAUSE)?;
        let retry = Retry::new(policy.max_attempts.max(1))?.backoff(backoff);
        let timeout = policy.classification_timeout;
        let stopping = Arc::new(watch::Sender::new(false));
        let health = Arc::default();
        Ok(Self {
            provider,
            breaker,
            bulkhead,
            health,
            limiter,
            refusals,
            recorder,
            timeout,
            backoff,
            retry,
            stopping,
        })
    }

    /// Returns the provider's answer. Makes several attempts, within the deadline and the budget.
    pub(crate) async fn classify_with_ai(
        &self,
        request: &Request,
        feasible: TypeSet,
        caller: &Caller,
    ) -> Result<Answer, AiFailure> {
        let deadline = Deadline::after(self.timeout);
        // A guard may reject the attempt after a failed one; the failure is then the reason.
        let last_error = Mutex::new(None);
        let last = &last_error;
        let attempt = |number| async move {
            match self.attempt(request, feasible, caller, deadline).await {
                Attempt::Failed(error) => {
                    *last.lock() = Some(error.clone());
                    Err((number, error))
                }
                ended => Ok(ended),
            }
        };
        let hint = |(number, error): &(u32, ProviderError)| self.hint(*number, error, deadline);
        // Attempts and pauses keep the deadline by themselves. `Retry` would cut an attempt at the
        // deadline, before its bill is known and settled.
        let ended = self.retry.run(Deadline::after(Duration::MAX), hint, attempt).await;
        let (provider, model) = (self.provider.name(), self.provider.model());
        match (&ended, last_error.into_inner()) {
            (Ok(Attempt::Answered(_)), _) => self.health.succeeded(provider, model),
            (_, Some(error)) => self.health.failed(provider, model, &error),
            _ => {}
        }
        match ended {
            Ok(Attempt::Answered(answer)) => Ok(answer),
            Ok(Attempt::NotMade(failure)) => Err(failure),
            Ok(Attempt::Failed(error)) | Err(RetryError::Failed((_, error))) => {
                Err(reason(error.kind).into())
            }
            Err(_) => Err(Degraded::LlmTimeout.into()),
        }
    }

    /// Waits until no call is running.
    pub(crate) async fn idle(&self) {
        while self.bulkhead.in_use() > 0 {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Ends the running calls, each with a row of its cost and a settled reservation. No call
    /// begins afterwards.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    async fn stopped(&self) {
        // The sender is a part of `self`, so the channel is open.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Returns whether a retry after this error can end before the deadline, and its pause.
    fn hint(&self, number: u32, error: &ProviderError, deadline: Deadline) -> RetryHint {
        let longest_pause = self.backoff.pause(number, 1.0).max(error.retry_after.unwrap_or_default());
        if !error.is_transient() || longest_pause.saturating_add(MIN_ATTEMPT) > deadline.remaining() {
            return RetryHint::Never;
        }
        error.retry_after.map_or(RetryHint::Backoff, RetryHint::After)
    }

    async fn attempt(
        &self,
        request: &Request,
        feasible: TypeSet,
        caller: &Caller,
        deadline: Deadline,
    ) -> Attempt {
        match self.admit(request, caller, deadline).await {
            Ok(admitted) => self.call(request, feasible, caller, admitted).await,
            Err(failure) => Attempt::NotMade(failure),
        }
    }

    /// Passes the guards: the bulkhead, the dollar limits and the breaker.
    async fn admit(
        &self,
        request: &Request,
        caller: &Caller,
        deadline: Deadline,
    ) -> Result<Admitted<'_>, AiFailure> {
        if !self.breaker.is_available() {
            return Err(Degraded::BreakerOpen.into());
        }
        let bulkhead = self.bulkhead.acquire(deadline.instant()).await;
        let bulkhead = bulkhead.map_err(|_| Degraded::ConcurrencyLimit)?;
        if *self.stopping.borrow() {
            return Err(Degraded::LlmError.into());
        }
        let estimate = bounded(self.provider.estimate_micros(request));
        let reservation = self.reserve(estimate, caller).await?;
        let time = deadline.remaining();
        if time < MIN_ATTEMPT {
            // Only the wait in the bulkhead can have taken so long.
            return Err(Degraded::ConcurrencyLimit.into());
        }
        let permit = self.breaker.try_acquire().map_err(|_| Degraded::BreakerOpen)?;
        Ok(Admitted { bulkhead, permit, reservation, estimate, time })
    }

    async fn reserve(&self, estimate: u64, caller: &Caller) -> Result<Reservation, AiFailure> {
        match self.limiter.acquire(&caller.subjects(), Demand::cost_micros(estimate)).await {
            Ok(Decision::Admitted(admission)) => Ok(admission.reservation),
            Ok(Decision::Denied(denial)) => {
                self.refusals.record_call(&denial);
                Err(AiFailure { reason: Degraded::CostLimit, denial: Some(Box::new(denial)) })
            }
            Err(error) => {
                // Dollars that cannot be counted are not spent.
                tracing::debug!(%error, "dollar limits did not answer");
                Err(Degraded::CostLimit.into())
            }
        }
    }

    /// Calls the provider, records the outcome for the breaker, and settles the bill.
    async fn call(
        &self,
        request: &Request,
        feasible: TypeSet,
        caller: &Caller,
        admitted: Admitted<'_>,
    ) -> Attempt {
        let Admitted { bulkhead: _bulkhead, permit, mut reservation, estimate, time } = admitted;
        let (provider, model) = (self.provider.name(), self.provider.model());
        reservation.dispatched();
        let paid = PaidCall::new(&self.recorder, caller, model, estimate, reservation);
        let span = caller.trace.as_ref().map(|trace| trace.ai_call(provider, model));
        #[cfg(feature = "metrics")]
        let started = std::time::Instant::now();
        let answered = tokio::time::timeout(time + GRACE, self.provider.classify(request, feasible, time));
        let result = tokio::select! {
            answered = answered => answered.unwrap_or_else(|_| Err(timed_out())),
            () = self.stopped() => {
                // The stop says nothing about the provider's health.
                permit.record(Outcome::Neutral);
                paid.end(Charge { micros: estimate, flag: None }, Some("shutdown")).await;
                return Attempt::NotMade(Degraded::LlmTimeout.into());
            }
        };
        permit.record(outcome(&result));
        #[cfg(feature = "metrics")]
        call_metrics::record(
            provider,
            started.elapsed(),
            result.as_ref().err().map(|error| error.kind.as_str()),
        );
        let charge = charge(bill(&result), estimate);
        if let Some(flag) = charge.flag {
            let (charged_micros, flag) = (charge.micros, flag.as_str());
            tracing::warn!(provider, charged_micros, flag, "a provider's bill is implausible");
        }
        if let Some(span) = span {
            span.ended(&result, charge.micros);
        }
        paid.end(charge, result.as_ref().err().map(|error| error.kind.as_str())).await;
        // The answer carries what was settled, which differs from an implausible bill.
        let settled = |answer| Answer { cost_micros: charge.micros, ..answer };
        result.map_or_else(Attempt::Failed, |answer| Attempt::Answered(settled(answer)))
    }
}

/// Returns the error of a provider that does not return within its time.
fn timed_out() -> ProviderError {
    ProviderError::new(ProviderErrorKind::Timeout, "the provider did not return within its time")
}

fn reason(kind: ProviderErrorKind) -> Degraded {
    match kind {
        ProviderErrorKind::Timeout => Degraded::LlmTimeout,
        ProviderErrorKind::Unusable(_) => Degraded::LlmUnusable,
        _ => Degraded::LlmError,
    }
}
