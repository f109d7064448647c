//! Every setting: its TOML key, its environment variable, its default, and whether its value is a
//! secret.
//!
//! It is one table, so that `picarcade config` and the parser agree.

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The key at the top level of the TOML file.
    pub(crate) key: &'static str,
    /// The environment variable, which overrides the file.
    pub(crate) env: &'static str,
    /// The value if neither is set. `None` means that the setting is off.
    pub(crate) default: Option<&'static str>,
    /// How its value may be shown.
    pub(crate) shown: Shown,
}

/// How a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// As it is.
    Plainly,
    /// Not at all.
    Redacted,
    /// Without the user and the password of the URL.
    UrlWithoutCredentials,
}

impl Setting {
    /// Returns the setting of this key.
    pub(crate) fn of(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

const fn plain(key: &'static str, env: &'static str, default: Option<&'static str>) -> Setting {
    Setting { key, env, default, shown: Shown::Plainly }
}

const fn secret(key: &'static str, env: &'static str) -> Setting {
    Setting { key, env, default: None, shown: Shown::Redacted }
}

const fn url(key: &'static str, env: &'static str) -> Setting {
    Setting { key, env, default: None, shown: Shown::UrlWithoutCredentials }
}

/// The settings in the order in which they are printed.
pub(crate) const SETTINGS: &[Setting] = &[
    plain("listen", "PICARCADE_LISTEN", Some("127.0.0.1:8080")),
    plain("data_dir", "PICARCADE_DATA_DIR", Some("./picarcade-data")),
    secret("api_keys", "PICARCADE_API_KEYS"),
    secret("admin_token", "PICARCADE_ADMIN_TOKEN"),
    secret("jwt_secret", "PICARCADE_JWT_SECRET"),
    url("jwks_url", "PICARCADE_JWKS_URL"),
    plain("jwt_issuer", "PICARCADE_JWT_ISSUER", None),
    plain("jwt_audience", "PICARCADE_JWT_AUDIENCE", None),
    plain("cors_origins", "PICARCADE_CORS_ORIGINS", None),
    plain("rules", "PICARCADE_RULES", None),
    plain("models", "PICARCADE_MODELS", None),
    plain("max_connections", "PICARCADE_MAX_CONNECTIONS", Some("10000")),
    plain("max_connections_per_address", "PICARCADE_MAX_CONNECTIONS_PER_ADDRESS", Some("1000")),
    plain("shutdown_timeout", "PICARCADE_SHUTDOWN_TIMEOUT", Some("30")),
    plain("shutdown_delay", "PICARCADE_SHUTDOWN_DELAY", Some("1")),
    plain("public_operations", "PICARCADE_PUBLIC_OPERATIONS", Some("false")),
    plain("prompt_privacy", "PICARCADE_PROMPT_PRIVACY", Some("full")),
    secret("prompt_hash_key", "PICARCADE_PROMPT_HASH_KEY"),
    url("redis_url", "REDIS_URL"),
    url("redis_backup_url", "REDIS_BACKUP_URL"),
    plain("redis_key_prefix", "REDIS_KEY_PREFIX", Some("picarcade:")),
    plain("redis_driver", "PICARCADE_REDIS_DRIVER", Some("redis")),
    url("database_url", "DATABASE_URL"),
    plain("llm_provider", "LLM_PROVIDER", None),
    plain("llm_model", "LLM_MODEL", None),
    plain("llm_mode", "LLM_MODE", None),
    secret("anthropic_api_key", "ANTHROPIC_API_KEY"),
    secret("openai_api_key", "OPENAI_API_KEY"),
    secret("replicate_api_token", "REPLICATE_API_TOKEN"),
    url("anthropic_base_url", "ANTHROPIC_BASE_URL"),
    url("openai_base_url", "OPENAI_BASE_URL"),
    url("replicate_base_url", "REPLICATE_BASE_URL"),
    plain("rate_limit_requests_per_minute", "RATE_LIMIT_REQUESTS_PER_MINUTE", Some("100")),
    plain("rate_limit_requests_per_hour", "RATE_LIMIT_REQUESTS_PER_HOUR", Some("1000")),
    plain("rate_limit_global_requests_per_minute", "RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE", None),
    plain("rate_limit_global_requests_per_hour", "RATE_LIMIT_GLOBAL_REQUESTS_PER_HOUR", Some("10000")),
    plain("rate_limit_endpoint_requests_per_minute", "RATE_LIMIT_ENDPOINT_REQUESTS_PER_MINUTE", None),
    plain("rate_limit_api_key_requests_per_minute", "RATE_LIMIT_API_KEY_REQUESTS_PER_MINUTE", None),
    plain("cost_limit_per_hour", "COST_LIMIT_PER_HOUR", Some("50.0")),
    plain("cost_limit_global_per_day", "COST_LIMIT_GLOBAL_PER_DAY", Some("500.0")),
    plain("cost_limit_action", "COST_LIMIT_ACTION", Some("degrade")),
    plain("expected_instances", "PICARCADE_EXPECTED_INSTANCES", Some("1")),
    plain("reservation_ttl", "PICARCADE_RESERVATION_TTL", Some("900")),
    plain("leased_limits", "PICARCADE_LEASED_LIMITS", None),
    plain("circuit_breaker_failure_threshold", "CIRCUIT_BREAKER_FAILURE_THRESHOLD", None),
    plain("circuit_breaker_timeout", "CIRCUIT_BREAKER_TIMEOUT", None),
    plain("circuit_breaker_success_threshold", "CIRCUIT_BREAKER_SUCCESS_THRESHOLD", None),
    plain("intent_cache_ttl", "INTENT_CACHE_TTL", Some("3600")),
    plain("prompt_enhancement_cache_ttl", "PROMPT_ENHANCEMENT_CACHE_TTL", Some("86400")),
    plain("model_params_cache_ttl", "MODEL_PARAMS_CACHE_TTL", Some("3600")),
    plain("stats_cache_ttl", "STATS_CACHE_TTL", Some("300")),
    plain("session_cache_ttl", "SESSION_CACHE_TTL", Some("600")),
    plain("max_concurrent_classifications", "MAX_CONCURRENT_CLASSIFICATIONS", Some("10")),
    plain("classification_timeout", "CLASSIFICATION_TIMEOUT", Some("30")),
];

/// The table of the TOML file that sets breakers one by one, and its keys.
pub(crate) const BREAKERS_TABLE: &str = "breakers";

/// The keys of a breaker's own table.
pub(crate) const BREAKER_KEYS: [&str; 3] = ["failure_threshold", "timeout", "success_threshold"];

/// The services that have a breaker.
pub(crate) const BREAKER_NAMES: [&str; 4] = ["anthropic", "openai", "replicate", "runway"];
