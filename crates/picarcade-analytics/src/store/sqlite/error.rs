//! Errors of SQLite.

use crate::Error;
use crate::store::sql::error as sql;

pub(super) type Result<T, E = SqliteError> = std::result::Result<T, E>;

/// An error of this crate, into which errors of the driver convert.
///
/// The primary result code, the low byte, decides what the caller can do
/// (<https://www.sqlite.org/rescode.html>).
#[derive(Debug)]
pub(super) struct SqliteError(Error);

impl From<sqlx::Error> for SqliteError {
    fn from(failed: sqlx::Error) -> Self {
        let code = primary_code(&failed);
        Self(sql::convert_error(failed, |_| match code {
            // ABORT, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL,
            // SCHEMA
            4..=10 | 13..=15 | 17 => sql::unavailable,
            // TOOBIG, CONSTRAINT, MISMATCH, RANGE
            18..=20 | 25 => sql::rejected,
            _ => sql::statement,
        }))
    }
}

/// Returns the primary result code, or 0 if the error is no answer of the database.
pub(super) fn primary_code(failed: &sqlx::Error) -> u32 {
    let code = failed.as_database_error().and_then(|answer| answer.code()?.parse::<u32>().ok());
    code.unwrap_or(0) & 0xff
}

impl From<Error> for SqliteError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<SqliteError> for Error {
    fn from(error: SqliteError) -> Self {
        error.0
    }
}
