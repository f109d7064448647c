//! Scripts: which characters form words, and which scripts separate words by spaces.

/// The kind of script of a word, which decides its n-grams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// Letters: Latin, Cyrillic, Arabic, Devanagari and other scripts with spaces between words.
    Letters,
    /// Korean syllables.
    Hangul,
    /// Chinese characters.
    Han,
    /// Japanese syllables, and the long-vowel mark.
    Kana,
    /// An emoji or another single symbol.
    Symbol,
}

impl Script {
    /// Returns the script of a folded character that belongs to words.
    pub(crate) fn of(c: char) -> Option<Self> {
        Some(match c {
            'a'..='z' | '0'..='9' => Self::Letters,
            '\0'..='\u{7f}' => return None,
            '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}' => Self::Hangul,
            '\u{3041}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' | '\u{ff66}'..='\u{ff9f}' => Self::Kana,
            '\u{3005}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}' => {
                Self::Han
            }
            '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' => Self::Symbol,
            // Devanagari vowel signs and the virama are marks instead of letters, and belong to the
            // word.
            '\u{900}'..='\u{963}' | '\u{966}'..='\u{97f}' => Self::Letters,
            _ if c.is_alphanumeric() => Self::Letters,
            _ => return None,
        })
    }
}

/// Returns whether a character is Han, kana, bopomofo or Hangul, without full-width punctuation.
pub(crate) const fn is_cjk(c: char) -> bool {
    matches!(
        c,
        '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{318f}'
            | '\u{31a0}'..='\u{31ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

/// Returns whether a letter belongs to a script without spaces between words: Chinese, Japanese, or
/// Thai. Korean uses spaces.
pub(crate) const fn is_dense(c: char) -> bool {
    (is_cjk(c) && !matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7ff}'))
        || matches!(c, '\u{e01}'..='\u{e3a}' | '\u{e40}'..='\u{e4e}')
}

/// Returns whether a character is a mark that belongs to the word around it: a Devanagari or Arabic
/// vowel sign, a combining diacritic or a joiner.
pub(crate) const fn is_combining(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}' | '\u{900}'..='\u{903}' | '\u{93a}'..='\u{94f}' | '\u{64b}'..='\u{65f}' | '\u{200c}'
            | '\u{200d}'
    )
}
