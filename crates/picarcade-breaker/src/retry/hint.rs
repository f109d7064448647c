//! The decision whether a failed call is retried.

use std::time::Duration;

use crate::{CallError, Outcome};

/// What an error says about a second attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryHint {
    /// It would meet the same answer.
    Never,
    /// It may succeed after a pause.
    Backoff,
    /// It may succeed, but not before this time (`Retry-After`).
    After(Duration),
}

impl From<&Outcome> for RetryHint {
    /// Transient failures are worth it, after the time that the service named; nothing else is.
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
    /// The hint for the error of a guarded call: a rejection is never retried, `failed` judges the rest.
    pub fn of_call<E>(error: &CallError<E>, failed: impl FnOnce(&E) -> Self) -> Self {
        match error {
            CallError::Rejected(_) => Self::Never,
            CallError::Failed(error) => failed(error),
        }
    }
}
