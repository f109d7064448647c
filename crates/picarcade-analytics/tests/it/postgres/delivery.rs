//! Delivery through a recorder: rejected rows and deadlocks.

use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::{ClassificationEvent, Config, Event, Recorder, Store};
use picarcade_testkit::{PostgresServer, eventually};

use super::{count, migrated};
use crate::counters::until_in_real_time;
use crate::events::{NOW, at, classification, mixed};

pub fn recording(directory: &std::path::Path) -> Config {
    Config {
        spool_dir: Some(directory.to_owned()),
        batch_rows: 500,
        queue_rows: 5_000,
        flush_interval: Duration::from_millis(50),
        write_timeout: Duration::from_secs(4),
        retry_min: Duration::from_millis(20),
        retry_max: Duration::from_millis(200),
        ..Config::default()
    }
}

#[tokio::test]
async fn a_rejected_row_is_dead_lettered_alone() {
    let directory = tempfile::tempdir().unwrap();
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    let config = Config {
        batch_rows: 5_000,
        queue_rows: 20_000,
        write_timeout: Duration::from_secs(60),
        ..recording(directory.path())
    };
    let recorder = Recorder::try_start(Arc::new(store), config).await.unwrap();
    for n in 0..5_000 {
        let confidence = if n == 1_234 { 7.0 } else { 0.5 };
        recorder.record(Event::Classification(ClassificationEvent { confidence, ..classification("u") }));
    }
    until_in_real_time(&recorder, "all", |counters| counters.queued == 0).await;
    let counters = recorder.counters();
    assert_eq!((counters.committed, counters.dead_lettered), (4_999, 1), "{counters:?}");
    assert_eq!(count(&server, &server.url(), "intent_classification_logs").await, 4_999);
    let letter = std::fs::read_to_string(directory.path().join("0/dead-letter.jsonl")).unwrap();
    let letter: serde_json::Value = serde_json::from_str(&letter).unwrap();
    assert_eq!(letter["code"], "23514");
    assert!(letter["reason"].as_str().unwrap().contains("confidence"), "{letter}");
}

/// A database with another encoding than UTF-8 cannot store every prompt.
#[tokio::test]
async fn text_that_the_database_cannot_encode_is_dead_lettered_alone() {
    let directory = tempfile::tempdir().unwrap();
    let server = PostgresServer::start().await.unwrap();
    server
        .psql("CREATE DATABASE latin OWNER app ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        .await
        .unwrap();
    let url = server.url();
    let store = migrated(&format!("{}/latin", url.rsplit_once('/').unwrap().0)).await;
    let config = Config { write_timeout: Duration::from_secs(60), ..recording(directory.path()) };
    let recorder = Recorder::try_start(Arc::new(store), config).await.unwrap();
    for n in 0..400 {
        let prompt = if n == 123 { "a 🦊 in the snow" } else { "a fôx in the snow" };
        recorder.record(Event::Classification(ClassificationEvent {
            prompt: prompt.into(),
            ..classification("u")
        }));
    }
    let counters = until_in_real_time(&recorder, "all", |counters| counters.queued == 0).await;
    assert_eq!((counters.committed, counters.dead_lettered), (399, 1), "{counters:?}");
    let letter = std::fs::read_to_string(directory.path().join("0/dead-letter.jsonl")).unwrap();
    let letter: serde_json::Value = serde_json::from_str(&letter).unwrap();
    assert_eq!(letter["code"], "22P05");
    assert_eq!(letter["record"]["event"]["classification"]["prompt"], "a 🦊 in the snow");
}

/// Two writers take the same locks in opposite order, and the deadlock detector of the database
/// ends one.
#[tokio::test]
async fn a_deadlock_is_retried() {
    let server = PostgresServer::builder().arg("deadlock_timeout", "50ms").start().await.unwrap();
    let store = migrated(&server.url()).await;
    let directory = tempfile::tempdir().unwrap();
    let rows = [at(NOW - 2, mixed(3)), at(NOW - 1, mixed(0))];
    // Another session holds the second table and wants the first, while the store holds the first
    // and wants the second.
    let other = sqlx::PgPool::connect(&server.superuser_url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    sqlx::raw_sql("SET deadlock_timeout = '10s'; LOCK TABLE cost_tracking IN EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let write = tokio::spawn({
        let (store, rows) = (store.clone(), rows.clone());
        async move { store.write(&rows).await }
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO cost%'";
    eventually("the writer waits", async || server.psql(waits).await.unwrap() == "1").await;
    sqlx::raw_sql("LOCK TABLE intent_classification_logs IN EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let error = write.await.unwrap().unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    transaction.rollback().await.unwrap();
    let recorder = Recorder::try_start(Arc::new(store), recording(directory.path())).await.unwrap();
    recorder.record(mixed(3));
    recorder.flush().await.unwrap();
    assert_eq!(recorder.counters().committed, 1);
}
