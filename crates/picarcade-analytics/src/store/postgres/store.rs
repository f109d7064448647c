//! The handle of a PostgreSQL database.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use sqlx::postgres::PgPool;

use super::error::{PostgresError, Result};
use super::insert::Repeated;
use super::options::{MAINTENANCE_TIMEOUT, PostgresOptions};
use super::{connect, forget, insert, maintain, migrate, outcome, sums};
use crate::record::Record;
use crate::store::schema::SchemaState;
use crate::store::sql::retention::Retention;
use crate::store::store::{Maintained, Store};
use crate::timestamp::micros;
use crate::{Cause, Error, Period, Statistics};

/// A PostgreSQL database.
#[derive(Clone)]
pub struct PostgresStore {
    pub(super) pool: PgPool,
    pub(super) options: PostgresOptions,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("options", &self.options).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to the database at `url` (`postgres://user:password@host:port/database`) with
    /// default options.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Config`] for an unusable URL, and the errors of
    /// [`connect_with`](Self::connect_with).
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::connect_with(PostgresOptions::new(url)?).await
    }

    /// Connects without migrating: see [`Store::schema`] and [`Store::migrate`].
    ///
    /// If the server cannot be reached within [`PostgresOptions::connect_timeout`], this is logged
    /// and no error: the store connects as soon as the server answers.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Refused`] for wrong credentials or a database that does not exist.
    pub async fn connect_with(options: PostgresOptions) -> Result<Self, Error> {
        let store = Self::lazy(options);
        let answered = tokio::time::timeout(store.options.connect_timeout, store.ping()).await;
        match answered.unwrap_or(Err(Error::Timeout)) {
            Ok(_) => Ok(store),
            Err(error) if error.is_transient() => {
                // The caller reports the outage with its cause.
                tracing::debug!(kind = error.kind(), "the analytics database cannot be reached yet");
                Ok(store)
            }
            Err(error) => Err(error),
        }
    }

    /// Creates a store that connects at its first use, which reports any error of the database.
    pub fn lazy(options: PostgresOptions) -> Self {
        Self { pool: connect::pool(&options), options }
    }

    /// Sets the retention of rows.
    #[must_use]
    pub const fn with_retention(mut self, retention: Retention) -> Self {
        self.options.retention = retention;
        self
    }

    async fn insert(&self, rows: &insert::BatchColumns<'_>, repeated: Repeated) -> Result<()> {
        let mut transaction = connect::begin_writing(&self.pool, &self.options).await?;
        let outcomes = rows.insert(&mut transaction, repeated).await?;
        if outcomes {
            outcome::apply(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Returns `result` with a better error. If a statement failed and the schema is not that of
    /// this build, the error is [`Error::Schema`], which names the missing migrations. The message
    /// "relation does not exist" would not say what to do.
    pub(super) async fn with_schema<T: Send>(&self, result: Result<T>) -> Result<T, Error> {
        let error = match result.map_err(Error::from) {
            Err(error @ Error::Statement { .. }) => error,
            other => return other,
        };
        match self.schema().await {
            Ok(state) if !state.is_current() => Err(Error::Schema(state)),
            _ => Err(error),
        }
    }

    /// Closes the connections. The store cannot be used afterwards.
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
        let mut rows = insert::BatchColumns::new(batch)?;
        let written = match self.insert(&rows, Repeated::Fails).await {
            // The batch was written before and the acknowledgement was lost, or it comes again
            // from a spool.
            Err(error) if error.is_unique_violation() => {
                rows.forget_parts();
                self.insert(&rows, Repeated::Stays).await
            }
            written => written,
        };
        self.with_schema(written).await
    }

    async fn statistics(&self, period: Period, now: SystemTime) -> Result<Statistics, Error> {
        let answer = connect::bounded(&self.options, async {
            let until = micros(now);
            let mut transaction = connect::begin_reading(&self.pool, &self.options).await?;
            let tally = sums::tally(&mut transaction, period.start(until), until).await?;
            transaction.commit().await?;
            Ok(tally.statistics(period, until))
        });
        self.with_schema(answer.await).await
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
            let tally = sums::user_tally(&mut transaction, user_id, range).await?;
            transaction.commit().await?;
            Ok(tally.statistics(period, until))
        });
        self.with_schema(answer.await).await
    }

    async fn spent_since(&self, from: SystemTime, now: SystemTime) -> Result<u64, Error> {
        let answer = connect::bounded(&self.options, async {
            let mut transaction = connect::begin_reading(&self.pool, &self.options).await?;
            let tally = sums::tally(&mut transaction, micros(from), micros(now)).await?;
            transaction.commit().await?;
            Ok(tally.spent())
        });
        self.with_schema(answer.await).await
    }

    async fn ping(&self) -> Result<Duration, Error> {
        let started = Instant::now();
        let answered = tokio::time::timeout(self.options.statement_timeout, async {
            sqlx::raw_sql("SELECT 1").execute(&self.pool).await.map_err(PostgresError::from)
        });
        answered.await.map_err(|_| Error::Timeout)??;
        Ok(started.elapsed())
    }

    async fn explain(&self, error: &Error) -> Cause {
        connect::explain(&self.options, error.cause()).await
    }

    async fn forget_user(&self, user_id: &str) -> Result<u64, Error> {
        self.with_schema(forget::user(&self.pool, &self.options, user_id).await).await
    }

    async fn migrate(&self) -> Result<(), Error> {
        migrate::run(&self.pool, &self.options, micros(SystemTime::now())).await
    }

    async fn schema(&self) -> Result<SchemaState, Error> {
        Ok(migrate::schema(&self.pool, &self.options).await?)
    }

    async fn maintain(&self, now: SystemTime) -> Result<Maintained, Error> {
        let work = maintain::maintain(&self.pool, &self.options, micros(now));
        let done = tokio::time::timeout(MAINTENANCE_TIMEOUT, work).await;
        self.with_schema(done.unwrap_or(Err(Error::Timeout.into()))).await
    }
}
