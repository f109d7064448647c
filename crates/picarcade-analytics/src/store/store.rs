//! What a database must do to be a store of events.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::record::Record;
use crate::{Error, Period, SchemaState, Statistics};

/// A database of events. All stores behave alike; the conformance tests in `tests/it/` run every one of them through the
/// same list.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Writes a batch, all of it or none of it. A row whose id is there already is left as it is, so that a batch may be
    /// written again.
    ///
    /// # Errors
    /// - [`Error::Rejected`]: a row of the batch can never be stored. Nothing was written; take the row out.
    /// - [`Error::is_transient`]: nothing may have been written, or all of it. Write it again later.
    /// - anything else: the store cannot work until somebody changes something. Keep the batch.
    async fn write(&self, batch: &[Record]) -> Result<(), Error>;

    /// Statistics of the rows created in the `period` before `now`, which begins with a whole minute. Rows on their way are not counted yet.
    async fn statistics(&self, period: Period, now: SystemTime) -> Result<Statistics, Error>;

    /// Statistics of one user's rows; from the raw rows, since roll-ups keep no user.
    async fn user_statistics(
        &self,
        user_id: &str,
        period: Period,
        now: SystemTime,
    ) -> Result<Statistics, Error>;

    /// Micro-dollars that `cost_tracking` says were spent from `from` to `now`: the burn of a budget. Expenses that are not
    /// known yet count nothing.
    async fn spent_since(&self, from: SystemTime, now: SystemTime) -> Result<u64, Error>;

    /// Round trip of the smallest query.
    async fn ping(&self) -> Result<Duration, Error>;

    /// Deletes every row of a user, sessions included; how many rows. Roll-ups name no user and stay.
    async fn forget_user(&self, user_id: &str) -> Result<u64, Error>;

    /// Brings the schema to the version that this build works with. Safe to call from several instances at once.
    async fn migrate(&self) -> Result<(), Error>;

    /// How the database's schema stands to this build.
    async fn schema(&self) -> Result<SchemaState, Error>;

    /// Housekeeping, to be called every half minute or so by each instance: roll-ups, outcomes that came before their
    /// generation, partitions ahead, expired sessions, retention. Instances exclude each other inside the database.
    async fn maintain(&self, now: SystemTime) -> Result<Maintained, Error>;
}

/// What [`Store::maintain`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintained {
    /// Another instance was at it; nothing was done here.
    pub skipped: bool,
    /// Minutes whose roll-up was written.
    pub minutes_rolled_up: u64,
    /// Outcomes that found their generation.
    pub outcomes_applied: u64,
    /// Partitions that were made.
    pub partitions_created: u64,
    /// Partitions dropped, or on a store without partitions rows deleted, because they were older than the retention.
    pub deleted: u64,
    /// Expired sessions deleted.
    pub sessions_expired: u64,
    /// How far the time that retention goes by is behind the clock. More than zero for a while after
    /// the clock has jumped ahead by more than a day, on a store that has no second clock to ask.
    pub retention_lag: Duration,
}
