//! Errors of PostgreSQL.

use crate::Error;
use crate::store::sql::error as database;

/// Tells PostgreSQL's answers apart by the class of the SQLSTATE
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(super) fn error(from: sqlx::Error) -> Error {
    database::error(from, |answer| {
        let code = answer.code().unwrap_or_default();
        match code.get(..2).unwrap_or_default() {
            // data exception, integrity constraint, program limit exceeded
            "22" | "23" | "54" => database::rejected,
            // invalid authorization, invalid catalog name
            "28" | "3D" => database::refused,
            // connection, transaction state (read-only, as on a standby or a full managed disk), transaction rollback
            // (serialization, deadlock), resources, object in use, operator intervention, system error, internal error
            "08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX" => database::unavailable,
            _ => database::statement,
        }
    })
}
