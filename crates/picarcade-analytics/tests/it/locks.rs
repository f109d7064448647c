//! Migrations that wait for locks of other sessions: the wait is bounded and names the holder.

use std::time::Duration;

use picarcade_analytics::{Error, PostgresOptions, PostgresStore, SqliteStore, Store};
use picarcade_testkit::{PgBouncer, PostgresServer, eventually};
use sqlx::{Connection, PgConnection, Row};

/// The lock that serializes migrations.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(1885954913, 3)";

/// Returns a session that holds a lock in an open transaction, and its process id.
async fn holder(url: &str, statement: &'static str) -> (PgConnection, i32) {
    let mut holder = PgConnection::connect(&format!("{url}?application_name=report")).await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut holder).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut holder).await.unwrap();
    let process = sqlx::query("SELECT pg_backend_pid()").fetch_one(&mut holder).await.unwrap().get(0);
    (holder, process)
}

fn store(url: &str, lock_timeout: Duration) -> PostgresStore {
    let mut options = PostgresOptions::new(url).unwrap();
    options.acquire_timeout = Duration::from_mins(1);
    options.statement_timeout = Duration::from_mins(1);
    options.migration_lock_timeout = lock_timeout;
    PostgresStore::lazy(options)
}

async fn gives_up(url: &str, process: i32) {
    let error = store(url, Duration::from_secs(5)).migrate().await.unwrap_err();
    let Error::Locked { held_by, .. } = &error else { panic!("{error:?}") };
    let named =
        held_by.contains(&format!("process {process} (user ")) && held_by.contains("application report");
    assert!(named && held_by.contains("idle in transaction"), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_migration_behind_another_one_gives_up_and_names_it() {
    let server = PostgresServer::start().await.unwrap();
    let (held, process) = holder(&server.url(), MIGRATION_LOCK).await;
    gives_up(&server.url(), process).await;
    let bouncer = PgBouncer::start_with(&server, 3).await.unwrap();
    gives_up(&bouncer.url(), process).await;
    held.close().await.unwrap();
    store(&bouncer.url(), Duration::from_mins(1)).migrate().await.unwrap();
}

#[tokio::test]
async fn a_migration_behind_a_lock_of_a_table_gives_up_and_names_the_session() {
    let server = PostgresServer::start().await.unwrap();
    let patient = store(&server.url(), Duration::from_mins(1));
    patient.migrate().await.unwrap();
    let (held, process) =
        holder(&server.url(), "LOCK TABLE picarcade_migrations IN ACCESS EXCLUSIVE MODE").await;
    gives_up(&server.url(), process).await;
    held.close().await.unwrap();

    // The holder is a report that was left open, and the migration must create partitions.
    server
        .psql(
            "DO $$ DECLARE week text; BEGIN
                 FOR week IN SELECT inhrelid::regclass FROM pg_inherits
                     WHERE inhparent = 'cost_tracking'::regclass AND inhrelid::regclass::text !~ 'default'
                 LOOP EXECUTE 'DROP TABLE ' || week; END LOOP;
             END $$",
        )
        .await
        .unwrap();
    let (held, process) = holder(&server.url(), "SELECT count(*) FROM cost_tracking").await;
    gives_up(&server.url(), process).await;
    held.close().await.unwrap();
    patient.migrate().await.unwrap();
}

#[tokio::test]
async fn a_migration_goes_on_when_the_lock_is_released() {
    let server = PostgresServer::start().await.unwrap();
    let (held, _) = holder(&server.url(), MIGRATION_LOCK).await;
    let waiting = tokio::spawn({
        let store = store(&server.url(), Duration::from_mins(5));
        async move { store.migrate().await }
    });
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0";
    eventually("the migration waits", async || server.psql(blocked).await.unwrap() == "1").await;
    held.close().await.unwrap();
    waiting.await.unwrap().unwrap();
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_file_locked_by_another_process_is_reported_as_locked() {
    let directory = tempfile::tempdir().unwrap();
    SqliteStore::open(directory.path()).await.unwrap().close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(directory.path().join("picarcade.db"));
    let mut other = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let error = SqliteStore::open(directory.path()).await.unwrap_err();
    assert!(matches!(error, Error::Locked { .. }) && error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("held by another process"), "{error}");
    other.close().await.unwrap();
    SqliteStore::open(directory.path()).await.unwrap();
}
