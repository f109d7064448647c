//! Hindi. Words in Latin letters are how many people type it.

use super::table::{Language, Negation};

pub(super) const HINDI: Language = Language {
    negation: Negation {
        forward: &["bina"],
        back: &["बिना", "नहीं", "ना", "मत", "mat", "nahi", "nahin"],
        ends: &["बस", "लेकिन", "सिर्फ", "केवल", "और", "balki", "bas", "sirf", "lekin", "aur"],
        ..Negation::NONE
    },
    instructions: &["निर्देश"],
    ignoring: &["अनदेखा", "नज़रअंदाज़", "भूल जा"],
};
