//! The configuration: its settings, its layers, the parsers of values, and the effective whole.

mod settings;

mod error;
mod file;
mod layers;
mod variables;

mod breakers;
mod identity;
mod limits;
mod llm;
mod privacy;
mod stores;
mod values;

mod effective;

mod redact;

pub(crate) use breakers::BreakerSettings;
pub(crate) use effective::Config;
pub(crate) use error::{ConfigError, Origin};
#[cfg(test)]
pub(crate) use identity::ApiKey;
pub(crate) use identity::{Identity, JwtSettings};
pub(crate) use llm::Llm;
pub(crate) use redact::redact_url;
pub(crate) use settings::BREAKER_NAMES;
pub(crate) use stores::{Database, RedisSettings};
#[cfg(feature = "otel")]
pub(crate) use values::http_url;
