//! The features of the model: hashed words, pairs of words, character n-grams, positions and signs.
//!
//! Words and pairs carry the meaning. N-grams inside words carry it through inflection, compounds
//! and typing errors, and are the only features of Chinese. The first and last words have
//! additional features for their position, because verbs stand there. Feature names are never
//! stored: each is hashed into a bucket ("feature hashing", Weinberger et al. 2009). Memory
//! therefore does not grow with the vocabulary, and an unknown word is an untrained bucket. Quoted
//! and negated features have hashes of their own. The trainer and the classifier share this file,
//! so they cannot disagree.

use crate::language::scripts::Script;
use crate::local::sense::Regime;
use crate::local::token::{Text, Token, mix};

/// A group of features with one scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Grows with the text. It is scaled by the length, so that a long prompt is not more certain
    /// than a short one.
    Words,
    /// Does not grow with the text: positions and signs.
    Places,
}

const UNIGRAM: i32 = 10;
const BIGRAM: i32 = 7;
const SKIPGRAM: i32 = 5;
const NGRAM: i32 = 4;
const PLACE: i32 = 4;
const SIGN: i32 = 3;

// Seeds separate the kinds of features.
const S_WORD: u32 = 0x01;
const S_PAIR: u32 = 0x02;
const S_SKIP: u32 = 0x03;
const S_NGRAM: u32 = 0x04;
const S_FIRST: u32 = 0x05;
const S_LAST: u32 = 0x06;
const S_CLAUSE: u32 = 0x07;
const S_SIGN: u32 = 0x08;
const S_REGIME: u32 = 0x09;
const S_TAIL: u32 = 0x0a;
/// How many words of the last clause have additional features.
const TAIL: usize = 8;
const EDGE: u32 = 0xffff_fff0;

/// Returns the scale of [`Group::Words`] for a text with this number of tokens.
pub(crate) fn scale(tokens: usize) -> f32 {
    (8.0 / tokens.max(8) as f32).sqrt()
}

/// Returns the token count of a text: two characters of Chinese or Japanese are about one word.
pub(crate) fn length(text: &Text) -> usize {
    let count = |token: &Token| match token.script {
        Script::Han | Script::Kana => token.range.len().div_ceil(2),
        _ => 1,
    };
    text.tokens.iter().map(count).sum()
}

/// Passes every feature of a text under a regime to `sink`: its group, its hash and its weight.
pub(crate) fn extract(text: &Text, regime: Regime, mut sink: impl FnMut(Group, u32, i32)) {
    words(text, &mut sink);
    ngrams(text, &mut sink);
    places(text, &mut sink);
    signs(text, regime, &mut sink);
}

fn finish(seed: u32, marks: u8, hash: u32) -> u32 {
    let mut h = mix(mix(hash, seed), u32::from(marks));
    h ^= h >> 15;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^ (h >> 13)
}

fn words(text: &Text, sink: &mut impl FnMut(Group, u32, i32)) {
    let mut before = EDGE;
    let mut before_that = EDGE;
    for token in &text.tokens {
        if token.opens_clause {
            before = EDGE;
            before_that = EDGE;
        }
        sink(Group::Words, finish(S_WORD, token.marks, token.hash), UNIGRAM);
        sink(Group::Words, finish(S_PAIR, token.marks, mix(before, token.hash)), BIGRAM);
        if before != EDGE {
            sink(Group::Words, finish(S_SKIP, token.marks, mix(before_that, token.hash)), SKIPGRAM);
        }
        before_that = before;
        before = token.hash;
    }
}

fn ngrams(text: &Text, sink: &mut impl FnMut(Group, u32, i32)) {
    let mut at = 0;
    while let Some(token) = text.tokens.get(at) {
        at += 1;
        let mut range = token.range.clone();
        match token.script {
            Script::Symbol => {}
            Script::Letters => {
                let chars = text.chars.get(range).unwrap_or_default();
                spaced(chars, token.marks, 3, 5, sink);
            }
            Script::Hangul => {
                let chars = text.chars.get(range).unwrap_or_default();
                spaced(chars, token.marks, 1, 3, sink);
            }
            Script::Han | Script::Kana => {
                // Text without spaces is one run for the n-grams, whatever scripts it contains.
                while let Some(next) = text.tokens.get(at).filter(|next| next.glued) {
                    range.end = next.range.end;
                    at += 1;
                }
                unspaced(text, range, sink);
            }
        }
    }
}

/// N-grams of a word with its edges. A whole word has a feature of its own and is left out.
fn spaced(chars: &[char], marks: u8, least: usize, most: usize, sink: &mut impl FnMut(Group, u32, i32)) {
    let length = chars.len() + 2;
    let character = |at: usize| match at {
        0 => EDGE,
        _ => chars.get(at - 1).map_or(EDGE, |&c| c as u32),
    };
    for start in 0..length {
        let mut hash = 0;
        for (n, at) in (start..length.min(start + most)).enumerate() {
            hash = mix(hash, character(at));
            if n + 1 >= least && n + 1 < length {
                sink(Group::Words, finish(S_NGRAM, marks, hash), NGRAM);
            }
        }
    }
}

/// N-grams of one to four characters of a run without spaces.
fn unspaced(text: &Text, range: std::ops::Range<usize>, sink: &mut impl FnMut(Group, u32, i32)) {
    let chars = text.chars.get(range.clone()).unwrap_or_default();
    let marks = text.marks.get(range).unwrap_or_default();
    for (start, &mark) in marks.iter().enumerate() {
        let mut hash = 0;
        for (n, &c) in chars.iter().skip(start).take(4).enumerate() {
            hash = mix(hash, c as u32);
            let weight = if n == 0 { NGRAM } else { NGRAM + 2 };
            sink(Group::Words, finish(S_NGRAM, mark, hash), weight);
        }
    }
}

fn places(text: &Text, sink: &mut impl FnMut(Group, u32, i32)) {
    for (place, token) in text.tokens.iter().take(3).enumerate() {
        let seed = S_FIRST + ((place as u32) << 8);
        sink(Group::Places, finish(seed, token.marks, token.hash), PLACE);
    }
    for (place, token) in text.tokens.iter().rev().take(3).enumerate() {
        let seed = S_LAST + ((place as u32) << 8);
        sink(Group::Places, finish(seed, token.marks, token.hash), PLACE);
        // In Japanese, Korean, Turkish and Hindi the verb comes last, and its ending carries the
        // request.
        let chars = text.chars.get(token.range.clone()).unwrap_or_default();
        for length in [2, 3, 4] {
            if let Some(ending) = chars.len().checked_sub(length).and_then(|from| chars.get(from..)) {
                sink(
                    Group::Places,
                    finish(seed ^ 0x80, token.marks, crate::local::token::hash(ending)),
                    PLACE / 2,
                );
            }
        }
    }
    for token in text.tokens.iter().filter(|token| token.opens_clause).take(6) {
        sink(Group::Places, finish(S_CLAUSE, token.marks, token.hash), PLACE / 2);
    }
    tail(text, sink);
    // The first characters, for scripts without spaces.
    let opening = text.tokens.first().filter(|token| token.script == Script::Han);
    if let Some(token) = opening {
        let mut hash = 0;
        for &c in text.chars.iter().skip(token.range.start).take(3) {
            hash = mix(hash, c as u32);
            sink(Group::Places, finish(S_FIRST ^ 0x80, token.marks, hash), PLACE);
        }
    }
}

/// The words of the last of several clauses, once more: the last of several wishes describes the
/// result.
fn tail(text: &Text, sink: &mut impl FnMut(Group, u32, i32)) {
    let Some(start) = text.tokens.iter().rposition(|token| token.opens_clause).filter(|at| *at > 0) else {
        return;
    };
    for token in text.tokens.iter().skip(start).take(TAIL) {
        if !matches!(token.script, Script::Han | Script::Kana) {
            sink(Group::Places, finish(S_TAIL, token.marks, token.hash), PLACE);
            continue;
        }
        let chars = text.chars.get(token.range.clone()).unwrap_or_default();
        for pair in chars.windows(2).take(TAIL) {
            sink(Group::Places, finish(S_TAIL, token.marks, crate::local::token::hash(pair)), PLACE / 2);
        }
    }
}

fn signs(text: &Text, regime: Regime, sink: &mut impl FnMut(Group, u32, i32)) {
    let signs = &text.signs;
    let length = match length(text) {
        count @ 0..=5 => count as u32,
        6..=7 => 6,
        8..=10 => 7,
        11..=15 => 8,
        16..=25 => 9,
        26..=50 => 10,
        _ => 11,
    };
    let mut sign = |number: u32, value: u32| {
        sink(Group::Places, finish(S_SIGN, 0, mix(number, value)), SIGN);
    };
    sign(0, length);
    sign(1, u32::from(signs.question));
    sign(2, u32::from(signs.exclamation));
    sign(3, u32::from(signs.negation));
    sign(4, u32::from(signs.digits));
    sign(5, signs.tags.min(3));
    sign(6, signs.commas.min(5));
    sink(Group::Places, finish(S_REGIME, 0, regime as u32), SIGN);
    sink(Group::Places, finish(S_REGIME, 1, mix(regime as u32, length)), SIGN);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(prompt: &str) -> Vec<u32> {
        let mut hashes = Vec::new();
        extract(&Text::read(prompt), Regime::Nothing, |_, hash, _| hashes.push(hash));
        hashes
    }

    #[test]
    fn a_quoted_or_negated_word_shares_no_word_feature_with_a_plain_one() {
        let mut plain = Vec::new();
        words(&Text::read("music"), &mut |_, hash, _| plain.push(hash));
        for prompt in ["say \"music\"", "no music"] {
            let mut marked = Vec::new();
            words(&Text::read(prompt), &mut |_, hash, _| marked.push(hash));
            assert!(plain.iter().all(|hash| !marked.contains(hash)), "{prompt}");
        }
    }

    #[test]
    fn folded_spelling_variants_have_equal_features() {
        assert_eq!(hashes("Añade un PERRO"), hashes("anade un perro"));
    }

    #[test]
    fn the_number_of_features_is_linear_in_the_text() {
        let text = "remove the moving truck from the background and brighten the sky ".repeat(4);
        assert!(hashes(&text).len() < text.len() * 5);
    }
}
