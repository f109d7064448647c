//! What a database must do to be a store of events.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::{Error, Period, Statistics};

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
    pub elsewhere: bool,
    /// Minutes whose roll-up was written.
    pub minutes_rolled_up: u64,
    /// Outcomes that found their generation.
    pub outcomes_applied: u64,
    /// Partitions that were made.
    pub partitions_made: u64,
    /// Partitions dropped, or on a store without partitions rows deleted, because they were older than the retention.
    pub retired: u64,
    /// Expired sessions deleted.
    pub sessions_expired: u64,
    /// How far the time that retention goes by is behind the clock. More than zero for a while after
    /// the clock has jumped ahead by more than a day, on a store that has no second clock to ask.
    pub retention_lag: Duration,
}

/// The names of the migrations, oldest first: [`SchemaState`] names those that are missing. SQLite
/// has one more than PostgreSQL.
const MIGRATIONS: [&str; 6] =
    ["tables", "outcomes and sessions", "rollups", "age of outcomes", "parts of minutes", "retention clock"];

/// How a database's schema stands to this build. Versions count migrations; 0 is an empty database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SchemaState {
    /// As it should be.
    Current {
        /// The version of both.
        version: i64,
    },
    /// The database is older: migrate it.
    Behind {
        /// The last migration applied.
        applied: i64,
        /// The last one known here.
        known: i64,
    },
    /// The database is newer: use a newer build.
    Ahead {
        /// The last migration applied.
        applied: i64,
        /// The last one known here.
        known: i64,
    },
}

impl SchemaState {
    pub(crate) const fn compare(applied: i64, known: i64) -> Self {
        if applied < known {
            Self::Behind { applied, known }
        } else if applied > known {
            Self::Ahead { applied, known }
        } else {
            Self::Current { version: known }
        }
    }

    /// Whether nothing needs doing.
    pub const fn is_current(self) -> bool {
        matches!(self, Self::Current { .. })
    }
}

impl fmt::Display for SchemaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current { version } => write!(f, "version {version}, as expected"),
            Self::Behind { applied, known } => {
                write!(
                    f,
                    "it is at version {applied} and this build needs {known}: run the migrations with \
                     `picarcade migrate` or `Store::migrate`; missing are"
                )?;
                let is_missing = |(version, _): &(i64, &str)| version > applied && version <= known;
                for (index, (version, name)) in (1..).zip(MIGRATIONS).filter(is_missing).enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma} {version} ({name})")?;
                }
                Ok(())
            }
            Self::Ahead { applied, known } => {
                write!(f, "it is at version {applied} and this build knows only {known}: use a newer build")
            }
        }
    }
}
