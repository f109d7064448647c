//! The answer of an AI, as untrusted input.
//!
//! Every provider is asked for the same JSON object. Only its form is trusted. The type may be
//! infeasible and the enhanced prompt unusable; the [`Classifier`](crate::Classifier) checks both.
//! Other fields are ignored, so an answer cannot set a model or a price.

mod text;
mod unusable;

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub use unusable::Unusable;

use crate::prompt_type::PromptType;

/// The maximum length of the reasoning that is kept, in characters.
const MAX_REASONING_CHARS: usize = 1_000;

/// A usable answer of an AI.
#[derive(Clone, PartialEq)]
pub struct Answer {
    /// The type that the AI chose; not necessarily feasible.
    pub prompt_type: PromptType,
    /// The enhanced prompt that the AI wrote; not necessarily acceptable.
    pub enhanced_prompt: String,
    /// The confidence that the AI states, in `0.0..=1.0`.
    pub confidence: f64,
    /// The reasoning of the AI; at most 1,000 characters.
    pub reasoning: String,
    /// The cost of the call in micro-dollars, from the token count of the provider.
    pub cost_micros: u64,
    /// The token count; `None` if the provider did not state it.
    pub tokens: Option<Tokens>,
}

/// The tokens of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// Input tokens, including those that the provider read from its prompt cache.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
}

/// Omits the texts, which are about the words of a user.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("prompt_type", &self.prompt_type)
            .field("confidence", &self.confidence)
            .field("cost_micros", &self.cost_micros)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Wire {
    prompt_type: String,
    enhanced_prompt: String,
    #[serde(deserialize_with = "number")]
    confidence: f64,
    reasoning: String,
}

/// Reads a finite number, or one that is written as text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| number.is_finite()).ok_or_else(|| serde::de::Error::custom("not a number"))
}

impl Answer {
    /// Reads the object that every provider is asked for.
    ///
    /// A confidence outside `0.0..=1.0` is moved to the nearer bound, because the type is still
    /// usable.
    ///
    /// # Errors
    ///
    /// Returns [`Unusable::Malformed`] if a field is missing or has another type, and
    /// [`Unusable::UnknownType`] if the prompt type is none of the twelve.
    pub fn from_json(object: Value, cost_micros: u64) -> Result<Self, Unusable> {
        let wire: Wire = serde_json::from_value(object).map_err(|_| Unusable::Malformed)?;
        let prompt_type = wire.prompt_type.parse().map_err(|_| Unusable::UnknownType)?;
        Ok(Self {
            prompt_type,
            enhanced_prompt: wire.enhanced_prompt,
            confidence: wire.confidence.clamp(0.0, 1.0),
            reasoning: wire.reasoning.chars().take(MAX_REASONING_CHARS).collect(),
            cost_micros,
            tokens: None,
        })
    }

    /// Reads the object from text, with code fences, remarks and thoughts around it. Text that is a
    /// JSON string as a whole, because a server has encoded it twice, is read as its content.
    ///
    /// The last complete answer counts, because models write drafts before their final answer. An
    /// object between `<think>` and `</think>`, or tags like them, is a thought and never counts.
    ///
    /// # Errors
    ///
    /// Fails like [`from_json`](Self::from_json). Returns [`Unusable::Truncated`] if the last
    /// object or thought is not closed: the final answer is missing then, and a draft must not
    /// replace it.
    pub fn from_text(text: &str, cost_micros: u64) -> Result<Self, Unusable> {
        let read = |text: &str| text::last_answer(text, &|object| Self::from_json(object, cost_micros));
        let is_quoted = text.trim_start().starts_with('"');
        match serde_json::from_str::<String>(text) {
            Ok(content) if is_quoted => read(&content),
            _ => read(text),
        }
    }

    /// Reads the object from a field that holds it as JSON or as text: servers differ in the
    /// arguments of a function.
    #[cfg(feature = "providers")]
    pub(crate) fn from_field(field: &Value, cost_micros: u64) -> Result<Self, Unusable> {
        match field {
            Value::String(text) if text.trim().is_empty() => Err(Unusable::Missing),
            Value::String(text) => Self::from_text(text, cost_micros),
            Value::Null => Err(Unusable::Missing),
            object => Self::from_json(object.clone(), cost_micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({
            "prompt_type": "EDIT_IMAGE", "enhanced_prompt": "e", "confidence": 0.5, "reasoning": "r",
            "model": "free-model", "estimated_cost": 0,
        })
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let answer = Answer::from_json(object(), 7).unwrap();
        assert_eq!(
            (answer.prompt_type, answer.confidence, answer.cost_micros),
            (PromptType::EditImage, 0.5, 7)
        );
        assert!(!format!("{answer:?}").contains("enhanced"));
    }

    #[test]
    fn confidence_is_clamped() {
        for (stated, kept) in [(-1.0, 0.0), (95.0, 1.0), (1.0, 1.0)] {
            let mut object = object();
            object["confidence"] = json!(stated);
            assert!((Answer::from_json(object, 0).unwrap().confidence - kept).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn incomplete_objects_are_unusable() {
        for field in ["prompt_type", "enhanced_prompt", "confidence", "reasoning"] {
            let mut object = object();
            object.as_object_mut().unwrap().remove(field);
            assert_eq!(Answer::from_json(object, 0).unwrap_err(), Unusable::Malformed, "{field}");
        }
        let mut unknown = object();
        unknown["prompt_type"] = json!("edit_image");
        assert_eq!(Answer::from_json(unknown, 0).unwrap_err(), Unusable::UnknownType);
        assert_eq!(Answer::from_json(json!([]), 0).unwrap_err(), Unusable::Malformed);
    }

    #[test]
    fn an_object_is_found_in_text() {
        let fenced = format!("Here you are:\n```json\n{}\n```", object());
        assert!(Answer::from_text(&fenced, 0).is_ok());
        let thoughts = format!("<think>a {{colour}} or {{\"a\": 1}}?</think> {}", object());
        assert!(Answer::from_text(&thoughts, 0).is_ok());
        let mut unknown = object();
        unknown["prompt_type"] = json!("PAINT");
        let last = format!("{} {{\"a\": 1}} {unknown}", object());
        assert_eq!(Answer::from_text(&last, 0).unwrap_err(), Unusable::UnknownType);
        let twice = Value::from(object().to_string()).to_string();
        assert!(Answer::from_text(&format!(" {twice}\n"), 0).is_ok());
        assert_eq!(Answer::from_text(&format!("{twice} no"), 0).unwrap_err(), Unusable::Malformed);
        let whole = object().to_string();
        assert_eq!(Answer::from_text(&whole[..whole.len() - 1], 0).unwrap_err(), Unusable::Truncated);
        for text in ["", "no", "{]", "}{", &"{".repeat(100_000)] {
            assert!(Answer::from_text(text, 0).is_err(), "{text:.20}");
        }
    }
}
