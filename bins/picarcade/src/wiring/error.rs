//! The failure to assemble the service.

use std::path::Path;

use thiserror::Error;

use crate::config::Config;

/// The reason why the service cannot be assembled.
#[derive(Debug, Error)]
pub(crate) enum WiringError {
    #[error("{file}: {reason}")]
    File { file: String, reason: String },
    #[error("the database cannot be used")]
    Database(#[source] picarcade_analytics::Error),
    #[error("events cannot be spooled")]
    Spool(#[source] picarcade_analytics::Error),
    #[error("redis cannot be used")]
    Redis(#[source] picarcade_redis::ConfigError),
    #[error("the AI provider cannot be used")]
    Provider(#[source] picarcade_intent::ConfigError),
    #[error("a limit is wrong")]
    Limits(#[source] picarcade_ratelimit::ConfigError),
    #[error("a circuit breaker is wrong")]
    Breaker(#[source] picarcade_breaker::ConfigError),
    #[error("a thread cannot be started")]
    Threads(#[source] std::io::Error),
    #[error(transparent)]
    Flow(#[from] picarcade_flow::BuildError),
}

impl WiringError {
    /// Returns the key of the setting that the failed part depends on, if it is a single one.
    pub(crate) fn key(&self, config: &Config) -> Option<&'static str> {
        let is_models = |file: &str| config.models.as_deref() == Some(Path::new(file));
        let is_examples = |file: &str| config.examples.as_deref() == Some(Path::new(file));
        match self {
            Self::File { file, .. } if is_models(file) => Some("models"),
            Self::File { file, .. } if is_examples(file) => Some("examples"),
            Self::File { .. } => Some("rules"),
            Self::Database(_) if config.layers.value("database_url").is_some() => Some("database_url"),
            Self::Database(_) | Self::Spool(_) => Some("data_dir"),
            Self::Redis(_) => Some("redis_url"),
            Self::Provider(_) | Self::Limits(_) | Self::Breaker(_) | Self::Threads(_) | Self::Flow(_) => None,
        }
    }
}
