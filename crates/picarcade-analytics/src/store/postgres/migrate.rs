//! Migrations, and the locks that they wait for.
//!
//! A migration needs locks that other sessions may hold: another migration, or a transaction that
//! has read a table and was left open. The wait for these locks is bounded. A second connection
//! finds their holders and logs them, because a migration that waits silently looks like a hang.

use std::convert::Infallible;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use super::connect::{self, LOCK_CLASS, LOCK_MIGRATION, begin};
use super::error::{PostgresError, Result};
use super::options::{MAINTENANCE_TIMEOUT, PostgresOptions};
use super::partition;
use super::statement::{column, query};
use crate::store::sql::migrations::{MIGRATION_TABLE, migration_failed, migrator};
use crate::{Error, SchemaState};

/// The migrations, oldest first.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../../migrations/postgres/0001_tables.sql"),
    include_str!("../../../migrations/postgres/0002_feedback.sql"),
    include_str!("../../../migrations/postgres/0003_requests.sql"),
];

/// The interval at which the holders of a lock are looked up.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The SQLSTATE of a lock that was not available in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Applies the missing migrations and creates the partitions of the next weeks. Logs the sessions
/// that hold its locks.
///
/// # Errors
///
/// Returns [`Error::Locked`] if a lock was not free within
/// [`PostgresOptions::migration_lock_timeout`].
pub(super) async fn run(pool: &PgPool, options: &PostgresOptions, now: i64) -> Result<(), Error> {
    let lock_timeout = options.migration_lock_timeout;
    // The second connection finds the migrating sessions by this name. Behind a pooler there may be
    // more than one.
    let application = format!("picarcade-migrate-{:016x}", fastrand::u64(..));
    let migrating = PostgresOptions {
        application: Some(application.clone()),
        lock_timeout,
        statement_timeout: MAINTENANCE_TIMEOUT,
        ..options.clone()
    };
    let holders = Mutex::new(None);
    let work = async {
        apply(options, &migrating).await?;
        partition::create_ahead(pool, &migrating, now).await
    };
    let done = tokio::select! {
        done = tokio::time::timeout(MAINTENANCE_TIMEOUT, work) => done.unwrap_or(Err(Error::Timeout.into())),
        never = report_holders(options, &application, &holders) => match never {},
    };
    match done.map_err(Error::from) {
        Err(error) if is_lock_timeout(&error) => {
            let held_by = holders.into_inner().unwrap_or_else(|| "another session".to_owned());
            Err(Error::Locked { held_by, waited: lock_timeout })
        }
        other => other.map(drop),
    }
}

fn is_lock_timeout(error: &Error) -> bool {
    let Error::Unavailable { source } = error else { return false };
    let answer = source.downcast_ref().and_then(sqlx::Error::as_database_error);
    answer.is_some_and(|answer| answer.code().as_deref() == Some(LOCK_NOT_AVAILABLE))
}

/// Periodically looks up the sessions that block the sessions named `application`, stores a
/// description of them in `holders`, and logs each change. Without a connection nothing is
/// reported, and the migration continues.
async fn report_holders(
    options: &PostgresOptions,
    application: &str,
    holders: &Mutex<Option<String>>,
) -> Infallible {
    let mut connection = None;
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let answered =
            tokio::time::timeout(options.statement_timeout, find_holders(options, application, connection));
        let Ok(Ok((found, used))) = answered.await else {
            connection = None;
            continue;
        };
        connection = Some(used);
        // The last holders stay stored, because the wait may have ended in an error a moment ago.
        if let Some(found) = found
            && holders.lock().replace(found.clone()).as_ref() != Some(&found)
        {
            tracing::warn!(held_by = found, "the migration waits for a lock that another session holds");
        }
    }
}

/// Describes the sessions that block those named `application`; returns `None` if there are none.
async fn find_holders(
    options: &PostgresOptions,
    application: &str,
    connection: Option<PgConnection>,
) -> Result<(Option<String>, PgConnection), sqlx::Error> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => connect_quietly(options).await?,
    };
    // The statement of a session is omitted, because it may contain data. The application of
    // another role's session is not always visible. The simple protocol makes a pooler see one
    // statement.
    let statement = format!(
        "SELECT string_agg(DISTINCT CASE WHEN blocking = 0 THEN 'a prepared transaction' ELSE
             format('process %s (user %s, application %s, %s)', blocking, coalesce(holder.usename, '?'),
                 coalesce(nullif(holder.application_name, ''), '?'), coalesce(holder.state, '?')) END, ', ')
         FROM pg_stat_activity AS waiting
         CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking
         LEFT JOIN pg_stat_activity AS holder ON holder.pid = blocking
         WHERE waiting.application_name = '{application}'"
    );
    let rows = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(&mut connection).await?;
    let found = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
    Ok((found, connection))
}

/// Connects without the log of slow statements: the wait for a lock is logged here.
async fn connect_quietly(options: &PostgresOptions) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect_with(&options.connect.clone().disable_statement_logging()).await
}

/// Migrates on a connection of its own and in one transaction, which applies all migrations or
/// none.
///
/// The migrator names its statements. A pooler would leave them on the server's connection, where
/// they collide with those of others, so they are deallocated before and after.
async fn apply(options: &PostgresOptions, migrating: &PostgresOptions) -> Result<()> {
    // Without a free connection, a pooler delays even the first statement.
    let connected = tokio::time::timeout(options.statement_timeout, async {
        let mut connection = connect_quietly(options).await?;
        sqlx::raw_sql("SELECT 1").execute(&mut connection).await?;
        Result::<_>::Ok(connection)
    });
    let mut connection = connected.await.map_err(|_| Error::Timeout)??;
    let mut transaction = connection.begin().await?;
    let lock = format!(
        "DEALLOCATE ALL; {}; SELECT pg_advisory_xact_lock({LOCK_CLASS}, {LOCK_MIGRATION})",
        migrating.settings()
    );
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *transaction).await?;
    let mut migrator = migrator(&MIGRATIONS);
    // The lock of the migrator belongs to a session, which a pooler does not keep.
    migrator.set_locking(false);
    let migrated = migrator.run_direct(None, &mut *transaction, false).await;
    let ahead = matches!(migrated, Err(MigrateError::VersionMissing(_)));
    if let Err(source) = migrated
        && !ahead
    {
        return Err(migration_failed(source, |failed| PostgresError::from(failed).into()).into());
    }
    sqlx::raw_sql("DEALLOCATE ALL").execute(&mut *transaction).await?;
    let state = state(&mut transaction).await?;
    transaction.commit().await?;
    connection.close().await?;
    if ahead { Err(Error::Schema(state).into()) } else { Ok(()) }
}

pub(super) async fn schema(pool: &PgPool, options: &PostgresOptions) -> Result<SchemaState> {
    connect::bounded(options, async {
        let mut transaction = begin(pool, options).await?;
        let state = state(&mut transaction).await?;
        transaction.commit().await?;
        Ok(state)
    })
    .await
}

async fn state(connection: &mut PgConnection) -> Result<SchemaState> {
    let exists = query("SELECT to_regclass($1) IS NOT NULL").bind(MIGRATION_TABLE);
    let exists: bool = column(&exists.fetch_one(&mut *connection).await?, 0)?;
    if !exists {
        return Ok(SchemaState::compare(0, &MIGRATIONS));
    }
    let applied = query("SELECT coalesce(max(version), 0) FROM picarcade_migrations WHERE success");
    let applied: i64 = column(&applied.fetch_one(connection).await?, 0)?;
    Ok(SchemaState::compare(applied, &MIGRATIONS))
}
