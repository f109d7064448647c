//! Japanese. It shares its words for instructions with Chinese.

use super::table::{Language, Negation, Unspaced};

pub(super) const JAPANESE: Language = Language {
    negation: Negation {
        unspaced: &[
            Unspaced { chars: &['な', 'い', 'で'], is_forward: false },
            Unspaced { chars: &['な', 'く', 'て'], is_forward: false },
            Unspaced { chars: &['な', 'し'], is_forward: false },
            Unspaced { chars: &['无', 'し'], is_forward: false },
            Unspaced { chars: &['せ', 'ず'], is_forward: false },
            Unspaced { chars: &['ず', 'に'], is_forward: false },
            Unspaced { chars: &['じ', 'ゃ', 'な', 'く'], is_forward: false },
            Unspaced { chars: &['で', 'は', 'な', 'く'], is_forward: false },
        ],
        ..Negation::NONE
    },
    instructions: &[],
    ignoring: &["無視", "忘れ"],
};
