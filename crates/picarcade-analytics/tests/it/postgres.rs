//! PostgreSQL: the promises, plain and behind a pooler, and what is particular to it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picarcade_analytics::{
    ClassificationEvent, Config, Counters, Error, Event, Period, PostgresOptions, PostgresStore, Recorder,
    Retention, SchemaState, Store,
};
use picarcade_testkit::{Fault, FaultProxy, PgBouncer, PostgresServer};

use crate::conformance::{self, Both, Subject};
use crate::events::{NOW, at, classification, mixed, time};

struct Postgres {
    server: PostgresServer,
    /// Whose address takes the server's place.
    bouncer: Option<PgBouncer>,
    newest: std::sync::Mutex<String>,
}

impl Postgres {
    fn new(server: PostgresServer, bouncer: Option<PgBouncer>) -> Self {
        Self { server, bouncer, newest: std::sync::Mutex::default() }
    }
}

impl Subject for Postgres {
    async fn fresh(&self) -> Arc<dyn Both> {
        let direct = self.server.create_database().await.unwrap();
        let url = match &self.bouncer {
            Some(bouncer) => direct.replace(&self.server.addr().to_string(), &bouncer.addr().to_string()),
            None => direct.clone(),
        };
        *self.newest.lock().unwrap() = direct;
        Arc::new(migrated(&url).await)
    }

    async fn count(&self, _: &dyn Both, table: &str) -> Option<u64> {
        let url = self.newest.lock().unwrap().clone();
        Some(count(&self.server, &url, table).await)
    }
}

async fn count(server: &PostgresServer, url: &str, table: &str) -> u64 {
    server.psql_at(url, &format!("SELECT count(*) FROM {table}")).await.unwrap().parse().unwrap()
}

/// A store with patience: the machine may have much else to do.
async fn patient(url: &str) -> PostgresStore {
    let mut options = PostgresOptions::new(url).unwrap();
    options.acquire_timeout = Duration::from_secs(60);
    options.statement_timeout = Duration::from_secs(60);
    PostgresStore::connect_with(options).await.unwrap()
}

async fn migrated(url: &str) -> PostgresStore {
    let store = patient(url).await;
    store.migrate().await.unwrap();
    store
}

#[tokio::test]
async fn postgres_keeps_the_promises() {
    conformance::all(&Postgres::new(PostgresServer::start().await.unwrap(), None)).await;
}

#[tokio::test]
async fn postgres_behind_a_pooler_keeps_the_promises() {
    let server = PostgresServer::start().await.unwrap();
    let bouncer = PgBouncer::start_with(&server, 2).await.unwrap();
    conformance::all(&Postgres::new(server, Some(bouncer))).await;
}

#[tokio::test]
async fn every_earlier_version_is_migrated() {
    let server = PostgresServer::start().await.unwrap();
    let migrations = [
        include_str!("../../migrations/postgres/0001_tables.sql"),
        include_str!("../../migrations/postgres/0002_outcomes_and_sessions.sql"),
        include_str!("../../migrations/postgres/0003_rollups.sql"),
    ];
    for applied in 0..=migrations.len() {
        let url = server.create_database().await.unwrap();
        let known: Vec<_> = (1..).zip(migrations).take(applied).collect();
        let mut earlier = sqlx::migrate::Migrator::with_migrations(
            known
                .into_iter()
                .map(|(version, sql)| {
                    let kind = sqlx::migrate::MigrationType::Simple;
                    sqlx::migrate::Migration::new(
                        version,
                        "".into(),
                        kind,
                        sqlx::SqlSafeStr::into_sql_str(sql),
                        false,
                    )
                })
                .collect(),
        );
        earlier.dangerous_set_table_name("picarcade_migrations");
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        earlier.run(&pool).await.unwrap();
        pool.close().await;

        let store = patient(&url).await;
        let expected = match applied {
            3 => SchemaState::Current { version: 3 },
            applied => SchemaState::Behind { applied: applied as i64, known: 3 },
        };
        assert_eq!(store.schema().await.unwrap(), expected);
        if applied < 3 {
            // Not migrated, it keeps the rows waiting and does not lose them.
            let error = store.write(&[at(NOW - 1, mixed(3))]).await.unwrap_err();
            assert!(!error.is_rejection(), "{error:?}");
        }
        store.migrate().await.unwrap();
        store.write(&[at(NOW - 1, mixed(3))]).await.unwrap();
        assert_eq!(store.statistics(Period::Hour, time(NOW)).await.unwrap().total_classifications, 1);
    }
}

#[tokio::test]
async fn a_newer_schema_is_said_to_be_newer() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    server
        .psql("INSERT INTO picarcade_migrations VALUES (99, 'from the future', now(), true, '\\x00', 0)")
        .await
        .unwrap();
    let ahead = SchemaState::Ahead { applied: 99, known: 3 };
    assert_eq!(store.schema().await.unwrap(), ahead);
    assert!(matches!(store.migrate().await, Err(Error::Schema(state)) if state == ahead));
}

#[tokio::test]
async fn instances_migrate_and_keep_house_at_once() {
    let server = PostgresServer::start().await.unwrap();
    let bouncer = PgBouncer::start(&server).await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..4 {
        let url = if n % 2 == 0 { server.url() } else { bouncer.url() };
        tasks.push(tokio::spawn(async move {
            let store = migrated(&url).await;
            for round in 0..5 {
                let rows: Vec<_> =
                    (0..50).map(|n| at(NOW - n * 3_000_000 - round, mixed(n as usize))).collect();
                store.write(&rows).await.unwrap();
                match store.maintain(time(NOW)).await {
                    Ok(_) => {}
                    // Somebody else's transaction may be waited for too long; nothing is lost by that.
                    Err(error) => assert!(error.is_transient(), "{error:?}"),
                }
            }
            store
        }));
    }
    let mut stores = Vec::new();
    for task in tasks {
        stores.push(task.await.unwrap());
    }
    for store in &stores {
        store.maintain(time(NOW)).await.unwrap();
        assert_eq!(
            store.statistics(Period::Hour, time(NOW)).await.unwrap().total_classifications,
            4 * 5 * 35
        );
    }
    assert_eq!(count(&server, &server.url(), "rollup_late").await, 0);
}

#[tokio::test]
async fn the_watermark_waits_for_writers_that_began_before_it() {
    let server = PostgresServer::start().await.unwrap();
    let mut options = PostgresOptions::new(&server.url()).unwrap();
    options.acquire_timeout = Duration::from_secs(60);
    options.lock_timeout = Duration::from_millis(200);
    let store = PostgresStore::connect_with(options).await.unwrap();
    store.migrate().await.unwrap();
    store.write(&[at(NOW - 1, mixed(3)), at(NOW - 600_000_000, mixed(4))]).await.unwrap();

    // What a slow writer does: the lock, the rows, and no commit yet.
    let slow = sqlx::PgPool::connect(&server.url()).await.unwrap();
    let mut transaction = slow.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock_shared(1885954913, 1)")
        .execute(&mut *transaction)
        .await
        .unwrap();
    sqlx::raw_sql(
        "INSERT INTO intent_classification_logs SELECT gen_random_uuid(), user_id, prompt, classified_workflow, confidence,
             processing_time_ms, used_fallback, cache_hit, circuit_breaker_state, rate_limited, source, model, cost_micros,
             saved_micros, duration_bucket, created_at
         FROM intent_classification_logs",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();

    let error = store.maintain(time(NOW)).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    transaction.commit().await.unwrap();
    assert!(store.maintain(time(NOW)).await.unwrap().minutes_rolled_up > 0);
    assert_eq!(store.statistics(Period::Day, time(NOW)).await.unwrap().total_classifications, 4);
}

#[tokio::test]
async fn partitions_are_made_ahead_and_dropped_when_old() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    let day = Duration::from_secs(86_400);
    let store = store.with_retention(Retention { events: Some(30 * day), rollups: None });
    let partitions = async || {
        let sql = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'cost_tracking'::regclass";
        server.psql(sql).await.unwrap().parse::<u64>().unwrap()
    };
    // This week, four ahead, and the default.
    assert_eq!(partitions().await, 6);
    let now = SystemTime::now();
    assert_eq!(store.maintain(now).await.unwrap().partitions_made, 0);
    let micros = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64;
    let rows: Vec<_> = (0..50).map(|n| at(micros(now) - 1_000, mixed(n))).collect();
    store.write(&rows).await.unwrap();
    // Rows of a time without a partition have a place too.
    store.write(&[at(NOW, mixed(10))]).await.unwrap();
    assert_eq!(count(&server, &server.url(), "cost_tracking_default").await, 1);
    assert_eq!(count(&server, &server.url(), "ONLY cost_tracking_default").await, 1);
    assert_eq!(count(&server, &server.url(), "cost_tracking").await, 6);

    let later = now + 60 * day;
    let done = store.maintain(later).await.unwrap();
    assert_eq!(done.partitions_made, 4 * 5, "{done:?}");
    // Those of the five weeks that have gone by, of which the last ones are within 30 days.
    assert!(done.retired >= 4 * 4, "{done:?}");
    assert_eq!(count(&server, &server.url(), "cost_tracking").await, 0);
    assert_eq!(count(&server, &server.url(), "intent_classification_logs").await, 0);
}

#[tokio::test]
async fn row_level_security_is_on_everywhere() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    store.write(&(0..20).map(|n| at(NOW - 1, mixed(n))).collect::<Vec<_>>()).await.unwrap();
    let open = server
        .psql(
            "SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'public'::regnamespace
             AND relkind IN ('r', 'p') AND NOT relrowsecurity AND relname <> 'picarcade_migrations'",
        )
        .await
        .unwrap();
    assert_eq!(open, "");
    // A role with every right but ownership sees nothing.
    server
        .psql("CREATE ROLE visitor LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO visitor")
        .await
        .unwrap();
    let seen =
        server.psql("SET ROLE visitor; SELECT count(*) FROM intent_classification_logs").await.unwrap();
    assert_eq!(seen, "0");
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_or_waited_for() {
    for (url, part) in [
        ("mysql://u:hunter2@h/d", "must begin with postgres://"),
        ("postgres://u:hunter2@host:port/d", "not usable"),
        ("", "must begin with"),
    ] {
        let error = PostgresStore::connect(url).await.unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    let server = PostgresServer::start().await.unwrap();
    let good = server.url();
    let (scheme, rest) = good.split_once("://").unwrap();
    let (_, host) = rest.split_once('@').unwrap();
    let error = PostgresStore::connect(&format!("{scheme}://picarcade:wrong@{host}")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(!error.is_transient());
    let error = PostgresStore::connect(&format!("{good}x")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    let store = PostgresStore::connect(&good).await.unwrap();
    let (_, rest) = rest.split_once(':').unwrap();
    let (password, _) = rest.split_once('@').unwrap();
    assert!(!format!("{store:?}").contains(password) || password == "picarcade", "{store:?}");

    // Not there yet: the store starts without it, and says so at each call.
    server.kill();
    let mut options = PostgresOptions::new(&good).unwrap();
    options.acquire_timeout = Duration::from_secs(1);
    let store = PostgresStore::connect_with(options).await.unwrap();
    let error = store.write(&[at(NOW, mixed(0))]).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    server.restart().await.unwrap();
    store.migrate().await.unwrap();
    store.write(&[at(NOW, mixed(0))]).await.unwrap();
}

fn recording(directory: &std::path::Path) -> Config {
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

/// Waits, looking at the counters all the time: they must always add up.
async fn until(recorder: &Recorder, what: &str, wanted: impl Fn(&Counters) -> bool) -> Counters {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(180);
    loop {
        let counters = recorder.counters();
        assert!(counters.is_balanced(), "{counters:?}");
        if wanted(&counters) {
            return counters;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what}: {counters:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Fifty thousand rows, while everything happens to the database that can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_arrives_once_whatever_happens_to_the_database() {
    const ROWS: usize = 50_000;
    let directory = tempfile::tempdir().unwrap();
    let server = PostgresServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let mut options = PostgresOptions::new(&proxy.through(&server.url())).unwrap();
    options.acquire_timeout = Duration::from_secs(2);
    options.statement_timeout = Duration::from_secs(3);
    options.lock_timeout = Duration::from_millis(300);
    let store = Arc::new(PostgresStore::connect_with(options).await.unwrap());
    store.migrate().await.unwrap();
    let recorder = Recorder::try_start(store, recording(directory.path())).unwrap();

    let mut recorded = 0;
    let mut record = async |rows: usize| {
        for _ in 0..rows {
            recorder.record(Event::Classification(ClassificationEvent {
                prompt: format!("{recorded}").into(),
                ..classification("u")
            }));
            recorded += 1;
            if recorded % 1_000 == 0 {
                // Room for the spiller: the queue holds less than one fault brings.
                until(&recorder, "room", |counters| counters.queued < 3_500).await;
            }
        }
    };
    let failing = |counters: &Counters| counters.last_error.is_some();
    let healthy = |counters: &Counters| counters.last_error.is_none() && counters.queued == 0;

    record(5_000).await;
    server.kill();
    record(7_000).await;
    until(&recorder, "killed", failing).await;
    server.restart().await.unwrap();
    until(&recorder, "restarted", healthy).await;

    server.pause();
    record(7_000).await;
    until(&recorder, "stopped", failing).await;
    server.resume();
    until(&recorder, "continued", healthy).await;

    let sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()";
    server
        .psql(&format!("ALTER SYSTEM SET default_transaction_read_only = on; {sessions}"))
        .await
        .unwrap_err();
    server.psql("ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    server.psql("SELECT pg_reload_conf()").await.unwrap();
    record(7_000).await;
    until(&recorder, "read-only", failing).await;
    server
        .psql("SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only")
        .await
        .ok();
    server.psql("ALTER SYSTEM RESET default_transaction_read_only").await.unwrap();
    server.psql("SELECT pg_reload_conf()").await.unwrap();
    until(&recorder, "writable", healthy).await;

    let owner = server.url();
    let owner = owner.split_once("://").unwrap().1.split_once(':').unwrap().0;
    server.psql(&format!("ALTER ROLE {owner} CONNECTION LIMIT 0")).await.unwrap();
    proxy.cut_all().await;
    record(7_000).await;
    until(&recorder, "out of connections", failing).await;
    server.psql(&format!("ALTER ROLE {owner} CONNECTION LIMIT -1")).await.unwrap();
    until(&recorder, "connections", healthy).await;

    // Locked by somebody else.
    let other = sqlx::PgPool::connect(&server.superuser_url()).await.unwrap();
    let mut lock = other.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE intent_classification_logs IN EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    record(7_000).await;
    until(&recorder, "locked", failing).await;
    lock.rollback().await.unwrap();
    until(&recorder, "unlocked", healthy).await;

    // Written, and the acknowledgement lost.
    proxy.set(Fault::LoseReplies).await;
    record(5_000).await;
    until(&recorder, "silent", failing).await;
    proxy.set(Fault::Pass).await;
    record(ROWS - 45_000).await;

    let counters = until(&recorder, "all", |counters| counters.committed == ROWS as u64).await;
    assert_eq!(
        (counters.accepted, counters.dropped, counters.dead_lettered),
        (ROWS as u64, 0, 0),
        "{counters:?}"
    );
    let found = server
        .psql("SELECT count(*), count(DISTINCT prompt), max(prompt::int) FROM intent_classification_logs")
        .await
        .unwrap();
    assert_eq!(found, format!("{ROWS}|{ROWS}|{}", ROWS - 1));
}

#[tokio::test]
async fn a_poison_row_is_buried_alone() {
    let directory = tempfile::tempdir().unwrap();
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    let config = Config {
        batch_rows: 5_000,
        queue_rows: 20_000,
        write_timeout: Duration::from_secs(60),
        ..recording(directory.path())
    };
    let recorder = Recorder::try_start(Arc::new(store), config).unwrap();
    for n in 0..5_000 {
        let confidence = if n == 1_234 { 7.0 } else { 0.5 };
        recorder.record(Event::Classification(ClassificationEvent { confidence, ..classification("u") }));
    }
    until(&recorder, "all", |counters| counters.queued == 0).await;
    let counters = recorder.counters();
    assert_eq!((counters.committed, counters.dead_lettered), (4_999, 1), "{counters:?}");
    assert_eq!(count(&server, &server.url(), "intent_classification_logs").await, 4_999);
    let letter = std::fs::read_to_string(directory.path().join("0/dead-letter.jsonl")).unwrap();
    let letter: serde_json::Value = serde_json::from_str(&letter).unwrap();
    assert_eq!(letter["code"], "23514");
    assert!(letter["reason"].as_str().unwrap().contains("confidence"), "{letter}");
}

/// Two writers that take the same rows in opposite order, with the database's own deadlock detector in between.
#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let server = PostgresServer::builder().arg("deadlock_timeout", "50ms").start().await.unwrap();
    let store = migrated(&server.url()).await;
    let directory = tempfile::tempdir().unwrap();
    let rows = [at(NOW - 2, mixed(3)), at(NOW - 1, mixed(0))];
    // Another session holds the second table and then wants the first, while the store holds the first and wants the second.
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
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO cost%'";
    while server.psql(waits).await.unwrap() != "1" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sqlx::raw_sql("LOCK TABLE intent_classification_logs IN EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let error = write.await.unwrap().unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    transaction.rollback().await.unwrap();
    let recorder = Recorder::try_start(Arc::new(store), recording(directory.path())).unwrap();
    recorder.record(mixed(3));
    recorder.flush().await;
    assert_eq!(recorder.counters().committed, 1);
}
