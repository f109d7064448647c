//! Every fault of a database and its network, one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use picarcade_analytics::{
    ClassificationEvent, CostEvent, Counters, Event, PostgresOptions, PostgresStore, Recorder, Store,
    SystemPerformanceEvent,
};
use picarcade_testkit::{Fault, FaultProxy, PostgresServer, eventually};

use super::delivery::recording;
use crate::counters::until_in_real_time;
use crate::events::{classification, cost, selection};

/// Fifty thousand rows pass while the database goes through every fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_arrives_once_whatever_happens_to_the_database() {
    const ROWS: usize = 50_000;
    let directory = tempfile::tempdir().unwrap();
    let server = PostgresServer::builder().arg("deadlock_timeout", "50ms").start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let mut options = PostgresOptions::new(&proxy.through(&server.url())).unwrap();
    options.acquire_timeout = Duration::from_secs(2);
    options.statement_timeout = Duration::from_secs(3);
    options.lock_timeout = Duration::from_millis(300);
    let store = Arc::new(PostgresStore::connect_with(options).await.unwrap());
    store.migrate().await.unwrap();
    let recorder = Recorder::try_start(store, recording(directory.path())).await.unwrap();
    let watch = Watch::start(recorder.clone());

    let mut recorded = 0;
    let mut record = async |rows: usize| {
        for _ in 0..rows {
            recorder.record(numbered(recorded));
            recorded += 1;
            if recorded % 1_000 == 0 {
                // The spiller needs room: the queue holds fewer rows than one fault brings.
                until_in_real_time(&recorder, "room", |counters| counters.queued < 3_500).await;
            }
        }
    };
    let failing = |counters: &Counters| counters.last_error.is_some();
    let healthy = |counters: &Counters| counters.last_error.is_none() && counters.queued == 0;

    record(5_000).await;
    server.kill();
    record(7_000).await;
    until_in_real_time(&recorder, "killed", failing).await;
    server.restart().await.unwrap();
    until_in_real_time(&recorder, "restarted", healthy).await;

    server.pause();
    record(7_000).await;
    until_in_real_time(&recorder, "stopped", failing).await;
    server.resume();
    until_in_real_time(&recorder, "continued", healthy).await;

    let sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()";
    server
        .psql(&format!("ALTER SYSTEM SET default_transaction_read_only = on; {sessions}"))
        .await
        .unwrap_err();
    server.psql("ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    server.psql("SELECT pg_reload_conf()").await.unwrap();
    record(7_000).await;
    until_in_real_time(&recorder, "read-only", failing).await;
    server
        .psql("SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only")
        .await
        .ok();
    server.psql("ALTER SYSTEM RESET default_transaction_read_only").await.unwrap();
    server.psql("SELECT pg_reload_conf()").await.unwrap();
    until_in_real_time(&recorder, "writable", healthy).await;

    let owner = server.url();
    let owner = owner.split_once("://").unwrap().1.split_once(':').unwrap().0;
    server.psql(&format!("ALTER ROLE {owner} CONNECTION LIMIT 0")).await.unwrap();
    proxy.cut_all().await;
    record(7_000).await;
    until_in_real_time(&recorder, "out of connections", failing).await;
    server.psql(&format!("ALTER ROLE {owner} CONNECTION LIMIT -1")).await.unwrap();
    until_in_real_time(&recorder, "connections", healthy).await;

    // Deadlock: rows go into the classifications first and the costs second, and another session
    // locks these tables in the opposite order.
    let other = sqlx::PgPool::connect(&server.superuser_url()).await.unwrap();
    let mut lock = other.begin().await.unwrap();
    sqlx::raw_sql("SET LOCAL deadlock_timeout = '1h'; LOCK TABLE cost_tracking IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    record(1_000).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO cost%'";
    let second = "LOCK TABLE intent_classification_logs IN EXCLUSIVE MODE";
    eventually("the writer waits", async || server.psql(waits).await.unwrap() != "0").await;
    sqlx::raw_sql(second).execute(&mut *lock).await.unwrap();
    record(1_000).await;
    until_in_real_time(&recorder, "deadlocked", failing).await;
    lock.rollback().await.unwrap();
    until_in_real_time(&recorder, "no longer deadlocked", healthy).await;

    // Another session locks the table.
    let mut lock = other.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE intent_classification_logs IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    record(7_000).await;
    until_in_real_time(&recorder, "locked", failing).await;
    lock.rollback().await.unwrap();
    until_in_real_time(&recorder, "unlocked", healthy).await;

    // The rows are written and the acknowledgement is lost.
    proxy.set(Fault::LoseReplies).await;
    record(5_000).await;
    until_in_real_time(&recorder, "silent", failing).await;
    proxy.set(Fault::Pass).await;
    record(ROWS - 47_000).await;

    let counters = until_in_real_time(&recorder, "all", |counters| counters.committed == ROWS as u64).await;
    assert_eq!(
        (counters.accepted, counters.dropped, counters.dead_lettered),
        (ROWS as u64, 0, 0),
        "{counters:?}"
    );
    watch.stop();
    let found = server
        .psql(
            "SELECT count(*), count(DISTINCT n), max(n::int) FROM (
                 SELECT prompt AS n FROM intent_classification_logs
                 UNION ALL SELECT model_used FROM cost_tracking
                 UNION ALL SELECT generation_id FROM model_selection_logs
                 UNION ALL SELECT status FROM system_performance_logs) AS rows",
        )
        .await
        .unwrap();
    assert_eq!(found, format!("{ROWS}|{ROWS}|{}", ROWS - 1));
}

/// Returns event `n`, which contains its number.
fn numbered(n: usize) -> Event {
    let number = n.to_string();
    match n % 10 {
        0 => Event::Cost(CostEvent { model_used: number.into(), ..cost("u", Some(1)) }),
        1 => Event::ModelSelection(selection("u", &number)),
        2 => Event::SystemPerformance(SystemPerformanceEvent {
            component: "test".into(),
            metric: "number".into(),
            value: 0.0,
            status: number.into(),
            metrics: serde_json::json!({}),
        }),
        _ => Event::Classification(ClassificationEvent { prompt: number.into(), ..classification("u") }),
    }
}

/// Checks the counters continuously from a thread of its own.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    fn start(recorder: Recorder) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut last = recorder.counters();
            while !stopped.load(Ordering::Relaxed) {
                let now = recorder.counters();
                assert!(now.is_balanced(), "{now:?}");
                assert!(now.accepted >= last.accepted && now.committed >= last.committed, "{last:?} {now:?}");
                last = now;
                std::thread::park_timeout(Duration::from_micros(100));
            }
        });
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}
