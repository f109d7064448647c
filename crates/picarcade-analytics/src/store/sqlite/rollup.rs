//! The tables of roll-ups in SQLite.
//!
//! SQLite has one writer at a time. A transaction that began before the watermark moved has
//! therefore ended, and a row that arrives later in a minute below the watermark is always
//! recognized as late.

use std::collections::BTreeSet;
use std::ops::Range;

use sqlx::sqlite::SqliteConnection;

use super::error::{Result, SqliteError};
use super::sums;
use crate::Event;
use crate::record::Record;
use crate::store::sql::minutes::Parts;
use crate::store::sql::rollup::RollupTables;
use crate::timestamp::minute_of;

/// Records the effect of a batch on its minutes. Minutes below the watermark become late. For the
/// others the batch's additions are stored, unless classifications existed already: then the
/// additions are unknown.
pub(super) async fn mark_minutes(
    connection: &mut SqliteConnection,
    batch: &[Record],
    all_new: bool,
) -> Result<()> {
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
    // Parts are written even before the first roll-up, which may happen within the minute.
    let watermark = sums::watermark(connection).await?.unwrap_or(i64::MIN);
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

/// The tables in a transaction.
pub(super) struct Rollups<'a>(pub(super) &'a mut SqliteConnection);

impl RollupTables for Rollups<'_> {
    type Error = SqliteError;

    async fn watermark(&mut self) -> Result<Option<i64>> {
        sums::watermark(self.0).await
    }

    async fn oldest_row(&mut self, from: i64) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar(
            "SELECT min(created_at) FROM (
                 SELECT * FROM (SELECT created_at FROM intent_classification_logs WHERE id >= ?1 ORDER BY id LIMIT 1)
                 UNION ALL SELECT * FROM (SELECT created_at FROM cost_tracking WHERE id >= ?1 ORDER BY id LIMIT 1))",
        )
        .bind(sums::bound(from))
        .fetch_one(&mut *self.0)
        .await?)
    }

    async fn take_late(&mut self, until: i64, limit: i64) -> Result<BTreeSet<i64>> {
        let minutes: Vec<i64> = sqlx::query_scalar(
            "DELETE FROM rollup_late WHERE minute IN (
                 SELECT minute FROM rollup_late WHERE minute < ? ORDER BY minute LIMIT ?)
             RETURNING minute",
        )
        .bind(until)
        .bind(limit)
        .fetch_all(&mut *self.0)
        .await?;
        Ok(minutes.into_iter().collect())
    }

    async fn replace_minutes(&mut self, ranges: &[Range<i64>]) -> Result<Vec<i64>> {
        let mut written = Vec::new();
        for range in ranges {
            for (minute, tally) in sums::minutes(self.0, range).await?.encoded() {
                sqlx::query(
                    "INSERT INTO rollup_minutes VALUES (?1, ?2) ON CONFLICT DO UPDATE SET tally = ?2",
                )
                .bind(minute)
                .bind(tally)
                .execute(&mut *self.0)
                .await?;
                written.push(minute);
            }
        }
        Ok(written)
    }

    async fn minute_tallies(&mut self, range: Range<i64>) -> Result<Vec<Vec<u8>>> {
        Ok(sqlx::query_scalar("SELECT tally FROM rollup_minutes WHERE minute >= ? AND minute < ?")
            .bind(range.start)
            .bind(range.end)
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn replace_hour(&mut self, hour: i64, tally: Vec<u8>) -> Result<()> {
        sqlx::query("INSERT INTO rollup_hours VALUES (?1, ?2) ON CONFLICT DO UPDATE SET tally = ?2")
            .bind(hour)
            .bind(tally)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn set_watermark(&mut self, watermark: i64) -> Result<()> {
        sqlx::query("DELETE FROM rollup_parts WHERE minute < ?")
            .bind(watermark)
            .execute(&mut *self.0)
            .await?;
        sqlx::query("INSERT INTO rollup_state VALUES (1, ?1) ON CONFLICT DO UPDATE SET watermark = ?1")
            .bind(watermark)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}
