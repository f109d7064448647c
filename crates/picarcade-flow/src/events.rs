//! What the flow tells analytics, in the columns of the four tables.

use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::{ClassificationEvent, CostEvent, Event, ModelSelectionEvent};
use picarcade_intent::{Answer, PromptType, Provider, ProviderError, Route, Source};

use crate::request::Caller;

/// The operation of a paid classification in `cost_tracking`.
const CLASSIFICATION: &str = "intent_classification";

/// One classification, answered or limited.
#[derive(Debug)]
pub(crate) struct ClassificationFacts<'a> {
    pub(crate) prompt: &'a str,
    /// `None` when the request was limited before it was classified.
    pub(crate) prompt_type: Option<PromptType>,
    pub(crate) source: Option<Source>,
    pub(crate) model: Arc<str>,
    pub(crate) confidence: f64,
    pub(crate) elapsed: Duration,
    pub(crate) used_fallback: bool,
    pub(crate) cache_hit: bool,
    pub(crate) breaker_state: &'static str,
    pub(crate) saved_micros: u64,
}

pub(crate) fn classification(caller: &Caller, facts: &ClassificationFacts<'_>) -> Event {
    Event::Classification(ClassificationEvent {
        user_id: Arc::clone(&caller.user),
        prompt: Arc::from(facts.prompt),
        classified_workflow: facts.prompt_type.map_or("", PromptType::as_str).into(),
        confidence: facts.confidence,
        processing_time_ms: facts.elapsed.as_secs_f64() * 1e3,
        used_fallback: facts.used_fallback,
        cache_hit: facts.cache_hit,
        circuit_breaker_state: facts.breaker_state.into(),
        rate_limited: facts.prompt_type.is_none(),
        source: facts.source.map_or("", Source::as_str).into(),
        model: Arc::clone(&facts.model),
        cost_micros: 0,
        saved_micros: facts.saved_micros,
    })
}

pub(crate) fn paid_call(
    caller: &Caller,
    provider: &dyn Provider,
    estimated: u64,
    actual: u64,
    result: &Result<Answer, ProviderError>,
) -> Event {
    Event::Cost(CostEvent {
        user_id: Arc::clone(&caller.user),
        operation_type: CLASSIFICATION.into(),
        generation_id: None,
        estimated_cost_micros: estimated,
        actual_cost_micros: Some(actual),
        model_used: Arc::from(provider.model()),
        success: Some(result.is_ok()),
        error_message: result.as_ref().err().map(|error| error.kind.as_str().to_owned()),
    })
}

pub(crate) fn selection(
    caller: &Caller,
    generation_id: &Arc<str>,
    model: &Arc<str>,
    prompt_type: PromptType,
    route: &Route,
) -> Event {
    Event::ModelSelection(ModelSelectionEvent {
        user_id: Arc::clone(&caller.user),
        generation_id: Arc::clone(generation_id),
        workflow_type: prompt_type.as_str().into(),
        selected_model: Arc::clone(model),
        fallback_models: route.fallback_models.iter().map(|model| Arc::from(model.as_str())).collect(),
        estimated_cost_micros: route.estimated_cost_micros,
        actual_cost_micros: None,
        estimated_time: f64::from(route.estimated_time_seconds),
        actual_time: None,
        success: None,
        error_message: None,
    })
}
