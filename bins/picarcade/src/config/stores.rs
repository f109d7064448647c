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
    /// PostgreSQL with these options.
    Postgres(Box<PostgresOptions>),
}

pub(super) fn settings() -> Vec<Setting> {
    vec![
        url("REDIS_URL"),
        url("REDIS_BACKUP_URL"),
        plain("REDIS_KEY_PREFIX").or("picarcade:"),
        plain("PICARCADE_REDIS_DRIVER").or("redis"),
        plain("REDIS_CA_FILE"),
        url("DATABASE_URL"),
        plain("DATABASE_CA_FILE"),
        plain("PICARCADE_DISK_CACHE_BYTES"),
    ]
}

pub(super) fn redis(layers: &Layers) -> Result<Option<picarcade_redis::Config>, ConfigError> {
    let driver = required(layers, "redis_driver", word)?;
    let prefix = required(layers, "redis_key_prefix", text)?;
    let (url, backup_url) =
        (layers.parsed("redis_url", redis_url)?, layers.parsed("redis_backup_url", redis_url)?);
    let ca = layers.parsed("redis_ca_file", certificates)?;
    let uses_tls = url.iter().chain(&backup_url).any(|url| url.starts_with("rediss"));
    if ca.is_some() && !uses_tls {
        return Err(layers.wrong("redis_ca_file", "needs a Redis URL with TLS, such as rediss://"));
    }
    match (url, backup_url) {
        (Some(url), backup_url) => {
            let defaults = picarcade_redis::Config::default();
            Ok(Some(picarcade_redis::Config { url, backup_url, prefix, driver, ca, ..defaults }))
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
                Ok(options) => Ok(Database::Postgres(Box::new(options))),
                Err(Error::Config(reason)) => Err(reason),
                Err(other) => Err(other.to_string()),
            };
        }
        match url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
            Some(path) if !path.is_empty() => Ok(Database::Sqlite(PathBuf::from(path))),
            _ => Err("must begin with postgres:// or sqlite://".to_owned()),
        }
    })?;
    let database = parsed.unwrap_or_else(|| Database::Sqlite(data_dir.to_owned()));
    match (database, layers.parsed("database_ca_file", certificates)?) {
        (database, None) => Ok(database),
        (Database::Sqlite(_), Some(_)) => {
            Err(layers.wrong("database_ca_file", "needs a DATABASE_URL that begins with postgres://"))
        }
        (Database::Postgres(options), Some(pem)) => match options.with_ca(pem) {
            Ok(options) => Ok(Database::Postgres(Box::new(options))),
            Err(Error::Config(reason)) => Err(layers.wrong("database_ca_file", reason)),
            Err(other) => Err(layers.wrong("database_ca_file", other.to_string())),
        },
    }
}

/// Where systems keep the certificates that they trust: Debian and Alpine, Red Hat, SUSE, BSD.
const SYSTEM_CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reads the CA certificates in a PEM file. The word `system` means the trust store of the system.
fn certificates(value: &str) -> Result<Vec<u8>, String> {
    let pem = if value == "system" {
        let found = SYSTEM_CERTIFICATES.iter().find_map(|path| std::fs::read(path).ok());
        found.ok_or_else(|| format!("no trust store of the system at {}", SYSTEM_CERTIFICATES.join(", ")))?
    } else {
        std::fs::read(value).map_err(|error| format!("the file {value} cannot be read: {error}"))?
    };
    // The check of the Redis client is the one that both stores need.
    let with_ca = picarcade_redis::Config { ca: Some(pem.clone()), ..picarcade_redis::Config::default() };
    match with_ca.check() {
        Ok(()) => Ok(pem),
        Err(picarcade_redis::ConfigError::Ca { problem }) => {
            Err(format!("must name a PEM file of CA certificates: {problem}"))
        }
        Err(other) => Err(other.to_string()),
    }
}
