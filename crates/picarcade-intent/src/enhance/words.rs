//! How long a prompt is, and how to end a sentence in it.

use crate::tags::is_cjk;

/// A prompt of more words than this is detailed enough as it is.
pub(super) const DETAILED_ABOVE: usize = 15;

/// How many words a text has.
///
/// A word is what stands between white space and has a letter or a digit in it. Chinese, Japanese and Thai are written
/// without spaces; there two characters count as a word, which is about what their words have. Korean has spaces, and
/// its syllables are not counted.
pub(super) fn count(text: &str) -> usize {
    text.split_whitespace().map(words_in).sum()
}

/// Whether a prompt is detailed enough as it is.
pub(super) fn is_detailed(text: &str) -> bool {
    count(text) > DETAILED_ABOVE
}

fn words_in(chunk: &str) -> usize {
    let dense = chunk.chars().filter(|&c| is_dense(c)).count();
    let has_other = chunk.chars().any(|c| c.is_alphanumeric() && !is_dense(c));
    dense.div_ceil(2) + usize::from(has_other)
}

/// Letters of scripts that put no space between words.
fn is_dense(c: char) -> bool {
    (is_cjk(c) && !matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7ff}'))
        || matches!(c, '\u{e01}'..='\u{e3a}' | '\u{e40}'..='\u{e4e}')
}

/// The text as a sentence: with a full stop of its own script where it ends in a letter, a digit or a tag.
pub(super) fn as_sentence(text: &str) -> String {
    let mut sentence = text.to_owned();
    if let Some(last) =
        text.chars().next_back().filter(|c| c.is_alphanumeric() || is_vowel_sign(*c) || *c == '_')
    {
        sentence.push(match last {
            '\u{900}'..='\u{97f}' => '।',
            c if is_cjk(c) && is_dense(c) => '。',
            _ => '.',
        });
    }
    sentence
}

/// What people put in quotes, in the order of the text and without the quotes: words to be spoken.
///
/// Apostrophes are no quotes, an opening quote without its end is ignored, and so is a quote within a quote.
pub(super) fn quoted(text: &str) -> Vec<&str> {
    const PAIRS: [(char, char); 7] =
        [('"', '"'), ('“', '”'), ('„', '“'), ('„', '”'), ('«', '»'), ('「', '」'), ('『', '』')];
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((at, opening)) = rest.char_indices().find(|(_, c)| PAIRS.iter().any(|(open, _)| open == c))
    {
        let inner = rest.get(at + opening.len_utf8()..).unwrap_or_default();
        let closing = PAIRS.iter().filter(|(open, _)| *open == opening);
        let end = closing.filter_map(|(_, close)| Some((inner.find(*close)?, *close))).min();
        match end {
            Some((end, close)) => {
                let words = inner.get(..end).unwrap_or_default().trim();
                if !words.is_empty() {
                    found.push(words);
                }
                rest = inner.get(end + close.len_utf8()..).unwrap_or_default();
            }
            None => rest = inner,
        }
    }
    found
}

fn is_vowel_sign(c: char) -> bool {
    matches!(c, '\u{900}'..='\u{903}' | '\u{93a}'..='\u{94f}' | '\u{64b}'..='\u{65f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_counted_as_people_would() {
        let cases = [
            ("make the sky blue", 4),
            ("  -- ! ", 0),
            ("don't re-do it", 3),
            ("空を青くして", 3),
            ("@hat を 着せて", 4),
            ("하늘을 파랗게 해줘", 3),
            ("आसमान को नीला करो", 4),
        ];
        for (text, words) in cases {
            assert_eq!(count(text), words, "{text}");
        }
        assert!(!is_detailed(&"word ".repeat(15)));
        assert!(is_detailed(&"word ".repeat(16)));
    }

    #[test]
    fn sentences_end_in_their_own_script() {
        for (text, sentence) in [
            ("make it blue", "make it blue."),
            ("make it blue!", "make it blue!"),
            ("青くして", "青くして。"),
            ("파랗게 해줘", "파랗게 해줘."),
            ("नीला करो", "नीला करो।"),
            ("use @hat_", "use @hat_."),
            ("fox 🦊", "fox 🦊"),
        ] {
            assert_eq!(as_sentence(text), sentence);
        }
    }

    #[test]
    fn spoken_words_are_what_stands_in_quotes() {
        assert_eq!(quoted("he says \"hello there\" and «au revoir»"), ["hello there", "au revoir"]);
        assert_eq!(quoted("don't say 'this'"), Vec::<&str>::new());
        assert_eq!(quoted("„guten Tag“, 「こんにちは」"), ["guten Tag", "こんにちは"]);
        assert_eq!(quoted("an open \" quote"), Vec::<&str>::new());
    }

    proptest! {
        #[test]
        fn no_text_breaks_them(text in any::<String>()) {
            prop_assert!(count(&text) <= text.chars().count());
            prop_assert!(as_sentence(&text).starts_with(&text));
            prop_assert!(quoted(&text).iter().all(|words| text.contains(words)));
        }
    }
}
