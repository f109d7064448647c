//! SQLite: the promises, and the properties of this store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::{
    ClassificationEvent, Config, Error, Event, FeedbackRows, Period, Record, Recorder, Retention,
    SchemaState, SessionRow, SessionRows, SqliteStore, Store, new_id,
};
use uuid::Uuid;

use crate::conformance::{self, Both, RawSums, Subject};
use crate::events::{NOW, at, classification, feedback, mixed, time};

struct Sqlite(tempfile::TempDir);

impl Subject for Sqlite {
    async fn fresh(&self) -> Arc<dyn Both> {
        let directory = self.0.path().join(fastrand::u64(..).to_string());
        Arc::new(SqliteStore::open(&directory).await.unwrap())
    }

    async fn count(&self, _: &dyn Both, table: &str) -> Option<u64> {
        Some(count(&self.newest(), table).await)
    }

    async fn raw_sums(&self, from: i64, until: i64) -> Option<RawSums> {
        let answer: String = sqlx::query_scalar(
            "SELECT json_object('rows', count(*), 'confidence', coalesce(avg(confidence), 0.0),
                 'ms', coalesce(avg(processing_time_ms), 0.0), 'fallbacks', coalesce(sum(used_fallback), 0),
                 'hits', coalesce(sum(cache_hit), 0), 'limited', coalesce(sum(rate_limited), 0),
                 'saved', coalesce(sum(saved_micros), 0),
                 'spent', (SELECT coalesce(sum(actual_cost_micros), 0) FROM cost_tracking
                           WHERE created_at >= ?1 AND created_at < ?2),
                 'types', (SELECT json_group_object(type, n) FROM (
                     SELECT classified_workflow AS type, count(*) AS n FROM intent_classification_logs
                     WHERE created_at >= ?1 AND created_at < ?2 AND classified_workflow <> '' GROUP BY 1)))
             FROM intent_classification_logs WHERE created_at >= ?1 AND created_at < ?2",
        )
        .bind(from)
        .bind(until)
        .fetch_one(&open(&self.newest()).await)
        .await
        .unwrap();
        Some(serde_json::from_str(&answer).unwrap())
    }

    async fn rollups_with(&self, text: &str) -> Option<u64> {
        let pool = open(&self.newest()).await;
        let (all, with): (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(*) FILTER (WHERE instr(tally, CAST(? AS BLOB)) > 0)
             FROM (SELECT tally FROM rollup_minutes UNION ALL SELECT tally FROM rollup_parts)",
        )
        .bind(text)
        .fetch_one(&pool)
        .await
        .unwrap();
        assert!(all > 0);
        Some(with as u64)
    }

    async fn erase(&self, from: i64, until: i64) -> bool {
        let pool = open(&self.newest()).await;
        for statement in [
            "DELETE FROM intent_classification_logs WHERE created_at >= ? AND created_at < ?",
            "DELETE FROM cost_tracking WHERE created_at >= ? AND created_at < ?",
        ] {
            sqlx::query(statement).bind(from).bind(until).execute(&pool).await.unwrap();
        }
        true
    }
}

impl Sqlite {
    /// Returns the file of the newest store. A second connection sees only committed rows.
    fn newest(&self) -> std::path::PathBuf {
        let newest = std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .max_by_key(|entry| entry.metadata().unwrap().created().unwrap())
            .unwrap();
        newest.path().join("picarcade.db")
    }
}

async fn open(file: &Path) -> sqlx::SqlitePool {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
}

async fn count(file: &Path, table: &str) -> u64 {
    let pool = open(file).await;
    let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
        .fetch_one(&pool)
        .await
        .unwrap();
    pool.close().await;
    rows as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_promises() {
    conformance::all(&Sqlite(tempfile::tempdir().unwrap())).await;
}

#[tokio::test]
async fn rows_survive_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deep/er/analytics.sqlite");
    let store = SqliteStore::open(&file).await.unwrap();
    store.write(&(0..100).map(|n| at(NOW - 1, mixed(n))).collect::<Vec<_>>()).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(&file).await.unwrap();
    assert_eq!(store.statistics(Period::Hour, time(NOW)).await.unwrap().total_classifications, 70);
}

/// The minute has more rows than are grouped at once.
#[tokio::test]
async fn a_busy_minute_is_counted_whole() {
    const ROWS: i64 = 45_000;
    const MINUTE: i64 = 60_000_000;
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let rows: Vec<Record> = (0..ROWS)
        .map(|n| at(NOW - MINUTE - n, Event::Classification(classification(&format!("user-{}", n % 7)))))
        .collect();
    for batch in rows.chunks(5_000) {
        store.write(batch).await.unwrap();
    }
    let before = store.statistics(Period::Hour, time(NOW)).await.unwrap();
    assert_eq!(before.total_classifications, ROWS as u64);
    assert!(store.maintain(time(NOW)).await.unwrap().minutes_rolled_up >= 1);
    assert_eq!(store.statistics(Period::Hour, time(NOW)).await.unwrap(), before);
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
        let counters = recorder.shutdown(Duration::from_secs(180)).await;
        assert_eq!(counters.committed, 1_000, "{counters:?}");
    }
    assert_eq!(count(&directory.path().join("picarcade.db"), "intent_classification_logs").await, 1_400);
}

#[tokio::test]
async fn an_unusable_file_fails_with_an_error_of_one_line() {
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

    // The path of the file is a directory.
    let file = directory.path().join("x/picarcade.db");
    std::fs::create_dir_all(&file).unwrap();
    let error = SqliteStore::open(&directory.path().join("x")).await.unwrap_err();
    assert!(matches!(error, Error::Directory { .. }), "{error:?}");
}

#[tokio::test]
async fn a_newer_schema_is_reported_as_ahead() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let SchemaState::Current { version } = store.schema().await.unwrap() else { panic!("not current") };
    store.close().await;
    let file = directory.path().join("picarcade.db");
    let pool = open(&file).await;
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
async fn old_rows_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let old = NOW - 100 * 86_400_000_000;
    let batch: Vec<_> = (0..100).flat_map(|n| [at(old, mixed(n)), at(NOW - 1, mixed(n))]).collect();
    store.write(&batch).await.unwrap();
    assert_eq!(store.maintain(time(NOW)).await.unwrap().deleted, 100);
    assert_eq!(count(&directory.path().join("picarcade.db"), "intent_classification_logs").await, 70);
    assert_eq!(store.statistics(Period::Week, time(NOW)).await.unwrap().total_classifications, 70);
}

/// A clock that is wrong by months must not delete a row or a session, over many runs and restarts.
/// A correct clock is followed in the end.
#[tokio::test]
async fn a_clock_that_is_ninety_days_ahead_deletes_nothing() {
    const DAY: i64 = 86_400_000_000;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("picarcade.db");
    let rows =
        async || count(&file, "intent_classification_logs").await + count(&file, "cost_tracking").await;
    let store = SqliteStore::open(directory.path()).await.unwrap();
    store.write(&(0..100).map(|n| at(NOW - 1, mixed(n))).collect::<Vec<_>>()).await.unwrap();
    let session = SessionRow {
        session_id: "s".to_owned(),
        user_id: "u".to_owned(),
        current_working_image: None,
        current_working_video: None,
        metadata: serde_json::json!({}),
        expires_at: Some(time(NOW + 7 * DAY)),
        updated_at: time(NOW),
    };
    assert!(store.put_session(&session).await.unwrap());
    let before = rows().await;
    let ahead = NOW + 91 * DAY;
    let done = store.maintain(time(ahead)).await.unwrap();
    assert_eq!((done.deleted, done.sessions_expired), (0, 0), "{done:?}");
    assert!(done.retention_lag > Duration::from_secs(90 * 86_400), "{done:?}");
    // Neither rows of the wrong time nor a restart prove that the clock is right.
    store.write(&[at(ahead, mixed(0)), at(ahead, mixed(1))]).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(directory.path()).await.unwrap();
    for minute in 0..100 {
        let done = store.maintain(time(ahead + minute * 60_000_000)).await.unwrap();
        assert_eq!((done.deleted, done.sessions_expired), (0, 0), "{done:?}");
    }
    // The clock is corrected, and nothing has been lost.
    let done = store.maintain(time(NOW + DAY)).await.unwrap();
    assert_eq!((done.deleted, done.sessions_expired), (0, 0), "{done:?}");
    assert!(rows().await >= before);

    // A machine that was off for days has the right time: old rows are deleted, but not at once.
    let ten_days = Some(Duration::from_secs(10 * 86_400));
    let store = store.with_retention(Retention { events: ten_days, rollups: None });
    let later = time(NOW + 12 * DAY);
    assert_eq!(store.maintain(later).await.unwrap().deleted, 0);
    let mut retired = 0;
    for _ in 0..(12 * 24) {
        retired += store.maintain(later).await.unwrap().deleted;
    }
    assert!(retired >= before, "{retired} of {before}");
    assert_eq!(count(&file, "user_sessions").await, 0);
}

#[tokio::test]
async fn space_freed_by_retention_returns_to_the_file_system() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let old = NOW - 100 * 86_400_000_000;
    for _ in 0..10 {
        store.write(&(0..1_000).map(|n| at(old, mixed(n))).collect::<Vec<_>>()).await.unwrap();
    }
    // A row of today anchors the retention clock.
    store.write(&[at(NOW, mixed(0))]).await.unwrap();
    let pool = open(&directory.path().join("picarcade.db")).await;
    let pages = async || sqlx::query_scalar::<_, i64>("PRAGMA page_count").fetch_one(&pool).await.unwrap();
    let full = pages().await;
    assert_eq!(store.maintain(time(NOW)).await.unwrap().deleted, 10_000);
    let empty = pages().await;
    assert!(empty < full / 4, "{full} pages became {empty}");
}

#[tokio::test]
async fn old_feedback_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let given = |micros| at(micros, Event::Feedback(feedback("u", new_id())));
    store.write(&[given(NOW - 100 * 86_400_000_000), given(NOW)]).await.unwrap();
    assert_eq!(store.maintain(time(NOW)).await.unwrap().deleted, 1);
    assert_eq!(store.feedback(time(0), Uuid::nil(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_without_feedback_is_migrated_with_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    store.write(&(0..50).map(|n| at(NOW - 1, mixed(n))).collect::<Vec<_>>()).await.unwrap();
    store.close().await;
    let pool = open(&directory.path().join("picarcade.db")).await;
    for statement in [
        "DROP TABLE generation_feedback",
        "ALTER TABLE intent_classification_logs DROP COLUMN prompt_is_whole",
        "ALTER TABLE intent_classification_logs DROP COLUMN media_facts",
        "ALTER TABLE intent_classification_logs DROP COLUMN reason",
        "ALTER TABLE intent_classification_logs DROP COLUMN request_id",
        "DELETE FROM picarcade_migrations WHERE version > 1",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let store = SqliteStore::open(directory.path()).await.unwrap();
    store.write(&[at(NOW - 1, mixed(3)), at(NOW, Event::Feedback(feedback("u", new_id())))]).await.unwrap();
    assert_eq!(store.statistics(Period::Hour, time(NOW)).await.unwrap().total_classifications, 36);
    assert_eq!(store.feedback(time(0), Uuid::nil(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_without_request_ids_is_migrated_with_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    store.write(&[at(NOW - 1, mixed(3))]).await.unwrap();
    store.close().await;
    let pool = open(&directory.path().join("picarcade.db")).await;
    for statement in [
        "ALTER TABLE intent_classification_logs DROP COLUMN reason",
        "ALTER TABLE intent_classification_logs DROP COLUMN request_id",
        "DELETE FROM picarcade_migrations WHERE version > 2",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let event = ClassificationEvent { request_id: Some("id-1".into()), ..classification("u") };
    store.write(&[at(NOW, Event::Classification(event))]).await.unwrap();
    store.close().await;
    let pool = open(&directory.path().join("picarcade.db")).await;
    let sql =
        "SELECT coalesce(request_id, '-') || ' ' || coalesce(reason, '-') FROM intent_classification_logs
               ORDER BY created_at";
    let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&pool).await.unwrap();
    assert_eq!(rows, ["- -", "id-1 ai"]);
}

#[tokio::test]
async fn a_deleted_users_words_are_in_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).await.unwrap();
    let in_files = || {
        let files = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let bytes: Vec<u8> = files.flat_map(|file| std::fs::read(file).unwrap()).collect();
        ["the words of ann", "the words of bob"]
            .map(|words| bytes.windows(words.len()).any(|window| window == words.as_bytes()))
    };
    for turn in 0..20 {
        let record = |row| {
            let user = if row % 2 == 0 { "ann" } else { "bob" };
            let prompt = format!("the words of {user}, {turn} {row}");
            let event = ClassificationEvent { prompt: prompt.into(), ..classification(user) };
            Record::new(NOW, Event::Classification(event))
        };
        store.write(&(0..50).map(record).collect::<Vec<_>>()).await.unwrap();
    }
    assert_eq!(in_files(), [true, true]);
    assert_eq!(store.forget_user("ann").await.unwrap(), 500);
    assert_eq!(in_files(), [false, true]);
}
