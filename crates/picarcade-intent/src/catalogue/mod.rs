//! The model catalogue: which models make which types, at what price and in what time, and what they are sent.
//!
//! The catalogue is data like the decision matrix. The matrix names the model that it wants for a type; the catalogue
//! knows the price of that, the fallbacks, and the few cases in which another model must do it. A catalogue that leaves a
//! type without a model is refused when it is read, so routing cannot fail later.

mod model;
mod parameters;
mod parse;
mod route;

use std::sync::{Arc, LazyLock};

pub use model::{Inputs, Model, Offer, Preference};
pub use route::{Route, RouteNeeds};

use crate::problem::Problem;

/// The file that is compiled in.
const EMBEDDED: &str = include_str!("../../data/models.toml");

/// A checked model catalogue.
///
/// ```
/// use picarcade_intent::{Catalogue, PromptType, RouteNeeds};
///
/// let catalogue = Catalogue::embedded();
/// let model = "black-forest-labs/flux-1.1-pro";
/// let route = catalogue.route(PromptType::NewImage, model, RouteNeeds::default(), &|_provider| true);
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
    /// The catalogue that is compiled in.
    ///
    /// # Panics
    ///
    /// Never: a test reads the compiled-in file.
    pub fn embedded() -> Arc<Self> {
        static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
            #[expect(clippy::expect_used, reason = "the file is part of the source and is read by a test")]
            let catalogue = Catalogue::parse(EMBEDDED).expect("the embedded catalogue is valid");
            Arc::new(catalogue)
        });
        Arc::clone(&CATALOGUE)
    }

    /// Reads a TOML file in the form of the one that is compiled in.
    ///
    /// # Errors
    ///
    /// Every problem that was found. A file that is not TOML, or not of that form, has one problem: the first.
    pub fn parse(toml: &str) -> Result<Self, Vec<Problem>> {
        let (models, preferences) = parse::catalogue(toml)?;
        Ok(Self { models, preferences, version: crate::version_of(toml.as_bytes()) })
    }

    /// Names the content: the first 16 hexadecimal digits of the BLAKE3 hash of the file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The models, in the order of the file.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model with this name.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }

    /// What comes before the decision matrix's choice, in order.
    pub fn preferences(&self) -> &[Preference] {
        &self.preferences
    }
}
