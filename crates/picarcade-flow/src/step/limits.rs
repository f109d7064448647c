//! Step 1: the request limits, and the dollars of a reserved generation.

use std::time::{Duration, Instant};

use picarcade_intent::Route;
use picarcade_ratelimit::{Decision, Demand, Denial, Report, Reservation, Scope, Subjects, Unit};

use crate::caller::{Authority, Caller};
use crate::error::FlowError;
use crate::service::FlowService;

/// When to retry after a reservation that could not be decided.
const UNDECIDED: Duration = Duration::from_secs(5);

/// The error of limits that do not answer. Limiters decide locally without their store, so this is
/// an error of wiring.
const NO_ANSWER: FlowError = FlowError::Unavailable { retry_after: Duration::from_secs(1) };

impl FlowService {
    /// Takes one request from the caller's limits, for a route whose work is not a classification.
    ///
    /// # Errors
    ///
    /// Returns [`FlowError::Limited`], and [`FlowError::Unavailable`] if the limits do not answer.
    pub async fn check_limits(&self, caller: &Caller) -> Result<Report, FlowError> {
        self.take_request(&caller.subjects()).await
    }

    /// Takes one request from the limits for a report on a generation.
    ///
    /// A holder of an API key reports for the users that it names. Such a report counts for the
    /// key, the endpoint and the global limits, but not for the user: a user at its limit must not
    /// keep the operator from settling.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`FlowService::check_limits`].
    pub async fn check_report_limits(&self, caller: &Caller) -> Result<Report, FlowError> {
        match &caller.api_key {
            Some(name) if caller.authority == Authority::Operator => {
                self.take_request(&Subjects::default().endpoint(&*caller.endpoint).api_key(&**name)).await
            }
            _ => self.take_request(&caller.subjects()).await,
        }
    }

    /// Returns the caller's limits, without consuming anything.
    ///
    /// # Errors
    ///
    /// Returns [`FlowError::Unavailable`] if the limits do not answer.
    pub async fn usage(&self, caller: &Caller) -> Result<Report, FlowError> {
        self.inner.limiter.usage(&caller.subjects()).await.map_err(|error| {
            tracing::warn!(%error, "usage could not be read");
            NO_ANSWER
        })
    }

    /// Returns the denial of a caller whose request limits are used up, and consumes nothing. A
    /// program calls this before expensive work, such as reading a large body; the request itself
    /// is decided later as usual.
    ///
    /// If `user_is_final` is false, the body may still name another user. The limits of scope USER
    /// are then ignored.
    pub async fn denial(&self, caller: &Caller, user_is_final: bool) -> Option<Denial> {
        let (limiter, subjects) = (&self.inner.limiter, caller.subjects());
        let report = limiter.usage(&subjects).await.ok()?;
        let used_up = report.statuses.iter().any(|status| {
            let counts = user_is_final || status.scope != Scope::User;
            status.unit == Unit::Requests && status.remaining == 0 && counts
        });
        if !used_up {
            return None;
        }
        // Only a decision knows when to retry. It denies, so it consumes nothing, unless a request
        // became free since the usage was read: then that request is spent.
        limiter.acquire(&subjects, Demand::requests(1)).await.ok()?.denied()
    }

    /// Step 1: takes one request from the caller's limits. A denied request is recorded without its
    /// prompt.
    pub(crate) async fn check_classification_limits(
        &self,
        caller: &Caller,
        started: Instant,
    ) -> Result<Report, FlowError> {
        let admitted = self.take_request(&caller.subjects()).await;
        if matches!(admitted, Err(FlowError::Limited(_))) {
            self.record_denial(caller, started);
        }
        admitted
    }

    async fn take_request(&self, subjects: &Subjects<'_>) -> Result<Report, FlowError> {
        match self.inner.limiter.acquire(subjects, Demand::requests(1)).await {
            Ok(Decision::Admitted(admission)) => Ok(admission.report),
            Ok(Decision::Denied(denial)) => Err(FlowError::Limited(Box::new(denial))),
            Err(error) => {
                tracing::warn!(%error, "request limits did not answer");
                Err(NO_ANSWER)
            }
        }
    }

    /// Reserves the estimated cost of a generation against the caller's dollar limits.
    pub(crate) async fn reserve_generation(
        &self,
        route: &Route,
        caller: &Caller,
    ) -> Result<Reservation, FlowError> {
        let (limiter, subjects) = (&self.inner.limiter, caller.subjects());
        match limiter.acquire(&subjects, Demand::cost_micros(route.estimated_cost_micros)).await {
            Ok(Decision::Admitted(admission)) => Ok(admission.reservation),
            Ok(Decision::Denied(denial)) => {
                self.inner.refusals.record_generation(&denial);
                Err(FlowError::Limited(Box::new(denial)))
            }
            Err(error) => {
                // Dollars that cannot be counted are not promised. The same request without
                // `reserve` is answered.
                tracing::debug!(%error, "dollar limits did not answer");
                let report = limiter.usage(&subjects).await.unwrap_or_default();
                Err(FlowError::Limited(Box::new(Denial::new(Vec::new(), UNDECIDED, true, report))))
            }
        }
    }
}
