//! Connections and transactions, and the keys of the advisory locks that transactions hold.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions, Postgres};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, Transaction};
use tokio::net::lookup_host;

use super::error::Result;
use super::options::PostgresOptions;
use crate::{Cause, Error};

/// The class of the advisory locks: the letters `pica`.
pub(super) const LOCK_CLASS: i32 = 0x7069_6361;
/// Held in shared mode by every transaction that writes events. The roll-up takes it exclusively to
/// wait until they have ended.
pub(super) const LOCK_WRITERS: i32 = 1;
/// Held by the instance that runs maintenance.
pub(super) const LOCK_MAINTENANCE: i32 = 2;
/// Held by a migration.
pub(super) const LOCK_MIGRATION: i32 = 3;
/// Held while partitions are created or dropped.
pub(super) const LOCK_PARTITIONS: i32 = 4;

/// The maximum time for a returned connection to answer.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum time of an attempt to connect that looks for the cause of a failure.
const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an idle connection is used without a check.
const TRUSTED_IDLE_TIME: Duration = Duration::from_secs(1);

pub(super) fn pool(options: &PostgresOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .idle_timeout(Duration::from_mins(5))
        // A connection that was in use a moment ago needs no check.
        .test_before_acquire(false)
        .before_acquire(|connection, its| {
            Box::pin(async move {
                if its.idle_for > TRUSTED_IDLE_TIME {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        // A connection also returns to the pool when its work was cancelled. A connection that does
        // not answer must not stay in the pool until the network notices. A connection whose
        // `BEGIN` was cancelled is still in that transaction, which sqlx does not know. It would
        // hold locks, and each later statement on it would fail once the transaction is aborted.
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

/// Returns why a connection failed with this cause. The pool hides the errors of its attempts, so a
/// connection of its own is tried. A name that is not found has no error kind, so it is looked up.
pub(super) async fn explain(options: &PostgresOptions, seen: Cause) -> Cause {
    if !matches!(seen, Cause::Timeout | Cause::Pool | Cause::Lost | Cause::Starting | Cause::Other) {
        return seen;
    }
    let cause = match tokio::time::timeout(EXPLAIN_TIMEOUT, options.connect.connect()).await {
        Ok(Ok(connection)) => {
            let _ = tokio::time::timeout(EXPLAIN_TIMEOUT, connection.close()).await;
            return seen;
        }
        Ok(Err(error)) => Cause::of_driver(&error),
        Err(_) => Cause::Timeout,
    };
    if matches!(cause, Cause::Lost | Cause::Timeout) && options.connect.get_socket().is_none() {
        let name = (options.connect.get_host(), options.connect.get_port());
        if let Ok(Err(_)) = tokio::time::timeout(EXPLAIN_TIMEOUT, lookup_host(name)).await {
            return Cause::Dns;
        }
    }
    cause
}

/// Returns whether the connection answers and is in no transaction. Within a transaction, `now()`
/// is the time of its begin; an aborted transaction rejects the statement.
async fn is_idle(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(connection).await?;
    row.try_get(0)
}

/// Limits the time of `work`. The server's own timeouts cannot detect a silent network.
pub(super) async fn bounded<T>(
    options: &PostgresOptions,
    work: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    let longest = options.acquire_timeout + options.statement_timeout;
    tokio::time::timeout(longest, work).await.unwrap_or(Err(Error::Timeout.into()))
}

/// Begins a transaction with bounded waits, in one round trip.
pub(super) async fn begin(
    pool: &PgPool,
    options: &PostgresOptions,
) -> Result<Transaction<'static, Postgres>> {
    begin_with(pool, format!("BEGIN; {}", options.settings())).await
}

/// Begins a transaction that writes events. It holds the writers' lock, for which the roll-up
/// waits.
pub(super) async fn begin_writing(
    pool: &PgPool,
    options: &PostgresOptions,
) -> Result<Transaction<'static, Postgres>> {
    let settings = options.settings();
    let statement =
        format!("BEGIN; {settings}; SELECT pg_advisory_xact_lock_shared({LOCK_CLASS}, {LOCK_WRITERS})");
    begin_with(pool, statement).await
}

/// Begins a transaction that reads one snapshot.
pub(super) async fn begin_reading(
    pool: &PgPool,
    options: &PostgresOptions,
) -> Result<Transaction<'static, Postgres>> {
    let settings = options.settings();
    begin_with(pool, format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {settings}")).await
}

async fn begin_with(pool: &PgPool, statement: String) -> Result<Transaction<'static, Postgres>> {
    // The statement contains only literals and numbers.
    Ok(pool.begin_with(AssertSqlSafe(statement)).await?)
}
