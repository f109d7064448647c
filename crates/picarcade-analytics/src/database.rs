//! Shared code of the two databases: driver errors and common settings.

use std::time::Duration;

use sqlx::migrate::MigrateError;

use crate::Error;

/// The table of applied migrations. It is not sqlx's default, because a database may be shared.
pub(crate) const MIGRATION_TABLE: &str = "picarcade_migrations";

/// The retention of a store in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long event rows are kept; `None` for ever.
    pub events: Option<Duration>,
    /// How long roll-ups are kept; they are small.
    pub rollups: Option<Duration>,
}

impl Default for Retention {
    /// 90 days for events, two years for roll-ups.
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self { events: Some(Duration::from_secs(90 * DAY)), rollups: Some(Duration::from_secs(730 * DAY)) }
    }
}

/// Converts money to the type of the databases.
pub(crate) fn money(micros: u64) -> Result<i64, Error> {
    i64::try_from(micros).map_err(|_| unfit("an amount of money is out of range"))
}

/// Returns the error for a value that does not fit its column.
pub(crate) fn unfit(why: &'static str) -> Error {
    Error::Rejected { code: "encode".to_owned(), source: why.into() }
}

/// Converts a count from the database.
pub(crate) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Converts a driver error that `classify` did not recognize as an answer of the database.
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
