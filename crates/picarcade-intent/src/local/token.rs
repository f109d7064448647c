//! Tokens: the words of a folded prompt, with their marks and hashes.

use std::ops::Range;

use crate::language::scripts::Script;

/// The mark of a quoted character.
pub(crate) const QUOTED: u8 = 1;
/// The mark of a negated character.
pub(crate) const NEGATED: u8 = 2;

/// One word, or one run of a script without spaces.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// The position in [`Text::chars`].
    pub(crate) range: Range<usize>,
    pub(crate) script: Script,
    /// The hash of its characters.
    pub(crate) hash: u32,
    /// Whether the token begins a clause.
    pub(crate) opens_clause: bool,
    /// Whether the token continues the previous one without a space, as in Chinese and Japanese.
    pub(crate) glued: bool,
    /// [`QUOTED`] and [`NEGATED`], of the first character.
    pub(crate) marks: u8,
}

/// Observations about the text in addition to its words.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Signs {
    pub(crate) question: bool,
    pub(crate) exclamation: bool,
    pub(crate) negation: bool,
    pub(crate) digits: bool,
    pub(crate) tags: u32,
    pub(crate) commas: u32,
}

/// A prompt, folded and split.
#[derive(Debug, Default)]
pub(crate) struct Text {
    pub(crate) chars: Vec<char>,
    /// The marks of each character.
    pub(crate) marks: Vec<u8>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) signs: Signs,
}

/// Returns the hash of a run of characters.
pub(crate) fn hash(chars: &[char]) -> u32 {
    chars.iter().fold(0x811c_9dc5, |hash, &c| mix(hash, c as u32))
}

/// One step of the hash.
pub(crate) const fn mix(hash: u32, value: u32) -> u32 {
    (hash.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b1)
}
