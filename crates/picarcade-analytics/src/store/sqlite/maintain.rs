//! Maintenance: roll-ups, waiting outcomes, expired sessions, retention.
//!
//! SQLite has one writer at a time. A transaction that began before the watermark moved has
//! therefore ended, and a row that arrives later in a minute below the watermark is always
//! recognized as late.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::error::Result;
use super::forget::PIECE;
use super::{outcome, sums};
use crate::record::Record;
use crate::statistics::Tally;
use crate::store::sql::retention::Retention;
use crate::store::sql::rollup::{Parts, closed, hours_of};
use crate::store::store::Maintained;
use crate::table::SESSIONS;
use crate::timestamp::{DAY, HOUR, MINUTE, minute_of};
use crate::{Event, Table};

/// Minutes rolled up in one transaction, so that writers are not blocked for long.
const CHUNK: i64 = 60 * MINUTE;

/// Records the effect of a batch on its minutes. Minutes below the watermark become late. For the
/// others the batch's additions are stored, unless classifications existed already: then the
/// additions are unknown.
pub(super) async fn note(connection: &mut SqliteConnection, batch: &[Record], all_new: bool) -> Result<()> {
    let mut minutes = BTreeSet::new();
    let mut parts = Parts::default();
    for record in batch {
        let at = record.created_at();
        match &record.event {
            Event::Classification(event) => parts.observe(at, event),
            Event::Cost(_) => {}
            _ => continue,
        }
        minutes.insert(minute_of(at));
    }
    let watermark: Option<i64> =
        sqlx::query_scalar("SELECT watermark FROM rollup_state").fetch_optional(&mut *connection).await?;
    // Parts are written even before the first roll-up, which may happen within the minute.
    let watermark = watermark.unwrap_or(i64::MIN);
    let late = if all_new { minutes.range(..watermark) } else { minutes.range(..) };
    for minute in late {
        sqlx::query("INSERT INTO rollup_late (minute) VALUES (?) ON CONFLICT DO NOTHING")
            .bind(minute)
            .execute(&mut *connection)
            .await?;
    }
    for (minute, last, part) in parts.encoded().filter(|(minute, ..)| all_new && *minute >= watermark) {
        sqlx::query("INSERT INTO rollup_parts VALUES (?, ?, ?)")
            .bind(minute)
            .bind(last)
            .bind(part)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

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
        let rolled_up = roll_up(&mut transaction, now).await?;
        transaction.commit().await?;
        done.minutes_rolled_up += rolled_up.minutes;
        if !rolled_up.more {
            break;
        }
        tokio::task::yield_now().await;
    }
    done.retired = retire(writer, retention, retention_now).await?;
    Ok(done)
}

/// Returns the time that deletion goes by, and saves it for the next run. Never later than `now`.
///
/// The machine's clock is the only one here, and rows are stamped by it too, so one that is wrong
/// by months would delete everything. The database remembers the time of the last run, at first
/// that of the newest row, and follows the clock from there with [`follow`].
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
/// A jump may be a wrong clock or a machine that was off; only time can tell. Up to a day it makes
/// little difference to what is kept for weeks. A longer one takes effect slowly: at a run every
/// half minute, a clock that is 90 days ahead takes 18 hours to delete rows of today, and after a
/// month without the service old rows are gone within six hours.
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

/// When the newest row of any table was created or changed.
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

struct RolledUp {
    minutes: u64,
    more: bool,
}

async fn roll_up(connection: &mut SqliteConnection, now: i64) -> Result<RolledUp> {
    let (watermark, late) = sums::watermark(connection).await?;
    let closed = closed(now);
    let next =
        oldest(connection, watermark.unwrap_or(0)).await?.map_or(closed, |at| minute_of(at).min(closed));
    let from = watermark.unwrap_or(next);
    // Time without rows is skipped in one step.
    let first = next.max(from);
    let until = closed.min(first + CHUNK).max(from);

    let mut touched = BTreeSet::new();
    for minute in late.range(..from) {
        write(connection, &(*minute..minute + MINUTE), &mut touched).await?;
    }
    // Minutes that are not rolled up yet stay marked and keep their parts.
    for done in ["DELETE FROM rollup_late WHERE minute < ?", "DELETE FROM rollup_parts WHERE minute < ?"] {
        sqlx::query(done).bind(until).execute(&mut *connection).await?;
    }
    write(connection, &(first..until), &mut touched).await?;
    // The hour of the watermark is complete when the watermark has left it, with or without further
    // rows.
    for hour in hours_of(touched.iter().copied().chain([from]), until) {
        roll_up_hour(connection, hour).await?;
    }
    sqlx::query("INSERT INTO rollup_state VALUES (1, ?1) ON CONFLICT DO UPDATE SET watermark = ?1")
        .bind(until)
        .execute(connection)
        .await?;
    Ok(RolledUp { minutes: touched.len() as u64, more: until < closed })
}

/// Replaces the tallies of whole minutes with the current sums of the rows.
async fn write(
    connection: &mut SqliteConnection,
    range: &Range<i64>,
    touched: &mut BTreeSet<i64>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    for (minute, tally) in sums::minutes(connection, range).await?.encoded() {
        sqlx::query("INSERT INTO rollup_minutes VALUES (?1, ?2) ON CONFLICT DO UPDATE SET tally = ?2")
            .bind(minute)
            .bind(tally)
            .execute(&mut *connection)
            .await?;
        touched.insert(minute);
    }
    Ok(())
}

async fn roll_up_hour(connection: &mut SqliteConnection, hour: i64) -> Result<()> {
    let minutes: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT tally FROM rollup_minutes WHERE minute >= ? AND minute < ?")
            .bind(hour)
            .bind(hour + HOUR)
            .fetch_all(&mut *connection)
            .await?;
    let mut tally = Tally::default();
    for bytes in minutes {
        tally.merge_encoded(&bytes)?;
    }
    if !tally.is_empty() {
        sqlx::query("INSERT INTO rollup_hours VALUES (?1, ?2) ON CONFLICT DO UPDATE SET tally = ?2")
            .bind(hour)
            .bind(tally.encode())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Returns when the first row at or after `from` was created.
async fn oldest(connection: &mut SqliteConnection, from: i64) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar(
        "SELECT min(created_at) FROM (
             SELECT * FROM (SELECT created_at FROM intent_classification_logs WHERE id >= ?1 ORDER BY id LIMIT 1)
             UNION ALL SELECT * FROM (SELECT created_at FROM cost_tracking WHERE id >= ?1 ORDER BY id LIMIT 1))",
    )
    .bind(sums::bound(from))
    .fetch_one(connection)
    .await?)
}

/// Deletes rows older than the retention, a few thousand at a time.
async fn retire(writer: &SqlitePool, retention: &Retention, now: i64) -> Result<u64> {
    let before = |kept: Option<Duration>| {
        kept.map(|kept| now.saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX)).max(0))
    };
    let mut retired = 0;
    if let Some(before) = before(retention.events) {
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
                retired += deleted;
                if deleted < PIECE as u64 {
                    break;
                }
            }
        }
        let deleted =
            sqlx::query("DELETE FROM generation_outcomes WHERE created_at < ?").bind(before).execute(writer);
        retired += deleted.await?.rows_affected();
    }
    if let Some(before) = before(retention.rollups) {
        for statement in
            ["DELETE FROM rollup_minutes WHERE minute < ?", "DELETE FROM rollup_hours WHERE hour < ?"]
        {
            sqlx::query(statement).bind(before).execute(writer).await?;
        }
    }
    // Returns free pages at the end of the file to the file system; at 4 KiB each, at most 80 MB at
    // a time.
    sqlx::query("PRAGMA incremental_vacuum(20000)").execute(writer).await?;
    Ok(retired)
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
