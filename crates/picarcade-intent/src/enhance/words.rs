//! The length of a prompt, and its end.

use crate::language::marks::{excludes_full_stop, full_stop};
use crate::language::quotes::is_closing;
use crate::language::scripts::is_dense;
use crate::prompt;

/// A prompt with more words than this is detailed enough.
pub(super) const DETAILED_ABOVE: usize = 15;

/// Returns the number of words of a text.
///
/// A word stands between white space and contains a letter or a digit. Chinese, Japanese and Thai
/// use no spaces; two of their characters count as one word, which is about their average length.
/// Korean uses spaces and is counted like other languages.
pub(super) fn count(text: &str) -> usize {
    text.split_whitespace().map(words_in).sum()
}

pub(super) fn is_detailed(text: &str) -> bool {
    count(text) > DETAILED_ABOVE
}

fn words_in(chunk: &str) -> usize {
    let dense = chunk.chars().filter(|&c| is_dense(c)).count();
    let has_other = chunk.chars().any(|c| c.is_alphanumeric() && !is_dense(c));
    dense.div_ceil(2) + usize::from(has_other)
}

/// Returns the text as a sentence: with a full stop of its script, unless it already ends in a
/// mark.
pub(super) fn as_sentence(text: &str) -> String {
    let mut sentence = text.to_owned();
    // A closing quote or bracket stands after the final mark.
    let last = text.chars().rev().find(|c| !is_closing(*c) && !prompt::is_unseen(*c));
    if last.is_some_and(|last| !excludes_full_stop(last)) {
        sentence.push(full_stop(text.chars().rev().find(|c| c.is_alphanumeric())));
    }
    sentence
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_counted_in_every_script() {
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
    fn sentences_end_with_the_mark_of_their_script() {
        for (text, sentence) in [
            ("make it blue", "make it blue."),
            ("make it blue!", "make it blue!"),
            ("青くして", "青くして。"),
            ("파랗게 해줘", "파랗게 해줘."),
            ("नीला करो", "नीला करो।"),
            ("use @hat_", "use @hat_."),
            ("fox 🦊", "fox 🦊."),
            ("he says \"hi\"", "he says \"hi\"."),
            ("he says \"hi!\"", "he says \"hi!\""),
            ("「こんにちは」と言う「さようなら」", "「こんにちは」と言う「さようなら」。"),
            ("in the style of (Monet)", "in the style of (Monet)."),
            ("make it blue,", "make it blue,"),
            ("cafe\u{301}", "cafe\u{301}."),
            ("اجعل السماء أرجوانية؟", "اجعل السماء أرجوانية؟"),
        ] {
            assert_eq!(as_sentence(text), sentence);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_accepted(text in any::<String>()) {
            prop_assert!(count(&text) <= text.chars().count());
            prop_assert!(as_sentence(&text).starts_with(&text));
        }
    }
}
