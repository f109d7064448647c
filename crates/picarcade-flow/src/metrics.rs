//! The metrics of the flow and of its parts through the `metrics` facade. Labels are components,
//! windows, types, sources, reasons, providers and kinds of errors, which are bounded sets.

use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use picarcade_intent::{PromptType, Source};

use crate::health::report::HealthStatus;
use crate::service::FlowService;

const COMPONENT_STATUS: &str = "picarcade_component_status";
const CONFIRM: &str = "picarcade_confirm_total";
const FEEDBACK: &str = "picarcade_feedback_total";
const IN_FLIGHT: &str = "picarcade_classifications_in_flight";
const QUEUED: &str = "picarcade_classifications_queued";
const ANSWERS: &str = "picarcade_answers_total";
const AI_ERRORS: &str = "picarcade_ai_errors_total";
const BUDGET_LIMIT: &str = "picarcade_budget_limit_dollars";
const BUDGET_USED: &str = "picarcade_budget_used_dollars";
const BUDGET_SPENT: &str = "picarcade_budget_spent_dollars";
const BUDGET_RESERVED: &str = "picarcade_budget_reserved_dollars";

/// The series of the time of AI calls, a histogram whose buckets the recorder of metrics defines.
pub const AI_CALL_DURATION: &str = "picarcade_ai_call_duration_seconds";

/// Describes the series of the flow, its caches, its limiter, its breakers and its recorder to the
/// installed recorder of metrics. Does nothing without one.
pub fn describe_metrics() {
    describe_gauge!(COMPONENT_STATUS, "The health of a part: 0 healthy, 1 degraded, 2 unhealthy");
    describe_counter!(ANSWERS, "Answers, by source, first degraded reason and type");
    describe_histogram!(AI_CALL_DURATION, Unit::Seconds, "The time of an AI call, by provider");
    describe_counter!(AI_ERRORS, "Failed AI calls, by provider and kind");
    describe_counter!(CONFIRM, "Answers with a question about the price");
    describe_counter!(FEEDBACK, "Generations with feedback, by the source and the type of the decision");
    describe_gauge!(IN_FLIGHT, "Concurrent AI calls");
    describe_gauge!(QUEUED, "Requests that wait for an AI call");
    describe_gauge!(BUDGET_LIMIT, "A limit in US dollars that all users share, by window");
    describe_gauge!(BUDGET_USED, "The spent and reserved part of the limit in US dollars");
    describe_gauge!(BUDGET_SPENT, "The spent part of the limit in US dollars");
    describe_gauge!(BUDGET_RESERVED, "The part of the limit in US dollars that is reserved for later bills");
    picarcade_cache::describe_metrics();
    picarcade_ratelimit::describe_metrics();
    picarcade_breaker::describe_metrics();
    picarcade_analytics::describe_metrics();
}

impl FlowService {
    /// Publishes the series of the flow and of its parts to the installed recorder of metrics. Does
    /// nothing without one. It makes no call: the dollars and the components are those of the last
    /// background check. The README lists the series.
    pub fn publish_metrics(&self) {
        for (component, health) in &self.health().components {
            gauge!(COMPONENT_STATUS, "component" => *component).set(number(health.status));
        }
        for ([source, degraded, prompt_type], count) in self.inner.answers.counted() {
            counter!(ANSWERS, "source" => source, "degraded" => degraded, "type" => prompt_type)
                .absolute(count);
        }
        counter!(CONFIRM).absolute(self.inner.confirmations.load(Ordering::Relaxed));
        let (in_flight, queued) = self.classifications();
        gauge!(IN_FLIGHT).set(in_flight as f64);
        gauge!(QUEUED).set(queued as f64);
        for budget in self.inner.check.last().budgets.iter() {
            let (status, window) = (&budget.status, budget.status.window.to_string());
            for (name, micros) in [
                (BUDGET_LIMIT, status.limit),
                (BUDGET_USED, status.used),
                (BUDGET_SPENT, budget.spent()),
                (BUDGET_RESERVED, status.reserved),
            ] {
                gauge!(name, "window" => window.clone()).set(micros as f64 / 1e6);
            }
        }
        for cache in self.caches().statistics() {
            cache.publish_metrics();
        }
        self.limiter().statistics().publish_metrics();
        self.breakers().publish_metrics();
        self.recorder().publish_metrics();
    }
}

/// Records the time of an AI call, and the kind of its failure if it failed.
pub(crate) fn count_ai_call(provider: &str, elapsed: Duration, failure: Option<&'static str>) {
    histogram!(AI_CALL_DURATION, "provider" => provider.to_owned()).record(elapsed.as_secs_f64());
    if let Some(kind) = failure {
        counter!(AI_ERRORS, "provider" => provider.to_owned(), "kind" => kind).increment(1);
    }
}

/// Counts a generation with feedback.
pub(crate) fn count_feedback(source: Option<Source>, decided: PromptType, agrees: bool) {
    let (source, agrees) = (source.map_or("unknown", Source::as_str), if agrees { "true" } else { "false" });
    counter!(FEEDBACK, "source" => source, "type" => decided.as_str(), "agrees" => agrees).increment(1);
}

/// Returns a state as the value of its gauge, which grows with the trouble.
const fn number(status: HealthStatus) -> f64 {
    match status {
        HealthStatus::Healthy => 0.0,
        HealthStatus::Degraded => 1.0,
        HealthStatus::Unhealthy => 2.0,
    }
}
