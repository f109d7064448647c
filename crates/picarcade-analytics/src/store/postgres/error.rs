//! Errors of PostgreSQL.

use crate::Error;
use crate::store::sql::error as sql;

pub(super) type Result<T, E = PostgresError> = std::result::Result<T, E>;

/// An error of this crate, into which errors of the driver convert.
///
/// The class of the SQLSTATE decides what the caller can do
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
#[derive(Debug)]
pub(super) struct PostgresError(Error);

/// The SQLSTATE of a row whose key exists.
const UNIQUE_VIOLATION: &str = "23505";

impl PostgresError {
    /// Returns whether the same call may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        self.0.is_transient()
    }

    /// Returns whether a row exists already.
    pub(super) fn is_unique_violation(&self) -> bool {
        matches!(&self.0, Error::Rejected { code, .. } if code == UNIQUE_VIOLATION)
    }
}

impl From<sqlx::Error> for PostgresError {
    fn from(failed: sqlx::Error) -> Self {
        Self(sql::convert_error(failed, |answer| {
            let code = answer.code().unwrap_or_default();
            match code.get(..2).unwrap_or_default() {
                // data exception, integrity constraint, program limit exceeded
                "22" | "23" | "54" => sql::rejected,
                // invalid authorization, invalid catalog name
                "28" | "3D" => sql::refused,
                // connection, transaction state (read-only, as on a standby or a full managed
                // disk), transaction rollback (serialization, deadlock), resources, object in use,
                // operator intervention, system error, internal error
                "08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX" => sql::unavailable,
                _ => sql::statement,
            }
        }))
    }
}

impl From<Error> for PostgresError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<PostgresError> for Error {
    fn from(error: PostgresError) -> Self {
        error.0
    }
}
