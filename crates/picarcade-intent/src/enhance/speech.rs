//! What is spoken in a video: the words that people put in quotes.
//!
//! Quotes are also around titles and signs, and nothing here can tell in every language. So what is quoted is handed on as
//! it is, to be said word for word *where it is spoken*.

/// The quotes of the languages that people write in. One that opens here may close there, so the first that closes counts.
const PAIRS: [(char, char); 10] = [
    ('"', '"'),
    ('“', '”'),
    ('„', '“'),
    ('„', '”'),
    ('”', '”'),
    ('«', '»'),
    ('»', '«'),
    ('「', '」'),
    ('『', '』'),
    ('＂', '＂'),
];

/// Words that begin with an apostrophe.
const ELIDED: [&str; 6] = ["tis", "twas", "til", "cause", "em", "cuz"];

/// What people put in quotes, in the order of the text and without the quotes.
///
/// Apostrophes are no quotes, an opening quote without its end is ignored, and so is a quote within a quote.
pub(super) fn quoted(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some((at, opening)) = text.get(from..).and_then(|rest| {
        rest.char_indices().find(|(_, c)| matches!(c, '\'' | '‘') || PAIRS.iter().any(|(open, _)| open == c))
    }) {
        let inner_from = from + at + opening.len_utf8();
        let inner = text.get(inner_from..).unwrap_or_default();
        let end = match opening {
            '\'' | '‘' => single_end(text.get(..from + at).unwrap_or_default(), inner),
            _ => double_end(opening, inner),
        };
        from = inner_from;
        if let Some((words, length)) =
            end.and_then(|(end, close)| Some((inner.get(..end)?.trim(), end + close)))
        {
            if !words.is_empty() {
                found.push(words);
            }
            from += length;
        }
    }
    found
}

/// Where the quote ends, and how long the quote that ends it is.
fn double_end(opening: char, inner: &str) -> Option<(usize, usize)> {
    let closing = PAIRS.iter().filter(|(open, _)| *open == opening);
    closing.filter_map(|(_, close)| Some((inner.find(*close)?, close.len_utf8()))).min()
}

/// The same for a single quote, which is an apostrophe unless it stands before a word and its end behind one.
fn single_end(before: &str, inner: &str) -> Option<(usize, usize)> {
    let opens = before.chars().next_back().is_none_or(|c| !c.is_alphanumeric());
    let word = inner.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let is_elided = word.starts_with(|c: char| c.is_numeric()) || ELIDED.contains(&&*word.to_lowercase());
    if !opens || word.is_empty() || is_elided {
        return None;
    }
    let closes = |at: usize, quote: &str| {
        let behind = inner.get(at + quote.len()..).and_then(|rest| rest.chars().next());
        let ahead = inner.get(..at).and_then(|words| words.chars().next_back());
        behind.is_none_or(|c| !c.is_alphanumeric()) && ahead.is_some_and(|c| !c.is_whitespace())
    };
    let (end, quote) = inner.match_indices(['\'', '’']).find(|(at, quote)| closes(*at, quote))?;
    // One letter is the rest of a word: rock 'n' roll.
    (inner.get(..end)?.chars().nth(1).is_some()).then_some((end, quote.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_stands_in_quotes_is_found_in_every_language() {
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
        fn no_text_breaks_it(text in any::<String>(), quotes in "['‘’\"“”„«» a]{0,30}") {
            for text in [text, quotes] {
                prop_assert!(quoted(&text).iter().all(|words| text.contains(words)));
            }
        }
    }
}
