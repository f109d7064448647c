//! The answers, with the field order and the names of the HTTP contract.
//!
//! Money is micro-dollars in the flow and becomes a float only in these types.

use std::time::Duration;

use picarcade_analytics::Statistics;
use picarcade_cache::CacheSource;
use picarcade_intent::{Alternative, Facts, MatrixRow, PromptType, Source, TypeSet};
use picarcade_ratelimit::Report;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::degraded::Degraded;
use crate::step::resolved::Resolved;

/// An answer and the caller's limits after it.
#[derive(Clone, Debug)]
pub struct Processed<T> {
    /// The answer.
    pub answer: T,
    /// The caller's limits after this request, for the `RateLimit` header fields.
    pub limits: Report,
}

/// The sources of the three cached parts of an answer: `l1`, `l2`, `stale`, `miss` or `bypass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CacheSources {
    /// The classification.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::cache_source))]
    pub intent: &'static str,
    /// The enhanced prompt.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::cache_source))]
    pub enhancement: &'static str,
    /// The base parameters of the model.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::cache_source))]
    pub parameters: &'static str,
}

/// The answer to `process`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ProcessResponse))]
pub struct Response {
    /// Always true: a failure is an error and not a response.
    pub success: bool,
    /// The type of the request.
    pub prompt_type: PromptType,
    /// The model that should make the image or video.
    pub model_to_use: String,
    /// The models to try if that model fails, best first.
    pub fallback_models: Vec<String>,
    /// The enhanced prompt.
    pub enhanced_prompt: String,
    /// The prompt as given.
    pub original_prompt: String,
    /// The reason for the type.
    pub reasoning: String,
    /// The confidence in the type, from 0 to 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 1))]
    pub confidence: f64,
    /// The part that decided.
    pub source: Source,
    /// The infeasible type that the AI answered, if its answer was corrected.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub corrected_from: Option<PromptType>,
    /// The other possible types with a probability of at least 0.01, the most likely first.
    pub alternatives: Vec<Alternative>,
    /// Whether the user should confirm the price first: the type is unsure and costs at least
    /// $0.20 more than another likely type.
    pub confirm: bool,
    /// The question for the user if `confirm` is true, such as `Video with sound, about $2.40?`.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub confirm_question: Option<String>,
    /// Whether the words ask for no picture, video or edit at all. The reasoning says so, and the
    /// type is the cheapest possible one.
    pub unclear: bool,
    /// The estimated cost of the generation, in US dollars.
    pub estimated_cost: f64,
    /// The estimated time of the generation, in seconds.
    pub estimated_time: u32,
    /// The input of the model, with the prompt and the references.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub model_parameters: Map<String, Value>,
    /// The facts that decided, with the session's medium.
    pub classification_flags: Facts,
    /// Whether the classification came from a cache.
    pub cache_hit: bool,
    /// The source of each cached part.
    pub cache: CacheSources,
    /// Whether the local classifier answered in place of the AI.
    pub used_fallback: bool,
    /// The state of the AI provider's breaker; `none` without a provider.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::provider_state))]
    pub circuit_breaker_state: &'static str,
    /// Always false: a limited request is an error.
    pub rate_limited: bool,
    /// The reasons why the answer is less than it could have been.
    pub degraded: Vec<Degraded>,
    /// Remarks about the request, such as an unknown field that is one edit away from a known one.
    pub warnings: Vec<String>,
    /// The id by which the outcome of this generation is reported.
    pub generation_id: String,
    /// The time inside the flow, in milliseconds.
    pub processing_time_ms: f64,
}

impl Response {
    pub(crate) fn new(
        resolved: Resolved,
        (model_parameters, parameters): (Map<String, Value>, CacheSource),
        generation_id: String,
        circuit_breaker_state: &'static str,
        elapsed: Duration,
    ) -> Self {
        let Resolved {
            request, rules, classification, route, enhanced: (enhanced_prompt, enhancement), ..
        } = resolved;
        let verdict = &classification.verdict;
        let question = rules.classifier.confirmation(verdict);
        Self {
            success: true,
            prompt_type: verdict.prompt_type,
            model_to_use: route.model,
            fallback_models: route.fallback_models,
            enhanced_prompt,
            original_prompt: request.prompt.as_str().to_owned(),
            reasoning: verdict.reasoning.clone(),
            confidence: verdict.confidence,
            source: verdict.source,
            corrected_from: verdict.corrected_from,
            alternatives: verdict.alternatives.clone(),
            confirm: question.is_some(),
            confirm_question: question,
            unclear: verdict.unclear,
            estimated_cost: usd(route.estimated_cost_micros),
            estimated_time: route.estimated_time_seconds,
            model_parameters,
            classification_flags: request.facts,
            cache_hit: classification.cache_hit(),
            cache: CacheSources {
                intent: classification.cache.as_str(),
                enhancement: enhancement.as_str(),
                parameters: parameters.as_str(),
            },
            used_fallback: classification.failed.is_some(),
            circuit_breaker_state,
            rate_limited: false,
            degraded: resolved.degraded,
            warnings: resolved.warnings,
            generation_id,
            processing_time_ms: milliseconds(elapsed),
        }
    }
}

/// The row of the matrix that decided, and the types that were possible.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CsvDecision {
    /// The row that matched.
    pub row: MatrixRow,
    /// Every type that a goal can reach under these facts.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<PromptType>))]
    pub feasible: TypeSet,
}

/// The answer to `classify-only`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ClassifyResponse))]
pub struct Classified {
    /// Always true.
    pub success: bool,
    /// The type of the request.
    pub prompt_type: PromptType,
    /// The reason for the type.
    pub reasoning: String,
    /// The confidence in the type, from 0 to 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 1))]
    pub confidence: f64,
    /// The part that decided.
    pub source: Source,
    /// The infeasible type that the AI answered, if its answer was corrected.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub corrected_from: Option<PromptType>,
    /// The other possible types with a probability of at least 0.01, the most likely first.
    pub alternatives: Vec<Alternative>,
    /// Whether the user should confirm the price first: the type is unsure and costs at least
    /// $0.20 more than another likely type.
    pub confirm: bool,
    /// The question for the user if `confirm` is true, such as `Video with sound, about $2.40?`.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub confirm_question: Option<String>,
    /// Whether the words ask for no picture, video or edit at all. The reasoning says so, and the
    /// type is the cheapest possible one.
    pub unclear: bool,
    /// The enhanced prompt.
    pub enhanced_prompt: String,
    /// The prompt as given.
    pub original_prompt: String,
    /// The model that should make the image or video.
    pub model_to_use: String,
    /// The models to try if that model fails, best first.
    pub fallback_models: Vec<String>,
    /// The row that matched and the feasible types.
    pub csv_decision: CsvDecision,
    /// The facts that decided.
    pub classification_flags: Facts,
    /// Whether the classification came from a cache.
    pub cache_hit: bool,
    /// Whether the local classifier answered in place of the AI.
    pub used_fallback: bool,
    /// The reasons why the answer is less than it could have been.
    pub degraded: Vec<Degraded>,
    /// Remarks about the request, such as an unknown field that is one edit away from a known one.
    pub warnings: Vec<String>,
    /// The time inside the flow, in milliseconds.
    pub processing_time_ms: f64,
}

impl Classified {
    pub(crate) fn new(resolved: Resolved, elapsed: Duration) -> Self {
        let Resolved { request, rules, classification, row, route, enhanced, degraded, warnings, .. } =
            resolved;
        let verdict = &classification.verdict;
        let question = rules.classifier.confirmation(verdict);
        Self {
            success: true,
            prompt_type: verdict.prompt_type,
            reasoning: verdict.reasoning.clone(),
            confidence: verdict.confidence,
            source: verdict.source,
            corrected_from: verdict.corrected_from,
            alternatives: verdict.alternatives.clone(),
            confirm: question.is_some(),
            confirm_question: question,
            unclear: verdict.unclear,
            enhanced_prompt: enhanced.0,
            original_prompt: request.prompt.as_str().to_owned(),
            model_to_use: route.model,
            fallback_models: route.fallback_models,
            csv_decision: CsvDecision { row, feasible: rules.classifier.feasible(request.facts) },
            classification_flags: request.facts,
            cache_hit: classification.cache_hit(),
            used_fallback: classification.failed.is_some(),
            degraded,
            warnings,
            processing_time_ms: milliseconds(elapsed),
        }
    }
}

/// One model of the catalogue and its availability.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Model))]
pub struct ModelAvailability {
    /// The name of the model.
    pub name: String,
    /// The provider that runs the model.
    pub provider: String,
    /// False while the provider's breaker rejects calls.
    pub available: bool,
    /// The state of the provider's breaker.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::provider_state))]
    pub circuit_breaker_state: &'static str,
    /// The types that the model serves, as first choice or as a fallback.
    pub prompt_types: Vec<PromptType>,
    /// The price of its first use in the catalogue, in US dollars.
    pub estimated_cost: f64,
    /// The time of its first use in the catalogue, in seconds.
    pub estimated_time: u32,
    /// The parameters of the model before the prompt and the references are added.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub parameters: Map<String, Value>,
}

/// The answer to `stats`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Statistics))]
pub struct StatsAnswer {
    /// The figures.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(inline))]
    pub statistics: Statistics,
    /// The budget of the day and its use.
    pub budget: BudgetBurn,
    /// Whether the figures came from the cache. They may then be as old as its TTL.
    pub cached: bool,
}

/// The use of the day's budget. `spent_today` and `burned_percent` come from the expenses in
/// `cost_tracking` since midnight (UTC), `spent`, `reserved` and `used_percent` from the limiter,
/// which refuses paid calls once `spent` and `reserved` leave no room. They are null without such a
/// limit, and until the limiter has answered once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Budget))]
pub struct BudgetBurn {
    /// The limit of all users together, in US dollars a day; null without such a limit.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub per_day: Option<f64>,
    /// The expenses since midnight, in US dollars. A reserved generation counts at its estimate.
    pub spent_today: f64,
    /// `spent_today` in percent of `per_day`; above 100 if the budget is overspent.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub burned_percent: Option<f64>,
    /// The settled part of the budget, in US dollars.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub spent: Option<f64>,
    /// The part that is reserved for bills that are not known yet, in US dollars.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub reserved: Option<f64>,
    /// `spent` and `reserved` together in percent of `per_day`.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub used_percent: Option<f64>,
}

impl BudgetBurn {
    pub(crate) fn new(per_day_micros: Option<u64>, spent_micros: u64) -> Self {
        let per_day = per_day_micros.map(usd);
        let spent_today = usd(spent_micros);
        let burned_percent = per_day.map(|per_day| spent_today * 100.0 / per_day);
        Self { per_day, spent_today, burned_percent, spent: None, reserved: None, used_percent: None }
    }

    /// Adds the use as the limiter counts it.
    pub(crate) fn with_use(self, spent_micros: u64, reserved_micros: u64) -> Self {
        let used = usd(spent_micros.saturating_add(reserved_micros));
        Self {
            spent: Some(usd(spent_micros)),
            reserved: Some(usd(reserved_micros)),
            used_percent: self.per_day.map(|per_day| used * 100.0 / per_day),
            ..self
        }
    }
}

/// Returns micro-dollars as US dollars, for JSON.
pub(crate) fn usd(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// Returns milliseconds, rounded to microseconds: finer digits are noise.
fn milliseconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}
