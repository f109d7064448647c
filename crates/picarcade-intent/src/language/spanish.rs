//! Spanish. The stems of its word for instructions are those of English.

use super::table::{Language, Negation};

pub(super) const SPANISH: Language = Language {
    negation: Negation {
        forward: &["no", "sin", "nunca", "jamas", "ningun", "ninguna"],
        ends: &["pero", "sino", "solo", "solamente", "y", "luego"],
        ..Negation::NONE
    },
    instructions: &[],
    ignoring: &["olvida", "no hagas caso"],
};
