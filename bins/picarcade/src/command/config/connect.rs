//! `picarcade config --check --connect`: reaches every store and provider, and prints what each
//! answered. No call is paid.

use std::process::ExitCode;
use std::time::Duration;

use picarcade_analytics::{PostgresOptions, PostgresStore, Store};
use picarcade_intent::{ModelStatus, ProviderErrorKind};
use picarcade_redis::{Error as RedisError, RedisHandle};

use super::check::{check, say};
use crate::cli::ShowArguments;
use crate::command::Failure;
use crate::config::{Config, Database, Llm, redact_url};
use crate::http;
use crate::telemetry::chain;

/// How long each part may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a part answered, or why it cannot be used.
type Answer = Result<String, Failure>;

/// Checks the settings and the files, then every connection. Each part that fails is one line. The
/// exit code is 2 if a part refuses the settings, and 1 if a part does not answer.
pub(crate) async fn run(arguments: &ShowArguments) -> Result<ExitCode, Failure> {
    let config = check(arguments)?;
    let mut code = 0;
    for (key, answer) in answers(&config).await {
        match answer {
            Ok(words) => say(&key, words),
            Err(failure) => code = code.max(failure.about(&config.layers.setting(&key)).print()),
        }
    }
    Ok(ExitCode::from(code))
}

/// Returns the answer of each configured part by the key of its setting.
async fn answers(config: &Config) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    let mut add = |key: &str, answer| answers.push((key.to_owned(), answer));
    if let Some(redis) = &config.redis {
        add("redis_url", redis_answer(redis, &redis.url).await);
        if let Some(backup) = &redis.backup_url {
            add("redis_backup_url", redis_answer(redis, backup).await);
        }
    }
    if let Database::Postgres(options) = &config.database {
        let shown = config.layers.value("database_url").map_or_else(String::new, |it| redact_url(&it.text));
        add("database_url", postgres_answer(&shown, options).await);
    }
    if let Some(llm) = &config.llm {
        add(&llm.provider.key_variable().to_lowercase(), provider_answer(llm).await);
    }
    if let Some(url) = config.identity.jwt.as_ref().and_then(|jwt| jwt.jwks_url.as_deref()) {
        add("jwks_url", jwks_answer(url).await);
    }
    answers
}

async fn redis_answer(config: &picarcade_redis::Config, url: &str) -> Answer {
    let shown = redact_url(url);
    let config = picarcade_redis::Config { url: url.to_owned(), backup_url: None, ..config.clone() };
    let handle = RedisHandle::connect(config).map_err(|error| Failure::usage(chain(&error)))?;
    let reached = match handle.ready(TIMEOUT).await {
        Ok(()) => handle.ping().await,
        Err(error) => Err(error),
    };
    match reached {
        Ok(time) => Ok(format!("good, {shown} answers in {:.1} ms", time.as_secs_f64() * 1e3)),
        Err(error @ (RedisError::Auth | RedisError::Tls)) => Err(Failure::usage(format!("{shown}: {error}"))),
        Err(error) => {
            let last = handle.status().last_error.map_or_else(String::new, |last| format!(" (last: {last})"));
            Err(Failure::work(format!("{shown}: {error}{last}")))
        }
    }
}

async fn postgres_answer(shown: &str, options: &PostgresOptions) -> Answer {
    use picarcade_analytics::Error;
    let store = PostgresStore::lazy(options.clone());
    match tokio::time::timeout(TIMEOUT, store.schema()).await.unwrap_or(Err(Error::Timeout)) {
        Ok(state) if state.is_current() => Ok(format!("good, {shown} answers, and its schema is current")),
        Ok(state) => Ok(format!("{shown} answers, but its schema is not that of this build: {state}")),
        Err(error) => {
            let line = format!("{shown}: {}", store.explain(&error).await);
            Err(if error.is_transient() { Failure::work(line) } else { Failure::usage(line) })
        }
    }
}

async fn provider_answer(llm: &Llm) -> Answer {
    let name = llm.provider.as_str();
    let provider = llm.provider.build(llm.settings.clone()).map_err(|error| Failure::usage(chain(&error)))?;
    let model = provider.model();
    match provider.model_status(TIMEOUT).await {
        Ok(ModelStatus::Available) => Ok(format!("good, {name} accepts the key and has {model}")),
        Ok(ModelStatus::Missing) => Err(Failure::usage(format!("{name} answers, but has no model {model}"))),
        Ok(_) => Ok(format!("{name} answers, but not about models: the key and {model} are not checked")),
        Err(error) if error.kind == ProviderErrorKind::Auth => {
            Err(Failure::usage(format!("{name} refuses the key: {}", chain(&error))))
        }
        Err(error) => Err(Failure::work(format!("{name} cannot be used now: {}", chain(&error)))),
    }
}

async fn jwks_answer(url: &str) -> Answer {
    let shown = redact_url(url);
    match http::count_issuer_keys(url).await {
        Ok(0) => Err(Failure::usage(format!("{shown} has no usable key"))),
        Ok(number) => Ok(format!("good, {shown} has {number} usable keys")),
        Err(reason) => Err(Failure::work(format!("{shown}: {reason}"))),
    }
}
