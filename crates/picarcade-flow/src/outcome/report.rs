//! A report on a generation, its bill, and its meaning for a breaker.
//!
//! The report states a price; [`charge`](crate::outcome::charge) limits it. A failed generation may
//! cost nothing. A finished one may not, unless its model is estimated at nothing: a report without
//! the real price would otherwise disable the budget.

use std::time::Duration;

use picarcade_breaker::{FailureKind, Outcome};
use serde::{Deserialize, Serialize};

use crate::error::{FieldProblem, FlowError};
use crate::outcome::charge::{Bill, CostFlag, micros};

/// The largest cost of one generation that is accepted, in US dollars.
const MAX_DOLLARS: f64 = 1e6;

/// The longest time that is accepted, in seconds: a week.
const MAX_SECONDS: f64 = 604_800.0;

/// Why a generation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The provider did not answer in time.
    Timeout,
    /// The provider limited the rate of requests.
    RateLimited,
    /// The provider failed.
    ProviderError,
    /// The provider rejected this input, which says nothing about its health.
    RejectedInput,
    /// The user canceled the generation, which says nothing about the provider's health.
    Cancelled,
}

impl ErrorKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::ProviderError => "provider_error",
            Self::RejectedInput => "rejected_input",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A report, as in the HTTP body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(description = "A report on a generation."))]
pub struct OutcomeReport {
    /// Whether the generation succeeded.
    pub success: bool,
    /// The cost, in US dollars.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = dollars))]
    pub actual_cost: Option<f64>,
    /// The duration, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = duration))]
    pub actual_time: Option<f64>,
    /// Why the generation failed.
    #[serde(default)]
    pub error_kind: Option<ErrorKind>,
    /// The provider's `Retry-After`, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = retry_after))]
    pub retry_after: Option<f64>,
}

/// The effect of a report, which depends on the authority of its caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
#[non_exhaustive]
pub enum Reported {
    /// The operator's report settles dollars and counts for the breaker.
    Settled(SettledReport),
    /// An end user's report is recorded, and nothing else changes.
    Recorded {
        /// Always `recorded`.
        #[cfg_attr(feature = "openapi", schema(schema_with = recorded))]
        status: &'static str,
    },
}

impl Reported {
    pub(crate) const RECORDED: Self = Self::Recorded { status: "recorded" };
}

/// The effect of the operator's report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettledReport {
    /// The id of the generation.
    pub generation_id: String,
    /// False if the generation had been reported before.
    pub recorded: bool,
    /// The settlement of the reserved dollars: `settled`, `released`, `expired`, `repeated`, or
    /// `unknown` without a reservation.
    pub settlement: String,
    /// Why the cost is not charged as reported; absent if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_flag: Option<CostFlag>,
}

#[cfg(feature = "openapi")]
fn dollars() -> utoipa::openapi::Object {
    crate::openapi::nullable_number(MAX_DOLLARS, "The cost, in US dollars")
}

#[cfg(feature = "openapi")]
fn duration() -> utoipa::openapi::Object {
    crate::openapi::nullable_number(MAX_SECONDS, "The duration, in seconds")
}

#[cfg(feature = "openapi")]
fn retry_after() -> utoipa::openapi::Object {
    crate::openapi::nullable_number(MAX_SECONDS, "The provider's `Retry-After`, in seconds")
}

#[cfg(feature = "openapi")]
fn recorded() -> utoipa::openapi::Object {
    crate::openapi::words(["recorded"])
}

/// Returns the outcome for the breaker of the model's provider.
pub(crate) fn outcome(report: &OutcomeReport) -> Outcome {
    if report.success {
        return Outcome::Success;
    }
    let kind = match report.error_kind {
        Some(ErrorKind::RejectedInput | ErrorKind::Cancelled) => return Outcome::Neutral,
        Some(ErrorKind::Timeout) => FailureKind::Timeout,
        Some(ErrorKind::RateLimited) => FailureKind::RateLimited,
        Some(ErrorKind::ProviderError) => FailureKind::Server,
        None => FailureKind::Other,
    };
    Outcome::Failure {
        kind,
        retry_after: report.retry_after.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    }
}

/// Returns the bill of a report. A report without a cost is free only for failures that providers
/// do not bill.
pub(crate) fn bill(report: &OutcomeReport) -> Bill {
    match (report.actual_cost, report.success, report.error_kind) {
        (Some(dollars), true, _) => Bill::Done(micros(dollars)),
        (Some(dollars), false, _) => Bill::Failed(micros(dollars)),
        (None, false, Some(ErrorKind::RejectedInput | ErrorKind::RateLimited | ErrorKind::ProviderError)) => {
            Bill::Free
        }
        (None, _, _) => Bill::Unknown,
    }
}

/// Checks the ranges of the numbers in a report.
pub(crate) fn check(report: &OutcomeReport) -> Result<(), FlowError> {
    let ranges = [
        ("/actual_cost", report.actual_cost, MAX_DOLLARS),
        ("/actual_time", report.actual_time, MAX_SECONDS),
        ("/retry_after", report.retry_after, MAX_SECONDS),
    ];
    let problems: Vec<_> = ranges
        .into_iter()
        .filter(|(_, value, most)| value.is_some_and(|value| !(0.0..=*most).contains(&value)))
        .map(|(pointer, _, most)| FieldProblem::new(pointer, format!("must be between 0 and {most}")))
        .collect();
    FlowError::unless_valid(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(success: bool, error_kind: Option<ErrorKind>) -> OutcomeReport {
        OutcomeReport { success, error_kind, ..OutcomeReport::default() }
    }

    #[test]
    fn a_report_without_a_cost_is_free_only_for_failures_that_are_not_billed() {
        assert_eq!(bill(&report(true, None)), Bill::Unknown);
        assert_eq!(bill(&report(true, Some(ErrorKind::RejectedInput))), Bill::Unknown);
        assert_eq!(bill(&report(false, Some(ErrorKind::Timeout))), Bill::Unknown);
        assert_eq!(bill(&report(false, Some(ErrorKind::RejectedInput))), Bill::Free);
        let stated = |success| OutcomeReport { actual_cost: Some(0.03), ..report(success, None) };
        assert_eq!((bill(&stated(false)), bill(&stated(true))), (Bill::Failed(30_000), Bill::Done(30_000)));
    }

    #[test]
    fn numbers_out_of_range_are_rejected_by_field() {
        let wrong = OutcomeReport {
            actual_cost: Some(-1.0),
            actual_time: Some(f64::NAN),
            retry_after: Some(1e9),
            ..report(true, None)
        };
        let Err(FlowError::Invalid(problems)) = check(&wrong) else { panic!("must be refused") };
        let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        assert_eq!(pointers, ["/actual_cost", "/actual_time", "/retry_after"]);
    }
}
