//! Step 6, the model: which one, at what price, with which parameters, and whether it can be used now.

use std::convert::Infallible;
use std::sync::Arc;

use picarcade_cache::{Loaded, Source as CacheSource};
use picarcade_intent::{Request, Route, RouteNeeds, Row, Verdict};
use serde_json::{Map, Value};

use crate::caches::parameters_key;
use crate::request::CacheControl;
use crate::response::{ModelAvailability, usd};
use crate::rules::Rules;
use crate::service::Shared;
use crate::step::intent::options;

impl Shared {
    /// The row that decided and the model for it, with the breakers of the model providers asked.
    pub(crate) fn route<'rules>(
        &self,
        request: &Request,
        verdict: &Verdict,
        rules: &'rules Rules,
    ) -> (&'rules Row, Route) {
        let row = rules.matrix.decide(verdict.goal, request.facts);
        let needs = RouteNeeds { reference_count: request.reference_count(), audio: verdict.audio };
        let available = |provider: &str| self.breakers.breaker(provider).is_available();
        let route = rules.catalogue.route(verdict.prompt_type, &row.model, needs, &available);
        (row, route)
    }

    /// The parameters for the chosen model: the base from level 3, then prompt and references.
    pub(crate) async fn parameters(
        &self,
        request: &Request,
        verdict: &Verdict,
        model: &str,
        enhanced_prompt: &str,
        rules: &Arc<Rules>,
        control: CacheControl,
    ) -> (Map<String, Value>, CacheSource) {
        let key = parameters_key(model, verdict.prompt_type, rules);
        let hit = if control == CacheControl::Use { self.caches.parameters.peek(&key) } else { None };
        let (base, source) = match hit {
            Some(hit) => (Map::clone(&hit.value), hit.source),
            None => self.load_parameters(verdict, model, rules, control).await,
        };
        (
            rules.catalogue.complete_parameters(base, verdict.prompt_type, request, enhanced_prompt, model),
            source,
        )
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
        match self.caches.parameters.get_or_load_with(&key, options(control), loader).await {
            Ok(found) => (Map::clone(&found.value), found.source),
            Err(_) => (rules.catalogue.base_parameters(model, verdict.prompt_type), CacheSource::Bypass),
        }
    }

    /// Every model of the catalogue with its availability.
    pub(crate) fn models(&self, rules: &Rules) -> Vec<ModelAvailability> {
        let availability = |model: &picarcade_intent::Model| {
            let breaker = self.breakers.breaker(&model.provider);
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
        rules.catalogue.models().iter().map(availability).collect()
    }
}
