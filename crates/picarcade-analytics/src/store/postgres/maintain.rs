//! Maintenance: roll-ups, waiting outcomes, partitions, expired sessions, retention.
//!
//! Many transactions write at once, and one that began before the watermark moved may commit after
//! it. The watermark therefore moves in three steps. It announces its target (the frontier). It
//! waits until every writer that may not have seen the frontier has ended. Then it rolls up. A
//! writer marks minutes below the frontier as late, whether or not they have been rolled up, which
//! costs little and is never wrong. No step depends on a clock of an instance.

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgPool};

use super::connect::{LOCK_CLASS, LOCK_MAINTENANCE, LOCK_WRITERS, begin, begin_writing};
use super::error::Result;
use super::options::PostgresOptions;
use super::rollup::Rollups;
use super::statement::{column, query};
use super::{outcome, partition};
use crate::store::sql::retention::start_of;
use crate::store::sql::rollup::{CHUNK, closed, roll_up};
use crate::store::store::Maintained;
use crate::timestamp::{MINUTE, minute_of};

/// Runs maintenance step by step. A failed step does not prevent the next ones: a roll-up that
/// cannot be read must not prevent the creation of partitions. The first failure is the error.
pub(super) async fn maintain(pool: &PgPool, options: &PostgresOptions, now: i64) -> Result<Maintained> {
    let mut done = Maintained::default();
    let Some(now) = announce(pool, options, now).await? else {
        done.skipped = true;
        return Ok(done);
    };
    let steps = [
        partitions(pool, options, now, &mut done).await,
        roll_ups(pool, options, closed(now), &mut done).await,
        outcomes(pool, options, &mut done).await,
        delete_old(pool, options, now, &mut done).await,
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
    if !try_lock(&mut transaction).await? {
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
    done.partitions_created = partition::create_ahead(pool, options, now).await?;
    if let Some(before) = start_of(options.retention.events, now) {
        done.deleted = partition::drop_before(pool, options, before).await?;
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
    // If the statement timeout does not allow a whole chunk, an eighth of it is tried, and so on.
    let mut chunk = CHUNK;
    loop {
        let mut transaction = begin(pool, options).await?;
        if !try_lock(&mut transaction).await? {
            done.skipped = true;
            return Ok(());
        }
        let rolled_up = match roll_up(&mut Rollups(&mut transaction), closed, chunk).await {
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
async fn delete_old(pool: &PgPool, options: &PostgresOptions, now: i64, done: &mut Maintained) -> Result<()> {
    let events = start_of(options.retention.events, now);
    let rollups = start_of(options.retention.rollups, now);
    for (statement, before) in [
        (
            "DELETE FROM user_sessions WHERE expires_at <= timestamptz 'epoch' + $1 * interval '1 microsecond'",
            Some(now),
        ),
        (
            "DELETE FROM generation_outcomes WHERE created_at < timestamptz 'epoch' + $1 * interval '1 microsecond'",
            events,
        ),
        (
            "DELETE FROM generation_feedback WHERE created_at < timestamptz 'epoch' + $1 * interval '1 microsecond'",
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

/// Returns whether this transaction may run maintenance; only one can at a time.
async fn try_lock(connection: &mut PgConnection) -> Result<bool> {
    let row = query("SELECT pg_try_advisory_xact_lock($1, $2)")
        .bind(LOCK_CLASS)
        .bind(LOCK_MAINTENANCE)
        .fetch_one(connection)
        .await?;
    column(&row, 0)
}
