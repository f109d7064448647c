//! Events to record.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use picarcade_analytics::{
    ClassificationEvent, CostEvent, Event, FeedbackEvent, ModelSelectionEvent, OutcomeEvent, Record,
    SystemPerformanceEvent,
};
use uuid::Uuid;

/// 2026-01-02T03:04:30Z: in the middle of a minute, an hour and a day.
pub const NOW: i64 = 1_767_323_070_000_000;

pub fn time(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros as u64)
}

pub fn classification(user: &str) -> ClassificationEvent {
    ClassificationEvent {
        user_id: user.into(),
        prompt: "make the sky purple".into(),
        prompt_is_whole: true,
        media_facts: Some(1),
        classified_workflow: "EDIT_IMAGE".into(),
        confidence: 0.75,
        processing_time_ms: 12.5,
        used_fallback: false,
        cache_hit: false,
        circuit_breaker_state: "closed".into(),
        rate_limited: false,
        source: "llm".into(),
        model: "flux-kontext-max".into(),
        cost_micros: 20_000,
        saved_micros: 0,
        reason: "ai".into(),
        request_id: None,
    }
}

pub fn cost(user: &str, actual: Option<u64>) -> CostEvent {
    CostEvent {
        user_id: user.into(),
        operation_type: "intent_classification".into(),
        generation_id: None,
        estimated_cost_micros: 25_000,
        actual_cost_micros: actual,
        model_used: "claude".into(),
        success: Some(true),
        error_message: None,
    }
}

pub fn selection(user: &str, generation: &str) -> ModelSelectionEvent {
    ModelSelectionEvent {
        user_id: user.into(),
        generation_id: generation.into(),
        workflow_type: "EDIT_IMAGE".into(),
        selected_model: "flux-kontext-max".into(),
        fallback_models: vec!["runway_gen4_image".into()],
        estimated_cost_micros: 30_000,
        actual_cost_micros: None,
        estimated_time: 30.0,
        actual_time: None,
        success: None,
        error_message: None,
    }
}

pub fn outcome(user: &str, generation: &str, actual: u64) -> OutcomeEvent {
    OutcomeEvent {
        generation_id: generation.into(),
        user_id: user.into(),
        success: true,
        actual_cost_micros: Some(actual),
        actual_time: Some(21.5),
        error_message: None,
    }
}

pub fn feedback(user: &str, generation: Uuid) -> FeedbackEvent {
    FeedbackEvent {
        generation_id: generation,
        user_id: user.into(),
        decided_type: "EDIT_IMAGE".into(),
        source: "llm".into(),
        right_type: "IMAGE_TO_VIDEO".into(),
        comment: Some("it should move".into()),
    }
}

pub fn performance(value: f64) -> Event {
    Event::SystemPerformance(SystemPerformanceEvent {
        component: "cache".into(),
        metric: "hit_rate".into(),
        value,
        status: "healthy".into(),
        metrics: serde_json::json!({ "level": "l1" }),
    })
}

/// Returns event `n` of a mixed stream, mostly classifications.
pub fn mixed(n: usize) -> Event {
    let user = format!("user-{}", n % 17);
    match n % 10 {
        0 => Event::Cost(cost(&user, Some(1_000 + n as u64))),
        1 => Event::ModelSelection(selection(&user, &format!("generation-{n}"))),
        2 => performance(n as f64),
        _ => Event::Classification(ClassificationEvent {
            prompt: format!("prompt number {n}").into(),
            cache_hit: n.is_multiple_of(3),
            ..classification(&user)
        }),
    }
}

pub fn at(micros: i64, event: Event) -> Record {
    Record::new(micros, event)
}
