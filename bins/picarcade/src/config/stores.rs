//! The settings of Redis and the database.

use std::path::{Path, PathBuf};

use picarcade_analytics::{Error, PostgresOptions, Privacy};

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Setting, plain, url};
use super::values::{disk_bytes, required, text, word};

/// The database of the events.
#[derive(Debug)]
pub(crate) enum Database {
    /// SQLite in this file or directory.
    Sqlite(PathBuf),
    /// PostgreSQL at this URL.
    Postgres(String),
}

pub(super) fn settings() -> Vec<Setting> {
    vec![
        url("REDIS_URL"),
        url("REDIS_BACKUP_URL"),
        plain("REDIS_KEY_PREFIX").or("picarcade:"),
        plain("PICARCADE_REDIS_DRIVER").or("redis"),
        url("DATABASE_URL"),
        plain("PICARCADE_DISK_CACHE_BYTES"),
    ]
}

pub(super) fn redis(layers: &Layers) -> Result<Option<picarcade_redis::Config>, ConfigError> {
    let driver = required(layers, "redis_driver", word)?;
    let prefix = required(layers, "redis_key_prefix", text)?;
    let (url, backup_url) =
        (layers.parsed("redis_url", redis_url)?, layers.parsed("redis_backup_url", redis_url)?);
    match (url, backup_url) {
        (Some(url), backup_url) => {
            let defaults = picarcade_redis::Config::default();
            Ok(Some(picarcade_redis::Config { url, backup_url, prefix, driver, ..defaults }))
        }
        (None, Some(_)) => Err(layers.wrong("redis_backup_url", "needs REDIS_URL")),
        (None, None) => Ok(None),
    }
}

fn redis_url(value: &str) -> Result<String, String> {
    use picarcade_redis::{Config, ConfigError};
    match Config::new(value).check() {
        Ok(()) => Ok(value.to_owned()),
        Err(ConfigError::Scheme { .. }) => Err(
            "must begin with redis://, rediss://, redis-sentinel://, rediss-sentinel://, redis-cluster:// \
             or rediss-cluster://"
                .to_owned(),
        ),
        Err(ConfigError::Url { problem, .. }) => Err(format!("must be a Redis URL: {problem}")),
        Err(other) => Err(other.to_string()),
    }
}

/// The limit of the cache on disk if none is set.
const DISK_CACHE_BYTES: u64 = 256 << 20;

/// Returns the limit of the cache on disk, or `None` if there is none: it is switched off, or Redis
/// takes its place. Cached answers contain enhanced prompts, so an operator who stores prompts only
/// in part must ask for the file.
pub(super) fn disk_cache(layers: &Layers, privacy: &Privacy) -> Result<Option<u64>, ConfigError> {
    let default = if *privacy == Privacy::Full { DISK_CACHE_BYTES } else { 0 };
    let bytes = layers.parsed("disk_cache_bytes", disk_bytes)?.unwrap_or(default);
    let has_redis = layers.value("redis_url").is_some();
    Ok(Some(bytes).filter(|bytes| *bytes > 0 && !has_redis))
}

pub(super) fn database(layers: &Layers, data_dir: &Path) -> Result<Database, ConfigError> {
    let parsed = layers.parsed("database_url", |url| {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return match PostgresOptions::new(url) {
                Ok(_) => Ok(Database::Postgres(url.to_owned())),
                Err(Error::Config(reason)) => Err(reason),
                Err(other) => Err(other.to_string()),
            };
        }
        match url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
            Some(path) if !path.is_empty() => Ok(Database::Sqlite(PathBuf::from(path))),
            _ => Err("must begin with postgres:// or sqlite://".to_owned()),
        }
    })?;
    Ok(parsed.unwrap_or_else(|| Database::Sqlite(data_dir.to_owned())))
}
