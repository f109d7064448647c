//! The answer of the mock's model: the JSON object that PicArcade requests from every provider.

use serde::Serialize;
use serde_json::{Value, json};

use super::dialect::Request;

/// One answer of the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// One of the twelve prompt types, or another text for tests of the correction.
    pub prompt_type: String,
    /// The enhanced prompt.
    pub enhanced_prompt: String,
    /// From 0 to 1, as a model states it; a test may exceed the range.
    pub confidence: f64,
    /// The reasoning of the model.
    pub reasoning: String,
}

impl Answer {
    /// Creates an answer with this type and plausible other fields.
    pub fn of(prompt_type: &str) -> Self {
        Self { prompt_type: prompt_type.to_owned(), ..Self::default() }
    }

    /// Sets the enhanced prompt.
    #[must_use]
    pub fn enhanced(mut self, prompt: impl Into<String>) -> Self {
        self.enhanced_prompt = prompt.into();
        self
    }

    /// Returns the object as it is sent.
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

/// The source of the mock's answers: one [`Answer`] for all, or a function of the request.
pub trait Answers: Send + Sync + 'static {
    /// Returns the answer to `request`.
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
