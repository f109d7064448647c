//! Turkish.

use super::table::{Language, Negation};

pub(super) const TURKISH: Language = Language {
    negation: Negation {
        back: &["olmadan", "degil", "olmasin", "istemiyorum", "yok"],
        ends: &["ama", "sadece", "yalnizca", "ve"],
        ..Negation::NONE
    },
    instructions: &["talimat", "yönerge", "yönlendirme"],
    ignoring: &["yok say", "görmezden", "dikkate alma"],
};
