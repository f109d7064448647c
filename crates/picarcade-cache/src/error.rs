//! What can go wrong, named for what the caller does next.

use std::{borrow::Cow, fmt, sync::Arc};

/// A setting that can never work. Raised once, by [`Builder::build`](crate::Builder::build).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A name that cannot be a metric label and a part of a key.
    #[error("a cache name must be 1 to 64 characters of a-z, 0-9, '_' and '-'")]
    Name,
    /// A number or duration outside of its range.
    #[error("{setting} must be {expected}")]
    Range {
        /// The setting's name in the builder.
        setting: &'static str,
        /// The range in words.
        expected: &'static str,
    },
}

/// Why [`Cache::get_or_load`](crate::Cache::get_or_load) has no value, not even a stale one.
///
/// All callers that waited for a failed load share its error: the loader does not run again for
/// each.
///
/// It is an error for every `E` that can be displayed, also for those that are not errors
/// themselves: `anyhow::Error`, `Box<dyn Error + Send + Sync>` (which tower calls `BoxError`) and
/// `String`. So `?` converts it into the first two, and tower's `Timeout` and `Buffer` accept it.
/// Its message includes that of the loader's error, and it has no
/// [`source`](std::error::Error::source): the loader's error, with its own source, is in
/// [`LoadError::Failed`].
#[non_exhaustive]
pub enum LoadError<E> {
    /// The loader failed with this error.
    Failed(Arc<E>),
    /// The loader panicked.
    Panicked,
    /// The load ended without a result although nothing failed, because the runtime that it ran on
    /// shut down.
    Abandoned,
    /// Nothing came within the hard timeout. The load goes on, and its result will be cached.
    TimedOut,
    /// Too many loads are under way, or too many callers wait for this one.
    Overloaded,
}

impl<E> LoadError<E> {
    /// The kind as a bounded word, for labels and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Panicked => "panicked",
            Self::Abandoned => "abandoned",
            Self::TimedOut => "timed_out",
            Self::Overloaded => "overloaded",
        }
    }

    /// Whether asking again later may help without anybody changing anything. Unknown for a failed load: its
    /// own error tells.
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
        }
    }
}

// Not bound by `E: Error`: neither `anyhow::Error` nor `Box<dyn Error + Send + Sync>` implements
// it, and the language allows no second implementation for them.
impl<E: fmt::Debug + fmt::Display> std::error::Error for LoadError<E> {}

/// Why [`Cache::insert`](crate::Cache::insert) does not keep a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// It is larger than [`Builder::max_entry_bytes`](crate::Builder::max_entry_bytes).
    #[error("a value of {bytes} bytes is larger than an entry may be: {limit} bytes")]
    TooLarge {
        /// What it weighs, or its length as JSON.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// It cannot be written as JSON, which the second level needs (and the weight, without a weigher).
    #[error("a value cannot be written as JSON")]
    NotSerializable,
}

/// Why the second level could not be asked. The cache treats every one as a miss and counts it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// Not reachable, overloaded, or no answer in time: it may work again later.
    #[error("the remote cache is not available: {kind}")]
    Unavailable {
        /// A bounded word: `timeout`, `refused`, ...
        kind: &'static str,
    },
    /// It answered something that this request cannot mean.
    #[error("the remote cache refused the request: {reason}")]
    Refused {
        /// What it said, cut down to a code.
        reason: Cow<'static, str>,
    },
}

impl RemoteError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
