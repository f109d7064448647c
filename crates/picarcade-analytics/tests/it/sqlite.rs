//! What is particular to SQLite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::{Config, Error, Period, Recorder, SchemaState, SqliteStore, Store};

use crate::conformance::{self, Both, Subject};
use crate::events::{NOW, at, mixed, time};

struct Sqlite(tempfile::TempDir);

impl Subject for Sqlite {
    async fn fresh(&self) -> Arc<dyn Both> {
        let directory = self.0.path().join(fastrand::u64(..).to_string());
        Arc::new(SqliteStore::open(&directory).await.unwrap())
    }

    async fn count(&self, store: &dyn Both, table: &str) -> Option<u64> {
        // Through a second connection to the newest file: what is counted has been committed.
        let _ = store;
        let newest = std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .max_by_key(|entry| entry.metadata().unwrap().created().unwrap())
            .unwrap();
        Some(count(&newest.path().join("picarcade.db"), table).await)
    }
}

async fn count(file: &Path, table: &str) -> u64 {
    let pool = sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(file))
        .await
        .unwrap();
    let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
        .fetch_one(&pool)
        .await
        .unwrap();
    pool.close().await;
    rows as u64
}

#[tokio::test]
async fn sqlite_keeps_the_promises() {
    conformance::all(&Sqlite(tempfile::tempdir().unwrap())).await;
}

#[tokio::test]
async fn rows_are_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deep/er/analytics.sqlite");
    let store = SqliteStore::open(&file).await.unwrap();
    store.write(&(0..100).map(|n| at(NOW - 1, mixed(n))).collect::<Vec<_>>()).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(&file).await.unwrap();
    assert_eq!(store.statistics(Period::Hour, time(NOW)).await.unwrap().total_classifications, 70);
}

#[tokio::test]
async fn two_stores_on_one_file_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut recorders = Vec::new();
    for _ in 0..2 {
        let store = Arc::new(SqliteStore::open(directory.path()).await.unwrap());
        recorders.push(Recorder::start(store, Config { batch_rows: 20, ..Config::default() }));
    }
    for n in 0..2_000 {
        recorders[n % 2].record(mixed(n));
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for recorder in &recorders {
        let counters = recorder.shutdown(Duration::from_secs(30)).await;
        assert_eq!(counters.committed, 1_000, "{counters:?}");
    }
    assert_eq!(count(&directory.path().join("picarcade.db"), "intent_classification_logs").await, 1_400);
}

#[tokio::test]
async fn what_cannot_be_a_database_is_said_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "this is not a database, and it is long enough to be looked at as one".repeat(20))
        .unwrap();
    let error = SqliteStore::open(&text).await.unwrap_err();
    assert!(error.to_string().contains("is not a SQLite database"), "{error:?}");

    let below_a_file = text.join("data");
    let error = SqliteStore::open(&below_a_file).await.unwrap_err();
    assert!(matches!(error, Error::Directory { .. }), "{error:?}");
    assert!(error.to_string().starts_with("cannot write to"), "{error}");

    // A directory where the file should be.
    let file = directory.path().join("x/picarcade.db");
    std::fs::create_dir_all(&file).unwrap();
    let error = SqliteStore::open(&directory.path().join("x")).await.unwrap_err();
    assert!(matches!(error, Error::Directory { .. }), "{error:?}");
}

#[tokio::test]
async fn a_newer_schema_is_said_to_be_newer() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let SchemaState::Current { version } = store.schema().await.unwrap() else { panic!("not current") };
    store.close().await;
    let file = directory.path().join("picarcade.db");
    let pool = sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(&file))
        .await
        .unwrap();
    sqlx::query("INSERT INTO picarcade_migrations VALUES (99, 'from the future', '', 1, x'00', 0)")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    let error = SqliteStore::open(&file).await.unwrap_err();
    let Error::Schema(state) = error else { panic!("{error:?}") };
    assert_eq!(state, SchemaState::Ahead { applied: 99, known: version });
    assert!(state.to_string().contains("use a newer build"));
}

#[tokio::test]
async fn old_rows_are_retired() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let old = NOW - 100 * 86_400_000_000;
    let batch: Vec<_> = (0..100).flat_map(|n| [at(old, mixed(n)), at(NOW - 1, mixed(n))]).collect();
    store.write(&batch).await.unwrap();
    assert_eq!(store.maintain(time(NOW)).await.unwrap().retired, 100);
    assert_eq!(count(&directory.path().join("picarcade.db"), "intent_classification_logs").await, 70);
    assert_eq!(store.statistics(Period::Week, time(NOW)).await.unwrap().total_classifications, 70);
}

#[tokio::test]
async fn every_earlier_version_is_migrated() {
    let migrations = [
        include_str!("../../migrations/sqlite/0001_tables.sql"),
        include_str!("../../migrations/sqlite/0002_outcomes_and_sessions.sql"),
        include_str!("../../migrations/sqlite/0003_rollups.sql"),
    ];
    let directory = tempfile::tempdir().unwrap();
    for applied in 0..=migrations.len() {
        let file = directory.path().join(format!("{applied}.db"));
        let known = (1..).zip(migrations).take(applied).map(|(version, sql)| {
            let kind = sqlx::migrate::MigrationType::Simple;
            sqlx::migrate::Migration::new(
                version,
                "".into(),
                kind,
                sqlx::SqlSafeStr::into_sql_str(sql),
                false,
            )
        });
        let mut earlier = sqlx::migrate::Migrator::with_migrations(known.collect());
        earlier.dangerous_set_table_name("picarcade_migrations");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        earlier.run(&pool).await.unwrap();
        pool.close().await;

        let store = SqliteStore::open(&file).await.unwrap();
        assert_eq!(store.schema().await.unwrap(), SchemaState::Current { version: 3 });
        store.write(&[at(NOW - 1, mixed(3))]).await.unwrap();
        assert_eq!(store.statistics(Period::Hour, time(NOW)).await.unwrap().total_classifications, 1);
    }
}
