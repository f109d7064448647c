//! A model, what it offers, and when it is preferred.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::prompt_type::PromptType;

/// A model that makes images or videos.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Its name, as its provider knows it.
    pub name: String,
    /// Who runs it: the name of its circuit breaker.
    pub provider: String,
    /// The types that it makes, in the order of its offers.
    pub types: Vec<PromptType>,
    /// The price of its first offer, in micro-dollars.
    pub estimated_cost_micros: u64,
    /// The time of its first offer, in seconds.
    pub estimated_time_seconds: u32,
    /// What it is sent before anything of a request is added.
    pub parameters: Map<String, Value>,
    /// Which of its fields a request fills.
    pub inputs: Inputs,
    /// What it does for which price.
    pub offers: Vec<Offer>,
}

impl Model {
    /// What the model does of this type.
    pub fn offer(&self, prompt_type: PromptType) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.prompt_type == prompt_type)
    }
}

/// One type that a model makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// The type.
    pub prompt_type: PromptType,
    /// The price of one generation, in micro-dollars.
    pub cost_micros: u64,
    /// The usual time of one generation, in seconds.
    pub time_seconds: u32,
    /// The models to try when this one cannot be used, best first.
    pub fallbacks: Vec<String>,
}

/// The names of a model's fields that are filled per request; `None` where the model has no such field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The enhanced prompt.
    pub prompt: String,
    /// One image: the working image or, without one, the first reference.
    #[serde(default)]
    pub image: Option<String>,
    /// The working video.
    #[serde(default)]
    pub video: Option<String>,
    /// Every image that takes part, as a list of `{"url", "tag"}`.
    #[serde(default)]
    pub references: Option<String>,
}

/// A case in which one model does the work whatever the decision matrix says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preference {
    /// The types that it is about.
    pub prompt_types: Vec<PromptType>,
    /// The least number of references.
    pub min_references: usize,
    /// Whether it takes wanted sound (`Some(true)`), its absence (`Some(false)`), or neither matters.
    pub audio: Option<bool>,
    /// The model that does it.
    pub model: String,
}
