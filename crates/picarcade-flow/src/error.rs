//! The only ways in which a request is not answered usefully: the caller's mistake, the caller's limit, a full server.
//!
//! Everything else (no Redis, no database, no AI) degrades the answer instead; see [`crate::Degraded`].

use std::time::Duration;

use picarcade_ratelimit::Denial;
use serde::Serialize;
use thiserror::Error;

/// The most wrong fields that one refusal names.
pub const MAX_PROBLEMS: usize = 32;

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    /// Where it is, as a JSON pointer (RFC 6901): `/prompt`, `/context/uploaded_images/0`.
    pub pointer: String,
    /// What is wrong with it, without repeating the value.
    pub detail: String,
}

impl FieldProblem {
    /// A problem at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Why a request got no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FlowError {
    /// The request is well-formed but wrong: at most [`MAX_PROBLEMS`] fields to correct.
    #[error("the request is not valid: {}", summary(.0))]
    Invalid(Vec<FieldProblem>),
    /// A limit of the caller (or the global one) is reached: come back after [`Denial::retry_after`].
    #[error("a limit is reached")]
    Limited(Box<Denial>),
    /// There is no such thing, or it belongs to somebody else; the two are not told apart on purpose.
    #[error("not found")]
    NotFound,
    /// The service cannot decide at the moment: come back after this time.
    #[error("the service cannot take the request now")]
    Unavailable {
        /// When a new try makes sense.
        retry_after: Duration,
    },
}

impl FlowError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Limited(_) | Self::Unavailable { .. })
    }
}

fn summary(problems: &[FieldProblem]) -> String {
    problems
        .iter()
        // The whole document has an empty pointer.
        .map(|FieldProblem { pointer, detail }| match pointer.as_str() {
            "" => detail.clone(),
            pointer => format!("{pointer}: {detail}"),
        })
        .collect::<Vec<_>>()
        .join("; ")
}

/// Why a service could not be put together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A value of the caches.
    #[error("the caches cannot be built: {0}")]
    Cache(#[from] picarcade_cache::ConfigError),
    /// A value of the breakers or of the bulkhead.
    #[error("the breakers cannot be built: {0}")]
    Breaker(#[from] picarcade_breaker::ConfigError),
    /// A limit.
    #[error("the limits cannot be built: {0}")]
    Limits(#[from] picarcade_ratelimit::ConfigError),
}
