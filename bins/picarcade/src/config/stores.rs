//! Where things are kept: Redis and the database.

use std::path::{Path, PathBuf};

use super::layers::{ConfigError, Layers};
use super::values::{required, text};

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

pub(super) fn redis(layers: &Layers) -> Result<Option<RedisSettings>, ConfigError> {
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

pub(super) fn database(layers: &Layers, data_dir: &Path) -> Result<Database, ConfigError> {
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
