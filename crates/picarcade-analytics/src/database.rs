//! What the two databases have in common: the reading of driver errors, and settings of both.

use std::time::Duration;

use sqlx::migrate::MigrateError;

use crate::Error;

/// Where the migrations that have been applied are written down; not sqlx's default, since a database may be shared.
pub(crate) const MIGRATION_TABLE: &str = "picarcade_migrations";

/// Limits that a store in a database keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long event rows are kept; `None` for ever.
    pub events: Option<Duration>,
    /// How long roll-ups are kept; they are small.
    pub rollups: Option<Duration>,
}

impl Default for Retention {
    /// Events for 90 days, roll-ups for two years.
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self { events: Some(Duration::from_secs(90 * DAY)), rollups: Some(Duration::from_secs(730 * DAY)) }
    }
}

/// Money as the databases keep it.
pub(crate) fn money(micros: u64) -> Result<i64, Error> {
    i64::try_from(micros).map_err(|_| unfit("an amount of money is out of range"))
}

/// A value that does not fit its column.
pub(crate) fn unfit(why: &'static str) -> Error {
    Error::Rejected { code: "encode".to_owned(), source: why.into() }
}

/// A count out of the database.
pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// What is left of a driver's error once the database's own answers have been told apart by `classify`.
pub(crate) fn error(
    error: sqlx::Error,
    classify: impl FnOnce(&dyn sqlx::error::DatabaseError) -> fn(String, sqlx::Error) -> Error,
) -> Error {
    match &error {
        sqlx::Error::Database(answer) => {
            let code = answer.code().unwrap_or_default().into_owned();
            let make = classify(answer.as_ref());
            make(code, error)
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed
        | sqlx::Error::Protocol(_) => Error::Unavailable { source: error.into() },
        sqlx::Error::Encode(_) => Error::Rejected { code: "encode".to_owned(), source: error.into() },
        sqlx::Error::Configuration(_) => Error::Config(error.to_string()),
        _ => Error::Statement { source: error.into() },
    }
}

/// The error of a migration. One that failed because of the connection or a lock can be tried again,
/// which `error` tells apart.
pub(crate) fn migration_failed(source: MigrateError, error: fn(sqlx::Error) -> Error) -> Error {
    match source {
        MigrateError::Execute(failed) | MigrateError::ExecuteMigration(failed, _) => match error(failed) {
            transient if transient.is_transient() => transient,
            other => Error::Migration { source: other.into() },
        },
        other => Error::Migration { source: other.into() },
    }
}

pub(crate) fn unavailable(_code: String, error: sqlx::Error) -> Error {
    Error::Unavailable { source: error.into() }
}

pub(crate) fn rejected(code: String, error: sqlx::Error) -> Error {
    Error::Rejected { code, source: error.into() }
}

#[cfg(feature = "postgres")]
pub(crate) fn refused(code: String, error: sqlx::Error) -> Error {
    Error::Refused { code, source: error.into() }
}

pub(crate) fn statement(_code: String, error: sqlx::Error) -> Error {
    Error::Statement { source: error.into() }
}
