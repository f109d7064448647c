//! The outcome of a generation, as it is reported: what it says, what it costs, and what a breaker makes of it.
//!
//! The report states a price; [`charge`](crate::outcome::charge) decides what of it is believed. A failed
//! generation may cost nothing. A finished one may not, unless its model is estimated at nothing: a
//! report without the real price would otherwise disable the budget.

use std::time::Duration;

use picarcade_breaker::{FailureKind, Outcome};
use serde::{Deserialize, Serialize};

use crate::error::{FieldProblem, FlowError};
use crate::outcome::charge::{Bill, CostFlag, micros};

/// The largest cost of one generation that is believed, in US dollars.
const MAX_DOLLARS: f64 = 1e6;

/// The longest time that is believed, in seconds: a week.
const MAX_SECONDS: f64 = 604_800.0;

/// Why a generation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The provider did not answer in time.
    Timeout,
    /// The provider asked to slow down.
    RateLimited,
    /// The provider failed.
    ProviderError,
    /// The provider refused this input: no sign of ill health.
    RejectedInput,
    /// The user took it back: no sign of ill health.
    Cancelled,
}

/// A report, in the shape of the HTTP body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutcomeReport {
    /// Whether the generation was made.
    pub success: bool,
    /// What it cost, in US dollars.
    #[serde(default)]
    pub actual_cost: Option<f64>,
    /// How long it took, in seconds.
    #[serde(default)]
    pub actual_time: Option<f64>,
    /// Why it failed.
    #[serde(default)]
    pub error_kind: Option<ErrorKind>,
    /// When the provider wants to be asked again, in seconds.
    #[serde(default)]
    pub retry_after: Option<f64>,
}

/// What a report has done, by the authority of its caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Reported {
    /// The operator's report: it settles dollars and counts for the breaker.
    Settled(SettledReport),
    /// An end user's report: success and error kind are recorded, and nothing else changes.
    Recorded {
        /// Always `recorded`.
        status: &'static str,
    },
}

impl Reported {
    pub(crate) const RECORDED: Self = Self::Recorded { status: "recorded" };
}

/// What the operator's report has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettledReport {
    /// The generation.
    pub generation_id: String,
    /// False when it had been reported before.
    pub recorded: bool,
    /// What became of the reserved dollars: `settled`, `released`, `expired`, `repeated`, or `unknown` without a reservation.
    pub settlement: String,
    /// Why the cost is not charged as it was reported; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_flag: Option<CostFlag>,
}

/// What the breaker of the model's provider should think of it.
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

/// Returns what a report says about the price: as stated, else nothing for failures that providers
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

pub(crate) fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Timeout => "timeout",
        ErrorKind::RateLimited => "rate_limited",
        ErrorKind::ProviderError => "provider_error",
        ErrorKind::RejectedInput => "rejected_input",
        ErrorKind::Cancelled => "cancelled",
    }
}

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
    if problems.is_empty() { Ok(()) } else { Err(FlowError::Invalid(problems)) }
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
    fn numbers_out_of_range_are_named() {
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
