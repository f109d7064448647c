//! Step 7: the events of a request. They are offered to a bounded queue and never awaited.

use std::sync::Arc;
use std::time::{Duration, Instant};

use picarcade_analytics::new_id;
use picarcade_intent::Source;
use picarcade_ratelimit::Reservation;

use crate::caller::Caller;
use crate::events::{self, ClassificationFacts};
use crate::service::FlowService;
use crate::step::resolved::Resolved;

impl FlowService {
    /// Records a classification that was answered.
    pub(crate) fn record_classification(&self, resolved: &Resolved, caller: &Caller, elapsed: Duration) {
        let Resolved { request, classification, .. } = resolved;
        let (verdict, cache_hit) = (&classification.verdict, classification.cache_hit());
        let saved_micros = match &self.inner.ai {
            Some(ai) if cache_hit && verdict.source == Source::Llm => ai.provider.estimate_micros(request),
            _ => 0,
        };
        self.inner.recorder.record(events::classification(
            caller,
            &ClassificationFacts {
                prompt: request.prompt.as_str(),
                prompt_type: Some(verdict.prompt_type),
                source: Some(verdict.source),
                model: Arc::clone(&resolved.model),
                confidence: verdict.confidence,
                elapsed,
                used_fallback: classification.failed.is_some(),
                cache_hit,
                breaker_state: self.provider_state(),
                saved_micros,
            },
        ));
    }

    /// Records a request that its limits denied, at a bounded rate and without its prompt: a flood
    /// of prompts would fill the database.
    pub(crate) fn record_denial(&self, caller: &Caller, started: Instant) {
        if !self.inner.denials.record(Instant::now()) {
            return;
        }
        self.inner.recorder.record(events::classification(
            caller,
            &ClassificationFacts {
                prompt: "",
                prompt_type: None,
                source: None,
                model: "".into(),
                confidence: 0.0,
                elapsed: started.elapsed(),
                used_fallback: false,
                cache_hit: false,
                breaker_state: self.provider_state(),
                saved_micros: 0,
            },
        ));
    }

    /// Records that a generation begins and returns its id. A reserved generation has the id of its
    /// reservation, by which any instance can settle it.
    pub(crate) fn begin_generation(
        &self,
        resolved: &Resolved,
        caller: &Caller,
        reservation: Option<Reservation>,
    ) -> String {
        let Resolved { classification, route, model, .. } = resolved;
        let reservation = reservation.filter(|reservation| !reservation.is_empty());
        let reserved = reservation.as_ref().map(Reservation::estimate_micros);
        let generation_id = reservation.map_or_else(|| new_id().to_string(), Reservation::detach);
        let id: Arc<str> = generation_id.as_str().into();
        let recorder = &self.inner.recorder;
        if let Some(micros) = reserved {
            // Before the selection: an outcome is applied once the selection is stored, and then
            // finds this row.
            recorder.record(events::reserved(caller, &id, model, micros));
        }
        self.inner.generations.begin(&id, caller, model, route.estimated_cost_micros);
        recorder.record(events::selection(caller, &id, model, classification.verdict.prompt_type, route));
        generation_id
    }
}
