//! The handle of a SQLite database.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use sqlx::sqlite::SqlitePool;

use super::error::{Result, SqliteError};
use super::{connect, forget, insert, maintain, outcome, rollup, sums};
use crate::record::Record;
use crate::store::schema::SchemaState;
use crate::store::sql::retention::Retention;
use crate::store::store::{Maintained, Store};
use crate::timestamp::micros;
use crate::{Error, Period, Statistics};

/// A SQLite database.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    /// At most one connection.
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
    retention: Retention,
}

impl SqliteStore {
    /// Opens the database, creates missing parts and migrates it.
    ///
    /// `path` is the database file, or a directory (an existing one, or a path without an
    /// extension) in which the file is `picarcade.db`.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Directory`] if the path cannot be created or written, [`Error::Schema`] if
    /// a newer version has migrated the file, and [`Error::Migration`] or [`Error::Statement`] if
    /// the file is another database.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let (writer, readers) = connect::pools(path).await?;
        let store = Self { writer, readers, retention: Retention::default() };
        store.migrate().await?;
        Ok(store)
    }

    /// Sets the retention of rows.
    #[must_use]
    pub const fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    async fn insert(&self, batch: &[Record]) -> Result<()> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let inserted = insert::batch(&mut transaction, batch).await?;
        if inserted.outcomes {
            outcome::apply(&mut transaction).await?;
        }
        rollup::mark_minutes(&mut transaction, batch, inserted.all_new).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Closes the connections. The store cannot be used afterwards.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn write(&self, batch: &[Record]) -> Result<(), Error> {
        Ok(self.insert(batch).await?)
    }

    async fn statistics(&self, period: Period, now: SystemTime) -> Result<Statistics, Error> {
        let until = micros(now);
        let tally = sums::tally(&self.readers, period.start(until), until).await?;
        Ok(tally.statistics(period, until))
    }

    async fn user_statistics(
        &self,
        user_id: &str,
        period: Period,
        now: SystemTime,
    ) -> Result<Statistics, Error> {
        let until = micros(now);
        let tally = sums::user_tally(&self.readers, user_id, period.start(until), until).await?;
        Ok(tally.statistics(period, until))
    }

    async fn spent_since(&self, from: SystemTime, now: SystemTime) -> Result<u64, Error> {
        Ok(sums::tally(&self.readers, micros(from), micros(now)).await?.spent())
    }

    async fn ping(&self) -> Result<Duration, Error> {
        let started = Instant::now();
        sqlx::query("SELECT 1").execute(&self.readers).await.map_err(SqliteError::from)?;
        Ok(started.elapsed())
    }

    async fn forget_user(&self, user_id: &str) -> Result<u64, Error> {
        Ok(forget::user(&self.writer, user_id).await?)
    }

    async fn migrate(&self) -> Result<(), Error> {
        Ok(connect::migrate(&self.writer).await?)
    }

    async fn schema(&self) -> Result<SchemaState, Error> {
        Ok(connect::schema(&self.writer).await?)
    }

    async fn maintain(&self, now: SystemTime) -> Result<Maintained, Error> {
        Ok(maintain::maintain(&self.writer, &self.retention, micros(now)).await?)
    }
}
