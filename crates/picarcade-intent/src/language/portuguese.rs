//! Portuguese.

use super::table::{Language, Negation};

pub(super) const PORTUGUESE: Language = Language {
    negation: Negation {
        forward: &["nao", "sem", "nem", "nenhum", "nenhuma"],
        ends: &["mas", "apenas", "so", "somente", "e"],
        ..Negation::NONE
    },
    instructions: &["instruç"],
    ignoring: &["esqueç", "esquece", "desconsider"],
};
