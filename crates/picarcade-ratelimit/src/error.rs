//! Errors, by what the caller can do about them.
//!
//! A request over a limit is not an error but [`Decision::Denied`](crate::Decision::Denied). An
//! error consumes nothing, except [`Error::Interrupted`], where the answer of the store was lost.

use thiserror::Error as ThisError;

/// Why a limiter could not be built. The message names the invalid field.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum ConfigError {
    /// One limit is invalid by itself.
    #[error("limit {limit}: {field} {reason}")]
    Limit {
        /// The name of the limit.
        limit: String,
        /// The invalid field: `name`, `limit`, `window`, `burst` or `lease`.
        field: &'static str,
        /// Why it is invalid.
        reason: &'static str,
    },
    /// Two limits have the same name, so headers and reports would be ambiguous.
    #[error("limit {0}: name is used twice")]
    Duplicate(String),
    /// A setting of the limiter itself is out of range.
    #[error("{field} {reason}")]
    Setting {
        /// The setting of the builder.
        field: &'static str,
        /// Why it is invalid.
        reason: &'static str,
    },
}

/// Why no decision was made.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// An argument of the caller is invalid.
    #[error("{field} {reason}")]
    Invalid {
        /// The invalid argument.
        field: &'static str,
        /// Why it is invalid.
        reason: &'static str,
    },
    /// All reservations that the store can keep are open. Dollars are rejected until some are
    /// settled or expire.
    #[error("too many open reservations")]
    TooManyReservations,
    /// The store did not decide, and the request may not be decided locally.
    #[error("the limit store is unavailable: {reason}")]
    Unavailable {
        /// The message of the store, without secrets.
        reason: String,
    },
    /// The store lost its counters and they are being rebuilt from the cost ledger. Dollars are
    /// rejected meanwhile.
    #[error("the limit store lost its counters and they are not rebuilt yet")]
    Rebuilding,
    /// The request was sent and the answer was lost, so it may have been charged. It is safe to
    /// repeat it with the same reservation id.
    #[error("the limit store's answer was lost: {reason}")]
    Interrupted {
        /// The message of the store, without secrets.
        reason: String,
    },
}

impl Error {
    /// Returns whether the same call may succeed later without a change by the caller.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Invalid { .. })
    }
}
