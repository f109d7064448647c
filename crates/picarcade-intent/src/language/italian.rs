//! Italian.

use super::table::{Language, Negation};

pub(super) const ITALIAN: Language = Language {
    negation: Negation {
        forward: &["non", "senza", "mai", "nessun", "nessuna"],
        ends: &["ma", "soltanto", "bensi", "solo", "e"],
        ..Negation::NONE
    },
    instructions: &["istruzion"],
    ignoring: &["dimentica"],
};
