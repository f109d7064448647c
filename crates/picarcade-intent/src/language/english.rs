//! English.

use super::table::{Language, Negation};

pub(super) const ENGLISH: Language = Language {
    negation: Negation {
        forward: &[
            "not", "no", "dont", "never", "without", "nothing", "doesnt", "shouldnt", "isnt", "wont", "nor",
            "neither",
        ],
        ends: &["but", "just", "only", "instead", "rather", "simply", "and", "then"],
        ..Negation::NONE
    },
    instructions: &["instruc", "system prompt", "decision matrix"],
    ignoring: &["ignor", "disregard", "forget", "overrid", "bypass"],
};
