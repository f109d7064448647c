//! Finds the programs of the servers.
//!
//! On Debian the server programs of PostgreSQL are not on the path, and a `postgres` on the path
//! may be a wrapper or another version. The directory of Debian is searched first, and the newest
//! version wins.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const REDIS: &str = "`cargo xtask setup`, or install Redis 7 or newer (Debian: redis-server)";
const POSTGRES: &str = "`cargo xtask setup`, or install PostgreSQL 14 or newer (Debian: postgresql)";
const PGBOUNCER: &str = "`cargo xtask setup`, or install pgbouncer (Debian: pgbouncer)";

/// Finds `redis-server`.
pub(crate) fn redis_server() -> Result<PathBuf> {
    on_path("redis-server").ok_or(Error::NotInstalled { program: "redis-server", hint: REDIS })
}

/// Finds `pgbouncer`.
pub(crate) fn pgbouncer() -> Result<PathBuf> {
    on_path("pgbouncer").ok_or(Error::NotInstalled { program: "pgbouncer", hint: PGBOUNCER })
}

/// Finds one of the server programs of PostgreSQL.
pub(crate) fn postgres(program: &'static str) -> Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
                .map(|(version, path)| (version, path.join("bin").join(program)))
                .filter(|(_, path)| path.is_file())
                .collect()
        })
        .unwrap_or_default();
    versions.sort();
    versions
        .pop()
        .map(|(_, path)| path)
        .or_else(|| on_path(program))
        .ok_or(Error::NotInstalled { program, hint: POSTGRES })
}

/// Returns the first file with that name on the path, or in the directories that the path of an
/// ordinary user lacks.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"].map(|place| Path::new(place).to_owned()))
        .map(|place| place.join(program))
        .find(|candidate| candidate.is_file())
}
