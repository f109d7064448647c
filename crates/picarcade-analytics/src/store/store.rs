//! The contract of a store of events.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::record::Record;
use crate::{Cause, Error, Period, SchemaState, Statistics};

/// A database of events. All stores behave alike: the conformance tests in `tests/it/` check every
/// store against the same list of promises.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Writes a batch completely or not at all. An existing row with the same id stays unchanged,
    /// so a batch may be written again.
    ///
    /// # Errors
    ///
    /// - [`Error::Rejected`]: a row of the batch can never be stored. Nothing was written; remove
    ///   the row.
    /// - A [transient](Error::is_transient) error: nothing or everything was written. Write the
    ///   batch again later.
    /// - Any other error: the store needs an intervention. Keep the batch.
    async fn write(&self, batch: &[Record]) -> Result<(), Error>;

    /// Returns statistics of the rows created in the `period` before `now`, which begins with a
    /// whole minute. Rows that are not written yet are not counted.
    async fn statistics(&self, period: Period, now: SystemTime) -> Result<Statistics, Error>;

    /// Returns statistics of one user's rows. They are read from the rows, because roll-ups name no
    /// user.
    async fn user_statistics(
        &self,
        user_id: &str,
        period: Period,
        now: SystemTime,
    ) -> Result<Statistics, Error>;

    /// Returns the micro-dollars spent from `from` to `now` according to `cost_tracking`. Expenses
    /// with an unknown cost count as zero.
    async fn spent_since(&self, from: SystemTime, now: SystemTime) -> Result<u64, Error>;

    /// Returns the duration of the smallest query.
    async fn ping(&self) -> Result<Duration, Error>;

    /// Returns why a call failed with this error. A store with connections may connect once to find
    /// the cause; the time for this is bounded. The default is the cause that the error has.
    async fn explain(&self, error: &Error) -> Cause {
        error.cause()
    }

    /// Deletes every row of a user, including sessions, and returns how many were deleted. Roll-ups
    /// name no user and stay.
    async fn forget_user(&self, user_id: &str) -> Result<u64, Error>;

    /// Migrates the schema to the version of this build. Several instances may call this at once.
    async fn migrate(&self) -> Result<(), Error>;

    /// Compares the schema of the database with this build.
    async fn schema(&self) -> Result<SchemaState, Error>;

    /// Runs maintenance: roll-ups, outcomes that arrived before their generation, future
    /// partitions, expired sessions and retention. Each instance calls this about every half
    /// minute; the database lets only one of them run.
    async fn maintain(&self, now: SystemTime) -> Result<Maintained, Error>;
}

/// The result of [`Store::maintain`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintained {
    /// Another instance was running maintenance, and nothing was done here.
    pub skipped: bool,
    /// The number of minutes whose roll-up was written.
    pub minutes_rolled_up: u64,
    /// The number of outcomes that found their generation.
    pub outcomes_applied: u64,
    /// The number of partitions created.
    pub partitions_created: u64,
    /// The number of partitions dropped because of their age, or of rows deleted on a store without
    /// partitions.
    pub deleted: u64,
    /// The number of expired sessions deleted.
    pub sessions_expired: u64,
    /// How far the time of retention is behind the clock. It is above zero for a while after the
    /// clock jumped ahead by more than a day, on a store without a second clock.
    pub retention_lag: Duration,
}
