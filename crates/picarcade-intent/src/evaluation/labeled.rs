//! Prompts with labels that people assigned.

use std::fmt;

use crate::{Facts, Goal, Prompt, PromptType};

/// The right answer to a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// The goal of the words, which decides the type together with the facts.
    Goal(Goal),
    /// The type itself.
    Type(PromptType),
    /// The words ask for no picture, video or edit at all.
    Unclear,
}

/// A prompt and its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labeled {
    /// The line in its file, from 1.
    pub line: u64,
    /// The words.
    pub prompt: Prompt,
    /// The facts.
    pub facts: Facts,
    /// The right answer.
    pub label: Label,
    /// The code of the language; empty if the file does not say.
    pub language: String,
    /// Why the prompt is in the set, such as `plain` or `hard`; empty if the file does not say.
    pub tag: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Goal(goal) => goal.fmt(f),
            Self::Type(prompt_type) => prompt_type.fmt(f),
            Self::Unclear => f.pad("none"),
        }
    }
}
