//! The metrics of AI calls through the `metrics` facade. Labels are providers and kinds of errors,
//! which are bounded sets.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

/// The series of the time of AI calls, a histogram whose buckets the recorder of metrics defines.
pub const AI_CALL_DURATION: &str = "picarcade_ai_call_duration_seconds";

const AI_ERRORS: &str = "picarcade_ai_errors_total";

pub(crate) fn describe() {
    describe_histogram!(AI_CALL_DURATION, Unit::Seconds, "The time of an AI call, by provider");
    describe_counter!(AI_ERRORS, "Failed AI calls, by provider and kind");
}

/// Records the time of a call, and the kind of its failure if it failed.
pub(crate) fn record(provider: &str, elapsed: Duration, failure: Option<&'static str>) {
    histogram!(AI_CALL_DURATION, "provider" => provider.to_owned()).record(elapsed.as_secs_f64());
    if let Some(kind) = failure {
        counter!(AI_ERRORS, "provider" => provider.to_owned(), "kind" => kind).increment(1);
    }
}
