//! The decision whether a failed call is retried.

use std::time::Duration;

use crate::{CallError, Outcome};

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
