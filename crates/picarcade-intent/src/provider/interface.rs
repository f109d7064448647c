//! The interface between this crate and an AI.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use super::error::ProviderError;
use crate::answer::Answer;
use crate::request::Request;
use crate::type_set::TypeSet;

/// An AI that classifies requests and enhances prompts.
///
/// An implementation must
///
/// - make at most one paid call per [`classify`](Self::classify), and never retry by itself;
/// - return within `timeout`, connecting and reading included, give or take what scheduling costs;
/// - hand the user's words over as data, never as part of its instructions;
/// - bound what it reads, and keep secrets and the user's words out of errors and `Debug`;
/// - be safe to drop at any await point.
#[async_trait]
pub trait Provider: Send + Sync + Debug {
    /// The provider's name, which is also the name of its circuit breaker, such as `anthropic`.
    fn name(&self) -> &str;

    /// The model that is asked.
    fn model(&self) -> &str;

    /// An upper bound of what [`classify`](Self::classify) can cost, in micro-dollars.
    fn estimate_micros(&self, request: &Request) -> u64;

    /// Asks once. `feasible` is what the facts allow; the answer may still be another type.
    ///
    /// # Errors
    ///
    /// [`ProviderError`], with the price where the provider billed an answer that is of no use.
    async fn classify(
        &self,
        request: &Request,
        feasible: TypeSet,
        timeout: Duration,
    ) -> Result<Answer, ProviderError>;
}
