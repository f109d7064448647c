//! The configuration: the settings, the layers, the parsers of values, and the effective whole.

mod setting;

mod error;
mod file;
mod layers;
mod variables;

mod breakers;
mod identity;
mod limits;
mod llm;
mod policy;
mod privacy;
mod stores;
mod values;

mod effective;
mod shown;

mod redact;

pub(crate) use breakers::names as breaker_names;
pub(crate) use effective::Config;
pub(crate) use error::{ConfigError, Origin};
#[cfg(test)]
pub(crate) use identity::ApiKey;
pub(crate) use identity::{Identity, JwtSettings};
pub(crate) use llm::Llm;
pub(crate) use redact::redact_url;
pub(crate) use stores::Database;
#[cfg(feature = "otel")]
pub(crate) use values::http_url;
