//! What can go wrong, named for what the caller does next.
//!
//! A denial is not here: being over a limit is an answer ([`Decision::Denied`](crate::Decision)), not a failure.
//! Nothing is consumed when an error is returned, with one exception that the variant itself names:
//! [`Error::Interrupted`], where the store's answer was lost on the way back.

use thiserror::Error as ThisError;

/// Why a limiter could not be built. The message names the field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum ConfigError {
    /// One limit is wrong by itself.
    #[error("limit {limit}: {field} {reason}")]
    Limit {
        /// The name of the limit.
        limit: String,
        /// The field that is wrong: `name`, `limit`, `window` or `burst`.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two limits have one name, so neither a header nor a report could tell them apart.
    #[error("limit {0}: name is used twice")]
    Duplicate(String),
    /// A setting of the limiter itself is out of range.
    #[error("{field} {reason}")]
    Setting {
        /// The builder's field.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Why no decision was made.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The caller's own mistake; nothing was consumed.
    #[error("{field} {reason}")]
    Invalid {
        /// The argument that is wrong.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// As many reservations are open as the limiter keeps. Money is closed until some are settled or expire.
    #[error("too many open reservations")]
    TooManyReservations,
    /// The store did not decide, and what was asked for may not be decided locally: money stays closed.
    #[error("the limit store is unavailable: {reason}")]
    Unavailable {
        /// The store's own words, without secrets.
        reason: String,
    },
    /// The store lost its counters and they are being rebuilt from the cost ledger. Money is closed meanwhile.
    #[error("the limit store lost its counters and they are not rebuilt yet")]
    Rebuilding,
    /// The request was sent and no answer came back: it may have been charged. Repeating it with the same
    /// reservation id is safe.
    #[error("the limit store's answer was lost: {reason}")]
    Interrupted {
        /// The store's own words, without secrets.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later without any change by the caller.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Invalid { .. })
    }
}
