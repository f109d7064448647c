//! Punctuation marks.

use super::scripts::{is_cjk, is_dense};

/// Returns the full stop of the script of a text, from the last letter of the text.
pub(crate) fn full_stop(last_letter: Option<char>) -> char {
    match last_letter {
        Some('\u{900}'..='\u{97f}') => '।',
        Some(c) if is_cjk(c) && is_dense(c) => '。',
        _ => '.',
    }
}

/// Returns whether no full stop can follow a mark: it ends a sentence, or it joins clauses.
pub(crate) const fn excludes_full_stop(c: char) -> bool {
    matches!(
        c,
        '.' | '!'
            | '?'
            | '…'
            | ','
            | ';'
            | ':'
            | '-'
            | '–'
            | '—'
            | '。'
            | '！'
            | '？'
            | '，'
            | '、'
            | '；'
            | '：'
            | '।'
            | '॥'
            | '؟'
            | '،'
            | '؛'
            | '۔'
    )
}

/// A mark that ends a clause in folded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClauseEnd {
    Question,
    Exclamation,
    Comma,
    Other,
}

/// Returns the kind of a mark that ends a clause in folded text.
pub(crate) const fn clause_end(c: char) -> Option<ClauseEnd> {
    Some(match c {
        '?' | '؟' | '？' => ClauseEnd::Question,
        '!' => ClauseEnd::Exclamation,
        ',' | '、' | '،' => ClauseEnd::Comma,
        '.' | ';' | ':' | '\n' | '。' | '।' | '؛' | '…' | '—' | '–' | '(' | ')' | '|' | '/' => {
            ClauseEnd::Other
        }
        _ => return None,
    })
}

/// Returns whether a mark ends a sentence wherever it stands.
pub(crate) const fn ends_sentence(c: char) -> bool {
    matches!(c, '\n' | ';' | '。' | '！' | '？' | '।' | '؟')
}

/// Returns whether a mark ends a sentence only before white space: `1.0` contains no end.
pub(crate) const fn ends_sentence_before_space(c: char) -> bool {
    matches!(c, '.' | '!' | '?')
}
