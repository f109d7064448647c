//! The decision about a request, and its source.

use serde::{Deserialize, Serialize};

use crate::error::impl_words;
use crate::goal::Goal;
use crate::prompt_type::PromptType;

/// The source of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = DecisionSource))]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// An AI, whose answer may have been corrected.
    Llm,
    /// The facts alone: only one type is feasible.
    Rules,
    /// The local classifier.
    Local,
}

impl Source {
    /// Every source, in declaration order.
    pub const ALL: [Self; 3] = [Self::Llm, Self::Rules, Self::Local];

    /// Returns the name: `llm`, `rules` or `local`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Rules => "rules",
            Self::Local => "local",
        }
    }
}

impl_words!(Source, "source");

/// A type that a request may mean instead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alternative {
    /// The type.
    pub prompt_type: PromptType,
    /// Its probability, from 0 to 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 1))]
    pub probability: f64,
}

/// A decision.
///
/// Its matrix row is `matrix.decide(verdict.goal, request.facts)`, whose type is always the type of
/// the verdict. A verdict can be cached: it depends on the words, the facts and the shape of the
/// media, and contains no URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The type of the request, which is always feasible under its facts.
    pub prompt_type: PromptType,
    /// The goal that leads to the type; the most likely one of several.
    pub goal: Goal,
    /// The source.
    pub source: Source,
    /// The confidence in `0.0..=1.0`: the value of the AI, or the calibrated probability of the
    /// local classifier.
    pub confidence: f64,
    /// The reason, for people.
    pub reasoning: String,
    /// The infeasible type of the AI, if it was corrected.
    pub corrected_from: Option<PromptType>,
    /// The enhanced prompt of the AI, if it was accepted for this type.
    pub enhancement: Option<String>,
    /// Whether sound is wanted in the result.
    pub audio: bool,
    /// The other feasible types with a probability of at least 0.01, the most likely first.
    #[serde(default)]
    pub alternatives: Vec<Alternative>,
    /// Whether the words ask for no picture, video or edit at all, such as a question. The type is
    /// then the cheapest feasible one.
    #[serde(default)]
    pub unclear: bool,
    /// What the answer of the AI cost, in micro-dollars; 0 without one. A verdict that was cached
    /// before this field existed has 0.
    #[serde(default)]
    pub cost_micros: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_from_before_costs_were_cached_has_none() {
        let old = r#"{"prompt_type": "EDIT_IMAGE", "goal": "edit", "source": "llm", "confidence": 0.9,
            "reasoning": "r", "corrected_from": null, "enhancement": "e", "audio": false}"#;
        let verdict: Verdict = serde_json::from_str(old).unwrap();
        assert_eq!((verdict.cost_micros, verdict.source), (0, Source::Llm));
    }
}
