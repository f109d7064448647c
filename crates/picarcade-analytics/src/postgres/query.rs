//! Sums out: from roll-ups where they can be trusted, from rows elsewhere.

use std::collections::BTreeSet;
use std::ops::Range;

use sqlx::postgres::{PgConnection, PgRow};

use super::{column, error, query};
use crate::Error;
use crate::database::count;
use crate::plan::Plan;
use crate::rollup::Minutes;
use crate::tally::{Group, Tally};

/// The sums of `from..until`. The transaction must see one moment: rows that move from raw to rolled up in between would
/// otherwise count twice or not at all.
pub(super) async fn tally(connection: &mut PgConnection, from: i64, until: i64) -> Result<Tally, Error> {
    let watermark = watermark(connection).await?;
    let late = late(connection).await?;
    let plan = Plan::new(from, until, watermark.unwrap_or(i64::MIN), &late);
    let mut tally = Tally::default();
    for (ranges, statement) in [
        (&plan.hours, "SELECT tally FROM rollup_hours WHERE hour >= $1 AND hour < $2"),
        (&plan.minutes, "SELECT tally FROM rollup_minutes WHERE minute >= $1 AND minute < $2"),
    ] {
        for range in ranges {
            let read = query(statement).bind(range.start).bind(range.end);
            for row in read.fetch_all(&mut *connection).await.map_err(error)? {
                tally.merge(&Tally::decode(column(&row, 0)?)?);
            }
        }
    }
    for range in &plan.raw {
        tally.merge(&raw(connection, None, range).await?);
    }
    Ok(tally)
}

/// How far rows are rolled up; `None` before the first time.
pub(super) async fn watermark(connection: &mut PgConnection) -> Result<Option<i64>, Error> {
    let row = query("SELECT watermark FROM rollup_state").fetch_optional(connection).await.map_err(error)?;
    Ok(match row {
        Some(row) => column(&row, 0)?,
        None => None,
    })
}

/// The minutes below the watermark that cannot be trusted.
async fn late(connection: &mut PgConnection) -> Result<BTreeSet<i64>, Error> {
    let rows = query("SELECT DISTINCT minute FROM rollup_late").fetch_all(connection).await.map_err(error)?;
    rows.iter().map(|row| column(row, 0)).collect()
}

/// The sums of the rows themselves, of one user's or of all.
pub(super) async fn raw(
    connection: &mut PgConnection,
    user: Option<&str>,
    range: &Range<i64>,
) -> Result<Tally, Error> {
    const ALL: &str = "SELECT 0::int8, classified_workflow, source, model, duration_bucket::int8, count(*),
             sum(confidence), sum(processing_time_ms), count(*) FILTER (WHERE used_fallback),
             count(*) FILTER (WHERE cache_hit), count(*) FILTER (WHERE rate_limited), sum(saved_micros)::int8
         FROM intent_classification_logs
         WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond'
           AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond'
         GROUP BY 2, 3, 4, 5";
    const ONE: &str = "SELECT 0::int8, classified_workflow, source, model, duration_bucket::int8, count(*),
             sum(confidence), sum(processing_time_ms), count(*) FILTER (WHERE used_fallback),
             count(*) FILTER (WHERE cache_hit), count(*) FILTER (WHERE rate_limited), sum(saved_micros)::int8
         FROM intent_classification_logs
         WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond'
           AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond' AND user_id = $3
         GROUP BY 2, 3, 4, 5";
    const SPENT: &str = "SELECT coalesce(sum(actual_cost_micros), 0)::int8 FROM cost_tracking
         WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond'
           AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond'";
    const SPENT_BY_ONE: &str = "SELECT coalesce(sum(actual_cost_micros), 0)::int8 FROM cost_tracking
         WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond'
           AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond' AND user_id = $3";
    let read = |all, one| match user {
        None => query(all).bind(range.start).bind(range.end),
        Some(user) => query(one).bind(range.start).bind(range.end).bind(user.to_owned()),
    };
    let mut tally = Tally::default();
    for row in read(ALL, ONE).fetch_all(&mut *connection).await.map_err(error)? {
        tally.add(group(&row)?);
    }
    let spent = read(SPENT, SPENT_BY_ONE).fetch_one(connection).await.map_err(error)?;
    tally.spend(count(column(&spent, 0)?));
    Ok(tally)
}

/// The sums of whole minutes, minute by minute.
pub(super) async fn minutes(connection: &mut PgConnection, range: &Range<i64>) -> Result<Minutes, Error> {
    let mut minutes = Minutes::default();
    let rows = query(
        "SELECT (extract(epoch FROM date_trunc('minute', created_at, 'UTC')) * 1000000)::int8, classified_workflow,
             source, model, duration_bucket::int8, count(*), sum(confidence), sum(processing_time_ms),
             count(*) FILTER (WHERE used_fallback), count(*) FILTER (WHERE cache_hit),
             count(*) FILTER (WHERE rate_limited), sum(saved_micros)::int8
         FROM intent_classification_logs
         WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond'
           AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond'
         GROUP BY 1, 2, 3, 4, 5",
    )
    .bind(range.start)
    .bind(range.end)
    .fetch_all(&mut *connection)
    .await
    .map_err(error)?;
    for row in rows {
        minutes.add(column(&row, 0)?, group(&row)?);
    }
    let rows = query(
        "SELECT (extract(epoch FROM date_trunc('minute', created_at, 'UTC')) * 1000000)::int8,
             coalesce(sum(actual_cost_micros), 0)::int8
         FROM cost_tracking
         WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond'
           AND created_at < timestamptz 'epoch' + $2 * interval '1 microsecond'
         GROUP BY 1",
    )
    .bind(range.start)
    .bind(range.end)
    .fetch_all(connection)
    .await
    .map_err(error)?;
    for row in rows {
        minutes.spend(column(&row, 0)?, count(column(&row, 1)?));
    }
    Ok(minutes)
}

fn group(row: &PgRow) -> Result<Group, Error> {
    let number = |at: usize| column::<i64>(row, at).map(count);
    Ok(Group {
        workflow: column(row, 1)?,
        source: column(row, 2)?,
        model: column(row, 3)?,
        bucket: u16::try_from(number(4)?).unwrap_or(u16::MAX),
        rows: number(5)?,
        confidence: column(row, 6)?,
        processing_ms: column(row, 7)?,
        fallbacks: number(8)?,
        cache_hits: number(9)?,
        rate_limited: number(10)?,
        saved_micros: number(11)?,
    })
}
