//! The reach of negations.
//!
//! "No music" names music and asks for its absence. Learning this from examples would need each
//! negation next to each word. A short list of negating words and a rule of reach need neither. The
//! tables of `language` contain only function words, not the vocabulary of this domain. A missing
//! negation costs accuracy on prompts that use it and has no other effect.

use std::ops::Range;
use std::sync::LazyLock;

use crate::language::fold::fold;
use crate::language::scripts::Script;
use crate::language::{LANGUAGES, Unspaced};
use crate::local::token::{NEGATED, Text, hash};

/// The direction in which a word negates, or the end of another negation's reach. Each value is a
/// field of the language table `Negation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Forward,
    Back,
    Both,
    Conditional,
    Ends,
}

/// The words of every language by their hashes, sorted.
static WORDS: LazyLock<Vec<(u32, Reach)>> = LazyLock::new(|| {
    let mut words: Vec<(u32, Reach)> = LANGUAGES
        .iter()
        .map(|language| &language.negation)
        .flat_map(|negation| {
            [
                (negation.forward, Reach::Forward),
                (negation.back, Reach::Back),
                (negation.both, Reach::Both),
                (negation.conditional, Reach::Conditional),
                (negation.ends, Reach::Ends),
            ]
        })
        .flat_map(|(words, reach)| words.iter().map(move |word| (hash_of(word), reach)))
        .collect();
    words.sort_by_key(|(hash, _)| *hash);
    words
});

fn hash_of(word: &str) -> u32 {
    hash(&word.chars().filter_map(fold).collect::<Vec<_>>())
}

/// Returns what the word with this hash does.
fn reach(word: u32) -> Option<Reach> {
    let at = WORDS.binary_search_by_key(&word, |(hash, _)| *hash).ok()?;
    WORDS.get(at).map(|(_, reach)| *reach)
}

/// Marks what the negations of a text reach.
pub(crate) fn mark_negations(text: &mut Text) {
    mark_words(text);
    mark_unspaced(&text.chars, &mut text.marks, &mut text.signs.negation);
}

/// Marks the reach of negations among the words: to the end of their clause, or back to its start.
fn mark_words(text: &mut Text) {
    let mut clause_start = 0;
    let mut forward = false;
    for at in 0..text.tokens.len() {
        let Some(token) = text.tokens.get_mut(at) else { break };
        if matches!(token.script, Script::Symbol | Script::Han | Script::Kana) {
            forward &= !token.opens_clause;
            continue;
        }
        let reach = reach(token.hash);
        if reach == Some(Reach::Ends) {
            token.opens_clause = true;
        }
        if token.opens_clause {
            forward = false;
            clause_start = at;
        }
        let range = token.range.clone();
        let is_last = || {
            let next = text.tokens.get(at + 1);
            next.is_none_or(|next| next.opens_clause || self::reach(next.hash) == Some(Reach::Ends))
        };
        let (forwards, backwards) = match reach {
            Some(Reach::Forward) => (true, if is_last() { 3 } else { 0 }),
            Some(Reach::Both) => (true, 3),
            Some(Reach::Back) => (forward, 4),
            Some(Reach::Conditional) if forward => (true, 4),
            _ => {
                if forward {
                    mark(&mut text.marks, range);
                }
                continue;
            }
        };
        text.signs.negation = true;
        forward = forwards;
        if backwards > 0 {
            let first = clause_start.max(at.saturating_sub(backwards));
            let start = text.tokens.get(first).map_or(range.start, |token| token.range.start);
            mark(&mut text.marks, start..range.start);
        }
    }
}

fn mark(marks: &mut [u8], range: Range<usize>) {
    for mark in marks.get_mut(range).unwrap_or_default() {
        *mark |= NEGATED;
    }
}

/// The reach of a negation in text without spaces, in characters: about four words.
const UNSPACED: usize = 8;

/// The negations of scripts without spaces, from every language.
#[derive(Debug)]
struct Patterns {
    /// The first characters of the patterns. Most characters are none of them and need no search.
    starts: Vec<char>,
    all: Vec<&'static Unspaced>,
    /// Where a clause ends without punctuation.
    ends: Vec<char>,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let negations = || LANGUAGES.iter().map(|language| &language.negation);
    let patterns: Vec<_> = negations().flat_map(|negation| negation.unspaced).collect();
    let mut starts: Vec<char> =
        patterns.iter().filter_map(|pattern| pattern.chars.first().copied()).collect();
    starts.sort_unstable();
    starts.dedup();
    Patterns {
        starts,
        all: patterns,
        ends: negations().flat_map(|negation| negation.unspaced_ends).copied().collect(),
    }
});

/// Marks what negations reach in Chinese and Japanese, where spaces do not separate words.
fn mark_unspaced(chars: &[char], marks: &mut [u8], negation: &mut bool) {
    let Patterns { starts, all, ends } = &*PATTERNS;
    for (at, c) in chars.iter().enumerate() {
        if !starts.contains(c) {
            continue;
        }
        let rest = chars.get(at..).unwrap_or_default();
        let Some(pattern) = all.iter().find(|pattern| rest.starts_with(pattern.chars)) else {
            continue;
        };
        *negation = true;
        let reached = if pattern.is_forward {
            let start = at + pattern.chars.len();
            let after = chars.get(start..).unwrap_or_default();
            let length = after.iter().take(UNSPACED).take_while(|c| !ends.contains(c)).count();
            start..start + length
        } else {
            at.saturating_sub(UNSPACED)..at
        };
        mark(marks, reached);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_the_reach_of_their_table() {
        let word = |word: &str| reach(hash(&word.chars().collect::<Vec<_>>()));
        assert_eq!(word("without"), Some(Reach::Forward));
        assert_eq!(word("olmadan"), Some(Reach::Back));
        assert_eq!(word("sondern"), Some(Reach::Ends));
        assert_eq!(word("music"), None);
    }

    #[test]
    fn no_word_has_two_reaches() {
        let conflict = WORDS.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1);
        assert_eq!(conflict, None);
    }

    #[test]
    fn unspaced_negations_reach_the_right_way() {
        let marked = |text: &str| {
            let chars: Vec<char> = text.chars().collect();
            let mut marks = vec![0; chars.len()];
            mark_unspaced(&chars, &mut marks, &mut false);
            chars.iter().zip(&marks).filter(|(_, mark)| **mark != 0).map(|(c, _)| *c).collect::<String>()
        };
        assert_eq!(marked("不要动画只要调亮"), "动画");
        assert_eq!(marked("音楽なしの動画"), "音楽");
        assert_eq!(marked("一只猫"), "");
    }
}
