//! Step 7: the events of a request. They are offered to a bounded queue and never awaited.

use std::sync::Arc;
use std::time::{Duration, Instant};

use picarcade_analytics::new_id;
use picarcade_ratelimit::Reservation;
use uuid::Uuid;

use crate::caller::Caller;
use crate::events::{self, ClassificationFacts};
use crate::outcome::generations::Generation;
use crate::service::FlowService;
use crate::step::resolved::Resolved;

impl FlowService {
    /// Records a classification that was answered. The row has the id of the generation if one
    /// begins, so that feedback on the generation finds it.
    pub(crate) fn record_classification(
        &self,
        resolved: &Resolved,
        caller: &Caller,
        generation_id: Option<&str>,
        elapsed: Duration,
    ) {
        let Resolved { request, classification, .. } = resolved;
        let (verdict, cache_hit) = (&classification.verdict, classification.cache_hit());
        self.inner.answers.record(verdict.source, resolved.degraded.first().copied(), verdict.prompt_type);
        let id = generation_id.and_then(|id| Uuid::parse_str(id).ok()).unwrap_or_else(new_id);
        let event = events::classification(
            caller,
            &ClassificationFacts {
                prompt: Some(request.prompt.as_str()),
                media: Some(request.facts),
                prompt_type: Some(verdict.prompt_type),
                source: Some(verdict.source),
                model: Arc::clone(&resolved.model),
                confidence: verdict.confidence,
                elapsed,
                used_fallback: classification.failed.is_some(),
                cache_hit,
                breaker_state: self.provider_state(),
                saved_micros: classification.saved_micros,
            },
        );
        self.inner.recorder.record_as(id, event);
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
                prompt: None,
                media: None,
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
        let Resolved { request, classification, route, model, .. } = resolved;
        let verdict = &classification.verdict;
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
        let generation = Generation {
            user_id: caller.user.clone(),
            model: Arc::clone(model),
            prompt_type: verdict.prompt_type,
            source: Some(verdict.source),
            facts: Some(request.facts),
            estimated_cost_micros: route.estimated_cost_micros,
            reported: false,
        };
        self.inner.generations.insert(Arc::clone(&id), generation);
        recorder.record(events::selection(caller, &id, model, verdict.prompt_type, route));
        generation_id
    }
}
