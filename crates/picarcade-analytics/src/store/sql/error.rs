//! Classifies the errors of the driver.

use sqlx::migrate::MigrateError;

use crate::Error;

/// The table of applied migrations. It is not sqlx's default, because a database may be shared.
pub(crate) const MIGRATION_TABLE: &str = "picarcade_migrations";

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
