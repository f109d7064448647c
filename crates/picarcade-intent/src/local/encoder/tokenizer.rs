//! Text to numbers of pieces, as the base model was trained to read it.
//!
//! The vocabulary is a unigram model of SentencePiece (Kudo, 2018, "Subword Regularization",
//! arXiv:1804.10959; Kudo and Richardson, 2018, arXiv:1808.06226): each piece has a log
//! probability, and a text is split where the sum is greatest, which one pass over the text finds
//! (Viterbi). The vocabulary of this crate is a selection, so the best split uses only the pieces
//! that were kept.

use unicode_normalization::UnicodeNormalization;

use crate::local::encoder::trie::Trie;
use crate::local::encoder::weights::{EncoderError, Vocabulary};

/// The number of the piece at the beginning of each text.
const BEGIN: u32 = 0;
/// The number of the piece at the end of each text.
const END: u32 = 2;
/// The number of the piece of a character outside of the vocabulary.
const UNKNOWN: u32 = 3;
/// The number of pieces that no text contains: beginning, padding, end and unknown.
const SPECIAL: usize = 4;

/// Stands for a space inside a piece.
const SPACE: char = '\u{2581}';
/// What the base model expects before a text that is not a document. Its pieces count.
const PREFIX: &str = "\u{2581}query:\u{2581}";

/// Splits texts into pieces.
pub(super) struct Tokenizer {
    trie: Trie,
    scores: Vec<f32>,
    unknown_score: f32,
    /// How rare each piece is.
    rarity: Vec<f32>,
}

/// The best split of a text up to some byte.
#[derive(Clone, Copy)]
struct Best {
    score: f32,
    piece: u32,
    /// The length of the last piece in bytes; zero at the beginning and inside of characters.
    length: u32,
}

impl Tokenizer {
    /// Creates a tokenizer.
    ///
    /// # Errors
    ///
    /// Fails if a piece is empty or occurs twice.
    pub(super) fn new(vocabulary: Vocabulary) -> Result<Self, EncoderError> {
        let Vocabulary { pieces, scores } = vocabulary;
        // A prompt that contains the text "</s>" does not end there.
        let texts = pieces.iter().map(|piece| &**piece).zip(0..).skip(SPECIAL).collect();
        let trie = Trie::new(texts).ok_or(EncoderError::Damaged)?;
        let unknown_score = scores.get(UNKNOWN as usize).copied().ok_or(EncoderError::Damaged)?;
        let highest = scores.iter().skip(SPECIAL).copied().fold(f32::NEG_INFINITY, f32::max);
        let rarity = scores.iter().map(|score| highest - score).collect();
        let mut tokenizer = Self { trie, scores, unknown_score, rarity };
        for piece in [UNKNOWN].into_iter().chain(tokenizer.tokens("", usize::MAX)) {
            if let Some(rarity) = tokenizer.rarity.get_mut(piece as usize) {
                *rarity = 0.0;
            }
        }
        Ok(tokenizer)
    }

    /// Returns how much rarer a piece is than the most frequent one, as a difference of log
    /// probabilities; zero for unknown characters and for pieces that each prompt has.
    pub(super) fn rarity(&self, piece: u32) -> f32 {
        self.rarity.get(piece as usize).copied().unwrap_or_default()
    }

    /// Returns the numbers of the pieces of a prompt, at most `limit` with the first and the last.
    /// A longer text keeps its two ends.
    pub(super) fn tokens(&self, prompt: &str, limit: usize) -> Vec<u32> {
        let mut tokens = self.split(&normalize(prompt));
        let excess = (tokens.len() + 2).saturating_sub(limit);
        if excess > 0 {
            let head = (tokens.len() - excess) / 2;
            tokens.drain(head..head + excess);
        }
        tokens.insert(0, BEGIN);
        tokens.push(END);
        tokens
    }

    /// Splits a normalized text. The time is linear, because a walk ends after the longest piece.
    fn split(&self, text: &str) -> Vec<u32> {
        let unreached = Best { score: f32::NEG_INFINITY, piece: UNKNOWN, length: 0 };
        let mut best = vec![unreached; text.len() + 1];
        if let Some(first) = best.first_mut() {
            first.score = 0.0;
        }
        for (start, character) in text.char_indices() {
            let before = best.get(start).map_or(f32::NEG_INFINITY, |best| best.score);
            let mut offer = |length: usize, piece, score| {
                if let Some(best) = best.get_mut(start + length)
                    && before + score > best.score
                {
                    *best = Best { score: before + score, piece, length: length as u32 };
                }
            };
            let bytes = text.as_bytes().get(start..).unwrap_or_default();
            self.trie.prefixes(bytes, |length, piece| {
                let score = self.scores.get(piece as usize).copied().unwrap_or(self.unknown_score);
                offer(length, piece, score);
            });
            offer(character.len_utf8(), UNKNOWN, self.unknown_score);
        }
        let mut tokens = Vec::new();
        let mut end = text.len();
        while let Some(last) = best.get(end).filter(|best| best.length > 0) {
            tokens.push(last.piece);
            end = end.saturating_sub(last.length as usize);
        }
        tokens.reverse();
        tokens
    }
}

/// Returns the text in the form of the vocabulary: compatibility forms composed (NFKC), invisible
/// characters removed, and each run of white space as one [`SPACE`].
///
/// These are the rules `nmt_nfkc` of SentencePiece.
fn normalize(prompt: &str) -> String {
    let mut text = String::with_capacity(PREFIX.len() + prompt.len());
    text.push_str(PREFIX);
    let mut after_space = true;
    // The rules keep the full-width tilde, which is punctuation in Chinese and Japanese. NFKC
    // would replace it.
    for (place, part) in prompt.split('\u{ff5e}').enumerate() {
        if place > 0 {
            text.push('\u{ff5e}');
            after_space = false;
        }
        for c in part.nfkc() {
            match c {
                '\0'
                | '\t'
                | '\n'
                | '\u{c}'
                | '\r'
                | ' '
                | '\u{1680}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'
                | '\u{2029}'
                | SPACE
                | '\u{feff}'
                | '\u{fffd}' => {
                    if !after_space {
                        text.push(SPACE);
                    }
                    after_space = true;
                }
                '\u{1}'..='\u{1f}' | '\u{7f}' | '\u{8f}' | '\u{9f}' => {}
                _ => {
                    text.push(c);
                    after_space = false;
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_normalized_like_the_vocabulary() {
        for (text, normalized) in [
            ("a  b\r\n\tc", "a▁b▁c"),
            (" a ", "a▁"),
            ("ｆｕｌｌ　width ﬁ ①", "full▁width▁fi▁1"),
            ("e\u{301} が か\u{3099} ｶﾞ", "é▁が▁が▁ガ"),
            ("wow～~", "wow～~"),
            ("a\u{200d}b\u{feff}\u{7}c▁d", "a▁b▁c▁d"),
            ("", ""),
        ] {
            assert_eq!(normalize(text), format!("{PREFIX}{normalized}"), "{text:?}");
        }
    }
}
