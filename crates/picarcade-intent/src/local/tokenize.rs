//! Folded text, split into words and clauses.
//!
//! Words of alphabets (and of Hangul, which uses spaces) are runs of letters. Chinese and Japanese
//! are split where the script changes, which in Japanese is close to word boundaries. Digits become
//! one `0`. A tag such as `@anna` becomes a bare `@`, because the name of a person says nothing
//! about the goal. Every character has two marks:
//!
//! * *quoted*: words in quotation marks are mostly content ("a sign that says \"play music\""). A
//!   quotation that never closes, or that contains the whole prompt, does not count.
//! * *negated*: words in the reach of "don't", "ohne", "なし" and similar words. A negated word is no
//!   evidence for what it names, so "don't animate it, brighten it" is decided by its second half.
//!
//! Text beyond [`LIMIT`] characters is not read, so the work of a call is bounded.

use std::ops::Range;

use crate::language::fold::fold;
use crate::local::negation::{Reach, mark_unspaced, reach};

/// How many characters are read: more than the longest prompt that the service accepts.
const LIMIT: usize = 8_192;

/// The mark of a quoted character.
pub(crate) const QUOTED: u8 = 1;
/// The mark of a negated character.
pub(crate) const NEGATED: u8 = 2;

/// The kind of script of a token, which decides its n-grams.
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

/// One word, or one run of a script without spaces.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// The position in [`Text::chars`].
    pub(crate) range: Range<usize>,
    pub(crate) script: Script,
    /// The hash of its characters.
    pub(crate) hash: u32,
    /// Whether the token begins a clause.
    pub(crate) opens_clause: bool,
    /// Whether the token continues the previous one without a space, as in Chinese and Japanese.
    pub(crate) glued: bool,
    /// [`QUOTED`] and [`NEGATED`], of the first character.
    pub(crate) marks: u8,
}

/// Observations about the text in addition to its words.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Signs {
    pub(crate) question: bool,
    pub(crate) exclamation: bool,
    pub(crate) negation: bool,
    pub(crate) digits: bool,
    pub(crate) tags: u32,
    pub(crate) commas: u32,
}

/// A prompt, folded and split.
#[derive(Debug, Default)]
pub(crate) struct Text {
    pub(crate) chars: Vec<char>,
    /// The marks of each character.
    pub(crate) marks: Vec<u8>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) signs: Signs,
}

/// Returns the hash of a run of characters.
pub(crate) fn hash(chars: &[char]) -> u32 {
    chars.iter().fold(0x811c_9dc5, |hash, &c| mix(hash, c as u32))
}

/// One step of the hash.
pub(crate) const fn mix(hash: u32, value: u32) -> u32 {
    (hash.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b1)
}

impl Text {
    /// Folds and splits a prompt.
    pub(crate) fn read(prompt: &str) -> Self {
        let mut cutter = Cutter { text: Self::default(), ..Cutter::default() };
        // Four of five characters end up in words; the estimate avoids most reallocations.
        let room = prompt.len().min(LIMIT);
        cutter.text.chars.reserve(room);
        cutter.text.marks.reserve(room);
        cutter.text.tokens.reserve(room / 5 + 4);
        let mut characters = prompt.chars().take(LIMIT).filter_map(fold).peekable();
        while let Some(c) = characters.next() {
            cutter.push(c, characters.peek().copied());
        }
        cutter.finish()
    }
}

/// The state of the tokenizer.
#[derive(Debug, Default)]
struct Cutter {
    text: Text,
    /// Where the current word began.
    word: Option<(usize, Script)>,
    /// Whether the next token begins a clause.
    clause: bool,
    /// Whether the last character belonged to a token without a following space.
    touching: bool,
    /// Whether the last word ended in an apostrophe.
    apostrophe: bool,
    /// Whether the name of a tag is being skipped.
    tag: bool,
    /// The character that closes the open quotation, and the token at which the quotation opened.
    quotation: Option<(char, usize)>,
}

impl Cutter {
    fn push(&mut self, c: char, next: Option<char>) {
        if self.tag {
            if c.is_alphanumeric() || c == '_' {
                return;
            }
            self.tag = false;
        }
        match script(c) {
            Some(Script::Symbol) => {
                self.close();
                self.open(Script::Symbol);
                self.append(c);
                self.close();
            }
            Some(script) => {
                if self.word.is_none_or(|(_, open)| open != script) {
                    self.close();
                    self.open(script);
                }
                self.append(c);
            }
            None => self.separate(c, next),
        }
    }

    /// Handles a character outside of words.
    fn separate(&mut self, c: char, next: Option<char>) {
        let in_word = self.word.is_some();
        let before_letter = next.is_some_and(char::is_alphanumeric);
        // An apostrophe stands between letters; at the edge of a word it is a quotation mark.
        if c == '\'' {
            let touched = in_word || self.touching;
            if in_word && before_letter {
                self.close();
                self.apostrophe = true;
                return;
            }
            self.close();
            match self.quotation {
                Some(('\'', at)) if touched => self.end_quotation(at),
                None if before_letter && !touched => self.quotation = Some(('\'', self.text.tokens.len())),
                _ => {}
            }
            return;
        }
        self.close();
        self.touching = false;
        self.apostrophe = false;
        if c == '@' && before_letter {
            self.open(Script::Symbol);
            self.append('@');
            self.close();
            self.text.signs.tags += 1;
            self.tag = true;
            return;
        }
        if let Some((closing, at)) = self.quotation
            && c == closing
        {
            self.end_quotation(at);
            return;
        }
        if let Some(closing) = closing_quote(c) {
            if self.quotation.is_none() {
                self.quotation = Some((closing, self.text.tokens.len()));
            }
            return;
        }
        match c {
            '?' | '؟' | '？' => self.text.signs.question = true,
            '!' => self.text.signs.exclamation = true,
            ',' | '、' | '،' => self.text.signs.commas += 1,
            '.' | ';' | ':' | '\n' | '。' | '।' | '؛' | '…' | '—' | '–' | '(' | ')' | '|' | '/' => {
            }
            _ => return,
        }
        self.clause = true;
    }

    fn open(&mut self, script: Script) {
        self.word = Some((self.text.chars.len(), script));
    }

    fn append(&mut self, c: char) {
        let chars = &mut self.text.chars;
        let start = self.word.map_or(chars.len(), |(start, _)| start);
        let word = chars.get(start..).unwrap_or_default();
        if c.is_numeric() && !matches!(script(c), Some(Script::Han)) {
            self.text.signs.digits = true;
            if word.last() == Some(&'0') {
                return;
            }
            chars.push('0');
            self.text.marks.push(0);
            return;
        }
        // "sooo" is "so": no word of these languages needs a letter three times.
        if word.len() >= 2 && word.iter().rev().take(2).all(|&last| last == c) {
            return;
        }
        chars.push(c);
        self.text.marks.push(0);
    }

    fn close(&mut self) {
        let Some((start, script)) = self.word.take() else {
            return;
        };
        let end = self.text.chars.len();
        let word = self.text.chars.get(start..end).unwrap_or_default();
        if self.apostrophe
            && is_contraction(word)
            && let Some(last) = self.text.tokens.last_mut()
        {
            // The word follows the token directly, so its hash continues the token's.
            last.range.end = end;
            last.hash = word.iter().fold(last.hash, |hash, &c| mix(hash, c as u32));
        } else {
            self.text.tokens.push(Token {
                range: start..end,
                script,
                hash: hash(word),
                opens_clause: self.clause || self.text.tokens.is_empty(),
                glued: self.touching && matches!(script, Script::Han | Script::Kana),
                marks: 0,
            });
            self.clause = false;
        }
        self.apostrophe = false;
        self.touching = matches!(script, Script::Han | Script::Kana);
    }

    fn end_quotation(&mut self, at: usize) {
        self.quotation = None;
        let tokens = self.text.tokens.len();
        for token in self.text.tokens.get(at..tokens).unwrap_or_default() {
            for mark in self.text.marks.get_mut(token.range.clone()).unwrap_or_default() {
                *mark |= QUOTED;
            }
        }
    }

    fn finish(mut self) -> Text {
        self.close();
        let mut text = self.text;
        if text.marks.iter().all(|mark| mark & QUOTED != 0) {
            text.marks.fill(0);
        }
        negate(&mut text);
        mark_unspaced(&text.chars, &mut text.marks, &mut text.signs.negation);
        for token in &mut text.tokens {
            token.marks = text.marks.get(token.range.start).copied().unwrap_or_default();
        }
        text
    }
}

/// Marks the reach of negations among the words: to the end of their clause, or back to its start.
fn negate(text: &mut Text) {
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
            Some(Reach::Needed) if forward => (true, 4),
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

/// Returns the script of a character that belongs to words.
fn script(c: char) -> Option<Script> {
    Some(match c {
        'a'..='z' | '0'..='9' => Script::Letters,
        '\0'..='\u{7f}' => return None,
        '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}' => Script::Hangul,
        '\u{3041}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' | '\u{ff66}'..='\u{ff9f}' => Script::Kana,
        '\u{3005}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}' => {
            Script::Han
        }
        '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' => Script::Symbol,
        // Devanagari vowel signs and the virama are marks instead of letters, and belong to the
        // word.
        '\u{900}'..='\u{963}' | '\u{966}'..='\u{97f}' => Script::Letters,
        _ if c.is_alphanumeric() => Script::Letters,
        _ => return None,
    })
}

/// Returns the character that closes a quotation opened by this one.
const fn closing_quote(c: char) -> Option<char> {
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

/// Returns whether letters after an apostrophe belong to the word before it, as in "don't". In
/// "l'image" they form a word of their own.
fn is_contraction(word: &[char]) -> bool {
    matches!(word, ['t' | 's' | 'd' | 'm'] | ['r' | 'v', 'e'] | ['l', 'l'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(prompt: &str) -> Vec<String> {
        let text = Text::read(prompt);
        text.tokens.iter().map(|token| text.chars[token.range.clone()].iter().collect()).collect()
    }

    fn marked(prompt: &str, mark: u8) -> Vec<String> {
        let text = Text::read(prompt);
        let tokens = text.tokens.iter().filter(|token| token.marks & mark != 0);
        tokens.map(|token| text.chars[token.range.clone()].iter().collect()).collect()
    }

    #[test]
    fn words_are_cut_where_their_script_says() {
        assert_eq!(
            words("Don't move l'image, 10s @anna_2 🎬"),
            ["dont", "move", "l", "image", "0s", "@", "🎬"]
        );
        assert_eq!(words("動画を作って"), ["动画", "を", "作", "って"]);
        assert_eq!(words("हिंदी में"), ["हिंदी", "में"]);
        assert_eq!(words("sooooo cool"), ["soo", "cool"]);
    }

    #[test]
    fn quotations_mark_their_words_and_nothing_else() {
        assert_eq!(marked("a sign that says \"play music\" at night", QUOTED), ["play", "music"]);
        assert_eq!(marked("it's 'move it' there", QUOTED), ["move", "it"]);
        assert_eq!(marked("ein Schild „sing“ bitte", QUOTED), ["sing"]);
        assert!(marked("\"the whole prompt\"", QUOTED).is_empty());
        assert!(marked("an 8\" plate on a table", QUOTED).is_empty());
    }

    #[test]
    fn negations_reach_to_the_end_of_their_clause() {
        assert_eq!(marked("don't animate it, brighten it", NEGATED), ["animate", "it"]);
        assert_eq!(marked("a clip without music but loud", NEGATED), ["music"]);
        assert_eq!(marked("müzik olmadan video", NEGATED), ["muzik"]);
        assert_eq!(marked("видео не надо, просто картинка", NEGATED), ["видео", "не"]);
        assert_eq!(marked("надо сделать ярче", NEGATED), [""; 0]);
        assert_eq!(marked("video no, solo foto", NEGATED), ["video"]);
        assert_eq!(marked("n'anime pas la photo", NEGATED), ["n", "anime", "la", "photo"]);
    }

    #[test]
    fn text_beyond_the_limit_is_not_read() {
        assert!(Text::read(&"word ".repeat(100_000)).chars.len() <= LIMIT);
    }
}
