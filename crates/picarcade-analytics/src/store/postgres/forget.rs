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
use crate::store::sql::text::clean;

/// Rows deleted in one transaction, plus the remaining rows of the same microsecond.
const PIECE: u64 = 10_000;

/// The tables with a user, and the column that orders their rows.
const TABLES: [(&str, &str); 5] = [
    ("intent_classification_logs", "created_at"),
    ("cost_tracking", "created_at"),
    ("model_selection_logs", "created_at"),
    ("generation_outcomes", "created_at"),
    ("user_sessions", "updated_at"),
];

/// Deletes the rows of `user` from all tables and returns how many were deleted.
pub(super) async fn user(pool: &PgPool, options: &PostgresOptions, user: &str) -> Result<u64> {
    let user = clean(user);
    let mut rows = 0;
    for (table, at) in TABLES {
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
