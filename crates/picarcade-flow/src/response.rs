//! The answers, in the field order and the words of the HTTP contract.
//!
//! Floats appear only here: money is micro-dollars until it is written out.

use picarcade_analytics::Statistics;
use picarcade_intent::{Facts, PromptType, Row, Source, TypeSet};
use picarcade_ratelimit::Report;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::degraded::Degraded;

/// An answer and what remains of the caller's limits.
#[derive(Clone, Debug)]
pub struct Processed<T> {
    /// The answer.
    pub answer: T,
    /// The caller's limits after this request, for the `RateLimit` header fields.
    pub limits: Report,
}

/// Where the three cached parts of an answer came from: `l1`, `l2`, `stale`, `miss` or `bypass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CacheWords {
    /// The classification.
    pub intent: &'static str,
    /// The enhanced prompt.
    pub enhancement: &'static str,
    /// The base parameters of the model.
    pub parameters: &'static str,
}

/// The answer to `process`.
#[derive(Clone, Debug, Serialize)]
pub struct Response {
    /// Always true: what fails is an error, not a response.
    pub success: bool,
    /// What the request is.
    pub prompt_type: PromptType,
    /// The model that should make it.
    pub model_to_use: String,
    /// What to try when that model fails, best first.
    pub fallback_models: Vec<String>,
    /// The better prompt.
    pub enhanced_prompt: String,
    /// The prompt as given.
    pub original_prompt: String,
    /// Why it is that type.
    pub reasoning: String,
    /// 0..=1.
    pub confidence: f64,
    /// Who decided.
    pub source: Source,
    /// The infeasible type that the AI had answered.
    pub corrected_from: Option<PromptType>,
    /// Of the generation, in US dollars.
    pub estimated_cost: f64,
    /// Of the generation, in seconds.
    pub estimated_time: u32,
    /// What to hand to the model, prompt and references included.
    pub model_parameters: Map<String, Value>,
    /// The facts as they were used, a session's medium included.
    pub classification_flags: Facts,
    /// The classification came from a cache.
    pub cache_hit: bool,
    /// Where each part came from.
    pub cache: CacheWords,
    /// An AI answer was wanted and the local classifier gave it.
    pub used_fallback: bool,
    /// Of the classifier's provider; `none` without one.
    pub circuit_breaker_state: &'static str,
    /// Always false: a limited request is an error.
    pub rate_limited: bool,
    /// What was less than it could have been.
    pub degraded: Vec<Degraded>,
    /// Names this generation when its outcome is reported.
    pub generation_id: String,
    /// Inside the flow, in milliseconds.
    pub processing_time_ms: f64,
    /// The id of the HTTP request; filled in by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Which row of the matrix decided, out of which possible types.
#[derive(Clone, Debug, Serialize)]
pub struct CsvDecision {
    /// The row that matched.
    pub row: Row,
    /// Every type that some goal can reach under these facts.
    pub feasible: TypeSet,
}

/// The answer to `classify-only`.
#[derive(Clone, Debug, Serialize)]
pub struct Classified {
    /// Always true.
    pub success: bool,
    /// What the request is.
    pub prompt_type: PromptType,
    /// Why it is that type.
    pub reasoning: String,
    /// 0..=1.
    pub confidence: f64,
    /// Who decided.
    pub source: Source,
    /// The infeasible type that the AI had answered.
    pub corrected_from: Option<PromptType>,
    /// The better prompt.
    pub enhanced_prompt: String,
    /// The prompt as given.
    pub original_prompt: String,
    /// The model that should make it.
    pub model_to_use: String,
    /// What to try when that model fails, best first.
    pub fallback_models: Vec<String>,
    /// The row that matched and the feasible set.
    pub csv_decision: CsvDecision,
    /// The facts as they were used.
    pub classification_flags: Facts,
    /// The classification came from a cache.
    pub cache_hit: bool,
    /// An AI answer was wanted and the local classifier gave it.
    pub used_fallback: bool,
    /// What was less than it could have been.
    pub degraded: Vec<Degraded>,
    /// Inside the flow, in milliseconds.
    pub processing_time_ms: f64,
    /// The id of the HTTP request; filled in by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// One model of the catalogue and whether it can be used now.
#[derive(Clone, Debug, Serialize)]
pub struct ModelAvailability {
    /// Its name.
    pub name: String,
    /// Who runs it.
    pub provider: String,
    /// False while the provider's breaker rejects calls.
    pub available: bool,
    /// The state of the provider's breaker.
    pub circuit_breaker_state: &'static str,
    /// The types it serves, as first choice or as a fallback.
    pub prompt_types: Vec<PromptType>,
    /// The price of its first use in the catalogue, in US dollars.
    pub estimated_cost: f64,
    /// The time of its first use in the catalogue, in seconds.
    pub estimated_time: u32,
    /// What is sent to it before prompt and references are added.
    pub parameters: Map<String, Value>,
}

/// The answer to `stats`.
#[derive(Clone, Debug, Serialize)]
pub struct StatsAnswer {
    /// The figures.
    #[serde(flatten)]
    pub statistics: Statistics,
    /// What the day may cost, and has cost.
    pub budget: BudgetBurn,
    /// They came from the cache and may be as old as its TTL.
    pub cached: bool,
}

/// How much of the day's budget is burned, as `cost_tracking` tells it: what is known to have been paid since midnight (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BudgetBurn {
    /// US dollars a day for all together; none without such a limit.
    pub per_day: Option<f64>,
    /// US dollars since midnight.
    pub spent_today: f64,
    /// `spent_today` as percent of `per_day`; above 100 when it is overspent.
    pub burned_percent: Option<f64>,
}

impl BudgetBurn {
    pub(crate) fn new(per_day_micros: Option<u64>, spent_micros: u64) -> Self {
        let per_day = per_day_micros.map(usd);
        let spent_today = usd(spent_micros);
        Self { per_day, spent_today, burned_percent: per_day.map(|per_day| spent_today * 100.0 / per_day) }
    }
}

/// Micro-dollars as US dollars, for JSON.
pub(crate) fn usd(micros: u64) -> f64 {
    micros as f64 / 1e6
}
