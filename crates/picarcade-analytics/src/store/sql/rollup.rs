//! Rolls up rows to tallies by minute and by hour.
//!
//! The algorithm is the same in both databases, which supply the statements as [`RollupTables`].
//! Everything below the watermark is rolled up, except minutes that are marked as late because they
//! received rows afterwards. One call covers a limited time in one transaction, so that writers are
//! not blocked for long.

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Range;

use crate::Error;
use crate::statistics::Tally;
use crate::timestamp::{HOUR, MINUTE, SECOND, floor, minute_of};

/// The time rolled up in one transaction.
pub(crate) const CHUNK: i64 = 60 * MINUTE;

/// How long after its end a minute can be rolled up: its last rows wait for their batch and would
/// be late.
const SETTLING: i64 = 5 * SECOND;

/// Returns the end of the minutes that can be rolled up at `now`.
pub(crate) const fn closed(now: i64) -> i64 {
    minute_of(now - SETTLING)
}

/// The tables of roll-ups, in a transaction of a database.
pub(crate) trait RollupTables: Send {
    /// The error of the database.
    type Error: From<Error>;

    /// Returns how far rows are rolled up; `None` before the first time.
    fn watermark(&mut self) -> impl Future<Output = Result<Option<i64>, Self::Error>> + Send;

    /// Returns when the first row at or after `from` was created.
    fn oldest_row(&mut self, from: i64) -> impl Future<Output = Result<Option<i64>, Self::Error>> + Send;

    /// Removes the marks of late minutes below `until`, at most `limit` and the oldest first, and
    /// returns these minutes.
    fn take_late(
        &mut self,
        until: i64,
        limit: i64,
    ) -> impl Future<Output = Result<BTreeSet<i64>, Self::Error>> + Send;

    /// Replaces the tallies of whole minutes with the current sums of the rows, and returns the
    /// minutes that have rows.
    fn replace_minutes(
        &mut self,
        ranges: &[Range<i64>],
    ) -> impl Future<Output = Result<Vec<i64>, Self::Error>> + Send;

    /// Returns the tallies of a range of minutes.
    fn minute_tallies(
        &mut self,
        range: Range<i64>,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, Self::Error>> + Send;

    /// Replaces the tally of an hour.
    fn replace_hour(
        &mut self,
        hour: i64,
        tally: Vec<u8>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Saves the watermark and deletes the parts of batches below it.
    fn set_watermark(&mut self, watermark: i64) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// The result of one transaction.
#[derive(Debug)]
pub(crate) struct RolledUp {
    /// The minutes whose tallies were written.
    pub(crate) minutes: u64,
    /// Whether time or late minutes remain.
    pub(crate) more: bool,
}

/// Rolls up at most `chunk` of time after the watermark, up to `closed`, and as many late minutes.
pub(crate) async fn roll_up<T: RollupTables>(
    tables: &mut T,
    closed: i64,
    chunk: i64,
) -> Result<RolledUp, T::Error> {
    let watermark = tables.watermark().await?;
    let oldest = tables.oldest_row(watermark.unwrap_or(0)).await?;
    let next = oldest.map_or(closed, |at| minute_of(at).min(closed));
    let from = watermark.unwrap_or(next);
    // Time without rows is skipped in one step.
    let first = next.max(from);
    let until = closed.min(first + chunk).max(from);

    // Minutes that are not rolled up yet stay marked and keep their parts. A late row that is
    // committed after this statement has its own mark.
    let limit = chunk / MINUTE;
    let late = tables.take_late(until, limit).await?;
    let mut ranges: Vec<Range<i64>> = late.range(..from).map(|&minute| minute..minute + MINUTE).collect();
    let more_late = ranges.len() as u64 == limit.unsigned_abs();
    ranges.push(first..until);
    ranges.retain(|range| !range.is_empty());

    let minutes = tables.replace_minutes(&ranges).await?;
    // The hour of the watermark is complete when the watermark has left it, with or without further
    // rows.
    for hour in hours_of(minutes.iter().copied().chain([from]), until) {
        roll_up_hour(tables, hour).await?;
    }
    tables.set_watermark(until).await?;
    Ok(RolledUp { minutes: minutes.len() as u64, more: until < closed || more_late })
}

async fn roll_up_hour<T: RollupTables>(tables: &mut T, hour: i64) -> Result<(), T::Error> {
    let mut tally = Tally::default();
    for minute in tables.minute_tallies(hour..hour + HOUR).await? {
        tally.merge_encoded(&minute)?;
    }
    if !tally.is_empty() {
        tables.replace_hour(hour, tally.encode()).await?;
    }
    Ok(())
}

/// Returns the whole hours below `watermark` that contain any of `minutes`.
fn hours_of(minutes: impl IntoIterator<Item = i64>, watermark: i64) -> BTreeSet<i64> {
    minutes.into_iter().map(|minute| floor(minute, HOUR)).filter(|hour| hour + HOUR <= watermark).collect()
}
