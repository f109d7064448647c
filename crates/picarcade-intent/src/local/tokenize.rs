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

use crate::language::fold::fold;
use crate::language::marks::{ClauseEnd, clause_end};
use crate::language::quotes;
use crate::language::scripts::Script;
use crate::local::negation::mark_negations;
use crate::local::token::{QUOTED, Text, Token, hash, mix};

/// How many characters are read: more than the longest prompt that the service accepts.
const LIMIT: usize = 8_192;

impl Text {
    /// Folds and splits a prompt.
    pub(crate) fn read(prompt: &str) -> Self {
        let mut tokenizer = Tokenizer { text: Self::default(), ..Tokenizer::default() };
        // Four of five characters end up in words; the estimate avoids most reallocations.
        let room = prompt.len().min(LIMIT);
        tokenizer.text.chars.reserve(room);
        tokenizer.text.marks.reserve(room);
        tokenizer.text.tokens.reserve(room / 5 + 4);
        let mut characters = prompt.chars().take(LIMIT).filter_map(fold).peekable();
        while let Some(c) = characters.next() {
            tokenizer.push(c, characters.peek().copied());
        }
        tokenizer.finish()
    }
}

/// The state of the tokenizer.
#[derive(Debug, Default)]
struct Tokenizer {
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

impl Tokenizer {
    fn push(&mut self, c: char, next: Option<char>) {
        if self.tag {
            if c.is_alphanumeric() || c == '_' {
                return;
            }
            self.tag = false;
        }
        match Script::of(c) {
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
        if let Some(closing) = quotes::closing(c) {
            if self.quotation.is_none() {
                self.quotation = Some((closing, self.text.tokens.len()));
            }
            return;
        }
        match clause_end(c) {
            Some(ClauseEnd::Question) => self.text.signs.question = true,
            Some(ClauseEnd::Exclamation) => self.text.signs.exclamation = true,
            Some(ClauseEnd::Comma) => self.text.signs.commas += 1,
            Some(ClauseEnd::Other) => {}
            None => return,
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
        if c.is_numeric() && !matches!(Script::of(c), Some(Script::Han)) {
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
        mark_negations(&mut text);
        for token in &mut text.tokens {
            token.marks = text.marks.get(token.range.start).copied().unwrap_or_default();
        }
        text
    }
}

/// Returns whether letters after an apostrophe belong to the word before it, as in "don't". In
/// "l'image" they form a word of their own.
fn is_contraction(word: &[char]) -> bool {
    matches!(word, ['t' | 's' | 'd' | 'm'] | ['r' | 'v', 'e'] | ['l', 'l'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::token::NEGATED;

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
    fn words_are_split_by_their_script() {
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
