//! Korean.

use super::table::{Language, Negation};

pub(super) const KOREAN: Language = Language {
    negation: Negation {
        back: &["말고", "말아", "말아줘", "마", "마세요", "마라", "없이", "없는", "않고", "않게", "아니라"],
        ends: &["그냥", "그리고", "대신", "하지만", "단지"],
        ..Negation::NONE
    },
    instructions: &["지시", "명령"],
    ignoring: &["무시", "잊어"],
};
