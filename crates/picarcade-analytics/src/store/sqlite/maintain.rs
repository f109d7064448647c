//! Maintenance: roll-ups, waiting outcomes, expired sessions, retention.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::error::Result;
use super::forget::PIECE;
use super::rollup::Rollups;
use super::{outcome, sums};
use crate::Table;
use crate::store::sql::retention::{Retention, start_of};
use crate::store::sql::rollup::{CHUNK, closed, roll_up};
use crate::store::store::Maintained;
use crate::table::SESSIONS;
use crate::timestamp::{DAY, HOUR};

pub(super) async fn maintain(writer: &SqlitePool, retention: &Retention, now: i64) -> Result<Maintained> {
    let mut done = Maintained::default();
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let retention_now = retention_clock(&mut transaction, now).await?;
    done.retention_lag = Duration::from_micros(now.saturating_sub(retention_now).unsigned_abs());
    done.outcomes_applied = outcome::apply(&mut transaction).await?;
    done.sessions_expired = sqlx::query("DELETE FROM user_sessions WHERE expires_at <= ?")
        .bind(retention_now)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    transaction.commit().await?;

    loop {
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let mut tables = Rollups(&mut transaction);
        let rolled_up = roll_up(&mut tables, closed(now), CHUNK).await?;
        transaction.commit().await?;
        done.minutes_rolled_up += rolled_up.minutes;
        if !rolled_up.more {
            break;
        }
        tokio::task::yield_now().await;
    }
    done.deleted = delete_old(writer, retention, retention_now).await?;
    Ok(done)
}

/// Returns the time that retention uses, never later than `now`, and saves it for the next run.
///
/// This machine has only one clock, which also stamps rows, so a clock that is wrong by months
/// would delete everything. The database remembers the time of the last run (at first the time of
/// the newest row), and [`follow`] moves it towards the clock.
async fn retention_clock(connection: &mut SqliteConnection, now: i64) -> Result<i64> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT at FROM retention_clock").fetch_optional(&mut *connection).await?;
    let last = match last {
        Some(last) => last,
        None => newest(connection).await?.map_or(now, |newest| newest.min(now)),
    };
    let at = follow(last, now);
    sqlx::query("INSERT INTO retention_clock VALUES (1, ?1) ON CONFLICT DO UPDATE SET at = ?1")
        .bind(at)
        .execute(connection)
        .await?;
    Ok(at.min(now))
}

/// Moves `last` to `now`, or by an hour if they are more than a day apart.
///
/// A jump is caused by a wrong clock or by a machine that was off, and only time can distinguish
/// them. A jump of up to a day makes little difference to a retention of weeks. A longer jump takes
/// effect slowly. At one run every half minute, a clock that is 90 days ahead needs 18 hours to
/// delete rows of today. After a month without the service, old rows are gone within six hours.
const fn follow(last: i64, now: i64) -> i64 {
    let apart = now.saturating_sub(last);
    if apart > DAY {
        last + HOUR
    } else if apart < -DAY {
        last - HOUR
    } else {
        now
    }
}

/// Returns when the newest row of any table was created or changed.
async fn newest(connection: &mut SqliteConnection) -> Result<Option<i64>> {
    let latest = |table: &str, at: &str| format!("SELECT max({at}) AS at FROM {table}");
    let latest: Vec<String> = Table::ALL
        .into_iter()
        .map(|table| latest(table.as_str(), "created_at"))
        .chain([latest(SESSIONS, "updated_at")])
        .collect();
    let statement = format!("SELECT max(at) FROM ({})", latest.join(" UNION ALL "));
    Ok(sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(connection).await?)
}

/// Deletes rows older than the retention, a few thousand at a time.
async fn delete_old(writer: &SqlitePool, retention: &Retention, now: i64) -> Result<u64> {
    let mut deleted_rows = 0;
    if let Some(before) = start_of(retention.events, now) {
        for table in Table::all_partitioned().map(Table::as_str) {
            let statement = format!(
                "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE id < ? ORDER BY id LIMIT ?)"
            );
            loop {
                let deleted = sqlx::query(AssertSqlSafe(statement.clone()))
                    .bind(sums::bound(before))
                    .bind(PIECE)
                    .execute(writer)
                    .await?
                    .rows_affected();
                deleted_rows += deleted;
                if deleted < PIECE as u64 {
                    break;
                }
            }
        }
        for table in Table::ALL.into_iter().filter(|table| !table.is_partitioned()).map(Table::as_str) {
            let statement = format!("DELETE FROM {table} WHERE created_at < ?");
            let delete = sqlx::query(AssertSqlSafe(statement)).bind(before);
            deleted_rows += delete.execute(writer).await?.rows_affected();
        }
    }
    if let Some(before) = start_of(retention.rollups, now) {
        for statement in
            ["DELETE FROM rollup_minutes WHERE minute < ?", "DELETE FROM rollup_hours WHERE hour < ?"]
        {
            sqlx::query(statement).bind(before).execute(writer).await?;
        }
    }
    // Returns free pages at the end of the file to the file system; at 4 KiB each, at most 80 MB at
    // a time.
    sqlx::query("PRAGMA incremental_vacuum(20000)").execute(writer).await?;
    Ok(deleted_rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retention_clock_follows_small_steps_at_once_and_jumps_slowly() {
        let now = 1_767_323_070_000_000;
        for near in [0, 1, HOUR, DAY] {
            assert_eq!(follow(now, now + near), now + near);
            assert_eq!(follow(now, now - near), now - near);
        }
        assert_eq!(follow(now, now + DAY + 1), now + HOUR);
        assert_eq!(follow(now, now - DAY - 1), now - HOUR);
        assert_eq!(follow(now, i64::MAX), now + HOUR);
        let runs = (0..).scan(now, |at, _| Some(std::mem::replace(at, follow(*at, now + 90 * DAY))));
        assert_eq!(runs.take_while(|at| *at < now + 90 * DAY).count(), 89 * 24 + 1);
    }
}
