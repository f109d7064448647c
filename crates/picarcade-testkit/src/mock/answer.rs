//! What the mock's "model" answers: the JSON object that PicArcade asks every provider for.

use serde::Serialize;
use serde_json::{Value, json};

use super::journal::Request;

/// One answer of the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// One of the twelve prompt types, or whatever a test wants to see corrected.
    pub prompt_type: String,
    /// The better prompt.
    pub enhanced_prompt: String,
    /// 0..1, as a model states it; a test may go beyond.
    pub confidence: f64,
    /// The model's reason.
    pub reasoning: String,
}

impl Answer {
    /// An answer of this type, with a plausible rest.
    pub fn of(prompt_type: &str) -> Self {
        Self { prompt_type: prompt_type.to_owned(), ..Self::default() }
    }

    /// The same with another enhanced prompt.
    #[must_use]
    pub fn enhanced(mut self, prompt: impl Into<String>) -> Self {
        self.enhanced_prompt = prompt.into();
        self
    }

    /// The same with another confidence.
    #[must_use]
    pub fn confident(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }

    /// The object as it goes over the wire.
    pub fn to_json(&self) -> Value {
        json!(self)
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            prompt_type: "NEW_IMAGE".to_owned(),
            enhanced_prompt: "a calm sea at dawn, soft light, wide shot".to_owned(),
            confidence: 0.97,
            reasoning: "the words ask for a new picture".to_owned(),
        }
    }
}

/// Where the mock takes its answers from: one [`Answer`] for all, or a function of the request.
pub trait Answers: Send + Sync + 'static {
    /// The answer to `request`.
    fn answer(&self, request: &Request) -> Answer;
}

impl Answers for Answer {
    fn answer(&self, _: &Request) -> Answer {
        self.clone()
    }
}

impl<F> Answers for F
where
    F: Fn(&Request) -> Answer + Send + Sync + 'static,
{
    fn answer(&self, request: &Request) -> Answer {
        self(request)
    }
}
