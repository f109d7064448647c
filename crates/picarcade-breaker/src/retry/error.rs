//! What an error means for a second attempt, and the end of a retried call without success.

use std::{fmt, time::Duration};

use crate::{AsCause, BoxedError, CallError, Outcome, error::BoxError};

/// The meaning of an error for a second attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryHint {
    /// A retry would fail in the same way.
    Never,
    /// A retry after a pause may succeed.
    Backoff,
    /// A retry may succeed, but not before this time (`Retry-After`).
    After(Duration),
}

impl From<&Outcome> for RetryHint {
    /// Transient failures are retried, after the time that the service named. Other outcomes are
    /// not.
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Failure { kind, retry_after } if kind.is_transient() => {
                retry_after.map_or(Self::Backoff, Self::After)
            }
            _ => Self::Never,
        }
    }
}

impl RetryHint {
    /// Returns the hint for the error of a guarded call. A rejection is never retried; `failed`
    /// judges the other errors.
    pub fn of_call<E>(error: &CallError<E>, failed: impl FnOnce(&E) -> Self) -> Self {
        match error {
            CallError::Rejected(_) => Self::Never,
            CallError::Failed(error) => failed(error),
        }
    }
}

/// The error of a call that ended without success.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryError<E> {
    /// The error of the last attempt. Another attempt was not useful or not allowed.
    Failed(E),
    /// The deadline passed before the first attempt ended.
    DeadlineExceeded,
}

impl<E: Into<BoxError>> RetryError<E> {
    /// Boxes the error of the last attempt, like [`CallError::boxed`](crate::CallError::boxed).
    #[must_use]
    pub fn boxed(self) -> RetryError<BoxedError> {
        match self {
            Self::Failed(error) => RetryError::Failed(BoxedError::from(error)),
            Self::DeadlineExceeded => RetryError::DeadlineExceeded,
        }
    }
}

impl<E> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed(_) => "the last attempt failed",
            Self::DeadlineExceeded => "the deadline passed before an attempt ended",
        })
    }
}

impl<E: AsCause> std::error::Error for RetryError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error.as_cause()),
            Self::DeadlineExceeded => None,
        }
    }
}
