//! What can go wrong, named for what the caller does next.
//!
//! A wrong prompt is the caller's to mend ([`PromptError`]); a rejected enhancement is replaced by the offline form
//! ([`Rejection`]); what a provider does wrong is in [`ProviderError`](crate::ProviderError), because it carries a price;
//! what is wrong in a file is a list of [`Problem`](crate::Problem)s, because one round of mending should do.

use thiserror::Error;

/// A word that is not one of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown {set} {word:?}")]
pub struct UnknownWord {
    set: &'static str,
    word: String,
}

impl UnknownWord {
    /// How much of a foreign word an error repeats, in characters.
    const SHOWN: usize = 40;

    /// `word` is not in the set called `set`; only its first 40 characters are kept.
    pub(crate) fn new(set: &'static str, word: &str) -> Self {
        Self { set, word: word.chars().take(Self::SHOWN).collect() }
    }
}

/// Why a text cannot be a prompt. Nothing of the text is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PromptError {
    /// Nothing is left when white space is trimmed.
    #[error("prompt must not be empty")]
    Empty,
    /// There are only control characters and other characters that show nothing.
    #[error("prompt must contain characters that can be seen")]
    Invisible,
    /// It is longer than [`Prompt::MAX_CHARS`](crate::Prompt::MAX_CHARS).
    #[error("prompt must not be longer than 8000 characters, and has {characters}")]
    TooLong {
        /// How long it is, in characters (Unicode scalar values).
        characters: usize,
    },
    /// The bytes are not UTF-8.
    #[error("prompt must be UTF-8 and is not after byte {valid_up_to}")]
    NotUtf8 {
        /// How many bytes at the beginning are valid.
        valid_up_to: usize,
    },
}

/// Why an enhanced prompt was not accepted. The offline form takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Rejection {
    /// Nothing can be read in it.
    #[error("the enhanced prompt is empty")]
    Empty,
    /// It is longer than [`MAX_ENHANCED_CHARS`](crate::MAX_ENHANCED_CHARS).
    #[error("the enhanced prompt has {characters} characters")]
    TooLong {
        /// How long it is, in characters (Unicode scalar values).
        characters: usize,
    },
    /// A tag that the result needs is not in it.
    #[error("the enhanced prompt drops the tag @{0}")]
    DroppedTag(String),
    /// It names a medium that the request does not have.
    #[error("the enhanced prompt invents the tag @{0}")]
    InventedTag(String),
    /// It rewrites or swells a prompt that is detailed enough as it is.
    #[error("the prompt is detailed and the enhanced prompt does more than add what stays")]
    Rewritten,
    /// The strategy leaves prompts as they are.
    #[error("this type of request keeps its prompt as given")]
    Unwanted,
}

/// Why a provider cannot be built.
#[cfg(feature = "providers")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The key is empty, or has characters that a header cannot carry.
    #[error("the API key is empty or has characters that cannot be sent")]
    ApiKey,
    /// The base URL cannot be used; why.
    #[error("the base URL cannot be used: {0}")]
    BaseUrl(&'static str),
    /// The model's name is empty, too long, or not plain ASCII; at Replicate, not `owner/name` or `owner/name:version`.
    #[error("the name of the model cannot be used")]
    Model,
    /// The HTTP client cannot be set up; nearly always because the system has no root certificates.
    #[error("the HTTP client cannot be set up: are root certificates installed?")]
    Client,
}
