//! Deletes the rows of a user.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqlitePool;

use super::error::Result;
use crate::Table;
use crate::store::sql::value::clean;
use crate::table::SESSIONS;

/// Rows deleted in one transaction, so that writers are not blocked for long.
pub(super) const PIECE: i64 = 5_000;

/// Deletes the rows of `user` from all tables and returns how many were deleted.
pub(super) async fn user(writer: &SqlitePool, user: &str) -> Result<u64> {
    let user = clean(user);
    let mut rows = 0;
    for statement in statements() {
        loop {
            let delete = sqlx::query(AssertSqlSafe(statement.clone())).bind(user.as_ref()).bind(PIECE);
            let deleted = delete.execute(writer).await?.rows_affected();
            rows += deleted;
            if deleted < PIECE as u64 {
                break;
            }
        }
    }
    // The write-ahead log still contains the deleted rows. If a reader is busy, the log stays
    // unchanged without an error, and the next checkpoint overwrites it.
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(writer).await?;
    Ok(rows)
}

/// Returns one statement per table, made of literals only. Each deletes a limited number of rows.
fn statements() -> impl Iterator<Item = String> {
    let by_key = |table: &str, key: &str| {
        format!("DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE user_id = ?1 LIMIT ?2)")
    };
    Table::all_with_user()
        .map(move |table| match table {
            // The key of an outcome is its generation and its user.
            Table::Outcome => by_key(table.as_str(), "generation_id") + " AND user_id = ?1",
            _ => by_key(table.as_str(), "rowid"),
        })
        .chain([by_key(SESSIONS, "session_id")])
}
