//! A paid call: its row, its settlement, its bill, and its outcome for the breaker.

use picarcade_analytics::Recorder;
use picarcade_breaker::{FailureKind, Outcome};
use picarcade_intent::{Answer, ProviderError, ProviderErrorKind, Unusable};
use picarcade_ratelimit::Reservation;

use crate::caller::Caller;
use crate::events;
use crate::outcome::charge::{Bill, Charge};

/// A paid call without a row of its cost. If it is dropped, it records a row at the estimate,
/// because the provider may bill the call.
pub(crate) struct PaidCall<'a> {
    recorder: &'a Recorder,
    caller: &'a Caller,
    model: &'a str,
    estimate: u64,
    /// `None` once the call has ended.
    reservation: Option<Reservation>,
}

impl<'a> PaidCall<'a> {
    pub(crate) fn new(
        recorder: &'a Recorder,
        caller: &'a Caller,
        model: &'a str,
        estimate: u64,
        reservation: Reservation,
    ) -> Self {
        Self { recorder, caller, model, estimate, reservation: Some(reservation) }
    }

    /// Records the cost of the call, then settles its reservation.
    pub(crate) async fn end(mut self, charge: Charge, error: Option<&'static str>) {
        let Some(reservation) = self.reservation.take() else { return };
        self.record(charge, error);
        if let Err(error) = reservation.settle(charge.micros).await {
            // The reservation expires and is then charged in full, so the budget stays safe.
            tracing::warn!(%error, "a paid call could not be settled");
        }
    }

    fn record(&self, charge: Charge, error: Option<&'static str>) {
        let Self { recorder, caller, model, estimate, .. } = self;
        recorder.record(events::paid_call(caller, model, *estimate, charge, error));
    }
}

impl Drop for PaidCall<'_> {
    fn drop(&mut self) {
        let Some(reservation) = self.reservation.take() else { return };
        let micros = self.estimate;
        self.record(Charge { micros, flag: None }, Some("unfinished"));
        // Without a settlement, the dollars would count twice once the reservation expires.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(reservation.settle(micros));
        }
    }
}

/// Returns the bill of a result. An answer that cannot be used was made and costs money.
pub(crate) fn bill(result: &Result<Answer, ProviderError>) -> Bill {
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

/// Returns the outcome of a call for the breaker. A caller's mistake and a reached spending limit
/// say nothing about the provider's health. An answer that breaks the contract is a failure: a
/// provider that only returns unusable answers is as good as down.
pub(crate) fn outcome(result: &Result<Answer, ProviderError>) -> Outcome {
    let Err(error) = result else { return Outcome::Success };
    let kind = match error.kind {
        ProviderErrorKind::Connect => FailureKind::Connect,
        ProviderErrorKind::Timeout => FailureKind::Timeout,
        ProviderErrorKind::RateLimited => FailureKind::RateLimited,
        ProviderErrorKind::Overloaded => FailureKind::Overloaded,
        ProviderErrorKind::Server => FailureKind::Server,
        // A model that refuses works, and the prompt may cause an answer that is cut off. No prompt
        // must be able to open the breaker for all users.
        ProviderErrorKind::Unusable(Unusable::Refusal) => return Outcome::Success,
        ProviderErrorKind::Unusable(Unusable::Truncated | Unusable::TooLarge) => return Outcome::Neutral,
        ProviderErrorKind::Unusable(_) => FailureKind::Unusable,
        ProviderErrorKind::Rejected => return Outcome::Neutral,
        _ => FailureKind::Other,
    };
    Outcome::Failure { kind, retry_after: error.retry_after }
}
