//! Step 6, the model: its choice, its price, its parameters and its availability.

use std::convert::Infallible;
use std::sync::Arc;

use picarcade_cache::{CacheSource, Loaded};
use picarcade_intent::{MatrixRow, Model, Request, Route, RouteNeeds, Verdict};
use serde_json::{Map, Value};

use crate::caches::{options, parameters_key};
use crate::request::CacheControl;
use crate::response::{ModelAvailability, usd};
use crate::rules::Rules;
use crate::service::FlowService;
use crate::step::resolved::Resolved;

impl FlowService {
    /// Returns the row that decides and its model. A model whose provider's breaker is open is
    /// replaced by its fallback.
    pub(crate) fn route<'rules>(
        &self,
        request: &Request,
        verdict: &Verdict,
        rules: &'rules Rules,
    ) -> (&'rules MatrixRow, Route) {
        let row = rules.matrix.decide(verdict.goal, request.facts);
        let needs = RouteNeeds { reference_count: request.reference_count(), audio: verdict.audio };
        let available = |provider: &str| self.inner.breakers.breaker(provider).is_available();
        let route = rules.catalogue.route(verdict.prompt_type, &row.model, needs, &available);
        (row, route)
    }

    /// Returns the parameters for the chosen model: the base from the parameters cache, then the
    /// prompt and the references.
    pub(crate) async fn parameters(
        &self,
        resolved: &Resolved,
        control: CacheControl,
    ) -> (Map<String, Value>, CacheSource) {
        let Resolved { request, rules, classification, route, enhanced: (prompt, _), .. } = resolved;
        let (verdict, model) = (&classification.verdict, route.model.as_str());
        let key = parameters_key(model, verdict.prompt_type, rules);
        let hit = if control == CacheControl::Use { self.inner.caches.parameters.peek(&key) } else { None };
        let (base, source) = match hit {
            Some(hit) => (Map::clone(&hit.value), hit.source),
            None => self.load_parameters(verdict, model, rules, control).await,
        };
        (rules.catalogue.complete_parameters(base, verdict.prompt_type, request, prompt, model), source)
    }

    async fn load_parameters(
        &self,
        verdict: &Verdict,
        model: &str,
        rules: &Arc<Rules>,
        control: CacheControl,
    ) -> (Map<String, Value>, CacheSource) {
        let key = parameters_key(model, verdict.prompt_type, rules);
        let loader = {
            let (rules, model, prompt_type) = (Arc::clone(rules), model.to_owned(), verdict.prompt_type);
            move || async move {
                Ok::<_, Infallible>(Loaded::new(rules.catalogue.base_parameters(&model, prompt_type)))
            }
        };
        match self.inner.caches.parameters.get_or_load_with(&key, options(control), loader).await {
            Ok(found) => (Map::clone(&found.value), found.source),
            Err(_) => (rules.catalogue.base_parameters(model, verdict.prompt_type), CacheSource::Bypass),
        }
    }

    /// Returns every model of the catalogue with its availability.
    pub fn models(&self) -> Vec<ModelAvailability> {
        let availability = |model: &Model| {
            let breaker = self.inner.breakers.breaker(&model.provider);
            ModelAvailability {
                name: model.name.clone(),
                provider: model.provider.clone(),
                available: breaker.is_available(),
                circuit_breaker_state: breaker.state().as_str(),
                prompt_types: model.types.clone(),
                estimated_cost: usd(model.estimated_cost_micros),
                estimated_time: model.estimated_time_seconds,
                parameters: model.parameters.clone(),
            }
        };
        self.inner.rules.load().catalogue.models().iter().map(availability).collect()
    }
}
