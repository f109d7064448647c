//! The model catalogue: which model makes which type, at which price, in which time, and with which
//! parameters.
//!
//! The catalogue is data, like the decision matrix. The matrix names the preferred model of a type.
//! The catalogue adds prices, fallback models, and the cases in which another model is required.
//! Reading refuses a catalogue that leaves a type without a model, so routing cannot fail later.

mod model;
mod parameters;
mod parse;
mod route;

use std::sync::{Arc, LazyLock};

pub use model::{Inputs, Model, Offer, Preference};
pub use route::{Route, RouteNeeds};

use crate::problem::Problem;
use crate::prompt_type::PromptType;
use crate::version::version_of;

const EMBEDDED: &str = include_str!("../../data/models.toml");

/// A checked model catalogue.
///
/// ```
/// use picarcade_intent::{Catalogue, PromptType, RouteNeeds};
///
/// let catalogue = Catalogue::embedded();
/// let model = "black-forest-labs/flux-1.1-pro";
/// let needs = RouteNeeds::default();
/// let route = catalogue.route(PromptType::NewImage, model, needs, &|_provider| true);
/// assert_eq!(route.model, model);
/// assert_eq!(route.estimated_cost_micros, 40_000);
/// ```
#[derive(Debug, Clone)]
pub struct Catalogue {
    models: Vec<Model>,
    preferences: Vec<Preference>,
    version: String,
}

impl Catalogue {
    /// Returns the embedded catalogue.
    ///
    /// # Panics
    ///
    /// Never: a test reads the embedded file.
    pub fn embedded() -> Arc<Self> {
        static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
            #[expect(clippy::expect_used, reason = "the file is part of the source and is read by a test")]
            let catalogue = Catalogue::parse(EMBEDDED).expect("the embedded catalogue is valid");
            Arc::new(catalogue)
        });
        Arc::clone(&CATALOGUE)
    }

    /// Parses a TOML file in the format of the embedded one.
    ///
    /// # Errors
    ///
    /// Returns every problem. A file that is not TOML, or that has another structure, has one
    /// problem: the first.
    pub fn parse(toml: &str) -> Result<Self, Vec<Problem>> {
        let (models, preferences) = parse::catalogue(toml)?;
        Ok(Self { models, preferences, version: version_of(toml.as_bytes()) })
    }

    /// Returns the version of the content: the first 16 hexadecimal digits of the BLAKE3 hash of
    /// the file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the models in the order of the file.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// Returns the model with this name.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }

    /// Returns the model for a type.
    ///
    /// A matching [preference](Preference) wins, then `preferred_model`, which the decision matrix
    /// names. If the catalogue does not offer that model for the type, because the two files
    /// changed separately, the first model that makes the type is used. `available` is called with
    /// the name of a provider.
    pub fn route(
        &self,
        prompt_type: PromptType,
        preferred_model: &str,
        needs: RouteNeeds,
        available: &dyn Fn(&str) -> bool,
    ) -> Route {
        let preference = self.preferences.iter().find(|preference| preference.applies(prompt_type, needs));
        let preferred = preference.map(|preference| &*preference.model);
        route::choose(&self.models, prompt_type, [preferred, Some(preferred_model)], available)
    }

    /// Returns the price of a type in micro-dollars: by this model, or else by the first model that
    /// makes it.
    pub fn price(&self, model: &str, prompt_type: PromptType) -> u64 {
        let offer = self.model(model).and_then(|model| model.offer(prompt_type));
        let first = || self.models.iter().find_map(|model| model.offer(prompt_type));
        offer.or_else(first).map_or(0, |offer| offer.cost_micros)
    }

    /// Returns the preferences that override the decision matrix, in order.
    pub fn preferences(&self) -> &[Preference] {
        &self.preferences
    }
}
