//! Russian.

use super::table::{Language, Negation};

pub(super) const RUSSIAN: Language = Language {
    negation: Negation {
        forward: &["не", "без", "нет", "никакой", "никаких"],
        conditional: &["надо", "нужно", "нужен", "нужна", "нужны", "нада"],
        ends: &["но", "а", "только", "просто", "лишь", "и"],
        ..Negation::NONE
    },
    instructions: &["инструкц", "указани"],
    ignoring: &["игнор", "забудь", "не обращай внимания"],
};
