//! Errors, named for what the caller does next.

use std::{borrow::Cow, fmt, sync::Arc};

/// A setting that can never work, returned by [`Builder::build`](crate::Builder::build).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The name is unusable as a metric label and as a part of a key.
    #[error("a cache name must be 1 to 64 characters of a-z, 0-9, '_' and '-'")]
    Name,
    /// A number or duration is out of its range.
    #[error("{setting} must be {expected}")]
    Range {
        /// The name of the setting in the builder.
        setting: &'static str,
        /// The range in words.
        expected: &'static str,
    },
}

/// Why a value cannot be a part of a [`Key`](crate::Key): it has no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a value cannot be a part of a key: {0}")]
pub struct KeyError(Arc<str>);

impl KeyError {
    pub(crate) fn new(error: impl fmt::Display) -> Self {
        Self(error.to_string().into())
    }
}

/// Why [`Cache::get_or_load`](crate::Cache::get_or_load) has no value, not even a stale one.
///
/// All callers that waited for a failed load share its error. The loader does not run again for
/// each of them.
///
/// The type is an error for every `E` that can be displayed, even if `E` itself is not an error:
/// `anyhow::Error`, `Box<dyn Error + Send + Sync>` (the `BoxError` of tower) and `String`. So `?`
/// converts it into the first two, and `Timeout` and `Buffer` of tower accept it. Its message
/// includes the message of the loader's error. It has no [`source`](std::error::Error::source): the
/// loader's error, with its own source, is in [`LoadError::Failed`].
#[non_exhaustive]
pub enum LoadError<E> {
    /// The loader failed with this error.
    Failed(Arc<E>),
    /// The loader panicked.
    Panicked,
    /// The load ended without a result, because the runtime that it ran on shut down.
    Abandoned,
    /// There was no value within the hard timeout. The load continues, and its result will be
    /// stored.
    TimedOut,
    /// Too many loads are under way, or too many callers wait for this load.
    Overloaded,
    /// An argument of a function with `#[cached]` cannot be a part of a key.
    Key(KeyError),
}

impl<E> From<KeyError> for LoadError<E> {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl<E> LoadError<E> {
    /// Returns the kind as a bounded word for labels and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Panicked => "panicked",
            Self::Abandoned => "abandoned",
            Self::TimedOut => "timed_out",
            Self::Overloaded => "overloaded",
            Self::Key(_) => "key",
        }
    }

    /// Returns whether the same call may succeed later without a change by the caller. False for a
    /// failed load, whose own error knows more.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Abandoned | Self::TimedOut | Self::Overloaded)
    }
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Panicked => Self::Panicked,
            Self::Abandoned => Self::Abandoned,
            Self::TimedOut => Self::TimedOut,
            Self::Overloaded => Self::Overloaded,
            Self::Key(error) => Self::Key(error.clone()),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            other => f.write_str(other.kind()),
        }
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The alternate form of `anyhow::Error` includes its causes, which `source` cannot
            // return.
            Self::Failed(error) => write!(f, "the load failed: {error:#}"),
            Self::Panicked => f.write_str("the load panicked"),
            Self::Abandoned => f.write_str("the load ended without a result"),
            Self::TimedOut => f.write_str("the load took longer than its caller waits"),
            Self::Overloaded => f.write_str("too many loads or waiters"),
            Self::Key(error) => error.fmt(f),
        }
    }
}

// Without the bound `E: Error`, because neither `anyhow::Error` nor `Box<dyn Error + Send + Sync>`
// implements it, and the language allows no second implementation for them.
impl<E: fmt::Debug + fmt::Display> std::error::Error for LoadError<E> {}

/// Why [`Cache::insert`](crate::Cache::insert) does not store a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// The value is larger than [`Builder::max_entry_bytes`](crate::Builder::max_entry_bytes).
    #[error("a value of {bytes} bytes is larger than an entry may be: {limit} bytes")]
    TooLarge {
        /// The weight of the value, or its length as JSON.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The value cannot be written as JSON, which the second level needs (and the first level,
    /// without a weigher).
    #[error("a value cannot be written as JSON")]
    NotSerializable,
}

/// Why a call of the second level failed. The cache counts every failure and treats it as a miss.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The second level is unreachable or overloaded, or did not answer in time. It may work later.
    #[error("the remote cache is not available: {kind}")]
    Unavailable {
        /// A bounded word: `timeout`, `refused`, ...
        kind: &'static str,
    },
    /// The second level returned an invalid answer for this call.
    #[error("the remote cache refused the request: {reason}")]
    Refused {
        /// The answer, reduced to a code.
        reason: Cow<'static, str>,
    },
}

impl RemoteError {
    /// Returns whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
