//! The effective configuration: parsed, checked and consistent, or one line that says what is wrong and where it was set.

mod layers;
mod settings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::HeaderValue;
use picarcade_analytics::{HashKey, Privacy};
use picarcade_flow::{CacheTtls, CostAction, Mode};
use picarcade_ratelimit::{Limit, Scope, Window};
use secrecy::SecretString;

pub(crate) use layers::{ConfigError, Layers, Origin};
use settings::{BREAKER_NAMES, Setting};

/// A hundred million dollars: more than anybody means, and far below what the limiter can count.
const MAX_DOLLARS: f64 = 1e8;

/// One API key.
#[derive(Debug)]
pub(crate) struct ApiKey {
    pub(crate) name: String,
    pub(crate) key: SecretString,
}

/// Which AI classifies.
#[derive(Debug)]
pub(crate) struct Llm {
    pub(crate) provider: LlmProvider,
    pub(crate) key: SecretString,
    pub(crate) model: Option<String>,
    pub(crate) base_url: Option<String>,
}

/// The AI providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LlmProvider {
    Anthropic,
    OpenAi,
    Replicate,
}

/// Redis, where it is configured.
#[derive(Debug)]
pub(crate) struct RedisSettings {
    pub(crate) url: String,
    pub(crate) backup_url: Option<String>,
    pub(crate) prefix: String,
    pub(crate) fred: bool,
}

/// Where events go.
#[derive(Debug)]
pub(crate) enum Database {
    /// SQLite in this file or directory.
    Sqlite(PathBuf),
    /// PostgreSQL at this URL.
    Postgres(String),
}

/// One breaker's own values.
#[derive(Debug, Default)]
pub(crate) struct BreakerSettings {
    pub(crate) failure_threshold: Option<u32>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) success_threshold: Option<u32>,
}

/// Who may ask.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) api_keys: Vec<ApiKey>,
    pub(crate) admin_token: Option<SecretString>,
    pub(crate) jwt: Option<JwtSettings>,
}

/// How end-user tokens are checked.
#[derive(Debug)]
pub(crate) struct JwtSettings {
    pub(crate) secret: Option<SecretString>,
    pub(crate) jwks_url: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
}

/// Everything that can be configured.
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
    pub(crate) leased_limits: Vec<String>,
    pub(crate) cost_action: CostAction,
    pub(crate) breakers: Vec<(&'static str, BreakerSettings)>,
    pub(crate) ttls: CacheTtls,
    pub(crate) max_concurrent_classifications: usize,
    pub(crate) classification_timeout: Duration,
}

impl Config {
    /// The layers from this file and the process's environment.
    pub(crate) fn layers(file: Option<&Path>) -> Result<Layers, ConfigError> {
        let environment: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect();
        Layers::check_names(environment.iter().map(|(name, value)| (&**name, &**value)))?;
        Layers::read(file, |name| std::env::var(name).ok())
    }

    /// Parses and checks the layers.
    pub(crate) fn parse(layers: &Layers) -> Result<Self, ConfigError> {
        let data_dir = PathBuf::from(required(layers, "data_dir", text)?);
        let llm = llm(layers)?;
        let redis = redis(layers)?;
        Ok(Self {
            listen: required(layers, "listen", text)?,
            database: database(layers, &data_dir)?,
            identity: identity(layers)?,
            cors_origins: layers.parsed("cors_origins", origins)?.unwrap_or_default(),
            rules: layers.parsed("rules", text)?.map(PathBuf::from),
            models: layers.parsed("models", text)?.map(PathBuf::from),
            max_connections: required(layers, "max_connections", at_least_one)?,
            max_connections_per_address: required(layers, "max_connections_per_address", at_least_one)?,
            shutdown_timeout: required(layers, "shutdown_timeout", seconds)?,
            shutdown_delay: required(layers, "shutdown_delay", seconds_or_none)?,
            public_operations: required(layers, "public_operations", flag)?,
            privacy: prompt_privacy(layers)?,
            mode: mode(layers, llm.is_some())?,
            limits: limits(layers)?,
            expected_instances: required(layers, "expected_instances", instances)?,
            leased_limits: layers.parsed("leased_limits", |words| Ok(names(words)))?.unwrap_or_default(),
            cost_action: required(layers, "cost_limit_action", |word| match word {
                "degrade" => Ok(CostAction::Degrade),
                "reject" => Ok(CostAction::Reject),
                _ => Err("must be degrade or reject".to_owned()),
            })?,
            breakers: breakers(layers)?,
            ttls: CacheTtls {
                intent: required(layers, "intent_cache_ttl", seconds)?,
                enhancement: required(layers, "prompt_enhancement_cache_ttl", seconds)?,
                parameters: required(layers, "model_params_cache_ttl", seconds)?,
                statistics: required(layers, "stats_cache_ttl", seconds)?,
                sessions: required(layers, "session_cache_ttl", seconds)?,
            },
            max_concurrent_classifications: required(layers, "max_concurrent_classifications", at_least_one)?,
            classification_timeout: required(layers, "classification_timeout", seconds)?,
            data_dir,
            redis,
            llm,
        })
    }

    /// Refuses to be open to the network without anybody having to say who they are.
    pub(crate) fn check_exposure(&self, bound: SocketAddr, insecure: bool) -> Result<(), ConfigError> {
        let guarded = !self.identity.api_keys.is_empty() || self.identity.jwt.is_some();
        if bound.ip().is_loopback() || guarded || insecure {
            return Ok(());
        }
        Err(ConfigError::Together(format!(
            "listening on {bound} would let anybody in: set PICARCADE_API_KEYS or a JWT setting, or pass --insecure"
        )))
    }
}

fn required<T>(
    layers: &Layers,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, ConfigError> {
    layers.parsed(key, parse)?.ok_or_else(|| layers.wrong(key, "must be set"))
}

fn identity(layers: &Layers) -> Result<Identity, ConfigError> {
    let api_keys = layers.parsed("api_keys", |value| {
        let keys: Result<Vec<_>, _> =
            value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(api_key).collect();
        keys
    })?;
    let mut names: Vec<_> = api_keys.iter().flatten().map(|key| key.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(layers.wrong("api_keys", "two keys have the same name"));
    }
    let secret = |key: &str| layers.parsed(key, |value| Ok(SecretString::from(value.to_owned())));
    let jwt = JwtSettings {
        secret: secret("jwt_secret")?,
        jwks_url: layers.parsed("jwks_url", http_url)?,
        issuer: layers.parsed("jwt_issuer", text)?,
        audience: layers.parsed("jwt_audience", text)?,
    };
    let has_keys = jwt.secret.is_some() || jwt.jwks_url.is_some();
    if !has_keys && (jwt.issuer.is_some() || jwt.audience.is_some()) {
        return Err(ConfigError::Together(
            "a JWT issuer or audience is set, but neither PICARCADE_JWT_SECRET nor PICARCADE_JWKS_URL"
                .to_owned(),
        ));
    }
    Ok(Identity {
        api_keys: api_keys.unwrap_or_default(),
        admin_token: secret("admin_token")?,
        jwt: has_keys.then_some(jwt),
    })
}

fn api_key(item: &str) -> Result<ApiKey, String> {
    match item.split_once(':') {
        Some((name, key)) if !name.trim().is_empty() && !key.trim().is_empty() => {
            Ok(ApiKey { name: name.trim().to_owned(), key: SecretString::from(key.trim().to_owned()) })
        }
        _ => Err("must be a comma list of name:key".to_owned()),
    }
}

fn redis(layers: &Layers) -> Result<Option<RedisSettings>, ConfigError> {
    let fred = required(layers, "redis_driver", |word| match word {
        "redis" => Ok(false),
        "fred" => Ok(true),
        _ => Err("must be redis or fred".to_owned()),
    })?;
    let prefix = required(layers, "redis_key_prefix", text)?;
    let (url, backup_url) = (layers.parsed("redis_url", text)?, layers.parsed("redis_backup_url", text)?);
    match (url, backup_url) {
        (Some(url), backup_url) => Ok(Some(RedisSettings { url, backup_url, prefix, fred })),
        (None, Some(_)) => {
            Err(ConfigError::Together("REDIS_BACKUP_URL is set, but REDIS_URL is not".to_owned()))
        }
        (None, None) => Ok(None),
    }
}

fn database(layers: &Layers, data_dir: &Path) -> Result<Database, ConfigError> {
    let parsed = layers.parsed("database_url", |url| {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Database::Postgres(url.to_owned()));
        }
        match url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
            Some(path) if !path.is_empty() => Ok(Database::Sqlite(PathBuf::from(path))),
            _ => Err("must begin with postgres:// or sqlite://".to_owned()),
        }
    })?;
    Ok(parsed.unwrap_or_else(|| Database::Sqlite(data_dir.to_owned())))
}

fn llm(layers: &Layers) -> Result<Option<Llm>, ConfigError> {
    const PROVIDERS: [(LlmProvider, &str, &str, &str); 3] = [
        (LlmProvider::Anthropic, "anthropic", "anthropic_api_key", "anthropic_base_url"),
        (LlmProvider::OpenAi, "openai", "openai_api_key", "openai_base_url"),
        (LlmProvider::Replicate, "replicate", "replicate_api_token", "replicate_base_url"),
    ];
    let wanted = layers.parsed("llm_provider", |word| match word {
        "none" => Ok(None),
        _ => match PROVIDERS.iter().find(|provider| provider.1 == word) {
            Some(provider) => Ok(Some(provider)),
            None => Err("must be anthropic, openai, replicate or none".to_owned()),
        },
    })?;
    let chosen = match wanted {
        Some(None) => return Ok(None),
        Some(Some(provider)) => Some(provider),
        None => PROVIDERS.iter().find(|provider| layers.value(provider.2).is_some()),
    };
    let Some(&(provider, name, key, base_url)) = chosen else { return Ok(None) };
    let Some(secret) = layers.parsed(key, |value| Ok(SecretString::from(value.to_owned())))? else {
        let env = Setting::of(key).map_or(key, |setting| setting.env);
        return Err(ConfigError::Together(format!("LLM_PROVIDER is {name}, but {env} is not set")));
    };
    Ok(Some(Llm {
        provider,
        key: secret,
        model: layers.parsed("llm_model", text)?,
        base_url: layers.parsed(base_url, http_url)?,
    }))
}

fn mode(layers: &Layers, has_llm: bool) -> Result<Mode, ConfigError> {
    let mode = layers.parsed("llm_mode", |word| match word {
        "llm_first" => Ok(Mode::LlmFirst),
        "cascade" => Ok(Mode::Cascade),
        "local" => Ok(Mode::Local),
        _ => Err("must be llm_first, cascade or local".to_owned()),
    })?;
    match mode {
        Some(Mode::LlmFirst | Mode::Cascade) if !has_llm => {
            Err(layers.wrong("llm_mode", "needs a provider, but no key of one is set"))
        }
        Some(mode) => Ok(mode),
        None if has_llm => Ok(Mode::LlmFirst),
        None => Ok(Mode::Local),
    }
}

/// Among how many instances the limits are divided while Redis is away.
fn instances(word: &str) -> Result<u32, String> {
    match word.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("must be a whole number from 1".to_owned()),
    }
}

fn names(words: &str) -> Vec<String> {
    words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn limits(layers: &Layers) -> Result<Vec<Limit>, ConfigError> {
    const MINUTE: Window = Window::Sliding(Duration::from_secs(60));
    const HOUR: Window = Window::Sliding(Duration::from_secs(3600));
    let requests = [
        ("rate_limit_requests_per_minute", Scope::User, MINUTE),
        ("rate_limit_requests_per_hour", Scope::User, HOUR),
        ("rate_limit_api_key_requests_per_minute", Scope::ApiKey, MINUTE),
        ("rate_limit_endpoint_requests_per_minute", Scope::Endpoint, MINUTE),
        ("rate_limit_global_requests_per_minute", Scope::Global, MINUTE),
        ("rate_limit_global_requests_per_hour", Scope::Global, HOUR),
    ];
    let dollars = [
        ("cost_limit_per_hour", Scope::User, HOUR),
        ("cost_limit_global_per_day", Scope::Global, Window::UtcDay),
    ];
    let mut limits = Vec::new();
    for (key, scope, window) in requests {
        if let Some(limit) = layers.parsed(key, count)?.filter(|limit| *limit > 0) {
            limits.push(Limit::requests(scope, limit, window));
        }
    }
    for (key, scope, window) in dollars {
        if let Some(limit) = layers.parsed(key, dollars_as_micros)?.filter(|limit| *limit > 0) {
            limits.push(Limit::cost(scope, limit, window));
        }
    }
    Ok(limits)
}

fn breakers(layers: &Layers) -> Result<Vec<(&'static str, BreakerSettings)>, ConfigError> {
    let all = BreakerSettings {
        failure_threshold: layers.parsed("circuit_breaker_failure_threshold", threshold)?,
        timeout: layers.parsed("circuit_breaker_timeout", seconds)?,
        success_threshold: layers.parsed("circuit_breaker_success_threshold", threshold)?,
    };
    let mut breakers = Vec::new();
    for name in BREAKER_NAMES {
        let key = |field: &str| format!("breakers.{name}.{field}");
        let own = BreakerSettings {
            failure_threshold: layers.parsed(&key("failure_threshold"), threshold)?,
            timeout: layers.parsed(&key("timeout"), seconds)?,
            success_threshold: layers.parsed(&key("success_threshold"), threshold)?,
        };
        breakers.push((
            name,
            BreakerSettings {
                failure_threshold: own.failure_threshold.or(all.failure_threshold),
                timeout: own.timeout.or(all.timeout),
                success_threshold: own.success_threshold.or(all.success_threshold),
            },
        ));
    }
    Ok(breakers)
}

fn text(value: &str) -> Result<String, String> {
    if value.is_empty() { Err("must not be empty".to_owned()) } else { Ok(value.to_owned()) }
}

/// A comma list of origins (RFC 6454): scheme, host and port, and nothing more.
fn origins(value: &str) -> Result<Vec<HeaderValue>, String> {
    let origin = |item: &str| match url::Url::parse(item) {
        Ok(url) if url.has_host() && url.origin().ascii_serialization() == item => {
            HeaderValue::from_str(item).ok()
        }
        _ => None,
    };
    let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(origin)
        .collect::<Option<_>>()
        .ok_or_else(|| "must be a comma list of origins like https://app.example".to_owned())
}

fn http_url(value: &str) -> Result<String, String> {
    match url::Url::parse(value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(value.to_owned()),
        _ => Err("must be an http or https URL".to_owned()),
    }
}

fn flag(value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn count(value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| "must be a whole number of 0 or more".to_owned())
}

fn at_least_one(value: &str) -> Result<usize, String> {
    value
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "must be a whole number of 1 or more".to_owned())
}

fn threshold(value: &str) -> Result<u32, String> {
    value
        .parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "must be a whole number of 1 or more".to_owned())
}

/// A time in seconds, fractions allowed; more than nothing and at most a year.
fn seconds(value: &str) -> Result<Duration, String> {
    value
        .parse()
        .ok()
        .filter(|seconds: &f64| *seconds > 0.0 && *seconds <= 31_536_000.0)
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "must be a number of seconds above 0 and at most a year".to_owned())
}

/// The same, or 0.
fn seconds_or_none(value: &str) -> Result<Duration, String> {
    if value.parse() == Ok(0.0) { Ok(Duration::ZERO) } else { seconds(value) }
}

fn dollars_as_micros(value: &str) -> Result<u64, String> {
    value
        .parse()
        .ok()
        .filter(|dollars: &f64| (0.0..=MAX_DOLLARS).contains(dollars))
        .map(|dollars| (dollars * 1e6).round() as u64)
        .ok_or_else(|| "must be a number of US dollars of 0 or more".to_owned())
}

/// What is stored of a prompt. The key of hashes is a setting of its own, because it is a secret.
fn prompt_privacy(layers: &Layers) -> Result<Privacy, ConfigError> {
    let key = layers.parsed("prompt_hash_key", |secret| match secret.chars().count() {
        16.. => Ok(HashKey::derive(secret)),
        _ => Err("must have at least 16 characters".to_owned()),
    })?;
    if layers.value("prompt_privacy").is_some_and(|value| value.text.trim() == "hashed") {
        return key.map(Privacy::Hashed).ok_or_else(|| {
            layers.wrong("prompt_privacy", "hashed needs a key: set PICARCADE_PROMPT_HASH_KEY")
        });
    }
    required(layers, "prompt_privacy", privacy)
}

fn privacy(value: &str) -> Result<Privacy, String> {
    match value.split_once(':') {
        None if value == "full" => Ok(Privacy::Full),
        None if value == "none" => Ok(Privacy::None),
        None if value == "truncated" => Ok(Privacy::Truncated(100)),
        Some(("truncated", length)) => {
            length.parse().map(Privacy::Truncated).map_err(|_| "truncated:N needs a whole number".to_owned())
        }
        _ => Err("must be full, truncated, truncated:N, hashed or none".to_owned()),
    }
}
