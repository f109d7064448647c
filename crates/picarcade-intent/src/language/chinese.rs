//! Chinese. Negations are in simplified characters, as folding leaves them. The words of injections
//! are compared unfolded.

use super::table::{Language, Negation, Unspaced};

pub(super) const CHINESE: Language = Language {
    negation: Negation {
        unspaced: &[
            Unspaced { chars: &['不', '要'], is_forward: true },
            Unspaced { chars: &['不', '用'], is_forward: true },
            Unspaced { chars: &['不', '需'], is_forward: true },
            Unspaced { chars: &['不', '想'], is_forward: true },
            Unspaced { chars: &['别'], is_forward: true },
            Unspaced { chars: &['没', '有'], is_forward: true },
            Unspaced { chars: &['无', '需'], is_forward: true },
            Unspaced { chars: &['而', '不', '是'], is_forward: true },
            Unspaced { chars: &['不', '是'], is_forward: true },
        ],
        unspaced_ends: &['只', '但', '而', '就'],
        ..Negation::NONE
    },
    instructions: &["指示", "指令", "命令"],
    ignoring: &["忽略", "无视", "忘记", "忘掉", "不要理会"],
};
