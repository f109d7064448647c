//! What can go wrong, named for what the caller does next.

use thiserror::Error;

/// A word that is not one of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown {set} {word:?}")]
pub struct UnknownWord {
    set: &'static str,
    word: String,
}

impl UnknownWord {
    /// How much of a foreign word an error repeats, in characters.
    const SHOWN: usize = 40;

    /// `word` is not in the set called `set`; only its first 40 characters are kept.
    pub(crate) fn new(set: &'static str, word: &str) -> Self {
        Self { set, word: word.chars().take(Self::SHOWN).collect() }
    }
}
