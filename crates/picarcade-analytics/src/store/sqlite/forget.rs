//! Deletes the rows of a user.

use sqlx::sqlite::SqlitePool;

use super::error::Result;
use crate::store::sql::text::clean;

/// Rows deleted in one transaction, so that writers are not blocked for long.
pub(super) const PIECE: i64 = 5_000;

/// Deletes the rows of `user` from all tables and returns how many were deleted.
pub(super) async fn user(writer: &SqlitePool, user: &str) -> Result<u64> {
    let user = clean(user);
    let mut rows = 0;
    // Deleted in pieces, so that writers are not blocked for long.
    for statement in [
        "DELETE FROM intent_classification_logs WHERE rowid IN (
             SELECT rowid FROM intent_classification_logs WHERE user_id = ? LIMIT ?)",
        "DELETE FROM cost_tracking WHERE rowid IN (SELECT rowid FROM cost_tracking WHERE user_id = ? LIMIT ?)",
        "DELETE FROM model_selection_logs WHERE rowid IN (
             SELECT rowid FROM model_selection_logs WHERE user_id = ? LIMIT ?)",
        "DELETE FROM generation_outcomes WHERE user_id = ?1 AND generation_id IN (
             SELECT generation_id FROM generation_outcomes WHERE user_id = ?1 LIMIT ?2)",
        "DELETE FROM user_sessions WHERE session_id IN (
             SELECT session_id FROM user_sessions WHERE user_id = ? LIMIT ?)",
    ] {
        loop {
            let delete = sqlx::query(statement).bind(user.as_ref()).bind(PIECE);
            let deleted = delete.execute(writer).await?.rows_affected();
            rows += deleted;
            if deleted < PIECE as u64 {
                break;
            }
        }
    }
    Ok(rows)
}
