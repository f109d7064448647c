//! The tables of roll-ups in PostgreSQL.

use std::collections::BTreeSet;
use std::ops::Range;

use sqlx::postgres::PgConnection;

use super::error::{PostgresError, Result};
use super::statement::{column, query};
use super::sums;
use crate::store::sql::rollup::RollupTables;

/// The tables in a transaction.
pub(super) struct Rollups<'a>(pub(super) &'a mut PgConnection);

impl RollupTables for Rollups<'_> {
    type Error = PostgresError;

    async fn watermark(&mut self) -> Result<Option<i64>> {
        let row = query("SELECT watermark FROM rollup_state").fetch_optional(&mut *self.0).await?;
        row.map_or(Ok(None), |row| column(&row, 0))
    }

    async fn oldest_row(&mut self, from: i64) -> Result<Option<i64>> {
        let oldest = query(
            "SELECT (extract(epoch FROM least(
                 (SELECT min(created_at) FROM intent_classification_logs
                  WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond'),
                 (SELECT min(created_at) FROM cost_tracking
                  WHERE created_at >= timestamptz 'epoch' + $1 * interval '1 microsecond'))) * 1000000)::int8",
        );
        column(&oldest.bind(from).fetch_one(&mut *self.0).await?, 0)
    }

    async fn take_late(&mut self, until: i64, limit: i64) -> Result<BTreeSet<i64>> {
        let late = query(
            "DELETE FROM rollup_late WHERE minute IN (
                 SELECT DISTINCT minute FROM rollup_late WHERE minute < $1 ORDER BY minute LIMIT $2)
             RETURNING minute",
        );
        let rows = late.bind(until).bind(limit).fetch_all(&mut *self.0).await?;
        rows.iter().map(|row| column(row, 0)).collect()
    }

    async fn replace_minutes(&mut self, ranges: &[Range<i64>]) -> Result<Vec<i64>> {
        let (minutes, tallies): (Vec<i64>, Vec<Vec<u8>>) =
            sums::minutes(self.0, ranges).await?.encoded().unzip();
        query(
            "INSERT INTO rollup_minutes (minute, tally)
             SELECT r.m, r.t FROM unnest($1::int8[], $2::bytea[]) AS r (m, t)
             ON CONFLICT (minute) DO UPDATE SET tally = excluded.tally",
        )
        .bind(&minutes)
        .bind(tallies)
        .execute(&mut *self.0)
        .await?;
        Ok(minutes)
    }

    async fn minute_tallies(&mut self, range: Range<i64>) -> Result<Vec<Vec<u8>>> {
        let read = query("SELECT tally FROM rollup_minutes WHERE minute >= $1 AND minute < $2");
        let rows = read.bind(range.start).bind(range.end).fetch_all(&mut *self.0).await?;
        rows.iter().map(|row| column(row, 0)).collect()
    }

    async fn replace_hour(&mut self, hour: i64, tally: Vec<u8>) -> Result<()> {
        query(
            "INSERT INTO rollup_hours (hour, tally) VALUES ($1, $2)
             ON CONFLICT (hour) DO UPDATE SET tally = excluded.tally",
        )
        .bind(hour)
        .bind(tally)
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn set_watermark(&mut self, watermark: i64) -> Result<()> {
        query("DELETE FROM rollup_parts WHERE minute < $1").bind(watermark).execute(&mut *self.0).await?;
        query("UPDATE rollup_state SET watermark = $1").bind(watermark).execute(&mut *self.0).await?;
        Ok(())
    }
}
