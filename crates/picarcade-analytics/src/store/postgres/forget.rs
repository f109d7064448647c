//! Deletes the rows of a user.
//!
//! A user may have millions of rows, which no statement could delete within its timeout. They are
//! deleted in pieces, oldest first, each in its own transaction, so that writers are not blocked.
//! After an interruption, another call deletes the rest.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

use super::connect::begin;
use super::error::Result;
use super::options::PostgresOptions;
use crate::Table;
use crate::store::sql::value::clean;
use crate::table::SESSIONS;

/// Rows deleted in one transaction, plus the remaining rows of the same microsecond.
const PIECE: u64 = 10_000;

/// Deletes the rows of `user` from all tables and returns how many were deleted.
pub(super) async fn user(pool: &PgPool, options: &PostgresOptions, user: &str) -> Result<u64> {
    let user = clean(user);
    let mut rows = 0;
    // Each table with the column that orders its rows.
    let tables = Table::all_with_user().map(|table| (table.as_str(), "created_at"));
    for (table, at) in tables.chain([(SESSIONS, "updated_at")]) {
        // The statement contains only literals.
        let statement = format!(
            "DELETE FROM {table} WHERE user_id = $1 AND {at} <= coalesce(
                 (SELECT {at} FROM {table} WHERE user_id = $1 ORDER BY {at} LIMIT 1 OFFSET {}), 'infinity')",
            PIECE - 1,
        );
        loop {
            let mut transaction = begin(pool, options).await?;
            let delete = sqlx::query(AssertSqlSafe(statement.clone())).persistent(false).bind(user.as_ref());
            let deleted = delete.execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            rows += deleted;
            if deleted < PIECE {
                break;
            }
        }
    }
    Ok(rows)
}
