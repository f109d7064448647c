//! Reads sums from roll-ups where they are complete, and from rows elsewhere.

use std::collections::BTreeSet;
use std::ops::Range;

use sqlx::postgres::{PgConnection, PgRow};

use super::error::Result;
use super::statement::{column, query};
use crate::statistics::{ClassificationGroup, Tally};
use crate::store::sql::minutes::{Minutes, merge_parts};
use crate::store::sql::plan::ReadPlan;
use crate::store::sql::value::count;

/// What the first column of [`tally`]'s first query says: a tally, a part of a live minute, or
/// money.
const TALLY: i64 = 0;
const PART: i64 = 1;

/// Returns the sums of `from..until`. The transaction must see a single snapshot: rows that are
/// rolled up in between would otherwise count twice or not at all.
pub(super) async fn tally(connection: &mut PgConnection, from: i64, until: i64) -> Result<Tally> {
    let (watermark, late) = trusted(connection).await?;
    let plan = ReadPlan::new(from, until, watermark, &late);
    let mut tally = Tally::default();
    let (hours, minutes, live, unsummed) =
        (bounds(&plan.hours), bounds(&plan.minutes), bounds(&plan.live), bounds(&plan.unsummed()));
    // One statement reads everything except classification rows, which is usually all there is.
    let read = query(
        "SELECT 0::int8, 0::int8, 0::int8, tally FROM unnest($1::int8[], $2::int8[]) AS r (a, b)
         JOIN rollup_hours ON hour >= r.a AND hour < r.b
         UNION ALL
         SELECT 0, 0, 0, tally FROM unnest($3::int8[], $4::int8[]) AS r (a, b)
         JOIN rollup_minutes ON minute >= r.a AND minute < r.b
         UNION ALL
         SELECT 1, minute, last, tally FROM unnest($5::int8[], $6::int8[]) AS r (a, b)
         JOIN rollup_parts ON minute >= r.a AND minute < r.b
         UNION ALL
         SELECT 2, coalesce(sum(actual_cost_micros), 0)::int8, 0, ''::bytea
         FROM unnest($7::int8[], $8::int8[]) AS r (a, b)
         JOIN cost_tracking ON created_at >= timestamptz 'epoch' + r.a * interval '1 microsecond'
              AND created_at < timestamptz 'epoch' + r.b * interval '1 microsecond'",
    );
    let read = read.bind(hours.0).bind(hours.1).bind(minutes.0).bind(minutes.1);
    let read = read.bind(live.0).bind(live.1).bind(unsummed.0).bind(unsummed.1);
    let rows = read.fetch_all(&mut *connection).await?;
    let mut parts = Vec::new();
    for row in &rows {
        match column(row, 0)? {
            TALLY => tally.merge_encoded(column(row, 3)?)?,
            PART => parts.push((column(row, 1)?, column(row, 2)?, column(row, 3)?)),
            _ => tally.spend(count(column(row, 1)?)),
        }
    }
    let raw = merge_parts(&mut tally, &plan, until, &parts)?;
    classifications(connection, None, &raw, &mut tally).await?;
    Ok(tally)
}

/// Returns the sums of one user's rows, for which there are no roll-ups.
pub(super) async fn user_tally(
    connection: &mut PgConnection,
    user: &str,
    range: Range<i64>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let ranges = [range];
    classifications(connection, Some(user), &ranges, &mut tally).await?;
    let (starts, ends) = bounds(&ranges);
    let spent = query(
        "SELECT coalesce(sum(actual_cost_micros), 0)::int8 FROM unnest($1::int8[], $2::int8[]) AS r (a, b)
         JOIN cost_tracking ON created_at >= timestamptz 'epoch' + r.a * interval '1 microsecond'
              AND created_at < timestamptz 'epoch' + r.b * interval '1 microsecond'
         WHERE user_id = $3",
    );
    let spent = spent.bind(starts).bind(ends).bind(user).fetch_one(connection).await?;
    tally.spend(count(column(&spent, 0)?));
    Ok(tally)
}

/// Converts ranges to arrays for `unnest`: one statement reads them all, however many minutes are
/// late.
fn bounds(ranges: &[Range<i64>]) -> (Vec<i64>, Vec<i64>) {
    ranges.iter().map(|range| (range.start, range.end)).unzip()
}

/// Returns the watermark and the incomplete minutes below it. Without parameters it takes one round
/// trip.
async fn trusted(connection: &mut PgConnection) -> Result<(Option<i64>, BTreeSet<i64>)> {
    let read =
        "SELECT (SELECT watermark FROM rollup_state), (SELECT array_agg(DISTINCT minute) FROM rollup_late)";
    let row = sqlx::raw_sql(read).fetch_one(connection).await?;
    let late: Option<Vec<i64>> = column(&row, 1)?;
    Ok((column(&row, 0)?, late.unwrap_or_default().into_iter().collect()))
}

/// Groups of classifications, as [`group`] reads them.
macro_rules! groups {
    ($minute:literal, $which:literal) => {
        concat!(
            "SELECT ",
            $minute,
            ", classified_workflow, source, model, duration_bucket::int8, count(*), sum(confidence),
                 sum(processing_time_ms), count(*) FILTER (WHERE used_fallback), count(*) FILTER (WHERE cache_hit),
                 count(*) FILTER (WHERE rate_limited), sum(saved_micros)::int8
             FROM unnest($1::int8[], $2::int8[]) AS r (a, b)
             JOIN intent_classification_logs ON created_at >= timestamptz 'epoch' + r.a * interval '1 microsecond'
                  AND created_at < timestamptz 'epoch' + r.b * interval '1 microsecond'",
            $which,
            " GROUP BY 1, 2, 3, 4, 5"
        )
    };
}

/// Adds the classifications of some ranges from the rows, for one user or all.
async fn classifications(
    connection: &mut PgConnection,
    user: Option<&str>,
    ranges: &[Range<i64>],
    tally: &mut Tally,
) -> Result<()> {
    if ranges.is_empty() {
        return Ok(());
    }
    let (starts, ends) = bounds(ranges);
    let rows = query(groups!("0::int8", " WHERE $3::text IS NULL OR user_id = $3"));
    let rows = rows.bind(starts).bind(ends).bind(user).fetch_all(connection).await?;
    for row in rows {
        tally.add(&group(&row)?);
    }
    Ok(())
}

/// Returns the sums of whole minutes, minute by minute.
pub(super) async fn minutes(connection: &mut PgConnection, ranges: &[Range<i64>]) -> Result<Minutes> {
    let mut minutes = Minutes::default();
    if ranges.is_empty() {
        return Ok(minutes);
    }
    let (starts, ends) = bounds(ranges);
    let rows =
        query(groups!("(extract(epoch FROM date_trunc('minute', created_at, 'UTC')) * 1000000)::int8", ""))
            .bind(starts.clone())
            .bind(ends.clone())
            .fetch_all(&mut *connection)
            .await?;
    for row in rows {
        minutes.add(column(&row, 0)?, &group(&row)?);
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
    .await?;
    for row in rows {
        minutes.spend(column(&row, 0)?, count(column(&row, 1)?));
    }
    Ok(minutes)
}

fn group(row: &PgRow) -> Result<ClassificationGroup> {
    let number = |at: usize| column::<i64>(row, at).map(count);
    Ok(ClassificationGroup {
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
