//! Statements and their columns.

use sqlx::postgres::PgRow;

use super::error::Result;

/// Returns a statement without a name on the server.
pub(super) fn query(
    sql: &'static str,
) -> sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments> {
    sqlx::query(sql).persistent(false)
}

pub(super) fn column<'r, T>(row: &'r PgRow, at: usize) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    Ok(sqlx::Row::try_get(row, at)?)
}
