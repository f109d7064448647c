//! French.

use super::table::{Language, Negation};

pub(super) const FRENCH: Language = Language {
    negation: Negation {
        forward: &["ne", "sans", "jamais", "aucun", "aucune"],
        both: &["pas"],
        ends: &["mais", "juste", "seulement", "plutot", "et"],
        ..Negation::NONE
    },
    instructions: &["consigne"],
    ignoring: &["ne tiens pas compte", "ne tenez pas compte", "oublie"],
};
