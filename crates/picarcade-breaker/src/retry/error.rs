//! The end of a retried call without success.

use std::fmt;

use crate::{AsCause, BoxedError, error::BoxError};

/// The error of a call that ended without success.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryError<E> {
    /// The error of the last attempt. Another attempt was not useful or not allowed.
    Failed(E),
    /// The deadline passed before the first attempt ended.
    DeadlineExceeded,
}

impl<E> RetryError<E> {
    /// Returns the error of the last attempt, if an attempt ended.
    pub fn into_failed(self) -> Option<E> {
        match self {
            Self::Failed(error) => Some(error),
            Self::DeadlineExceeded => None,
        }
    }
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
