//! Events, roll-ups and sessions in PostgreSQL: plain, on Supabase, or behind pgbouncer in transaction mode.
//!
//! Behind a pooler in transaction mode, the next statement may run on another server connection. Everything here therefore
//! happens inside explicit transactions, with unnamed statements, settings made by `SET LOCAL`, and advisory locks that end
//! with their transaction.
//!
//! Failure behaviour: a URL that cannot be used, wrong credentials or a missing database are an error at once. A server that
//! cannot be reached is not: the store starts without it, writes fail as transient, and the recorder spools. Every wait is
//! bounded: for a connection, for a lock, for a statement.

mod connect;
mod forget;
mod generation;
mod insert;
mod keep;
mod migrate;
mod outcome;
mod partition;
mod query;
mod session;

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use sqlx::postgres::{PgPool, PgRow};

pub use self::connect::PostgresOptions;
use self::insert::Repeated;
use crate::database::{self, Retention};
use crate::record::Record;
use crate::store::{Maintained, SchemaState, Store};
use crate::timestamp::micros;
use crate::{Error, Period, Statistics};

/// Keys of the advisory locks: `pica` and a number.
const LOCK_CLASS: i32 = 0x7069_6361;
/// Held, shared, by every transaction that writes events; taken alone to wait until those have ended.
const LOCK_WRITERS: i32 = 1;
/// Held by the instance that keeps house.
const LOCK_KEEPER: i32 = 2;
/// Held while migrating.
const LOCK_MIGRATION: i32 = 3;
/// Held while making or dropping partitions.
const LOCK_PARTITIONS: i32 = 4;

/// The SQLSTATE of a row that is there already.
const UNIQUE_VIOLATION: &str = "23505";

/// The longest that housekeeping or a migration may take; the first roll-up of many rows takes minutes.
const HOUSEKEEPING_TIMEOUT: Duration = Duration::from_mins(10);

/// A PostgreSQL database.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    options: PostgresOptions,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("options", &self.options).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to the database at `url` (`postgres://user:password@host:port/database`) with default options.
    ///
    /// # Errors
    /// As [`connect_with`](Self::connect_with).
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::connect_with(PostgresOptions::new(url)?).await
    }

    /// Connects. Does not migrate: see [`Store::schema`] and [`Store::migrate`].
    ///
    /// A server that cannot be reached within [`PostgresOptions::connect_timeout`] is logged and no error: the store reaches it
    /// as soon as it is there.
    ///
    /// # Errors
    /// [`Error::Refused`] for wrong credentials or a database that does not exist.
    pub async fn connect_with(options: PostgresOptions) -> Result<Self, Error> {
        let store = Self::lazy(options);
        let answered = tokio::time::timeout(store.options.connect_timeout, store.ping()).await;
        match answered.unwrap_or(Err(Error::Timeout)) {
            Ok(_) => Ok(store),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "the analytics database cannot be reached yet");
                Ok(store)
            }
            Err(error) => Err(error),
        }
    }

    /// A store that connects when it is first used. Whatever is wrong with the database shows then.
    pub fn lazy(options: PostgresOptions) -> Self {
        Self { pool: connect::pool(&options), options }
    }

    /// Keeps rows for so long.
    #[must_use]
    pub const fn with_retention(mut self, retention: Retention) -> Self {
        self.options.retention = retention;
        self
    }

    async fn insert(&self, rows: &insert::Rows<'_>, repeated: Repeated) -> Result<(), Error> {
        let mut transaction = connect::begin_writing(&self.pool, &self.options).await?;
        let outcomes = rows.insert(&mut transaction, repeated).await?;
        if outcomes {
            outcome::apply(&mut transaction).await?;
        }
        transaction.commit().await.map_err(error)
    }

    /// Passes `result` on. If a statement failed and the schema is not that of this build, the error
    /// is [`Error::Schema`] instead, which names the missing migrations: "relation does not exist"
    /// does not say what to do.
    async fn explain<T: Send>(&self, result: Result<T, Error>) -> Result<T, Error> {
        let error = match result {
            Err(error @ Error::Statement { .. }) => error,
            other => return other,
        };
        match self.schema().await {
            Ok(state) if !state.is_current() => Err(Error::Schema(state)),
            _ => Err(error),
        }
    }

    /// Closes the connections; the store is of no use afterwards.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn write(&self, batch: &[Record]) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut rows = insert::Rows::new(batch)?;
        let written = match self.insert(&rows, Repeated::Fails).await {
            // Written before, and the acknowledgement lost; or read again from a spool.
            Err(Error::Rejected { code, .. }) if code == UNIQUE_VIOLATION => {
                rows.forget_parts();
                self.insert(&rows, Repeated::Stays).await
            }
            written => written,
        };
        self.explain(written).await
    }

    async fn statistics(&self, period: Period, now: SystemTime) -> Result<Statistics, Error> {
        let answer = connect::bounded(&self.options, async {
            let until = micros(now);
            let mut transaction = connect::begin_reading(&self.pool, &self.options).await?;
            let tally = query::tally(&mut transaction, period.start(until), until).await?;
            transaction.commit().await.map_err(error)?;
            Ok(tally.statistics(period, until))
        });
        self.explain(answer.await).await
    }

    async fn user_statistics(
        &self,
        user_id: &str,
        period: Period,
        now: SystemTime,
    ) -> Result<Statistics, Error> {
        let answer = connect::bounded(&self.options, async {
            let until = micros(now);
            let range = period.start(until)..until;
            let mut transaction = connect::begin_reading(&self.pool, &self.options).await?;
            let tally = query::user_tally(&mut transaction, user_id, range).await?;
            transaction.commit().await.map_err(error)?;
            Ok(tally.statistics(period, until))
        });
        self.explain(answer.await).await
    }

    async fn spent_since(&self, from: SystemTime, now: SystemTime) -> Result<u64, Error> {
        let answer = connect::bounded(&self.options, async {
            let mut transaction = connect::begin_reading(&self.pool, &self.options).await?;
            let tally = query::tally(&mut transaction, micros(from), micros(now)).await?;
            transaction.commit().await.map_err(error)?;
            Ok(tally.spent())
        });
        self.explain(answer.await).await
    }

    async fn ping(&self) -> Result<Duration, Error> {
        let started = Instant::now();
        let answered = tokio::time::timeout(self.options.statement_timeout, async {
            sqlx::raw_sql("SELECT 1").execute(&self.pool).await.map_err(error)
        });
        answered.await.unwrap_or(Err(Error::Timeout))?;
        Ok(started.elapsed())
    }

    async fn forget_user(&self, user_id: &str) -> Result<u64, Error> {
        self.explain(forget::user(&self.pool, &self.options, user_id).await).await
    }

    async fn migrate(&self) -> Result<(), Error> {
        migrate::run(&self.pool, &self.options, micros(SystemTime::now())).await
    }

    async fn schema(&self) -> Result<SchemaState, Error> {
        migrate::schema(&self.pool, &self.options).await
    }

    async fn maintain(&self, now: SystemTime) -> Result<Maintained, Error> {
        let kept = keep::maintain(&self.pool, &self.options, micros(now));
        let kept = tokio::time::timeout(HOUSEKEEPING_TIMEOUT, kept).await.unwrap_or(Err(Error::Timeout));
        self.explain(kept).await
    }
}

/// A statement without a name on the server.
fn query(sql: &'static str) -> sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments> {
    sqlx::query(sql).persistent(false)
}

/// A column of a row.
fn column<'r, T>(row: &'r PgRow, at: usize) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    sqlx::Row::try_get(row, at).map_err(error)
}

/// Tells PostgreSQL's answers apart by the class of the SQLSTATE
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn error(from: sqlx::Error) -> Error {
    database::error(from, |answer| {
        let code = answer.code().unwrap_or_default();
        match code.get(..2).unwrap_or_default() {
            // data exception, integrity constraint, program limit exceeded
            "22" | "23" | "54" => database::rejected,
            // invalid authorization, invalid catalog name
            "28" | "3D" => database::refused,
            // connection, transaction state (read-only, as on a standby or a full managed disk), transaction rollback
            // (serialization, deadlock), resources, object in use, operator intervention, system error, internal error
            "08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX" => database::unavailable,
            _ => database::statement,
        }
    })
}
