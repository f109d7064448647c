//! The effective configuration: parsed, checked and consistent.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use hyper::header::HeaderValue;
use ipnet::IpNet;
use picarcade_analytics::Privacy;
use picarcade_flow::Policy;

use super::error::{ConfigError, Origin};
use super::identity::{self, Identity};
use super::layers::Layers;
use super::limits::{self, Limits};
use super::llm::{self, Llm};
use super::setting::{Setting, plain};
use super::stores::{self, Database};
use super::values::{address, at_least_one, flag, origins, ranges, required, seconds, seconds_or_none, text};
use super::{breakers, policy, privacy, variables};

/// Every setting, in the order in which they are printed.
pub(super) static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    [
        vec![
            plain("PICARCADE_LISTEN").or("127.0.0.1:8080"),
            plain("PICARCADE_DATA_DIR").or("./picarcade-data"),
        ],
        identity::settings(),
        vec![
            plain("PICARCADE_CORS_ORIGINS"),
            plain("PICARCADE_RULES"),
            plain("PICARCADE_MODELS"),
            plain("PICARCADE_EXAMPLES"),
            plain("PICARCADE_MAX_CONNECTIONS").or("10000"),
            plain("PICARCADE_MAX_CONNECTIONS_PER_ADDRESS").or("1000"),
            plain("PICARCADE_TRUSTED_PROXIES"),
            plain("PICARCADE_SHUTDOWN_TIMEOUT").or("30"),
            plain("PICARCADE_SHUTDOWN_DELAY").or("1"),
            plain("PICARCADE_PUBLIC_OPERATIONS").or("false"),
            plain("PICARCADE_ACCESS_LOG").or("false"),
        ],
        privacy::settings(),
        stores::settings(),
        llm::settings(),
        limits::settings(),
        breakers::settings(),
        policy::settings(),
        breakers::settings_of_each(),
    ]
    .concat()
});

/// The effective configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) cors_origins: Vec<HeaderValue>,
    pub(crate) rules: Option<PathBuf>,
    pub(crate) models: Option<PathBuf>,
    pub(crate) examples: Option<PathBuf>,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_address: usize,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) shutdown_delay: Duration,
    pub(crate) public_operations: bool,
    pub(crate) access_log: bool,
    pub(crate) privacy: Privacy,
    pub(crate) redis: Option<picarcade_redis::Config>,
    pub(crate) database: Database,
    /// The limit of the cache on disk in bytes.
    pub(crate) disk_cache: Option<u64>,
    pub(crate) llm: Option<Llm>,
    pub(crate) limits: Limits,
    pub(crate) breakers: Vec<(&'static str, picarcade_breaker::Config)>,
    pub(crate) policy: Policy,
    /// The layers, for errors that name a setting.
    pub(crate) layers: Layers,
}

impl Config {
    /// Reads the layers from this file and the environment of the process.
    pub(crate) fn layers(file: Option<&Path>) -> Result<Layers, ConfigError> {
        let environment: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect();
        let pairs: Vec<_> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
        let warnings = variables::check_names(&SETTINGS, &pairs)?;
        for setting in &*SETTINGS {
            if let Some(variable) = &setting.variable
                && std::env::var_os(variable).is_some_and(|value| value.to_str().is_none())
            {
                return Err(ConfigError::Wrong {
                    key: setting.key.clone(),
                    origin: Origin::Environment(variable),
                    reason: "must be UTF-8".to_owned(),
                });
            }
        }
        let mut layers = Layers::read(&SETTINGS, file, |name| std::env::var(name).ok())?;
        layers.warnings = warnings;
        Ok(layers)
    }

    /// Reads, parses and checks the configuration.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::parse(Self::layers(file)?)
    }

    /// Reads, parses and checks the configuration without the settings of the AI, for commands that
    /// make no call. They must not fail because a key is missing where only they run.
    pub(crate) fn load_without_ai(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut layers = Self::layers(file)?;
        layers.unset(&llm::settings());
        Self::parse(layers)
    }

    /// Parses and checks the layers.
    pub(crate) fn parse(mut all: Layers) -> Result<Self, ConfigError> {
        let identity = identity::identity(&all)?;
        all.warnings.extend(identity::warning(&identity, &all));
        let layers = &all;
        let data_dir = PathBuf::from(required(layers, "data_dir", text)?);
        let llm = llm::llm(layers)?;
        let privacy = privacy::prompt_privacy(layers)?;
        Ok(Self {
            listen: required(layers, "listen", address)?,
            database: stores::database(layers, &data_dir)?,
            identity,
            cors_origins: layers.parsed("cors_origins", origins)?.unwrap_or_default(),
            rules: layers.parsed("rules", text)?.map(PathBuf::from),
            models: layers.parsed("models", text)?.map(PathBuf::from),
            examples: layers.parsed("examples", text)?.map(PathBuf::from),
            max_connections: required(layers, "max_connections", at_least_one)?,
            max_connections_per_address: required(layers, "max_connections_per_address", at_least_one)?,
            trusted_proxies: layers.parsed("trusted_proxies", ranges)?.unwrap_or_default(),
            shutdown_timeout: required(layers, "shutdown_timeout", seconds)?,
            shutdown_delay: required(layers, "shutdown_delay", seconds_or_none)?,
            public_operations: required(layers, "public_operations", flag)?,
            access_log: required(layers, "access_log", flag)?,
            redis: stores::redis(layers)?,
            disk_cache: stores::disk_cache(layers, &privacy)?,
            privacy,
            limits: limits::limits(layers)?,
            policy: policy::policy(layers, llm.is_some())?,
            breakers: breakers::breakers(layers)?,
            data_dir,
            llm,
            layers: all,
        })
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
