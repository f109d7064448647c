//! One line about what is in force, so that the log alone says how an instance was configured.

use picarcade_flow::Rules;
use picarcade_intent::LocalClassifier;
use picarcade_ratelimit::{Limit, Unit};

use crate::config::{Config, Database, redact_url};
use crate::wiring;

/// The word for a part that is not configured.
const NONE: &str = "none";

/// Logs the stores, the provider, the mode, the limits, the identities, and the versions of
/// everything that decides.
pub(super) fn log(config: &Config, rules: &Rules) {
    let redis = config.redis.as_ref();
    let url = |url: Option<&str>| url.map_or_else(|| NONE.to_owned(), redact_url);
    let llm = config.llm.as_ref();
    let model = llm.map(|llm| llm.settings.model.as_deref().unwrap_or(llm.provider.default_model()));
    tracing::info!(
        redis = url(redis.map(|redis| redis.url.as_str())),
        redis_backup = url(redis.and_then(|redis| redis.backup_url.as_deref())),
        database = match &config.database {
            Database::Sqlite(path) => format!("sqlite in {}", path.display()),
            Database::Postgres(_) => url(config.layers.value("database_url").map(|it| it.text.as_str())),
        },
        provider = llm.map_or(NONE, |llm| llm.provider.as_str()),
        model = model.unwrap_or(NONE),
        mode = %config.policy.mode,
        limits = limits(config),
        cost_action = %config.policy.cost_action,
        instances = config.limits.expected_instances,
        identity = identity(config),
        rules = rules.matrix.version(),
        models = rules.catalogue.version(),
        local_model = LocalClassifier::embedded_version(),
        encoder = wiring::encoder_version(),
        version = env!("CARGO_PKG_VERSION"),
        "in force"
    );
}

/// Returns each limit with its amount, such as `user-requests-60s=100`. Those of dollars are in
/// dollars.
fn limits(config: &Config) -> String {
    let amount = |limit: &Limit| match limit.unit() {
        Unit::Cost => format!("{}=${}", limit.name(), limit.limit() as f64 / 1e6),
        Unit::Requests => format!("{}={}", limit.name(), limit.limit()),
    };
    let limits: Vec<_> = config.limits.all.iter().map(amount).collect();
    if limits.is_empty() { NONE.to_owned() } else { limits.join(" ") }
}

/// Returns how callers can identify themselves.
fn identity(config: &Config) -> String {
    let identity = &config.identity;
    let jwt = identity.jwt.as_ref();
    let mut ways = Vec::new();
    if !identity.api_keys.is_empty() {
        ways.push(format!("{} API keys", identity.api_keys.len()));
    }
    if jwt.is_some_and(|jwt| jwt.secret.is_some()) {
        ways.push("tokens by HS256".to_owned());
    }
    if jwt.is_some_and(|jwt| jwt.jwks_url.is_some()) {
        ways.push("tokens by JWKS".to_owned());
    }
    if identity.admin_token.is_some() {
        ways.push("admin token".to_owned());
    }
    if ways.is_empty() { NONE.to_owned() } else { ways.join(", ") }
}
