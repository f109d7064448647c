//! The words of the user, checked once.
//!
//! A [`Prompt`] has something readable in it and a bounded length, and all later code relies on
//! that. An invalid text is rejected with a reason that repeats nothing of the text.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::PromptError;

/// The words of a user: 1 to 8,000 characters (Unicode scalar values), at least one of them
/// visible.
///
/// Cloning is cheap, because the text is shared.
///
/// ```
/// use picarcade_intent::{Prompt, PromptError};
///
/// let prompt = Prompt::new("  a red \n fox ")?;
/// assert_eq!(prompt.as_str(), "  a red \n fox ");
/// assert_eq!(prompt.normalized(), "a red \n fox");
/// assert_eq!(Prompt::new(" \n "), Err(PromptError::Empty));
/// # Ok::<(), PromptError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prompt(Arc<str>);

impl Prompt {
    /// The maximum length in characters (Unicode scalar values), including white space.
    pub const MAX_CHARS: usize = 8_000;

    /// Creates a prompt from a text, unchanged.
    ///
    /// # Errors
    ///
    /// Returns [`PromptError`] with the reason if the text cannot be a prompt.
    pub fn new(text: impl Into<String>) -> Result<Self, PromptError> {
        let text: String = text.into();
        // Characters are counted only if the number of bytes exceeds the limit.
        if text.len() > Self::MAX_CHARS {
            let characters = text.chars().count();
            if characters > Self::MAX_CHARS {
                return Err(PromptError::TooLong { characters });
            }
        }
        if text.trim().is_empty() {
            return Err(PromptError::Empty);
        }
        if text.chars().all(is_unseen) {
            return Err(PromptError::Invisible);
        }
        Ok(Self(text.into()))
    }

    /// Creates a prompt from bytes.
    ///
    /// # Errors
    ///
    /// Returns [`PromptError::NotUtf8`] if the bytes are not UTF-8. Otherwise fails like
    /// [`new`](Self::new).
    pub fn from_utf8(bytes: &[u8]) -> Result<Self, PromptError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| PromptError::NotUtf8 { valid_up_to: error.valid_up_to() })?;
        Self::new(text)
    }

    /// Returns the text as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text without white space around it and with `\r\n` as `\n`.
    ///
    /// Two prompts with the same normalized text are the same request, so every decision reads this
    /// text. Nothing else is normalized: line breaks, repeated spaces, case and Unicode forms can
    /// change a text that the user wants in an image.
    pub fn normalized(&self) -> Cow<'_, str> {
        let text = self.0.trim();
        if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) }
    }
}

/// Trims a text and replaces each run of white space by one space. Borrows if nothing changes.
///
/// Use it for comparisons only: the result is not what the user wrote.
pub(crate) fn collapse(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let mut previous_is_space = false;
    let is_collapsed = text.chars().all(|c| {
        let doubled = previous_is_space && c == ' ';
        previous_is_space = c == ' ';
        !doubled && (c == ' ' || !c.is_whitespace())
    });
    if is_collapsed {
        return Cow::Borrowed(text);
    }
    let mut collapsed = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    Cow::Owned(collapsed)
}

/// Returns whether a character is invisible by itself: a control, white space, or one of the format
/// characters, fillers and blanks of Unicode.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
        )
}

impl TryFrom<String> for Prompt {
    type Error = PromptError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<Prompt> for String {
    fn from(prompt: Prompt) -> Self {
        prompt.0.as_ref().to_owned()
    }
}

/// Shows the length only, because the words of users do not belong in logs.
impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prompt({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_limit_is_in_characters_not_bytes() {
        assert!(Prompt::new("ж".repeat(8_000)).is_ok());
        assert_eq!(Prompt::new("ж".repeat(8_001)), Err(PromptError::TooLong { characters: 8_001 }));
        assert_eq!(Prompt::new("a".repeat(8_001)), Err(PromptError::TooLong { characters: 8_001 }));
        assert!(Prompt::new("🦊").is_ok());
    }

    #[test]
    fn unreadable_prompts_are_rejected() {
        for empty in ["", " ", "\n\t\u{3000}"] {
            assert_eq!(Prompt::new(empty), Err(PromptError::Empty), "{empty:?}");
        }
        for unseen in [
            "\u{0}",
            "\u{1} \u{7f}",
            "\u{200b}\u{feff}",
            "\u{2800}\u{3164}",
            "\u{e0041}\u{fe0f}",
            "\u{1b}\u{8}\n",
        ] {
            assert_eq!(Prompt::new(unseen), Err(PromptError::Invisible), "{unseen:?}");
        }
        assert!(Prompt::new("\u{0}a").is_ok());
    }

    #[test]
    fn only_line_ends_and_outer_space_are_normalized() {
        let normalized = |text: &str| Prompt::new(text).unwrap().normalized().into_owned();
        assert_eq!(normalized("\u{3000}\r\n roses\r\nviolets \r\n"), "roses\nviolets");
        for text in [
            "roses\nviolets",
            "roses  violets",
            "roses violets",
            "roses\tviolets",
            "roses\rviolets",
            "roses\u{a0}violets",
            "roses\u{200d}violets",
            "Roses violets",
            "ros\u{e9}",
            "rose\u{301}",
            "\u{200b}roses",
            "“roses”",
            "\"roses\"",
        ] {
            assert_eq!(normalized(text), text);
        }
    }

    #[test]
    fn invalid_utf8_is_an_error_with_its_position() {
        assert_eq!(Prompt::from_utf8(b"ab\xff"), Err(PromptError::NotUtf8 { valid_up_to: 2 }));
        assert_eq!(Prompt::from_utf8("né".as_bytes()).unwrap().as_str(), "né");
    }

    #[test]
    fn json_is_checked_too_and_debug_hides_the_words() {
        assert!(serde_json::from_str::<Prompt>("\"\"").is_err());
        let prompt: Prompt = serde_json::from_str("\"secret\"").unwrap();
        assert_eq!(format!("{prompt:?}"), "Prompt(6 bytes)");
        assert_eq!(serde_json::to_string(&prompt).unwrap(), "\"secret\"");
    }

    proptest! {
        #[test]
        fn collapsing_is_splitting_and_joining(text in "[ a\n\t\u{3000}é]{0,40}") {
            let expected = text.split_whitespace().collect::<Vec<_>>().join(" ");
            prop_assert_eq!(collapse(&text), expected.as_str());
            prop_assert!(matches!(collapse(&expected), Cow::Borrowed(_)));
        }
    }
}
