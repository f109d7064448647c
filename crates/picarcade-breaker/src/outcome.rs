//! The outcome of a call: success, failure or neutral.
//!
//! Most breakers know only success and failure. A bad request or a closed browser tab then either
//! opens the breaker of a healthy service or hides a sick one. A *neutral* outcome says nothing
//! about the service.

use std::{fmt, time::Duration};

/// The outcome of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service did its work. An abstention ("I do not know") is a success too: the service
    /// answered.
    Success,
    /// The service did not do its work.
    Failure {
        /// What kind of failure.
        kind: FailureKind,
        /// How long the service asked to be left alone (`Retry-After`). An opening caused by or
        /// after this failure lasts at least this long, up to
        /// [`Config::retry_after_max`](crate::Config::retry_after_max).
        retry_after: Option<Duration>,
    },
    /// The call says nothing about the service: a mistake of the caller, or a canceled call.
    Neutral,
}

impl Outcome {
    /// Creates a failure without a `Retry-After`.
    #[must_use]
    pub const fn failure(kind: FailureKind) -> Self {
        Self::Failure { kind, retry_after: None }
    }
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum FailureKind {
    /// No answer in time (also HTTP 408 and 504).
    Timeout,
    /// No connection, or a connection that broke.
    Connect,
    /// Too many requests (HTTP 429).
    RateLimited,
    /// The money or the quota of the account is exhausted (a 429 or 402 that says so): waiting
    /// seconds does not help.
    SpendLimit,
    /// The service is overloaded (HTTP 503 and 529).
    Overloaded,
    /// The service failed (other HTTP 5xx).
    Server,
    /// The answer cannot be used: half a body, no JSON, a wrong shape.
    Unusable,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Timeout,
        Self::Connect,
        Self::RateLimited,
        Self::SpendLimit,
        Self::Overloaded,
        Self::Server,
        Self::Unusable,
        Self::Other,
    ];

    /// Returns the name on the wire and in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::RateLimited => "rate_limited",
            Self::SpendLimit => "spend_limit",
            Self::Overloaded => "overloaded",
            Self::Server => "server",
            Self::Unusable => "unusable",
            Self::Other => "other",
        }
    }

    /// Returns whether the same call may succeed a moment later. An exhausted budget and an
    /// unusable answer (which was paid for) are not worth a second call.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Timeout | Self::Connect | Self::RateLimited | Self::Overloaded | Self::Server)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether a recorded outcome was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recorded {
    /// It was counted.
    Counted,
    /// It was late and changed nothing: the state changed since the call was admitted, or the probe
    /// had lost its slot.
    Late,
    /// The breaker is disabled and records nothing.
    Ignored,
}
