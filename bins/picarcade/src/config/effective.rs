//! The effective configuration: parsed, checked and consistent.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::HeaderValue;
use picarcade_analytics::Privacy;
use picarcade_flow::{CacheTtls, CostAction, Mode};
use picarcade_ratelimit::Limit;

use super::breakers::{self, BreakerSettings};
use super::error::{ConfigError, Origin};
use super::identity::{self, Identity};
use super::layers::Layers;
use super::llm::{self, Llm};
use super::settings::SETTINGS;
use super::stores::{self, Database, RedisSettings};
use super::values::{
    address, at_least_one, concurrency, flag, origins, required, seconds, seconds_or_none, text,
};
use super::{limits, privacy, variables};

/// The effective configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) cors_origins: Vec<HeaderValue>,
    pub(crate) rules: Option<PathBuf>,
    pub(crate) models: Option<PathBuf>,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_address: usize,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) shutdown_delay: Duration,
    pub(crate) public_operations: bool,
    pub(crate) privacy: Privacy,
    pub(crate) redis: Option<RedisSettings>,
    pub(crate) database: Database,
    pub(crate) llm: Option<Llm>,
    pub(crate) mode: Mode,
    pub(crate) limits: Vec<Limit>,
    pub(crate) expected_instances: u32,
    pub(crate) reservation_ttl: Duration,
    pub(crate) leased_limits: Vec<String>,
    pub(crate) cost_action: CostAction,
    pub(crate) breakers: Vec<(&'static str, BreakerSettings)>,
    pub(crate) ttls: CacheTtls,
    pub(crate) max_concurrent_classifications: usize,
    pub(crate) classification_timeout: Duration,
    /// The layers, for errors that name a setting.
    layers: Layers,
}

impl Config {
    /// Reads the layers from this file and the environment of the process.
    pub(crate) fn layers(file: Option<&Path>) -> Result<Layers, ConfigError> {
        let environment: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect();
        variables::check_names(environment.iter().map(|(name, value)| (&**name, &**value)))?;
        for setting in SETTINGS {
            if std::env::var_os(setting.env).is_some_and(|value| value.to_str().is_none()) {
                return Err(ConfigError::Wrong {
                    key: setting.key.to_owned(),
                    origin: Origin::Environment(setting.env),
                    reason: "must be UTF-8".to_owned(),
                });
            }
        }
        Layers::read(file, |name| std::env::var(name).ok())
    }

    /// Parses and checks the layers.
    pub(crate) fn parse(layers: &Layers) -> Result<Self, ConfigError> {
        let data_dir = PathBuf::from(required(layers, "data_dir", text)?);
        let llm = llm::llm(layers)?;
        let redis = stores::redis(layers)?;
        let limits = limits::limits(layers)?;
        let leased_limits = limits::leased(layers, &limits)?;
        Ok(Self {
            listen: required(layers, "listen", address)?,
            database: stores::database(layers, &data_dir)?,
            identity: identity::identity(layers)?,
            cors_origins: layers.parsed("cors_origins", origins)?.unwrap_or_default(),
            rules: layers.parsed("rules", text)?.map(PathBuf::from),
            models: layers.parsed("models", text)?.map(PathBuf::from),
            max_connections: required(layers, "max_connections", at_least_one)?,
            max_connections_per_address: required(layers, "max_connections_per_address", at_least_one)?,
            shutdown_timeout: required(layers, "shutdown_timeout", seconds)?,
            shutdown_delay: required(layers, "shutdown_delay", seconds_or_none)?,
            public_operations: required(layers, "public_operations", flag)?,
            privacy: privacy::prompt_privacy(layers)?,
            mode: llm::mode(layers, llm.is_some())?,
            limits,
            expected_instances: required(layers, "expected_instances", limits::instances)?,
            reservation_ttl: required(layers, "reservation_ttl", limits::reservation_ttl)?,
            leased_limits,
            cost_action: required(layers, "cost_limit_action", |word| match word {
                "degrade" => Ok(CostAction::Degrade),
                "reject" => Ok(CostAction::Reject),
                _ => Err("must be degrade or reject".to_owned()),
            })?,
            breakers: breakers::breakers(layers)?,
            ttls: CacheTtls {
                intent: required(layers, "intent_cache_ttl", seconds)?,
                enhancement: required(layers, "prompt_enhancement_cache_ttl", seconds)?,
                parameters: required(layers, "model_params_cache_ttl", seconds)?,
                statistics: required(layers, "stats_cache_ttl", seconds)?,
                sessions: required(layers, "session_cache_ttl", seconds)?,
            },
            max_concurrent_classifications: required(layers, "max_concurrent_classifications", concurrency)?,
            classification_timeout: required(layers, "classification_timeout", seconds)?,
            data_dir,
            redis,
            llm,
            layers: layers.clone(),
        })
    }

    /// Returns a key with its origin, for an error about what its value leads to.
    pub(crate) fn setting(&self, key: &str) -> String {
        self.layers.setting(key)
    }

    /// Returns whether the value of the setting is not its default.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.layers.value(key).is_some_and(|value| value.origin != Origin::Default)
    }

    /// Refuses to listen beyond loopback if no caller has to identify itself.
    pub(crate) fn check_exposure(&self, bound: SocketAddr, insecure: bool) -> Result<(), ConfigError> {
        let guarded = !self.identity.api_keys.is_empty() || self.identity.jwt.is_some();
        if bound.ip().is_loopback() || guarded || insecure {
            return Ok(());
        }
        Err(self.layers.wrong(
            "listen",
            format!(
                "listening on {bound} would let every client in: \
                 set PICARCADE_API_KEYS or a JWT setting, or pass --insecure"
            ),
        ))
    }
}
