//! A model, its offers, and the cases in which it is preferred.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::prompt_type::PromptType;

/// A model that makes images or videos.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// The name, as the provider knows it.
    pub name: String,
    /// The provider, which is the name of its circuit breaker.
    pub provider: String,
    /// The types that the model makes, in the order of its offers.
    pub types: Vec<PromptType>,
    /// The price of its first offer, in micro-dollars.
    pub estimated_cost_micros: u64,
    /// The time of its first offer, in seconds.
    pub estimated_time_seconds: u32,
    /// The base parameters, before request values are added.
    pub parameters: Map<String, Value>,
    /// The fields that a request fills.
    pub inputs: Inputs,
    /// The types that the model makes and their prices.
    pub offers: Vec<Offer>,
}

impl Model {
    /// Returns the offer for this type.
    pub fn offer(&self, prompt_type: PromptType) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.prompt_type == prompt_type)
    }
}

/// One type that a model makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// The type.
    pub prompt_type: PromptType,
    /// The price of one generation in micro-dollars.
    pub cost_micros: u64,
    /// The typical time of one generation in seconds.
    pub time_seconds: u32,
    /// The fallback models, best first.
    pub fallbacks: Vec<String>,
}

/// The names of the fields that are filled per request; `None` if the model has no such field.
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
    /// Every image of the request, as a list of `{"url", "tag"}`.
    #[serde(default)]
    pub references: Option<String>,
}

/// A case in which one model is used regardless of the decision matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preference {
    /// The types that the case covers.
    pub prompt_types: Vec<PromptType>,
    /// The minimum number of references.
    pub min_references: usize,
    /// Whether the case requires wanted sound (`Some(true)`), no sound (`Some(false)`), or neither.
    pub audio: Option<bool>,
    /// The model that is used.
    pub model: String,
}
