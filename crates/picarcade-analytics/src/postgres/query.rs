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

/// What a row of [`raw`] says first: a group of classifications, or else the money spent.
const CLASSIFICATIONS: i64 = 0;

/// The sums of `from..until`. The transaction must see one moment: rows that move from raw to rolled up in between would
/// otherwise count twice or not at all.
pub(super) async fn tally(connection: &mut PgConnection, from: i64, until: i64) -> Result<Tally, Error> {
    let (watermark, late) = trusted(connection).await?;
    let plan = Plan::new(from, until, watermark.unwrap_or(i64::MIN), &late);
    let mut tally = Tally::default();
    if !(plan.hours.is_empty() && plan.minutes.is_empty()) {
        let (hours, minutes) = (bounds(&plan.hours), bounds(&plan.minutes));
        let read = query(
            "SELECT tally FROM unnest($1::int8[], $2::int8[]) AS r (a, b) JOIN rollup_hours ON hour >= r.a AND hour < r.b
             UNION ALL
             SELECT tally FROM unnest($3::int8[], $4::int8[]) AS r (a, b)
             JOIN rollup_minutes ON minute >= r.a AND minute < r.b",
        );
        let read = read.bind(hours.0).bind(hours.1).bind(minutes.0).bind(minutes.1);
        for row in read.fetch_all(&mut *connection).await.map_err(error)? {
            tally.merge(&Tally::decode(column(&row, 0)?)?);
        }
    }
    tally.merge(&raw(connection, None, &plan.raw).await?);
    Ok(tally)
}

/// Ranges as the arrays that `unnest` makes rows of: one statement reads them all, however many minutes are late.
fn bounds(ranges: &[Range<i64>]) -> (Vec<i64>, Vec<i64>) {
    ranges.iter().map(|range| (range.start, range.end)).unzip()
}

/// How far rows are rolled up; `None` before the first time.
pub(super) async fn watermark(connection: &mut PgConnection) -> Result<Option<i64>, Error> {
    let row = query("SELECT watermark FROM rollup_state").fetch_optional(connection).await.map_err(error)?;
    Ok(match row {
        Some(row) => column(&row, 0)?,
        None => None,
    })
}

/// The watermark, and the minutes below it that cannot be trusted. Without parameters it takes one round trip.
async fn trusted(connection: &mut PgConnection) -> Result<(Option<i64>, BTreeSet<i64>), Error> {
    let read =
        "SELECT (SELECT watermark FROM rollup_state), (SELECT array_agg(DISTINCT minute) FROM rollup_late)";
    let row = sqlx::raw_sql(read).fetch_one(connection).await.map_err(error)?;
    let late: Option<Vec<i64>> = column(&row, 1)?;
    Ok((column(&row, 0)?, late.unwrap_or_default().into_iter().collect()))
}

/// The sums of the rows themselves, of one user's or of all.
pub(super) async fn raw(
    connection: &mut PgConnection,
    user: Option<&str>,
    ranges: &[Range<i64>],
) -> Result<Tally, Error> {
    let mut tally = Tally::default();
    if ranges.is_empty() {
        return Ok(tally);
    }
    let (starts, ends) = bounds(ranges);
    let rows = query(
        "SELECT 0::int8, classified_workflow, source, model, duration_bucket::int8, count(*), sum(confidence),
             sum(processing_time_ms), count(*) FILTER (WHERE used_fallback), count(*) FILTER (WHERE cache_hit),
             count(*) FILTER (WHERE rate_limited), sum(saved_micros)::int8
         FROM unnest($1::int8[], $2::int8[]) AS r (a, b)
         JOIN intent_classification_logs ON created_at >= timestamptz 'epoch' + r.a * interval '1 microsecond'
              AND created_at < timestamptz 'epoch' + r.b * interval '1 microsecond'
         WHERE $3::text IS NULL OR user_id = $3
         GROUP BY 2, 3, 4, 5
         UNION ALL
         SELECT 1, '', '', '', 0, 0, 0, 0, 0, 0, 0, coalesce(sum(actual_cost_micros), 0)::int8
         FROM unnest($1::int8[], $2::int8[]) AS r (a, b)
         JOIN cost_tracking ON created_at >= timestamptz 'epoch' + r.a * interval '1 microsecond'
              AND created_at < timestamptz 'epoch' + r.b * interval '1 microsecond'
         WHERE $3::text IS NULL OR user_id = $3",
    )
    .bind(starts)
    .bind(ends)
    .bind(user)
    .fetch_all(connection)
    .await
    .map_err(error)?;
    for row in rows {
        match column(&row, 0)? {
            CLASSIFICATIONS => tally.add(group(&row)?),
            _ => tally.spend(count(column(&row, 11)?)),
        }
    }
    Ok(tally)
}

/// The sums of whole minutes, minute by minute.
pub(super) async fn minutes(connection: &mut PgConnection, ranges: &[Range<i64>]) -> Result<Minutes, Error> {
    let mut minutes = Minutes::default();
    if ranges.is_empty() {
        return Ok(minutes);
    }
    let (starts, ends) = bounds(ranges);
    let rows = query(
        "SELECT (extract(epoch FROM date_trunc('minute', created_at, 'UTC')) * 1000000)::int8, classified_workflow,
             source, model, duration_bucket::int8, count(*), sum(confidence), sum(processing_time_ms),
             count(*) FILTER (WHERE used_fallback), count(*) FILTER (WHERE cache_hit),
             count(*) FILTER (WHERE rate_limited), sum(saved_micros)::int8
         FROM unnest($1::int8[], $2::int8[]) AS r (a, b)
         JOIN intent_classification_logs ON created_at >= timestamptz 'epoch' + r.a * interval '1 microsecond'
              AND created_at < timestamptz 'epoch' + r.b * interval '1 microsecond'
         GROUP BY 1, 2, 3, 4, 5",
    )
    .bind(starts.clone())
    .bind(ends.clone())
    .fetch_all(&mut *connection)
    .await
    .map_err(error)?;
    for row in rows {
        minutes.add(column(&row, 0)?, group(&row)?);
    }
    let rows = query(
        "SELECT (extract(epoch FROM date_trunc('minute', created_at, 'UTC')) * 1000000)::int8,
             coalesce(sum(actual_cost_micros), 0)::int8
         FROM unnest($1::int8[], $2::int8[]) AS r (a, b)
         JOIN cost_tracking ON created_at >= timestamptz 'epoch' + r.a * interval '1 microsecond'
              AND created_at < timestamptz 'epoch' + r.b * interval '1 microsecond'
         GROUP BY 1",
    )
    .bind(starts)
    .bind(ends)
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
