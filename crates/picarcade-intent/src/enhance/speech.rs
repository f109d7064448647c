//! Spoken words in a video: the words in quotes.
//!
//! Titles and signs are quoted too, and no rule distinguishes them in every language. The quoted
//! words are therefore passed on unchanged, to be said word for word where they are spoken.

use std::collections::HashMap;

use crate::language::quotes::{ELIDED, PAIRS};

/// Returns the quoted texts in order and without the quotes.
///
/// Apostrophes are no quotes. An opening quote without its end is ignored, and so is a quote within
/// a quote.
pub(super) fn quoted(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut ends = Ends { text, known: HashMap::new() };
    let mut from = 0;
    while let Some((at, opening)) = text.get(from..).and_then(|rest| {
        rest.char_indices().find(|(_, c)| matches!(c, '\'' | '‘') || PAIRS.iter().any(|(open, _)| open == c))
    }) {
        let opening_at = from + at;
        from = opening_at + opening.len_utf8();
        let end = match opening {
            '\'' | '‘' => ends.single(opening_at, from),
            _ => ends.double(opening, from),
        };
        if let Some((end, close)) = end {
            let words = text.get(from..end).unwrap_or_default().trim();
            if !words.is_empty() {
                found.push(words);
            }
            from = end + close;
        }
    }
    found
}

/// The positions in a text where quotes may end. The next position of each kind is kept; otherwise,
/// a text of opening quotes would be searched to its end for each of them.
struct Ends<'a> {
    text: &'a str,
    /// For a closing quote, the last position found; `None` if there is no further one.
    known: HashMap<char, Option<usize>>,
}

impl Ends<'_> {
    /// Returns where the quote ends whose words begin at `from`, and the length of the closing
    /// mark.
    fn double(&mut self, opening: char, from: usize) -> Option<(usize, usize)> {
        let closing = PAIRS.iter().filter(|(open, _)| *open == opening);
        let ends = closing.filter_map(|(_, close)| {
            let end = self.next(*close, from, |text| text.find(*close))?;
            Some((end, close.len_utf8()))
        });
        ends.min()
    }

    /// Like [`double`](Self::double), for a single quote. It is an apostrophe unless it stands
    /// before a word and its closing mark after one.
    fn single(&mut self, opening_at: usize, from: usize) -> Option<(usize, usize)> {
        let inner = self.text.get(from..)?;
        let before = self.text.get(..opening_at)?.chars().next_back();
        let word = inner.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let is_elided = word.starts_with(|c: char| c.is_numeric()) || ELIDED.contains(&&*word.to_lowercase());
        if before.is_some_and(char::is_alphanumeric) || word.is_empty() || is_elided {
            return None;
        }
        // The end does not depend on the beginning, except that a quote is not empty.
        let end = self.next('\'', from, |inner| {
            let closes = |at: usize, quote: &str| {
                let behind = inner.get(at + quote.len()..).and_then(|rest| rest.chars().next());
                let ahead = inner.get(..at).and_then(|words| words.chars().next_back());
                behind.is_none_or(|c| !c.is_alphanumeric()) && ahead.is_some_and(|c| !c.is_whitespace())
            };
            let mut quotes = inner.match_indices(['\'', '’']);
            quotes.find(|(at, quote)| closes(*at, quote)).map(|(at, _)| at)
        })?;
        let close = self.text.get(end..)?.chars().next()?.len_utf8();
        // A single letter is the rest of a word: rock 'n' roll.
        (self.text.get(from..end)?.chars().nth(1).is_some()).then_some((end, close))
    }

    fn next(
        &mut self,
        close: char,
        from: usize,
        search: impl FnOnce(&str) -> Option<usize>,
    ) -> Option<usize> {
        match self.known.get(&close) {
            Some(None) => return None,
            Some(Some(known)) if *known >= from => return Some(*known),
            _ => {}
        }
        let found = search(self.text.get(from..)?).map(|at| from + at);
        self.known.insert(close, found);
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn many_quotes_are_read_in_one_pass() {
        // Without the memory of positions, a text of this length takes hours.
        const MANY: usize = 100_000;
        for (quotes, found) in
            [("“", 0), ("\"", 0), (".'a", 0), ("„a“", MANY), ("„a”", MANY), ("'a.", 0), ("«“", 0)]
        {
            let text = quotes.repeat(MANY) + "”";
            let expected = if quotes == "“" || quotes == "«“" { 1 } else { found };
            assert_eq!(quoted(&text).len(), expected, "{quotes}");
        }
    }

    #[test]
    fn quoted_words_are_found_in_every_language() {
        let cases: [(&str, &[&str]); 12] = [
            ("he says \"hello there\" and «au revoir»", &["hello there", "au revoir"]),
            ("„guten Tag“, „dzień dobry”, »Moin«", &["guten Tag", "dzień dobry", "Moin"]),
            ("「こんにちは」と『さようなら』", &["こんにちは", "さようなら"]),
            ("make her say 'happy birthday, Tom'", &["happy birthday, Tom"]),
            ("she says: 'I don't know'.", &["I don't know"]),
            ("a man whispering ‘it’s over’ to her", &["it’s over"]),
            ("l'homme dit 'bonjour à tous' et l'autre rit", &["bonjour à tous"]),
            ("don't move the dogs' bowl", &[]),
            ("rock 'n' roll in the '90s kids' room", &[]),
            ("'tis the season at the Smiths' house", &[]),
            ("an open \" quote and 'another", &[]),
            ("\"\" and ''", &[]),
        ];
        for (text, words) in cases {
            assert_eq!(quoted(text), words, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_accepted(text in any::<String>(), quotes in "['‘’\"“”„«» a]{0,30}") {
            for text in [text, quotes] {
                prop_assert!(quoted(&text).iter().all(|words| text.contains(words)));
            }
        }
    }
}
