//! A PostgreSQL with another schema than that of this build: every failing call names the missing
//! migrations, and no row is lost.

use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::{
    Config, Error, Event, FeedbackRows, GenerationRows, Period, PostgresOptions, PostgresStore, Recorder,
    SchemaState, SessionRow, SessionRows, Store,
};
use picarcade_testkit::PostgresServer;
use uuid::Uuid;

use crate::events::{NOW, at, cost, mixed, time};

/// The maximum duration of a call that must be bounded.
const BOUND: Duration = Duration::from_mins(2);

async fn store(url: &str) -> PostgresStore {
    let mut options = PostgresOptions::new(url).unwrap();
    options.acquire_timeout = Duration::from_mins(1);
    options.statement_timeout = Duration::from_mins(1);
    PostgresStore::connect_with(options).await.unwrap()
}

/// Returns settings with which a failing store is retried soon.
fn settings() -> Config {
    Config {
        flush_interval: Duration::from_millis(10),
        retry_max: Duration::from_millis(500),
        write_timeout: Duration::from_mins(1),
        ..Config::default()
    }
}

async fn count(server: &PostgresServer) -> String {
    server.psql("SELECT count(*) FROM cost_tracking").await.unwrap()
}

fn is_empty_database(error: &Error) -> bool {
    let names_what_to_do = |text: &str| {
        text.contains("`picarcade migrate`")
            && text.ends_with("missing are 1 (tables), 2 (feedback), 3 (requests)")
    };
    matches!(error, Error::Schema(SchemaState::Behind { applied: 0, known: 3 }))
        && names_what_to_do(&error.to_string())
}

#[tokio::test]
async fn a_flush_into_a_database_without_migrations_names_them_and_keeps_the_rows() {
    let server = PostgresServer::start().await.unwrap();
    let store = Arc::new(store(&server.url()).await);
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, settings());
    recorder.record(Event::Cost(cost("u", None)));
    let flushed = tokio::time::timeout(BOUND, recorder.flush()).await.expect("flush is bounded");
    assert!(is_empty_database(flushed.as_ref().unwrap_err()), "{flushed:?}");
    assert_eq!(recorder.counters().last_error, Some("schema"));
    store.migrate().await.unwrap();
    while tokio::time::timeout(BOUND, recorder.flush()).await.expect("flush is bounded").is_err() {}
    assert_eq!(count(&server).await, "1");
}

#[tokio::test]
async fn rows_wait_in_the_spool_until_the_migration() {
    let server = PostgresServer::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(store(&server.url()).await);
    let settings = Config { spool_dir: Some(directory.path().to_owned()), ..settings() };
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, settings);
    recorder.record(Event::Cost(cost("u", None)));
    tokio::time::timeout(BOUND, recorder.flush()).await.expect("flush is bounded").unwrap();
    assert_eq!(recorder.counters().spooled, 1);
    store.migrate().await.unwrap();
    picarcade_testkit::eventually("the row arrives", async || count(&server).await == "1").await;
}

#[tokio::test]
async fn try_start_without_migrations_fails_and_names_them() {
    let server = PostgresServer::start().await.unwrap();
    let store = Arc::new(store(&server.url()).await);
    let start = async || Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, settings()).await;
    let error = start().await.unwrap_err();
    assert!(is_empty_database(&error), "{error:?}");
    store.migrate().await.unwrap();
    start().await.unwrap();

    // The schema is ahead: rows that fit are stored.
    server
        .psql("INSERT INTO picarcade_migrations VALUES (99, 'from the future', now(), true, '\\x00', 0)")
        .await
        .unwrap();
    let recorder = start().await.unwrap();
    recorder.record(Event::Cost(cost("u", None)));
    recorder.flush().await.unwrap();
    assert_eq!(count(&server).await, "1");
    // A row that does not fit returns an error that names the newer schema.
    server.psql("ALTER TABLE cost_tracking RENAME COLUMN user_id TO account").await.unwrap();
    recorder.record(Event::Cost(cost("u", None)));
    let error = tokio::time::timeout(BOUND, recorder.flush()).await.expect("flush is bounded").unwrap_err();
    assert!(matches!(error, Error::Schema(SchemaState::Ahead { applied: 99, known: 3 })), "{error:?}");
}

#[tokio::test]
async fn every_call_names_the_missing_migrations() {
    let server = PostgresServer::start().await.unwrap();
    let store = store(&server.url()).await;
    let session = SessionRow {
        session_id: "s".to_owned(),
        user_id: "u".to_owned(),
        current_working_image: None,
        current_working_video: None,
        metadata: serde_json::json!({}),
        expires_at: None,
        updated_at: time(NOW),
    };
    let errors = [
        store.write(&[at(NOW, mixed(0))]).await.unwrap_err(),
        store.statistics(Period::Day, time(NOW)).await.unwrap_err(),
        store.user_statistics("u", Period::Day, time(NOW)).await.unwrap_err(),
        store.spent_since(time(NOW - 1), time(NOW)).await.unwrap_err(),
        store.forget_user("u").await.unwrap_err(),
        store.maintain(time(NOW)).await.unwrap_err(),
        store.session("s").await.unwrap_err(),
        store.put_session(&session).await.unwrap_err(),
        store.delete_session("s", "u").await.unwrap_err(),
        store.generation("g").await.unwrap_err(),
        store.feedback(time(NOW), Uuid::nil(), 1).await.unwrap_err(),
    ];
    for error in errors {
        assert!(is_empty_database(&error), "{error:?}");
    }
}
