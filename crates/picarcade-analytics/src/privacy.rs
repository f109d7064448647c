//! How much of a prompt is stored.
//!
//! The mode is applied when an event is recorded, before the queue. What it removes is then in no
//! queue, spool file, dead letter or table. Only the words of the user are affected: the prompt and
//! the comment of feedback. [`Store::forget_user`](crate::Store::forget_user) removes the rows of a
//! user.

use std::fmt;
use std::sync::Arc;

use crate::Event;

/// What is stored of a prompt, and of a comment about its type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Privacy {
    /// The whole prompt.
    #[default]
    Full,
    /// The first characters (Unicode scalar values).
    Truncated(usize),
    /// A keyed hash (BLAKE3, 64 hexadecimal digits): equal prompts can be counted, and guessing
    /// them needs the key.
    Hashed(HashKey),
    /// Nothing: the column is empty, or null for a comment.
    None,
}

/// The key of [`Privacy::Hashed`]. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey([u8; 32]);

impl HashKey {
    /// Derives a key from a secret of any length (BLAKE3 key derivation).
    pub fn derive(secret: &str) -> Self {
        Self(blake3::derive_key("picarcade-analytics 2026 prompt hash", secret.as_bytes()))
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(…)")
    }
}

/// The number of characters of `truncated` without a number.
const DEFAULT_CHARACTERS: usize = 100;

/// Why a text is no [`Privacy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// It is none of the words.
    #[error("must be full, truncated, truncated:N, hashed or none")]
    Unknown,
    /// The number of characters is no whole number.
    #[error("truncated:N needs a whole number")]
    Length,
    /// `hashed` without a key.
    #[error("hashed needs a key")]
    NoKey,
}

impl Privacy {
    /// Parses `full`, `truncated` (100 characters), `truncated:N`, `hashed` or `none`. The key of
    /// `hashed` is a secret, and therefore not a part of the text.
    ///
    /// # Errors
    ///
    /// Returns the [`PrivacyError`] that says what is wrong.
    pub fn parse(text: &str, key: Option<HashKey>) -> Result<Self, PrivacyError> {
        match text.split_once(':') {
            None if text == "full" => Ok(Self::Full),
            None if text == "none" => Ok(Self::None),
            None if text == "truncated" => Ok(Self::Truncated(DEFAULT_CHARACTERS)),
            None if text == "hashed" => key.map(Self::Hashed).ok_or(PrivacyError::NoKey),
            Some(("truncated", length)) => {
                length.parse().map(Self::Truncated).map_err(|_| PrivacyError::Length)
            }
            _ => Err(PrivacyError::Unknown),
        }
    }

    /// Replaces the words of the user in an event with what may be stored.
    pub(crate) fn redact(&self, event: &mut Event) {
        match event {
            Event::Classification(classification) => {
                if let Some(kept) = self.kept(&classification.prompt) {
                    classification.prompt = kept;
                    classification.prompt_is_whole = false;
                }
            }
            Event::Feedback(feedback) => {
                let Some(comment) = &feedback.comment else { return };
                if *self == Self::None {
                    feedback.comment = None;
                } else if let Some(kept) = self.kept(comment) {
                    feedback.comment = Some(kept);
                }
            }
            _ => {}
        }
    }

    /// Returns the replacement of the words; `None` if they may stay.
    fn kept(&self, prompt: &str) -> Option<Arc<str>> {
        match self {
            Self::Full => None,
            Self::Truncated(chars) => {
                let end = prompt.char_indices().nth(*chars).map(|(at, _)| at)?;
                prompt.get(..end).map(Arc::from)
            }
            Self::Hashed(HashKey(key)) => {
                Some(blake3::keyed_hash(key, prompt.as_bytes()).to_hex().as_str().into())
            }
            Self::None => Some(Arc::from("")),
        }
    }
}

/// The inverse of [`Privacy::parse`]. It does not show the key.
impl fmt::Display for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::Truncated(characters) => write!(f, "truncated:{characters}"),
            Self::Hashed(_) => f.write_str("hashed"),
            Self::None => f.write_str("none"),
        }
    }
}

/// Reads the text of [`Privacy::parse`] without a key.
#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Privacy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text, None).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_parsed_from_its_text() {
        let key = HashKey::derive("a secret of sixteen characters");
        for privacy in [Privacy::Full, Privacy::Truncated(7), Privacy::Hashed(key.clone()), Privacy::None] {
            assert_eq!(Privacy::parse(&privacy.to_string(), Some(key.clone())), Ok(privacy));
        }
        assert_eq!(Privacy::parse("truncated", None), Ok(Privacy::Truncated(100)));
        assert_eq!(Privacy::parse("hashed", None), Err(PrivacyError::NoKey));
        assert_eq!(Privacy::parse("truncated:x", None), Err(PrivacyError::Length));
        assert_eq!(Privacy::parse("hashed:7", Some(key)), Err(PrivacyError::Unknown));
    }

    fn kept(privacy: &Privacy, prompt: &str) -> String {
        privacy.kept(prompt).map_or_else(|| prompt.to_owned(), |kept| kept.to_string())
    }

    #[test]
    fn truncation_counts_characters_not_bytes() {
        assert_eq!(kept(&Privacy::Truncated(3), "añ😀z"), "añ😀");
        assert_eq!(kept(&Privacy::Truncated(4), "añ😀z"), "añ😀z");
        assert_eq!(kept(&Privacy::Truncated(0), "añ😀z"), "");
    }

    #[test]
    fn a_hash_depends_on_key_and_prompt_and_shows_neither() {
        let one = Privacy::Hashed(HashKey::derive("one"));
        let other = Privacy::Hashed(HashKey::derive("other"));
        assert_eq!(kept(&one, "a cat"), kept(&one, "a cat"));
        assert_ne!(kept(&one, "a cat"), kept(&other, "a cat"));
        assert_ne!(kept(&one, "a cat"), kept(&one, "a hat"));
        assert_eq!(kept(&one, "a cat").len(), 64);
        assert_eq!(format!("{:?}", HashKey::derive("one")), "HashKey(…)");
    }

    #[test]
    fn full_keeps_all_and_none_keeps_nothing() {
        assert_eq!(kept(&Privacy::Full, "words"), "words");
        assert_eq!(kept(&Privacy::None, "words"), "");
    }
}
