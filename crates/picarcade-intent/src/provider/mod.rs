//! AI providers.
//!
//! [`Provider`] separates this crate from paid calls: one call, one answer, one cost. Retries,
//! budgets and circuit breakers belong to the caller, which learns from the [error](ProviderError)
//! what to do next. The feature `providers` contains the implementations.

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
mod interface;
#[cfg(feature = "providers")]
mod kind;
#[cfg(feature = "providers")]
mod message;
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

#[cfg(feature = "providers")]
pub use anthropic::Anthropic;
#[cfg(feature = "providers")]
pub use builder::ProviderBuilder;
pub use error::{ProviderError, ProviderErrorKind};
pub use interface::Provider;
#[cfg(feature = "providers")]
pub use kind::{ProviderKind, ProviderSettings, UnknownProvider};
#[cfg(feature = "providers")]
pub use openai::OpenAi;
#[cfg(feature = "providers")]
pub use replicate::Replicate;
#[cfg(feature = "providers")]
pub use terms::{OutputLimit, Structure, Terms};
