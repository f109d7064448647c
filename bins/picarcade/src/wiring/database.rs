//! PostgreSQL at the start. A wrong configuration is an error. A database that is unavailable or
//! not migrated does not delay the start, and is watched in the background.

use std::time::Duration;

use picarcade_analytics::{
    Error, FeedbackRows, PostgresOptions, PostgresStore, SchemaState, SqliteStore, Store,
};

use super::error::WiringError;
use crate::config::{Config, Database};

/// How long the start waits for the version of the schema, after the database has answered or timed
/// out.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause between two checks of a database that cannot be used yet.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Connects. Wrong credentials and a database that does not exist are errors. All other faults
/// pass, or an operator fixes them while the service runs.
pub(super) async fn postgres(options: PostgresOptions) -> Result<PostgresStore, WiringError> {
    let store = PostgresStore::connect_with(options).await.map_err(WiringError::Database)?;
    let found = tokio::time::timeout(SCHEMA_TIMEOUT, store.schema()).await.unwrap_or(Err(Error::Timeout));
    if !is_current(&found) {
        log_state(&found);
        tokio::spawn(watch(store.clone(), state_name(&found)));
    }
    Ok(store)
}

/// Migrates the configured database. An embedded one is migrated when it is opened.
/// The wait for a lock that another session of PostgreSQL holds ends after `lock_timeout`.
pub(crate) async fn migrate(config: &Config, lock_timeout: Duration) -> Result<(), WiringError> {
    let migrated = match &config.database {
        Database::Sqlite(path) => SqliteStore::open(path).await.map(drop),
        Database::Postgres(options) => {
            let mut options = (**options).clone();
            options.migration_lock_timeout = lock_timeout;
            PostgresStore::lazy(options).migrate().await
        }
    };
    migrated.map_err(WiringError::Database)
}

/// Opens the configured database for a reader of feedback. An embedded one must exist and is
/// migrated. PostgreSQL is connected to by the first query.
pub(crate) async fn feedback_rows(config: &Config) -> Result<Box<dyn FeedbackRows>, Error> {
    Ok(match &config.database {
        Database::Sqlite(path) => {
            // An export that creates an empty database hides a wrong directory.
            if let Err(source) = std::fs::metadata(path) {
                return Err(Error::Directory { path: path.clone(), source });
            }
            Box::new(SqliteStore::open(path).await?)
        }
        Database::Postgres(options) => Box::new(PostgresStore::lazy((**options).clone())),
    })
}

/// Logs each change of the database's state until the database can be used.
async fn watch(store: PostgresStore, mut last: &'static str) {
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let found = store.schema().await;
        if state_name(&found) != last {
            log_state(&found);
            last = state_name(&found);
        }
        if is_current(&found) {
            return;
        }
    }
}

fn log_state(found: &Result<SchemaState, Error>) {
    match found {
        Ok(SchemaState::Current { .. }) => tracing::info!("the database schema is up to date"),
        Ok(state @ SchemaState::Behind { .. }) => {
            tracing::warn!(%state, "the database is behind: run `picarcade migrate`; until then events are spooled");
        }
        Ok(state) => {
            tracing::warn!(%state, "the database is ahead: use a newer build; what this one cannot store is spooled");
        }
        // The health check logs an outage, its cause and its end.
        Err(error) => tracing::debug!(kind = error.kind(), "the database cannot be used yet"),
    }
}

fn is_current(found: &Result<SchemaState, Error>) -> bool {
    matches!(found, Ok(state) if state.is_current())
}

/// Returns the state as a word, to notice changes.
fn state_name(found: &Result<SchemaState, Error>) -> &'static str {
    match found {
        Ok(SchemaState::Current { .. }) => "current",
        Ok(SchemaState::Behind { .. }) => "behind",
        Ok(SchemaState::Ahead { .. }) => "ahead",
        Err(error) => error.kind(),
    }
}
