//! The errors of a request: an invalid request, a reached limit, an unknown id, an unavailable
//! part.
//!
//! Every other failure (no Redis, no database, no AI) degrades the answer instead; see
//! [`crate::Degraded`].

use std::time::Duration;

use picarcade_ratelimit::Denial;
use serde::Serialize;
use thiserror::Error;

/// The most wrong fields that one error names.
pub const MAX_PROBLEMS: usize = 32;

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldProblem {
    /// The field, as a JSON pointer (RFC 6901): `/prompt`, `/context/uploaded_images/0`.
    pub pointer: String,
    /// What is wrong with the field, without its value.
    pub detail: String,
}

impl FieldProblem {
    /// Creates a problem of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Why a request was not answered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FlowError {
    /// The request is well-formed, but fields are wrong: at most [`MAX_PROBLEMS`] of them are
    /// named.
    #[error("the request is not valid: {}", summary(.0))]
    Invalid(Vec<FieldProblem>),
    /// A limit of the caller or a global one is reached: retry after [`Denial::retry_after`].
    #[error("a limit is reached")]
    Limited(Box<Denial>),
    /// The id is unknown or belongs to another user. The error does not distinguish the two, so
    /// that callers cannot find the ids of other users.
    #[error("not found")]
    NotFound,
    /// The service cannot decide now: retry after this time.
    #[error("the service cannot take the request now")]
    Unavailable {
        /// When to retry.
        retry_after: Duration,
    },
}

impl FlowError {
    /// Returns [`FlowError::Invalid`] if there are problems.
    pub(crate) fn unless_valid(problems: Vec<FieldProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::Invalid(problems)) }
    }
}

fn summary(problems: &[FieldProblem]) -> String {
    problems
        .iter()
        // The pointer of the whole document is empty.
        .map(|FieldProblem { pointer, detail }| match pointer.as_str() {
            "" => detail.clone(),
            pointer => format!("{pointer}: {detail}"),
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// Why a service could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting of the caches is out of range.
    #[error("the caches cannot be built: {0}")]
    Cache(#[from] picarcade_cache::ConfigError),
    /// A setting of the breakers, the retries or the bulkhead is out of range.
    #[error("the breakers cannot be built: {0}")]
    Breaker(#[from] picarcade_breaker::ConfigError),
    /// A limit is out of range.
    #[error("the limits cannot be built: {0}")]
    Limits(#[from] picarcade_ratelimit::ConfigError),
}
