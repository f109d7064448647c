//! Quotation marks.

/// The pairs of quotes around spoken words. A quote that opens in several pairs ends at the first
/// mark that closes it.
pub(crate) const PAIRS: [(char, char); 10] = [
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

/// Words that begin with an apostrophe, which is then no quote.
pub(crate) const ELIDED: [&str; 6] = ["tis", "twas", "til", "cause", "em", "cuz"];

/// Returns the character that closes a quotation opened by this one, in folded text.
///
/// Folded text has at most one closing mark per opening mark, and includes titles in 《》, because
/// the classifier only needs to know which words are content.
pub(crate) const fn closing(c: char) -> Option<char> {
    Some(match c {
        '"' => '"',
        '\u{201c}' => '\u{201d}',
        // German and Polish open low and close with the opening mark of English.
        '\u{201e}' => '\u{201c}',
        '«' => '»',
        '»' => '«',
        '「' => '」',
        '『' => '』',
        '《' => '》',
        _ => return None,
    })
}

/// Returns whether a character closes a quotation or a bracket. The mark that ends a sentence
/// stands before it.
pub(crate) const fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | '”' | '’' | '»' | '›' | '」' | '』' | ')' | ']' | '}' | '）' | '》' | '】')
}
