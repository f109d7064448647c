//! PostgreSQL at the start: what is wrong with it is said; what is only away, or not migrated yet, does not hold up the start
//! and is looked after in the background.

use std::time::Duration;

use picarcade_analytics::{Error, PostgresOptions, PostgresStore, SchemaState, SqliteStore, Store};

use super::error::WiringError;
use crate::config::{Config, Database};

/// How long the start waits to hear of the schema, once the database has been reached or given up.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pause between two looks at a database that is not as it should be.
const INTERVAL: Duration = Duration::from_secs(5);

/// Connects. Wrong credentials or a database that does not exist are an error; everything else mends itself or is mended.
pub(super) async fn postgres(url: &str) -> Result<PostgresStore, WiringError> {
    let store = PostgresStore::connect(url).await.map_err(WiringError::Database)?;
    let found = tokio::time::timeout(PATIENCE, store.schema()).await.unwrap_or(Err(Error::Timeout));
    say(&found);
    if !is_current(&found) {
        tokio::spawn(watch(store.clone(), word(&found)));
    }
    Ok(store)
}

/// Brings the configured database up to date. An embedded one is when it has been opened.
/// `lock_timeout` is the longest wait for one lock that another session of PostgreSQL holds.
pub(crate) async fn migrate(config: &Config, lock_timeout: Duration) -> Result<(), WiringError> {
    let migrated = match &config.database {
        Database::Sqlite(path) => SqliteStore::open(path).await.map(drop),
        Database::Postgres(url) => match PostgresOptions::new(url) {
            Ok(mut options) => {
                options.migration_lock_timeout = lock_timeout;
                PostgresStore::lazy(options).migrate().await
            }
            Err(error) => Err(error),
        },
    };
    migrated.map_err(WiringError::Database)
}

/// Says what has changed about the database, until there is nothing left to say.
async fn watch(store: PostgresStore, mut last: &'static str) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let found = store.schema().await;
        if word(&found) != last {
            say(&found);
            last = word(&found);
        }
        if is_current(&found) {
            tracing::info!("the database is there and up to date");
            return;
        }
    }
}

fn say(found: &Result<SchemaState, Error>) {
    match found {
        Ok(SchemaState::Current { .. }) => {}
        Ok(state @ SchemaState::Behind { .. }) => {
            tracing::warn!(%state, "the database is behind: run `picarcade migrate`; until then events are spooled");
        }
        Ok(state) => {
            tracing::warn!(%state, "the database is ahead: use a newer build; what this one cannot store is spooled");
        }
        Err(error) => {
            tracing::warn!(%error, kind = error.kind(), "the database cannot be used yet; events are spooled");
        }
    }
}

fn is_current(found: &Result<SchemaState, Error>) -> bool {
    matches!(found, Ok(state) if state.is_current())
}

/// What there is to say, as a word to compare.
fn word(found: &Result<SchemaState, Error>) -> &'static str {
    match found {
        Ok(SchemaState::Current { .. }) => "current",
        Ok(SchemaState::Behind { .. }) => "behind",
        Ok(SchemaState::Ahead { .. }) => "ahead",
        Err(error) => error.kind(),
    }
}
