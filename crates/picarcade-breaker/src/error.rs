//! Errors: an invalid configuration, and a rejected or failed call.

use std::{error::Error, fmt, ops::Deref, time::Duration};

use crate::{Name, State};

/// An invalid configuration. Each variant names the wrong field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The field must be at least one, or longer than zero.
    #[error("{field} must not be zero")]
    Zero {
        /// The wrong field.
        field: &'static str,
    },
    /// The field is outside of its range.
    #[error("{field} must be {expected}")]
    OutOfRange {
        /// The wrong field.
        field: &'static str,
        /// The allowed values.
        expected: &'static str,
    },
    /// Two fields contradict each other.
    #[error("{field} contradicts {other}: {reason}")]
    Contradiction {
        /// The wrong field.
        field: &'static str,
        /// The field that it contradicts.
        other: &'static str,
        /// The reason.
        reason: &'static str,
    },
    /// A breaker with this name exists with another configuration.
    #[error("a breaker named {name} exists with another configuration")]
    AlreadyRegistered {
        /// The name.
        name: Name,
    },
}

impl ConfigError {
    /// Returns the wrong field, if it is a single one.
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

/// A rejection: the breaker did not admit the call. Nothing was called and nothing was spent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {state}: retry after {retry_after:?}")]
pub struct Rejected {
    /// The breaker.
    pub name: Name,
    /// The state of the breaker. [`State::Closed`] during gradual re-admission after an opening.
    pub state: State,
    /// The time after which another attempt is useful. Never zero: an immediate attempt would also
    /// be rejected.
    pub retry_after: Duration,
}

/// Any error that can be sent to another thread; tower has the same type with this name.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// The error of a guarded call: the call was rejected, or it was made and failed.
///
/// If `E` is an error type, `CallError<E>` is one too: `?` converts it to `anyhow::Error`, to
/// `Box<dyn Error + Send + Sync>`, and to any error that can be created from one of them. Strings,
/// `anyhow::Error` and `Box<dyn Error>` do not implement [`Error`](std::error::Error); convert them
/// with [`boxed`](Self::boxed) first.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use picarcade_breaker::{CallError, CircuitBreaker};
///
/// async fn fetch() -> anyhow::Result<u32> {
///     anyhow::bail!("no route")
/// }
///
/// async fn guarded(breaker: &CircuitBreaker) -> anyhow::Result<u32> {
///     Ok(breaker.call(fetch()).await.map_err(CallError::boxed)?)
/// }
///
/// let error = guarded(&CircuitBreaker::preset("search")).await.expect_err("no route");
/// assert_eq!(format!("{error:#}"), "the call failed: no route");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The breaker rejected the call.
    Rejected(Rejected),
    /// The call was made and returned this error.
    Failed(E),
}

impl<E> CallError<E> {
    /// Returns the error of the call itself, if the call was made.
    pub fn into_failed(self) -> Option<E> {
        match self {
            Self::Rejected(_) => None,
            Self::Failed(error) => Some(error),
        }
    }
}

impl<E: Into<BoxError>> CallError<E> {
    /// Boxes the error of the call itself. The result is an error type for every `E`, with the
    /// original error as its [`source`](Error::source).
    #[must_use]
    pub fn boxed(self) -> CallError<BoxedError> {
        match self {
            Self::Rejected(rejected) => CallError::Rejected(rejected),
            Self::Failed(error) => CallError::Failed(BoxedError::from(error)),
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

impl<E: AsCause> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Failed(error) => Some(error.as_cause()),
        }
    }
}

/// A type that is an error or contains one, which [`CallError`] and
/// [`RetryError`](crate::RetryError) return as their source.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error type",
    note = "call `.map_err(CallError::boxed)` or `.map_err(RetryError::boxed)` before `?`"
)]
pub trait AsCause: fmt::Debug {
    /// Returns the error.
    fn as_cause(&self) -> &(dyn Error + 'static);
}

impl<E: Error + 'static> AsCause for E {
    fn as_cause(&self) -> &(dyn Error + 'static) {
        self
    }
}

/// Any error, boxed. [`CallError::boxed`] creates it, and the tower layer does for every error of
/// its service.
///
/// It is not an error type itself, so a chain of sources contains the original error without a
/// wrapper. `dyn Error` is its [`Deref`] target and offers `downcast_ref` and `is`.
pub struct BoxedError(BoxError);

impl BoxedError {
    /// Returns the error, to be returned or downcast.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl<E: Into<BoxError>> From<E> for BoxedError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl AsCause for BoxedError {
    fn as_cause(&self) -> &(dyn Error + 'static) {
        &*self.0
    }
}

impl Deref for BoxedError {
    type Target = dyn Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for BoxedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for BoxedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
