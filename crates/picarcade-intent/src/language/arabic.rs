//! Arabic.

use super::table::{Language, Negation};

pub(super) const ARABIC: Language = Language {
    negation: Negation {
        forward: &["لا", "بدون", "ليس", "دون", "بلا"],
        ends: &["لكن", "فقط", "بل", "و"],
        ..Negation::NONE
    },
    instructions: &["تعليمات"],
    ignoring: &["تجاهل"],
};
