//! Who is asked when an AI decides.
//!
//! [`Provider`] is the seam between this crate and the money: one call, one answer, one price. Retries, budgets and
//! circuit breakers belong to the caller, which sees from the [error](ProviderError) what to do next. The providers
//! themselves are behind the feature `providers`.

#[cfg(feature = "providers")]
mod anthropic;
#[cfg(feature = "providers")]
mod body;
#[cfg(feature = "providers")]
mod builder;
#[cfg(feature = "providers")]
mod content;
#[cfg(feature = "providers")]
mod count;
#[cfg(feature = "providers")]
mod encoding;
mod error;
#[cfg(feature = "providers")]
mod fault;
#[cfg(feature = "providers")]
mod http;
#[cfg(feature = "providers")]
mod openai;
#[cfg(feature = "providers")]
mod question;
#[cfg(feature = "providers")]
mod replicate;
#[cfg(feature = "providers")]
mod terms;
#[cfg(feature = "providers")]
mod vendor;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

#[cfg(feature = "providers")]
pub use anthropic::Anthropic;
#[cfg(feature = "providers")]
pub use builder::ProviderBuilder;
pub use error::{ProviderError, ProviderErrorKind};
#[cfg(feature = "providers")]
pub use openai::OpenAi;
#[cfg(feature = "providers")]
pub use replicate::Replicate;
#[cfg(feature = "providers")]
pub use terms::{OutputLimit, Structure, Terms};

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
