//! Maintenance: roll-ups, waiting outcomes, partitions, expired sessions, retention.
//!
//! Many transactions write at once, and one that began before the watermark moved may commit after
//! it. The watermark therefore moves in three steps. It announces its target (the frontier). It
//! waits until every writer that may not have seen the frontier has ended. Then it rolls up. A
//! writer marks minutes below the frontier as late, whether or not they have been rolled up, which
//! costs little and is never wrong. No step depends on a clock of an instance.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgPool};

use super::connect::{begin, begin_writing};
use super::error::Result;
use super::lock::{LOCK_CLASS, LOCK_KEEPER, LOCK_WRITERS};
use super::options::PostgresOptions;
use super::statement::{column, query};
use super::{outcome, partition, sums};
use crate::statistics::Tally;
use crate::store::sql::rollup::{closed, hours_of};
use crate::store::store::Maintained;
use crate::timestamp::{HOUR, MINUTE, minute_of};

/// Time rolled up in one transaction, if the statement timeout allows it; else an eighth of it, and
/// so on.
const CHUNK: i64 = 60 * MINUTE;

/// Runs maintenance step by step. A failed step does not prevent the next ones: a roll-up that
/// cannot be read must not prevent the creation of partitions. The first failure is the error.
pub(super) async fn maintain(pool: &PgPool, options: &PostgresOptions, now: i64) -> Result<Maintained> {
    let mut done = Maintained::default();
    let Some(now) = announce(pool, options, now).await? else {
        done.elsewhere = true;
        return Ok(done);
    };
    let steps = [
        partitions(pool, options, now, &mut done).await,
        roll_ups(pool, options, closed(now), &mut done).await,
        outcomes(pool, options, &mut done).await,
        retire(pool, options, now, &mut done).await,
    ];
    steps.into_iter().collect::<Result<(), _>>()?;
    Ok(done)
}

/// Announces the target of the watermark. Returns the time of maintenance, or `None` if another
/// instance runs it.
///
/// A clock ahead of the database's is not trusted, because it would delete rows that are not old.
async fn announce(pool: &PgPool, options: &PostgresOptions, now: i64) -> Result<Option<i64>> {
    let mut transaction = begin(pool, options).await?;
    if !is_keeper(&mut transaction).await? {
        return Ok(None);
    }
    let clock = query("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8");
    let now = now.min(column(&clock.fetch_one(&mut *transaction).await?, 0)?);
    query(
        "INSERT INTO rollup_state (one, frontier) VALUES (true, $1)
         ON CONFLICT (one) DO UPDATE SET frontier = greatest(rollup_state.frontier, $1)",
    )
    .bind(closed(now))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Some(now))
}

async fn partitions(pool: &PgPool, options: &PostgresOptions, now: i64, done: &mut Maintained) -> Result<()> {
    done.partitions_made = partition::make_ahead(pool, options, now).await?;
    if let Some(before) = before(options.retention.events, now) {
        done.retired = partition::drop_before(pool, options, before).await?;
    }
    Ok(())
}

async fn roll_ups(
    pool: &PgPool,
    options: &PostgresOptions,
    closed: i64,
    done: &mut Maintained,
) -> Result<()> {
    let mut transaction = begin(pool, options).await?;
    let wait = format!("SELECT pg_advisory_xact_lock({LOCK_CLASS}, {LOCK_WRITERS})");
    sqlx::raw_sql(AssertSqlSafe(wait)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    let mut chunk = CHUNK;
    loop {
        let mut transaction = begin(pool, options).await?;
        if !is_keeper(&mut transaction).await? {
            done.elsewhere = true;
            return Ok(());
        }
        let rolled_up = match roll_up(&mut transaction, closed, chunk).await {
            Err(error) if error.is_transient() && chunk > MINUTE => {
                chunk = minute_of(chunk / 8).max(MINUTE);
                continue;
            }
            rolled_up => rolled_up?,
        };
        transaction.commit().await?;
        done.minutes_rolled_up += rolled_up.minutes;
        if !rolled_up.more {
            return Ok(());
        }
    }
}

async fn outcomes(pool: &PgPool, options: &PostgresOptions, done: &mut Maintained) -> Result<()> {
    let mut transaction = begin_writing(pool, options).await?;
    done.outcomes_applied = outcome::apply(&mut transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Deletes old rows of the tables without partitions.
async fn retire(pool: &PgPool, options: &PostgresOptions, now: i64, done: &mut Maintained) -> Result<()> {
    let events = before(options.retention.events, now);
    let rollups = before(options.retention.rollups, now);
    for (statement, before) in [
        (
            "DELETE FROM user_sessions WHERE expires_at <= timestamptz 'epoch' + $1 * interval '1 microsecond'",
            Some(now),
        ),
        (
            "DELETE FROM generation_outcomes WHERE created_at < timestamptz 'epoch' + $1 * interval '1 microsecond'",
            events,
        ),
        ("DELETE FROM rollup_minutes WHERE minute < $1", rollups),
        ("DELETE FROM rollup_hours WHERE hour < $1", rollups),
    ] {
        let Some(before) = before else { continue };
        let mut transaction = begin(pool, options).await?;
        let deleted = query(statement).bind(before).execute(&mut *transaction).await?;
        transaction.commit().await?;
        if statement.contains("user_sessions") {
            done.sessions_expired = deleted.rows_affected();
        }
    }
    Ok(())
}

/// Returns the beginning of the retention, or `None` to keep everything.
fn before(kept: Option<Duration>, now: i64) -> Option<i64> {
    kept.map(|kept| now.saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX)).max(0))
}

/// Returns whether this transaction may run maintenance; only one can at a time.
async fn is_keeper(connection: &mut PgConnection) -> Result<bool> {
    let row = query("SELECT pg_try_advisory_xact_lock($1, $2)")
        .bind(LOCK_CLASS)
        .bind(LOCK_KEEPER)
        .fetch_one(connection)
        .await?;
    column(&row, 0)
}

struct RolledUp {
    minutes: u64,
    more: bool,
}

async fn roll_up(connection: &mut PgConnection, closed: i64, chunk: i64) -> Result<RolledUp> {
    let watermark = sums::watermark(connection).await?;
    let next =
        oldest(connection, watermark.unwrap_or(0)).await?.map_or(closed, |at| minute_of(at).min(closed));
    let from = watermark.unwrap_or(next);
    // Time without rows is skipped in one step.
    let first = next.max(from);
    let until = closed.min(first + chunk).max(from);

    let mut touched = BTreeSet::new();
    // A late row that is committed after this statement has its own mark.
    let most = chunk / MINUTE;
    let late = query(
        "DELETE FROM rollup_late WHERE minute IN (SELECT DISTINCT minute FROM rollup_late ORDER BY minute LIMIT $1)
         RETURNING minute",
    );
    let late = late.bind(most).fetch_all(&mut *connection).await?;
    let late: BTreeSet<i64> = late.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
    let mut ranges: Vec<Range<i64>> = late.range(..from).map(|&minute| minute..minute + MINUTE).collect();
    ranges.push(first..until);
    ranges.retain(|range| !range.is_empty());
    // Minutes beyond this chunk stay marked; the others are read now.
    let ahead: Vec<i64> = late.range(until..).copied().collect();
    if !ahead.is_empty() {
        query("INSERT INTO rollup_late (minute) SELECT m FROM unnest($1::int8[]) AS m")
            .bind(ahead)
            .execute(&mut *connection)
            .await?;
    }
    write(connection, &ranges, &mut touched).await?;
    // The hour of the watermark is complete when the watermark has left it, with or without further
    // rows.
    for hour in hours_of(touched.iter().copied().chain([from]), until) {
        roll_up_hour(connection, hour).await?;
    }
    query("DELETE FROM rollup_parts WHERE minute < $1").bind(until).execute(&mut *connection).await?;
    query("UPDATE rollup_state SET watermark = $1").bind(until).execute(connection).await?;
    let more_late = late.range(..from).count() as u64 == most as u64;
    Ok(RolledUp { minutes: touched.len() as u64, more: until < closed || more_late })
}

/// Replaces the tallies of whole minutes with the current sums of the rows.
async fn write(
    connection: &mut PgConnection,
    ranges: &[Range<i64>],
    touched: &mut BTreeSet<i64>,
) -> Result<()> {
    let (minutes, tallies): (Vec<i64>, Vec<Vec<u8>>) =
        sums::minutes(connection, ranges).await?.encoded().unzip();
    touched.extend(&minutes);
    query(
        "INSERT INTO rollup_minutes (minute, tally) SELECT r.m, r.t FROM unnest($1::int8[], $2::bytea[]) AS r (m, t)
         ON CONFLICT (minute) DO UPDATE SET tally = excluded.tally",
    )
    .bind(minutes)
    .bind(tallies)
    .execute(connection)
    .await?;
    Ok(())
}

async fn roll_up_hour(connection: &mut PgConnection, hour: i64) -> Result<()> {
    let read = query("SELECT tally FROM rollup_minutes WHERE minute >= $1 AND minute < $2");
    let mut tally = Tally::default();
    for row in read.bind(hour).bind(hour + HOUR).fetch_all(&mut *connection).await? {
        tally.merge_encoded(column(&row, 0)?)?;
    }
    if !tally.is_empty() {
        query(
            "INSERT INTO rollup_hours (hour, tally) VALUES ($1, $2)
             ON CONFLICT (hour) DO UPDATE SET tally = excluded.tally",
        )
        .bind(hour)
        .bind(tally.encode())
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Returns when the first row at or after `from` was created.
async fn oldest(connection: &mut PgConnection, from: i64) -> Result<Option<i64>> {
    let oldest = query(
        "SELECT (extract(epoch FROM least(
             (SELECT min(created_at) FROM intent_classification_logs
              WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond'),
             (SELECT min(created_at) FROM cost_tracking
              WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond'))) * 1000000)::int8",
    );
    column(&oldest.bind(from).fetch_one(connection).await?, 0)
}
