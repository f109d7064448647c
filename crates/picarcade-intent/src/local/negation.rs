//! The reach of negations.
//!
//! "No music" names music and asks for its absence. Learning this from examples would need each
//! negation next to each word. A short list of negating words and a rule of reach need neither. The
//! list contains the function words of the thirteen languages (folded), not the vocabulary of this
//! domain. A missing negation costs accuracy on prompts that use it and has no other effect.

use std::sync::LazyLock;

use crate::local::tokenize::{NEGATED, hash};

/// The direction in which a word negates, or the end of another negation's reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Negates what follows, to the end of the clause; without following words, what precedes
    /// ("video no, solo foto").
    Forward,
    /// Negates what precedes, back to the start of the clause.
    Back,
    /// Negates what follows and the two preceding words, for languages that put the verb first
    /// ("anime pas", "animier das nicht").
    Both,
    /// After a negation, negates what precedes: "видео не надо".
    Needed,
    /// Negates nothing: the word begins a clause that an earlier negation does not reach ("but",
    /// "just", "sondern").
    Ends,
}

const FORWARD: &str = "not no dont never without nothing doesnt shouldnt isnt wont nor neither \
    sin nunca jamas ningun ninguna \
    ne sans jamais aucun aucune \
    kein keine keinen keinem ohne nie niemals \
    nao sem nem nenhum nenhuma \
    non senza mai nessun nessuna \
    не без нет никакой никаких \
    لا بدون ليس دون بلا \
    bina";

const BACK: &str = "olmadan degil olmasin istemiyorum yok \
    말고 말아 말아줘 마 마세요 마라 없이 없는 않고 않게 아니라 \
    बिना नहीं ना मत mat nahi nahin";

const BOTH: &str = "pas nicht";

const NEEDED: &str = "надо нужно нужен нужна нужны нада";

const ENDS: &str = "but just only instead rather simply and then \
    pero sino solo solamente y luego \
    mais juste seulement plutot et \
    sondern aber nur stattdessen und lediglich \
    mas apenas so somente e \
    ma soltanto bensi \
    но а только просто лишь и \
    لكن فقط بل و \
    बस लेकिन सिर्फ केवल और balki bas sirf lekin aur \
    ama sadece yalnizca ve \
    그냥 그리고 대신 하지만 단지";

static WORDS: LazyLock<Vec<(u32, Reach)>> = LazyLock::new(|| {
    let lists = [
        (FORWARD, Reach::Forward),
        (BACK, Reach::Back),
        (BOTH, Reach::Both),
        (NEEDED, Reach::Needed),
        (ENDS, Reach::Ends),
    ];
    let mut words: Vec<(u32, Reach)> = lists
        .into_iter()
        .flat_map(|(list, reach)| {
            list.split_whitespace().map(move |word| {
                let chars: Vec<char> = word.chars().filter_map(crate::language::fold::fold).collect();
                (hash(&chars), reach)
            })
        })
        .collect();
    words.sort_by_key(|(hash, _)| *hash);
    words
});

/// Returns what the word with this hash does.
pub(crate) fn reach(word: u32) -> Option<Reach> {
    let at = WORDS.binary_search_by_key(&word, |(hash, _)| *hash).ok()?;
    WORDS.get(at).map(|(_, reach)| *reach)
}

/// The reach of a negation in text without spaces, in characters: about four words.
const UNSPACED: usize = 8;

/// Negations of Chinese and Japanese, folded, and whether they reach forward.
const PATTERNS: &[(&[char], bool)] = &[
    (&['不', '要'], true),
    (&['不', '用'], true),
    (&['不', '需'], true),
    (&['不', '想'], true),
    (&['别'], true),
    (&['没', '有'], true),
    (&['无', '需'], true),
    (&['而', '不', '是'], true),
    (&['不', '是'], true),
    (&['な', 'い', 'で'], false),
    (&['な', 'く', 'て'], false),
    (&['な', 'し'], false),
    (&['无', 'し'], false),
    (&['せ', 'ず'], false),
    (&['ず', 'に'], false),
    (&['じ', 'ゃ', 'な', 'く'], false),
    (&['で', 'は', 'な', 'く'], false),
];

/// Where a Chinese clause ends without punctuation.
const UNSPACED_ENDS: &[char] = &['只', '但', '而', '就'];

/// Marks what negations reach in Chinese and Japanese, where spaces do not separate words.
pub(crate) fn mark_unspaced(chars: &[char], marks: &mut [u8], negation: &mut bool) {
    for at in 0..chars.len() {
        let rest = chars.get(at..).unwrap_or_default();
        if !rest
            .first()
            .is_some_and(|c| matches!(c, '不' | '别' | '没' | '无' | '而' | 'な' | 'せ' | 'ず' | 'じ' | 'で'))
        {
            continue;
        }
        let Some((pattern, forward)) = PATTERNS.iter().find(|(pattern, _)| rest.starts_with(pattern)) else {
            continue;
        };
        *negation = true;
        let reached = if *forward {
            let start = at + pattern.len();
            let after = chars.get(start..).unwrap_or_default();
            let length = after.iter().take(UNSPACED).take_while(|c| !UNSPACED_ENDS.contains(c)).count();
            start..start + length
        } else {
            at.saturating_sub(UNSPACED)..at
        };
        for mark in marks.get_mut(reached).unwrap_or_default() {
            *mark |= NEGATED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_as_listed() {
        let word = |word: &str| reach(hash(&word.chars().collect::<Vec<_>>()));
        assert_eq!(word("without"), Some(Reach::Forward));
        assert_eq!(word("olmadan"), Some(Reach::Back));
        assert_eq!(word("sondern"), Some(Reach::Ends));
        assert_eq!(word("music"), None);
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
