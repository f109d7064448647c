//! Weekly partitions: created ahead, dropped when they are old.
//!
//! The name of a partition ends in its first day, in UTC: `cost_tracking_20260105`. Weeks begin on
//! Monday. If the default partition already has rows of a week, because its partition was not
//! created in time, the rows stay there: moving them would lock the table. Dropping a partition
//! returns its space to the file system at once, unlike deleting rows.

use std::collections::BTreeSet;

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgPool};

use super::connect::{LOCK_CLASS, LOCK_PARTITIONS, begin};
use super::error::Result;
use super::options::PostgresOptions;
use super::statement::{column, query};
use crate::Table;
use crate::timestamp::{DAY, civil, floor};

const WEEK: i64 = 7 * DAY;
/// Monday, 1970-01-05.
const FIRST_MONDAY: i64 = 4 * DAY;
/// Weeks created ahead of the current one.
const AHEAD: i64 = 4;

/// Creates the missing partitions of this week and the next ones, and returns how many were
/// created.
///
/// Each table has its own transaction: creating a partition locks out writers, and a transaction
/// that holds one table and waits for another could deadlock.
pub(super) async fn create_ahead(pool: &PgPool, options: &PostgresOptions, now: i64) -> Result<u64> {
    let mut created = 0;
    for table in Table::all_partitioned().map(Table::as_str) {
        let mut transaction = begin(pool, options).await?;
        lock(&mut transaction).await?;
        let existing = partitions(&mut transaction, table).await?;
        for week in 0..=AHEAD {
            let start = week_of(now) + week * WEEK;
            let name = name(table, start);
            if existing.contains(&name) || is_taken(&mut transaction, table, start).await? {
                continue;
            }
            // Names and dates are generated here. A partition that is read directly does not
            // inherit row security.
            let statement = format!(
                "CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{}') TO ('{}');
                 ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
                date(start),
                date(start + WEEK),
            );
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
            created += 1;
        }
        transaction.commit().await?;
    }
    Ok(created)
}

/// Serializes the creation and dropping of partitions between instances.
async fn lock(connection: &mut PgConnection) -> Result<()> {
    query("SELECT pg_advisory_xact_lock($1, $2)")
        .bind(LOCK_CLASS)
        .bind(LOCK_PARTITIONS)
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns whether the default partition contains rows of the week.
async fn is_taken(connection: &mut PgConnection, table: &str, start: i64) -> Result<bool> {
    let statement = format!(
        "SELECT EXISTS (SELECT 1 FROM {table}_default WHERE created_at >= '{}' AND created_at < '{}')",
        date(start),
        date(start + WEEK),
    );
    let row = sqlx::query(AssertSqlSafe(statement)).persistent(false).fetch_one(connection).await?;
    column(&row, 0)
}

/// Drops the partitions that end before `before`, deletes older rows of the default partition, and
/// returns how many partitions were dropped.
pub(super) async fn drop_before(pool: &PgPool, options: &PostgresOptions, before: i64) -> Result<u64> {
    let mut dropped = 0;
    for table in Table::all_partitioned().map(Table::as_str) {
        let mut transaction = begin(pool, options).await?;
        lock(&mut transaction).await?;
        // The names have equal length and sort by date.
        let kept = name(table, week_of(before));
        for old in partitions(&mut transaction, table).await?.range(..kept) {
            sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE {old}"))).execute(&mut *transaction).await?;
            dropped += 1;
        }
        let statement = format!(
            "DELETE FROM {table}_default WHERE created_at < timestamptz 'epoch' + $1 * interval '1 microsecond'"
        );
        sqlx::query(AssertSqlSafe(statement))
            .persistent(false)
            .bind(before)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    Ok(dropped)
}

/// Returns the partitions of a table that this module created, by name.
async fn partitions(connection: &mut PgConnection, table: &str) -> Result<BTreeSet<String>> {
    let rows = query(
        "SELECT child.relname::text FROM pg_inherits
         JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
         WHERE pg_inherits.inhparent = to_regclass($1)",
    )
    .bind(table.to_owned())
    .fetch_all(connection)
    .await?;
    let names: Vec<String> = rows.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
    let is_ours = |name: &String| {
        name.strip_prefix(table)
            .and_then(|rest| rest.strip_prefix('_'))
            .is_some_and(|day| day.len() == 8 && day.bytes().all(|digit| digit.is_ascii_digit()))
    };
    Ok(names.into_iter().filter(is_ours).collect())
}

fn name(table: &str, start: i64) -> String {
    let (year, month, day) = civil(start.div_euclid(DAY));
    format!("{table}_{year:04}{month:02}{day:02}")
}

fn date(start: i64) -> String {
    let (year, month, day) = civil(start.div_euclid(DAY));
    format!("{year:04}-{month:02}-{day:02} 00:00:00+00")
}

/// Returns the Monday of the week that contains `at`.
const fn week_of(at: i64) -> i64 {
    floor(at - FIRST_MONDAY, WEEK) + FIRST_MONDAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_monday() {
        // 2026-01-02 was a Friday.
        let friday = 1_767_323_070_000_000;
        assert_eq!(name("cost_tracking", week_of(friday)), "cost_tracking_20251229");
        assert_eq!(date(week_of(friday) + WEEK), "2026-01-05 00:00:00+00");
        assert_eq!(week_of(week_of(friday)), week_of(friday));
        assert_eq!(week_of(week_of(friday) + WEEK - 1), week_of(friday));
    }
}
