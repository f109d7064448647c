//! What can go wrong: a configuration that cannot work, and a call that was not let through.

use std::{error::Error, fmt, time::Duration};

use crate::{Name, State};

/// A configuration that cannot work. Each variant names the field at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The field must be at least one (or longer than nothing).
    #[error("{field} must not be zero")]
    Zero {
        /// The field at fault.
        field: &'static str,
    },
    /// The field lies outside of its range.
    #[error("{field} must be {expected}")]
    OutOfRange {
        /// The field at fault.
        field: &'static str,
        /// The values it may have.
        expected: &'static str,
    },
    /// Two fields contradict each other.
    #[error("{field} contradicts {other}: {reason}")]
    Contradiction {
        /// The field at fault.
        field: &'static str,
        /// The field that it contradicts.
        other: &'static str,
        /// Why both cannot hold.
        reason: &'static str,
    },
    /// A breaker of this name exists with another configuration.
    #[error("a breaker named {name} exists with another configuration")]
    AlreadyRegistered {
        /// The name.
        name: Name,
    },
}

impl ConfigError {
    /// The field at fault, when a single field is.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Zero { field } | Self::OutOfRange { field, .. } | Self::Contradiction { field, .. } => {
                Some(field)
            }
            Self::AlreadyRegistered { .. } => None,
        }
    }
}

/// The breaker did not let the call through. Nothing was called and nothing was spent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {state}: retry after {retry_after:?}")]
pub struct Rejected {
    /// The breaker.
    pub name: Name,
    /// Its state. [`State::Closed`] while a breaker that has just closed re-admits its traffic step by step.
    pub state: State,
    /// After this time the breaker has something new to say. Never zero: a call at once meets the same answer.
    pub retry_after: Duration,
}

impl Rejected {
    /// Whether the same call may succeed at once. Always `false`: a rejection that is retried at once is load without
    /// purpose. Retries end at a rejection and leave the decision to the caller.
    #[must_use]
    #[allow(clippy::unused_self, reason = "the word is asked of an error, like of all others")]
    pub const fn is_transient(&self) -> bool {
        false
    }
}

/// The error of a guarded call: it was rejected, or it was made and failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The breaker did not let the call through.
    Rejected(Rejected),
    /// The call was made and returned this error.
    Failed(E),
}

impl<E> CallError<E> {
    /// The rejection, if it is one.
    #[must_use]
    pub const fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Failed(_) => None,
        }
    }

    /// The call's own error, if it was made.
    pub fn into_failed(self) -> Option<E> {
        match self {
            Self::Rejected(_) => None,
            Self::Failed(error) => Some(error),
        }
    }
}

impl<E> From<Rejected> for CallError<E> {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl<E> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(_) => f.write_str("the call was rejected"),
            Self::Failed(_) => f.write_str("the call failed"),
        }
    }
}

impl<E: Error + 'static> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Failed(error) => Some(error),
        }
    }
}
