//! Connections and transactions.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions, Postgres};
use sqlx::{AssertSqlSafe, Connection, Row, Transaction};

use super::error::Result;
use super::lock::{LOCK_CLASS, LOCK_WRITERS};
use super::options::PostgresOptions;
use crate::Error;

/// How long a connection that is given back may take to answer.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// For how long an idle connection is taken to be alive without asking.
const TRUSTED_IDLE_TIME: Duration = Duration::from_secs(1);

pub(super) fn pool(options: &PostgresOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .idle_timeout(Duration::from_mins(5))
        // One that was in use a moment ago has shown that it lives.
        .test_before_acquire(false)
        .before_acquire(|connection, its| {
            Box::pin(async move {
                if its.idle_for > TRUSTED_IDLE_TIME {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        // A connection also comes back when its work was cancelled. One that does not answer must not stay in the pool
        // until the network notices. One whose `BEGIN` was cancelled is still in that transaction, of which sqlx does not
        // know: it would hold locks, and each later statement on it would fail once the transaction is aborted.
        .after_release(move |connection, _| {
            Box::pin(async move {
                match tokio::time::timeout(RELEASE_TIMEOUT, is_idle(connection)).await {
                    Ok(answered) => answered,
                    Err(_) => Err(sqlx::Error::PoolTimedOut),
                }
            })
        })
        .connect_lazy_with(options.connect.clone())
}

/// Whether the connection answers and is in no transaction: within one, `now()` is the time at which it began. An aborted
/// transaction refuses the question.
async fn is_idle(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(connection).await?;
    row.try_get(0)
}

/// Bounds what the server's own timeouts cannot: a network that has gone silent.
pub(super) async fn bounded<T>(
    options: &PostgresOptions,
    work: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    let longest = options.acquire_timeout + options.statement_timeout;
    tokio::time::timeout(longest, work).await.unwrap_or(Err(Error::Timeout.into()))
}

/// A transaction with bounded waits. One round trip, whatever is set.
pub(super) async fn begin(
    pool: &PgPool,
    options: &PostgresOptions,
) -> Result<Transaction<'static, Postgres>> {
    begin_with(pool, format!("BEGIN; {}", options.settings())).await
}

/// A transaction that writes events: whoever waits for writers waits for it.
pub(super) async fn begin_writing(
    pool: &PgPool,
    options: &PostgresOptions,
) -> Result<Transaction<'static, Postgres>> {
    let settings = options.settings();
    let statement =
        format!("BEGIN; {settings}; SELECT pg_advisory_xact_lock_shared({LOCK_CLASS}, {LOCK_WRITERS})");
    begin_with(pool, statement).await
}

/// A transaction in which everything that is read is of one moment.
pub(super) async fn begin_reading(
    pool: &PgPool,
    options: &PostgresOptions,
) -> Result<Transaction<'static, Postgres>> {
    let settings = options.settings();
    begin_with(pool, format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {settings}")).await
}

async fn begin_with(pool: &PgPool, statement: String) -> Result<Transaction<'static, Postgres>> {
    // Made of literals and numbers.
    Ok(pool.begin_with(AssertSqlSafe(statement)).await?)
}
