//! The events of the flow, in the columns of the tables of analytics.

use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::{
    ClassificationEvent, CostEvent, Event, FeedbackEvent, ModelSelectionEvent, SystemPerformanceEvent, Word,
};
use picarcade_intent::{Facts, PromptType, Route, Source};
use serde_json::json;
use uuid::Uuid;

use crate::caller::Caller;
use crate::outcome::charge::{Charge, CostFlag, bounded};
use crate::outcome::generations::Generation;
use crate::outcome::report::{ErrorKind, OutcomeReport};

/// The operation of a paid classification in `cost_tracking`.
const CLASSIFICATION: &str = "intent_classification";

/// The operation of a generation in `cost_tracking`.
const GENERATION: &str = "generation";

/// The facts of one classification, answered or limited.
#[derive(Debug)]
pub(crate) struct ClassificationFacts<'a> {
    /// The whole prompt; `None` if it is not stored.
    pub(crate) prompt: Option<&'a str>,
    /// What is known about the media of the request.
    pub(crate) media: Option<Facts>,
    /// `None` if the request was limited before it was classified.
    pub(crate) prompt_type: Option<PromptType>,
    pub(crate) source: Option<Source>,
    pub(crate) model: Arc<str>,
    pub(crate) confidence: f64,
    pub(crate) elapsed: Duration,
    pub(crate) used_fallback: bool,
    pub(crate) cache_hit: bool,
    pub(crate) breaker_state: &'static str,
    pub(crate) saved_micros: u64,
    /// The degraded reasons, or why the source decided.
    pub(crate) reason: Word,
}

pub(crate) fn classification(caller: &Caller, facts: &ClassificationFacts<'_>) -> Event {
    Event::Classification(ClassificationEvent {
        user_id: caller.user.shared(),
        prompt: Arc::from(facts.prompt.unwrap_or_default()),
        prompt_is_whole: facts.prompt.is_some(),
        media_facts: facts.media.map(Facts::bits),
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
        saved_micros: bounded(facts.saved_micros),
        reason: facts.reason.clone(),
        request_id: caller.request_id.clone(),
    })
}

pub(crate) fn paid_call(
    caller: &Caller,
    model: &str,
    estimated: u64,
    charge: Charge,
    error: Option<&'static str>,
) -> Event {
    Event::Cost(CostEvent {
        user_id: caller.user.shared(),
        operation_type: CLASSIFICATION.into(),
        generation_id: None,
        estimated_cost_micros: estimated,
        actual_cost_micros: Some(charge.micros),
        model_used: Arc::from(model),
        success: Some(error.is_none()),
        error_message: error_message(error, charge.flag),
    })
}

/// Returns the text of `error_message`: why the work failed, and why its cost is not the stated
/// one.
pub(crate) fn error_message(error: Option<&'static str>, flag: Option<CostFlag>) -> Option<String> {
    let words: Vec<_> = error.into_iter().chain(flag.map(CostFlag::as_str)).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Returns the event of an end user's report. Its row names no user. It does not change the rows of
/// the generation: the first outcome counts there, and it must be the operator's.
pub(crate) fn user_report(generation_id: &str, generation: &Generation, report: &OutcomeReport) -> Event {
    let error = report.error_kind.filter(|_| !report.success).map(ErrorKind::as_str);
    Event::SystemPerformance(SystemPerformanceEvent {
        component: "generation".into(),
        metric: "reported_by_user".into(),
        value: if report.success { 1.0 } else { 0.0 },
        status: if report.success { "success" } else { "failure" }.into(),
        metrics: json!({ "generation_id": generation_id, "model": &*generation.model, "error_kind": error }),
    })
}

/// Returns the event of feedback on a generation.
pub(crate) fn feedback(
    generation_id: Uuid,
    generation: &Generation,
    right_type: PromptType,
    comment: Option<&str>,
) -> Event {
    Event::Feedback(FeedbackEvent {
        generation_id,
        user_id: generation.user_id.shared(),
        decided_type: generation.prompt_type.as_str().into(),
        source: generation.source.map_or("", Source::as_str).into(),
        right_type: right_type.as_str().into(),
        comment: comment.map(Arc::from),
    })
}

/// Returns the expense of a reserved generation, at its estimate until an outcome completes the
/// row.
///
/// The row is written with the reservation and not at its deadline, for three reasons. An expired
/// reservation has exactly one row, whichever instance notices the deadline. A process that ends
/// cannot lose an open reservation. A budget that is rebuilt from the table includes reserved
/// amounts.
pub(crate) fn reserved(caller: &Caller, generation_id: &Arc<str>, model: &Arc<str>, micros: u64) -> Event {
    Event::Cost(CostEvent {
        user_id: caller.user.shared(),
        operation_type: GENERATION.into(),
        generation_id: Some(Arc::clone(generation_id)),
        estimated_cost_micros: micros,
        actual_cost_micros: Some(micros),
        model_used: Arc::clone(model),
        success: None,
        error_message: None,
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
        user_id: caller.user.shared(),
        generation_id: Arc::clone(generation_id),
        workflow_type: prompt_type.as_str().into(),
        selected_model: Arc::clone(model),
        fallback_models: route.fallback_models.iter().map(|model| Arc::from(model.as_str())).collect(),
        estimated_cost_micros: bounded(route.estimated_cost_micros),
        actual_cost_micros: None,
        estimated_time: f64::from(route.estimated_time_seconds),
        actual_time: None,
        success: None,
        error_message: None,
    })
}
