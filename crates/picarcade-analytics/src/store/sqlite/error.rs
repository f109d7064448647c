//! Errors of SQLite.

use crate::Error;
use crate::store::sql::error as database;

/// Classifies the answers of SQLite by the primary result code, the low byte
/// (<https://www.sqlite.org/rescode.html>).
pub(super) fn error(from: sqlx::Error) -> Error {
    database::error(from, |answer| {
        let code = answer.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0) & 0xff;
        match code {
            // ABORT, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL, SCHEMA
            4..=10 | 13..=15 | 17 => database::unavailable,
            // TOOBIG, CONSTRAINT, MISMATCH, RANGE
            18..=20 | 25 => database::rejected,
            _ => database::statement,
        }
    })
}
