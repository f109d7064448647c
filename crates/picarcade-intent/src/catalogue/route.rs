//! Chooses the model for a request and its replacement.
//!
//! If the provider of a model is unavailable, the first available fallback replaces it, and the
//! route says so. If none is available, the route names the preferred model and marks it as
//! unavailable. The caller decides whether to wait.

use serde::Serialize;

use super::model::{Model, Offer, Preference};
use crate::prompt_type::PromptType;

/// What a request requires of its model in addition to the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RouteNeeds {
    /// The number of reference images.
    pub reference_count: usize,
    /// Whether sound is wanted.
    pub audio: bool,
}

/// The model for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// The model to use.
    pub model: String,
    /// The provider of the model.
    pub provider: String,
    /// The fallback models, best first.
    pub fallback_models: Vec<String>,
    /// The price of one generation in micro-dollars.
    pub estimated_cost_micros: u64,
    /// The typical time of one generation in seconds.
    pub estimated_time_seconds: u32,
    /// The preferred model whose provider is unavailable, if it was replaced.
    pub replaced: Option<String>,
    /// Whether the provider of the model is available; `false` only if no fallback is available
    /// either.
    pub available: bool,
}

/// Returns the model for a type: the first of `wanted` that makes the type, or else the first model
/// that makes it, or the first available fallback of that model.
///
/// A checked catalogue makes every type. If it ever does not, the result is an unavailable model
/// instead of a panic.
pub(super) fn choose(
    models: &[Model],
    prompt_type: PromptType,
    wanted: [Option<&str>; 2],
    available: &dyn Fn(&str) -> bool,
) -> Route {
    let offer = |name: &str| {
        let model = models.iter().find(|model| model.name == name)?;
        Some((model, model.offer(prompt_type)?))
    };
    let first = || models.iter().find_map(|model| Some((model, model.offer(prompt_type)?)));
    let Some((model, offered)) = wanted.into_iter().flatten().find_map(offer).or_else(first) else {
        return Route::unavailable(wanted.into_iter().flatten().last().unwrap_or_default());
    };
    let candidates: Vec<(&Model, &Offer)> = std::iter::once((model, offered))
        .chain(offered.fallbacks.iter().filter_map(|name| offer(name)))
        .collect();
    let usable = candidates.iter().position(|(model, _)| available(&model.provider));
    let chosen = usable.unwrap_or(0);
    let (chosen_model, chosen_offer) = candidates.get(chosen).copied().unwrap_or((model, offered));
    Route {
        model: chosen_model.name.clone(),
        provider: chosen_model.provider.clone(),
        fallback_models: candidates.iter().skip(chosen + 1).map(|(model, _)| model.name.clone()).collect(),
        estimated_cost_micros: chosen_offer.cost_micros,
        estimated_time_seconds: chosen_offer.time_seconds,
        replaced: (chosen > 0).then(|| model.name.clone()),
        available: usable.is_some(),
    }
}

impl Route {
    fn unavailable(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            provider: String::new(),
            fallback_models: Vec::new(),
            estimated_cost_micros: 0,
            estimated_time_seconds: 0,
            replaced: None,
            available: false,
        }
    }
}

impl Preference {
    pub(super) fn applies(&self, prompt_type: PromptType, needs: RouteNeeds) -> bool {
        self.prompt_types.contains(&prompt_type)
            && needs.reference_count >= self.min_references
            && self.audio.is_none_or(|audio| audio == needs.audio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::facts::Facts;
    use crate::goal::Goal;
    use crate::matrix::Matrix;

    const KONTEXT: &str = "black-forest-labs/flux-kontext-max";
    const GEN4: &str = "runway_gen4_image";
    const VEO: &str = "google/veo-3-fast";

    fn route(prompt_type: PromptType, needs: RouteNeeds, down: &[&str]) -> Route {
        let matrix = Matrix::embedded();
        let row = matrix.rows().iter().find(|row| row.prompt_type == prompt_type).unwrap();
        Catalogue::embedded().route(prompt_type, &row.model, needs, &|provider| !down.contains(&provider))
    }

    #[test]
    fn every_type_has_its_model_price_and_time() {
        use PromptType as T;
        let table: [(T, &str, &[&str], u64, u32); 12] = [
            (T::NewImage, "black-forest-labs/flux-1.1-pro", &[KONTEXT], 40_000, 25),
            (T::NewImageRef, GEN4, &[KONTEXT], 60_000, 45),
            (T::EditImage, KONTEXT, &[GEN4], 30_000, 30),
            (T::EditImageRef, GEN4, &[KONTEXT], 60_000, 45),
            (T::EditImageAddNew, GEN4, &[KONTEXT], 60_000, 45),
            (T::NewVideo, "minimax/hailuo-02", &[VEO], 50_000, 60),
            (T::NewVideoWithAudio, VEO, &[], 2_400_000, 70),
            (T::ImageToVideo, "runwayml/gen4-turbo", &["minimax/hailuo-02"], 500_000, 55),
            (T::ImageToVideoWithAudio, VEO, &[], 2_400_000, 70),
            (T::EditImageRefToVideo, "runwayml/gen4-turbo", &["minimax/hailuo-02"], 500_000, 85),
            (T::VideoEdit, "runwayml/gen4-aleph", &[], 500_000, 75),
            (T::VideoEditRef, "runwayml/gen4-aleph", &[], 500_000, 80),
        ];
        for (prompt_type, model, fallbacks, cost, time) in table {
            let route = route(prompt_type, RouteNeeds::default(), &[]);
            assert_eq!(route.model, model);
            assert_eq!(route.fallback_models, fallbacks);
            assert_eq!(
                (route.estimated_cost_micros, route.estimated_time_seconds),
                (cost, time),
                "{prompt_type}"
            );
            assert_eq!((route.replaced, route.available), (None, true));
        }
    }

    #[test]
    fn several_references_select_a_model_that_accepts_them() {
        let needs = RouteNeeds { reference_count: 2, audio: false };
        for prompt_type in [PromptType::NewImageRef, PromptType::EditImageRef] {
            let route = Catalogue::embedded().route(prompt_type, KONTEXT, needs, &|_| true);
            assert_eq!(route.model, GEN4);
        }
        let one = RouteNeeds { reference_count: 1, audio: false };
        assert_eq!(
            Catalogue::embedded().route(PromptType::EditImageRef, KONTEXT, one, &|_| true).model,
            KONTEXT
        );
        let add = Catalogue::embedded().route(PromptType::EditImageAddNew, KONTEXT, needs, &|_| true);
        assert_eq!(add.model, KONTEXT, "only the two types are redirected");
    }

    #[test]
    fn a_request_for_sound_selects_a_model_with_sound() {
        let needs = RouteNeeds { reference_count: 1, audio: true };
        let route = route(PromptType::EditImageRefToVideo, needs, &[]);
        assert_eq!((&*route.model, route.estimated_cost_micros), (VEO, 2_400_000));
    }

    #[test]
    fn an_unavailable_model_is_replaced_and_the_route_names_it() {
        let replaced = route(PromptType::EditImage, RouteNeeds::default(), &["replicate"]);
        assert_eq!((&*replaced.model, &*replaced.provider), (GEN4, "runway"));
        assert_eq!(replaced.replaced.as_deref(), Some(KONTEXT));
        assert_eq!(replaced.estimated_cost_micros, 60_000);
        assert!(replaced.available && replaced.fallback_models.is_empty());

        let stuck = route(PromptType::NewImage, RouteNeeds::default(), &["replicate"]);
        assert_eq!(&*stuck.model, "black-forest-labs/flux-1.1-pro");
        assert_eq!(stuck.fallback_models, [KONTEXT]);
        assert_eq!((stuck.replaced, stuck.available), (None, false));
    }

    #[test]
    fn a_model_outside_of_the_catalogue_is_replaced() {
        for goal in Goal::ALL {
            for facts in Facts::all() {
                let row = Matrix::embedded().decide(goal, facts).clone();
                let route =
                    Catalogue::embedded().route(row.prompt_type, "gone", RouteNeeds::default(), &|_| true);
                assert!(route.available && Catalogue::embedded().model(&route.model).is_some());
            }
        }
    }
}
