//! Reads sums from roll-ups where they are complete, and from rows elsewhere.

use std::collections::BTreeSet;
use std::ops::Range;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::error::Result;
use crate::record::first_id_at;
use crate::statistics::{ClassificationGroup, Tally};
use crate::store::sql::minutes::{Minutes, merge_parts};
use crate::store::sql::plan::ReadPlan;
use crate::store::sql::value::count;

/// Returns the sums of `from..until`, read in one transaction, so that rows that are rolled up
/// meanwhile count once.
pub(super) async fn tally(readers: &SqlitePool, from: i64, until: i64) -> Result<Tally> {
    let mut transaction = readers.begin().await?;
    let watermark = watermark(&mut transaction).await?;
    let late = late(&mut transaction).await?;
    let plan = ReadPlan::new(from, until, watermark, &late);
    let mut tally = Tally::default();
    for (ranges, statement) in [
        (&plan.hours, "SELECT tally FROM rollup_hours WHERE hour >= ? AND hour < ?"),
        (&plan.minutes, "SELECT tally FROM rollup_minutes WHERE minute >= ? AND minute < ?"),
    ] {
        for range in ranges {
            let rows: Vec<Vec<u8>> = sqlx::query_scalar(statement)
                .bind(range.start)
                .bind(range.end)
                .fetch_all(&mut *transaction)
                .await?;
            for bytes in rows {
                tally.merge_encoded(&bytes)?;
            }
        }
    }
    let mut parts: Vec<(i64, i64, Vec<u8>)> = Vec::new();
    for range in &plan.live {
        let read =
            sqlx::query_as("SELECT minute, last, tally FROM rollup_parts WHERE minute >= ? AND minute < ?");
        let read = read.bind(range.start).bind(range.end).fetch_all(&mut *transaction);
        parts.extend(read.await?);
    }
    let parts: Vec<_> = parts.iter().map(|(minute, last, part)| (*minute, *last, part.as_slice())).collect();
    for range in merge_parts(&mut tally, &plan, until, &parts)? {
        classifications(&mut transaction, None, &range, |_, group| tally.add(group)).await?;
    }
    for range in plan.unsummed() {
        spent(&mut transaction, None, &range, &mut tally).await?;
    }
    Ok(tally)
}

/// Returns how far rows are rolled up; `None` before the first time.
pub(super) async fn watermark(connection: &mut SqliteConnection) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar("SELECT watermark FROM rollup_state").fetch_optional(connection).await?)
}

/// Returns the minutes whose tallies are incomplete.
async fn late(connection: &mut SqliteConnection) -> Result<BTreeSet<i64>> {
    let minutes: Vec<i64> =
        sqlx::query_scalar("SELECT minute FROM rollup_late").fetch_all(connection).await?;
    Ok(minutes.into_iter().collect())
}

/// Groups of classifications, as [`group`] reads them.
macro_rules! groups {
    ($minute:literal, $which:literal) => {
        concat!(
            "SELECT ",
            $minute,
            ", classified_workflow, source, model, duration_bucket, count(*), sum(confidence),
                 sum(processing_time_ms), sum(used_fallback), sum(cache_hit), sum(rate_limited), sum(saved_micros)
             FROM intent_classification_logs WHERE ",
            $which,
            " GROUP BY 1, 2, 3, 4, 5"
        )
    };
}

/// Rows grouped at once. SQLite sorts groups in memory (`temp_store`), a few hundred bytes per row,
/// and a busy minute has a million rows.
const PIECE: i64 = 20_000;

/// Calls `add` with the sums of the classifications of a range and the minute of each. For one user
/// the minute is omitted.
async fn classifications(
    connection: &mut SqliteConnection,
    user: Option<&str>,
    range: &Range<i64>,
    mut add: impl FnMut(i64, &ClassificationGroup),
) -> Result<()> {
    let end = bound(range.end);
    let mut from = Some(bound(range.start));
    while let Some(start) = from {
        from = piece(connection, user, &start, &end).await?;
        let read = sqlx::query(match user {
            None => groups!("created_at - created_at % 60000000", "id >= ? AND id < ?"),
            Some(_) => groups!("0", "id >= ? AND id < ? AND user_id = ?"),
        });
        let read = read.bind(&start).bind(from.as_ref().unwrap_or(&end));
        let read = if let Some(user) = user { read.bind(user) } else { read };
        for row in read.fetch_all(&mut *connection).await? {
            add(row.try_get(0)?, &group(&row)?);
        }
    }
    Ok(())
}

/// Returns the id at which the piece that begins at `start` ends; `None` for the last piece before
/// `end`.
async fn piece(
    connection: &mut SqliteConnection,
    user: Option<&str>,
    start: &[u8],
    end: &[u8],
) -> Result<Option<Vec<u8>>> {
    let read = sqlx::query_scalar(match user {
        None => {
            "SELECT id FROM intent_classification_logs WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1 OFFSET ?3"
        }
        Some(_) => {
            "SELECT id FROM intent_classification_logs WHERE id >= ?1 AND id < ?2 AND user_id = ?4
             ORDER BY id LIMIT 1 OFFSET ?3"
        }
    });
    let read = read.bind(start).bind(end).bind(PIECE);
    let read = if let Some(user) = user { read.bind(user) } else { read };
    Ok(read.fetch_optional(connection).await?)
}

/// Adds the money spent in a range, by one user or by all.
async fn spent(
    connection: &mut SqliteConnection,
    user: Option<&str>,
    range: &Range<i64>,
    tally: &mut Tally,
) -> Result<()> {
    let read = sqlx::query_scalar(match user {
        None => "SELECT coalesce(sum(actual_cost_micros), 0) FROM cost_tracking WHERE id >= ? AND id < ?",
        Some(_) => {
            "SELECT coalesce(sum(actual_cost_micros), 0) FROM cost_tracking
             WHERE id >= ? AND id < ? AND user_id = ?"
        }
    });
    let read = read.bind(bound(range.start)).bind(bound(range.end));
    let read = if let Some(user) = user { read.bind(user) } else { read };
    tally.spend(count(read.fetch_one(connection).await?));
    Ok(())
}

/// Returns the sums of one user's rows.
pub(super) async fn user_tally(readers: &SqlitePool, user: &str, from: i64, until: i64) -> Result<Tally> {
    let mut transaction = readers.begin().await?;
    let mut tally = Tally::default();
    classifications(&mut transaction, Some(user), &(from..until), |_, group| tally.add(group)).await?;
    spent(&mut transaction, Some(user), &(from..until), &mut tally).await?;
    Ok(tally)
}

/// Returns the sums of whole minutes, minute by minute.
pub(super) async fn minutes(connection: &mut SqliteConnection, range: &Range<i64>) -> Result<Minutes> {
    let mut minutes = Minutes::default();
    classifications(connection, None, range, |minute, group| minutes.add(minute, group)).await?;
    let spent: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT created_at - created_at % 60000000, coalesce(sum(actual_cost_micros), 0)
         FROM cost_tracking WHERE id >= ? AND id < ? GROUP BY 1",
    )
    .bind(bound(range.start))
    .bind(bound(range.end))
    .fetch_all(connection)
    .await?;
    for (minute, micros) in spent {
        minutes.spend(minute, count(micros));
    }
    Ok(minutes)
}

/// Ids sort by time, so the primary key is also the index by time.
pub(super) fn bound(at: i64) -> Vec<u8> {
    first_id_at(at).into_bytes().to_vec()
}

fn group(row: &SqliteRow) -> Result<ClassificationGroup> {
    let number = |at: usize| row.try_get::<i64, _>(at).map(count);
    Ok(ClassificationGroup {
        workflow: row.try_get(1)?,
        source: row.try_get(2)?,
        model: row.try_get(3)?,
        bucket: u16::try_from(number(4)?).unwrap_or(u16::MAX),
        rows: number(5)?,
        confidence: row.try_get(6)?,
        processing_ms: row.try_get(7)?,
        fallbacks: number(8)?,
        cache_hits: number(9)?,
        rate_limited: number(10)?,
        saved_micros: number(11)?,
    })
}
