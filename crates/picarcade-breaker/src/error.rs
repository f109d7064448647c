//! What can go wrong: a configuration that cannot work, and a call that was not let through.

use std::{error::Error, fmt, ops::Deref, time::Duration};

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

/// What tower calls `BoxError`: any error, which may be sent to another thread.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// The error of a guarded call: it was rejected, or it was made and failed.
///
/// If `E` is an error type, so is `CallError<E>`: `?` turns it into `anyhow::Error`, into
/// `Box<dyn Error + Send + Sync>`, and into any error that is made from one of them. Strings,
/// `anyhow::Error` and `Box<dyn Error>` are no error types in the eyes of the standard library: for
/// these [`boxed`](Self::boxed) comes first.
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

impl<E: Into<BoxError>> CallError<E> {
    /// Boxes the call's own error. The result is an error whatever `E` is, with the call's own error
    /// as its [`source`](Error::source).
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

/// A type that is an error, or holds one: what [`CallError`] and [`RetryError`](crate::RetryError)
/// report as their source.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error type",
    note = "call `.map_err(CallError::boxed)` or `.map_err(RetryError::boxed)` before `?`"
)]
pub trait AsCause: fmt::Debug {
    /// The error.
    fn as_cause(&self) -> &(dyn Error + 'static);
}

impl<E: Error + 'static> AsCause for E {
    fn as_cause(&self) -> &(dyn Error + 'static) {
        self
    }
}

/// Any error, boxed: made by [`CallError::boxed`], and by the tower layer of every error of its
/// service.
///
/// It is not an error itself but holds one, so a chain of sources shows the original error and no
/// wrapper: `dyn Error` is its [`Deref`] target, with `downcast_ref` and `is`.
pub struct BoxedError(BoxError);

impl BoxedError {
    /// The error, to be returned or downcast.
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
