//! What was decided about a request, and by whom.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::goal::Goal;
use crate::prompt_type::PromptType;

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// An AI; its answer may have been corrected.
    Llm,
    /// The facts alone: only one type is feasible.
    Rules,
    /// The local classifier.
    Local,
}

impl Source {
    /// The word for it: `llm`, `rules` or `local`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Rules => "rules",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A decision.
///
/// The matrix row behind it is `matrix.decide(verdict.goal, request.facts)`, whose type is always the verdict's. A verdict
/// can be cached: it depends on the words, the facts and the shape of the media, and holds no URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the request is. Always feasible under its facts.
    pub prompt_type: PromptType,
    /// The goal that leads to the type: the most likely one, where several do.
    pub goal: Goal,
    /// Who decided.
    pub source: Source,
    /// How sure, in `0.0..=1.0`: as an AI states it, or the local classifier's calibrated probability of the type.
    pub confidence: f64,
    /// Why, for a person to read.
    pub reasoning: String,
    /// The infeasible type that an AI answered, when it was corrected.
    pub corrected_from: Option<PromptType>,
    /// The AI's enhanced prompt, when it wrote one for this type that was accepted.
    pub enhancement: Option<String>,
    /// Whether sound is wanted in the result.
    pub audio: bool,
}
