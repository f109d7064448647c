//! German.

use super::table::{Language, Negation};

pub(super) const GERMAN: Language = Language {
    negation: Negation {
        forward: &["kein", "keine", "keinen", "keinem", "ohne", "nie", "niemals"],
        both: &["nicht"],
        ends: &["sondern", "aber", "nur", "stattdessen", "und", "lediglich"],
        ..Negation::NONE
    },
    instructions: &["instruk", "anweisung", "vorgaben", "systemprompt"],
    ignoring: &["vergiss", "missachte"],
};
