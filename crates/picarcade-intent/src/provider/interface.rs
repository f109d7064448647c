//! The interface between this crate and an AI.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use super::error::ProviderError;
use super::model_status::ModelStatus;
use crate::answer::Answer;
use crate::request::Request;
use crate::type_set::TypeSet;

/// An AI that classifies requests and enhances prompts.
///
/// An implementation must
///
/// - make at most one paid call per [`classify`](Self::classify), and never retry by itself;
/// - return within `timeout`, including connecting and reading, apart from scheduling delays;
/// - pass the words of the user as data, never as part of its instructions;
/// - bound what it reads, and keep secrets and the words of the user out of errors and `Debug`;
/// - be safe to drop at any await point.
#[async_trait]
pub trait Provider: Send + Sync + Debug {
    /// Returns the name of the provider, such as `anthropic`, which is also the name of its circuit
    /// breaker.
    fn name(&self) -> &str;

    /// Returns the name of the model.
    fn model(&self) -> &str;

    /// Returns an upper bound of the cost of [`classify`](Self::classify) in micro-dollars.
    fn estimate_micros(&self, request: &Request) -> u64;

    /// Makes one call. `feasible` are the types that the facts allow; the answer may have another
    /// type.
    ///
    /// # Errors
    ///
    /// Returns [`ProviderError`], with the cost if the provider billed an unusable answer.
    async fn classify(
        &self,
        request: &Request,
        feasible: TypeSet,
        timeout: Duration,
    ) -> Result<Answer, ProviderError>;

    /// Asks the provider about its model with a call that is free, for checks of a configuration.
    ///
    /// # Errors
    ///
    /// Returns [`ProviderError`] if the provider does not answer or refuses the key.
    async fn model_status(&self, _timeout: Duration) -> Result<ModelStatus, ProviderError> {
        Ok(ModelStatus::Unknown)
    }
}
