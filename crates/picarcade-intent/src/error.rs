//! Errors, named for what the caller does next.
//!
//! The caller can fix a wrong prompt ([`PromptError`]). The offline form replaces a rejected
//! enhancement ([`Rejection`]). Failures of a provider are
//! [`ProviderError`](crate::ProviderError)s, because they carry a price. Errors in a file are a
//! list of [`Problem`](crate::Problem)s, so that all of them can be fixed in one round.

use thiserror::Error;

/// A word outside of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown {set} {word:?}")]
pub struct UnknownWord {
    set: &'static str,
    word: String,
}

impl UnknownWord {
    /// How many characters of a foreign word an error repeats.
    const SHOWN: usize = 40;

    /// Creates the error for a `word` that is not in the set called `set`. Only the first 40
    /// characters are kept.
    pub(crate) fn new(set: &'static str, word: &str) -> Self {
        Self { set, word: word.chars().take(Self::SHOWN).collect() }
    }
}

/// Implements `Display` and `FromStr` for a closed set of words: a type with `ALL` and `as_str`.
macro_rules! impl_words {
    ($type:ty, $set:literal) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::error::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.into_iter().find(|it| it.as_str() == word);
                found.ok_or_else(|| $crate::error::UnknownWord::new($set, word))
            }
        }
    };
}

pub(crate) use impl_words;

/// Why a text cannot be a prompt. The error repeats nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The text contains only white space.
    #[error("prompt must not be empty")]
    Empty,
    /// The text contains only control characters and other invisible characters.
    #[error("prompt must contain visible characters")]
    Invisible,
    /// The text is longer than [`Prompt::MAX_CHARS`](crate::Prompt::MAX_CHARS).
    #[error("prompt must not be longer than 8000 characters, and has {characters}")]
    TooLong {
        /// The length in characters (Unicode scalar values).
        characters: usize,
    },
    /// The bytes are not UTF-8.
    #[error("prompt must be UTF-8 and is not after byte {valid_up_to}")]
    NotUtf8 {
        /// The number of valid bytes at the beginning.
        valid_up_to: usize,
    },
}

/// Why an enhanced prompt was not accepted. The offline form is used instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The text contains nothing readable.
    #[error("the enhanced prompt is empty")]
    Empty,
    /// The text is longer than [`MAX_ENHANCED_CHARS`](crate::MAX_ENHANCED_CHARS).
    #[error("the enhanced prompt has {characters} characters")]
    TooLong {
        /// The length in characters (Unicode scalar values).
        characters: usize,
    },
    /// A required tag is missing.
    #[error("the enhanced prompt drops the tag @{0}")]
    DroppedTag(String),
    /// The text names a medium that the request does not have.
    #[error("the enhanced prompt invents the tag @{0}")]
    InventedTag(String),
    /// The text rewrites or extends a prompt that is detailed enough.
    #[error("the prompt is detailed and the enhanced prompt does more than add what stays")]
    Rewritten,
    /// The strategy leaves prompts unchanged.
    #[error("this type of request keeps its prompt as given")]
    Unwanted,
}

/// Why a provider cannot be built.
#[cfg(feature = "providers")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The key is empty or contains characters that a header cannot carry.
    #[error("the API key is empty or has characters that cannot be sent")]
    ApiKey,
    /// The base URL cannot be used, with the reason.
    #[error("the base URL cannot be used: {0}")]
    BaseUrl(&'static str),
    /// The name of the model is empty, too long, or not plain ASCII; for Replicate, not
    /// `owner/name` or `owner/name:version`.
    #[error("the name of the model cannot be used")]
    Model,
    /// The HTTP client cannot be created, nearly always because the system has no root
    /// certificates.
    #[error("the HTTP client cannot be created: are root certificates installed?")]
    Client,
}
