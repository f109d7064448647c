//! PostgreSQL: the promises, plain and behind a pooler, and what is particular to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use picarcade_analytics::{
    ClassificationEvent, Config, CostEvent, Counters, Error, Event, Period, PostgresOptions, PostgresStore,
    Recorder, Retention, SchemaState, Store, SystemPerformanceEvent,
};
use picarcade_testkit::{Fault, FaultProxy, PgBouncer, PostgresServer, eventually, stay_within_one_day};

use crate::conformance::{self, Both, RawSums, Subject};
use crate::events::{NOW, at, classification, cost, mixed, selection, time};

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

    /// A database of its own takes longer, and so does truncating: each table has many files.
    async fn emptied(&self, store: Arc<dyn Both>) -> Arc<dyn Both> {
        self.run(
            "DELETE FROM intent_classification_logs; DELETE FROM cost_tracking; DELETE FROM rollup_minutes;
             DELETE FROM rollup_hours; DELETE FROM rollup_late; DELETE FROM rollup_parts; DELETE FROM rollup_state",
        )
        .await;
        store
    }

    async fn count(&self, _: &dyn Both, table: &str) -> Option<u64> {
        Some(count(&self.server, &self.newest(), table).await)
    }

    async fn raw_sums(&self, from: i64, until: i64) -> Option<RawSums> {
        let within = within(from, until);
        let answer = self
            .run(&format!(
                "SELECT json_build_object('rows', count(*), 'confidence', coalesce(avg(confidence), 0),
                     'ms', coalesce(avg(processing_time_ms), 0), 'fallbacks', count(*) FILTER (WHERE used_fallback),
                     'hits', count(*) FILTER (WHERE cache_hit), 'limited', count(*) FILTER (WHERE rate_limited),
                     'saved', coalesce(sum(saved_micros), 0),
                     'spent', (SELECT coalesce(sum(actual_cost_micros), 0) FROM cost_tracking WHERE {within}),
                     'types', (SELECT coalesce(json_object_agg(type, n), '{{}}') FROM (
                         SELECT classified_workflow AS type, count(*) AS n FROM intent_classification_logs
                         WHERE {within} AND classified_workflow <> '' GROUP BY 1) AS types))
                 FROM intent_classification_logs WHERE {within}"
            ))
            .await;
        Some(serde_json::from_str(&answer).unwrap())
    }

    async fn rollups_with(&self, text: &str) -> Option<u64> {
        let answer = self
            .run(&format!(
                "SELECT count(*), count(*) FILTER (WHERE position(convert_to('{text}', 'UTF8') IN tally) > 0)
                 FROM (SELECT tally FROM rollup_minutes UNION ALL SELECT tally FROM rollup_parts) AS tallies"
            ))
            .await;
        let (all, with) = answer.split_once('|').unwrap();
        assert_ne!(all, "0");
        Some(with.parse().unwrap())
    }

    async fn erase(&self, from: i64, until: i64) -> bool {
        let within = within(from, until);
        self.run(&format!("DELETE FROM intent_classification_logs WHERE {within}")).await;
        self.run(&format!("DELETE FROM cost_tracking WHERE {within}")).await;
        true
    }
}

impl Postgres {
    fn newest(&self) -> String {
        self.newest.lock().unwrap().clone()
    }

    async fn run(&self, sql: &str) -> String {
        self.server.psql_at(&self.newest(), sql).await.unwrap()
    }
}

/// A stretch of time as a condition.
fn within(from: i64, until: i64) -> String {
    format!(
        "created_at >= timestamptz 'epoch' + {from} * interval '1 microsecond'
         AND created_at < timestamptz 'epoch' + {until} * interval '1 microsecond'"
    )
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

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_promises() {
    conformance::all(&Postgres::new(PostgresServer::start().await.unwrap(), None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_behind_a_pooler_keeps_the_promises() {
    let server = PostgresServer::start().await.unwrap();
    let bouncer = PgBouncer::start_with(&server, 2).await.unwrap();
    conformance::all(&Postgres::new(server, Some(bouncer))).await;
}

#[tokio::test]
async fn a_newer_schema_is_said_to_be_newer() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    server
        .psql("INSERT INTO picarcade_migrations VALUES (99, 'from the future', now(), true, '\\x00', 0)")
        .await
        .unwrap();
    let ahead = SchemaState::Ahead { applied: 99, known: 1 };
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

    // When the minutes of all rows are over.
    let later = time(NOW + 60_000_000);
    let error = store.maintain(later).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    transaction.commit().await.unwrap();
    assert_eq!(store.maintain(later).await.unwrap().minutes_rolled_up, 2);
    assert_eq!(store.statistics(Period::Day, later).await.unwrap().total_classifications, 4);
}

#[tokio::test]
async fn partitions_are_made_ahead_and_dropped_when_old() {
    stay_within_one_day();
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
    // As the weeks went by, ten of them ago.
    let then = now - 70 * day;
    assert_eq!(store.maintain(then).await.unwrap().partitions_made, 4 * 5);
    let micros = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64;
    let rows: Vec<_> =
        (0..50).flat_map(|n| [at(micros(now) - 1_000, mixed(n)), at(micros(then), mixed(n))]).collect();
    store.write(&rows).await.unwrap();
    // Rows of a time without a partition have a place too.
    store.write(&[at(NOW, mixed(10))]).await.unwrap();
    assert_eq!(count(&server, &server.url(), "ONLY cost_tracking_default").await, 1);
    assert_eq!(count(&server, &server.url(), "cost_tracking").await, 11);

    // Two instances at once, in which one may do what the other would have done.
    let other =
        patient(&server.url()).await.with_retention(Retention { events: Some(30 * day), rollups: None });
    let before = partitions().await;
    let (one, two) = tokio::join!(store.maintain(now), other.maintain(now));
    let (one, two) = (one.unwrap(), two.unwrap());
    // Those of five weeks, the last of which ends 42 days ago at the latest.
    assert_eq!(one.retired + two.retired, 4 * 5, "{one:?} {two:?}");
    assert_eq!(partitions().await, before - 5);
    assert_eq!(count(&server, &server.url(), "cost_tracking").await, 5);
    assert_eq!(count(&server, &server.url(), "ONLY cost_tracking_default").await, 0);
}

/// A day of rows that came at once, late: more than is summed up in one transaction.
#[tokio::test]
async fn a_day_that_comes_late_is_rolled_up_piece_by_piece() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    let day = |from: usize| (from..from + 1_400).map(|n| at(NOW - 1 - n as i64 * 60_000_000, mixed(3)));
    store.write(&day(0).take(1).collect::<Vec<_>>()).await.unwrap();
    store.maintain(time(NOW)).await.unwrap();
    store.write(&day(1).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(count(&server, &server.url(), "rollup_late").await, 1_400);
    assert_eq!(store.maintain(time(NOW)).await.unwrap().minutes_rolled_up, 1_400);
    assert_eq!(count(&server, &server.url(), "rollup_late").await, 0);
    assert_eq!(store.statistics(Period::Day, time(NOW)).await.unwrap().total_classifications, 1_401);
}

#[tokio::test]
async fn a_clock_that_is_ahead_retires_nothing() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    let now = SystemTime::now();
    let micros = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64;
    store.write(&(0..50).map(|n| at(micros - 1_000, mixed(n))).collect::<Vec<_>>()).await.unwrap();
    let done = store.maintain(now + Duration::from_secs(10 * 365 * 86_400)).await.unwrap();
    assert_eq!((done.retired, done.partitions_made), (0, 0), "{done:?}");
    assert_eq!(count(&server, &server.url(), "intent_classification_logs").await, 35);
}

#[tokio::test]
async fn a_user_of_many_rows_is_forgotten_piece_by_piece() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    server
        .psql(
            "INSERT INTO intent_classification_logs SELECT gen_random_uuid(), u, 'p', 'EDIT_IMAGE', 1, 1, false, false,
                 'closed', false, 'llm', 'm', 0, 0, 9, now() - n / 3 * interval '1 microsecond'
             FROM generate_series(1, 25000) AS n, unnest(ARRAY['ann', 'bob']) AS u",
        )
        .await
        .unwrap();
    assert_eq!(store.forget_user("ann").await.unwrap(), 25_000);
    assert_eq!(
        count(&server, &server.url(), "intent_classification_logs WHERE user_id = 'bob'").await,
        25_000
    );
    assert_eq!(count(&server, &server.url(), "intent_classification_logs").await, 25_000);
}

/// An index is there for what happens every half minute.
#[tokio::test]
async fn outcomes_are_retired_by_an_index() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    drop(store);
    let plan = server
        .psql(
            "SET enable_seqscan = off;
             EXPLAIN DELETE FROM generation_outcomes WHERE created_at < timestamptz 'epoch' + 5 * interval '1 microsecond'",
        )
        .await
        .unwrap();
    assert!(plan.contains("generation_outcomes_age"), "{plan}");
}

#[tokio::test]
async fn row_level_security_is_on_everywhere() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    store.write(&(0..20).map(|n| at(NOW - 1, mixed(n))).collect::<Vec<_>>()).await.unwrap();
    let open = server
        .psql(
            "SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'public'::regnamespace
             AND relkind IN ('r', 'p') AND NOT relrowsecurity",
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
    // Nor can it make the schema look newer than it is, or write what others would count.
    let denied = server.psql("SET ROLE visitor; INSERT INTO rollup_late VALUES (0)").await.unwrap_err();
    assert!(denied.to_string().contains("row-level security"), "{denied}");
    let denied = "SET ROLE visitor; INSERT INTO picarcade_migrations VALUES (99, '', now(), true, '', 0)";
    assert!(server.psql(denied).await.unwrap_err().to_string().contains("row-level security"));
    // Partitions that are made later are no way around it.
    let later = SystemTime::now() - Duration::from_secs(100 * 86_400);
    assert!(store.maintain(later).await.unwrap().partitions_made > 0);
    let open = "SELECT count(*) FROM pg_class WHERE relname LIKE 'cost_tracking%' AND relkind = 'r' AND NOT relrowsecurity";
    assert_eq!(server.psql(open).await.unwrap(), "0");
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
    options.acquire_timeout = Duration::from_secs(5);
    let store = PostgresStore::connect_with(options).await.unwrap();
    let error = store.write(&[at(NOW, mixed(0))]).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    server.restart().await.unwrap();
    store.migrate().await.unwrap();
    store.write(&[at(NOW, mixed(0))]).await.unwrap();
}

/// A server behind a network that swallows everything does not hold up the start, and is used when it is there.
#[tokio::test]
async fn a_silent_network_does_not_hold_up_the_start() {
    let server = PostgresServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    proxy.set(Fault::BlackHole).await;
    // With all the patience in the world where it is not the start that waits.
    let mut options = PostgresOptions::new(&proxy.through(&server.url())).unwrap();
    options.connect_timeout = Duration::from_millis(200);
    options.acquire_timeout = Duration::from_hours(1);
    options.statement_timeout = Duration::from_hours(1);
    let store = PostgresStore::connect_with(options).await.unwrap();
    proxy.set(Fault::Pass).await;
    store.migrate().await.unwrap();
    store.write(&[at(NOW, mixed(0))]).await.unwrap();
    assert_eq!(count(&server, &server.url(), "cost_tracking").await, 1);
}

/// A cancelled call may leave the server in a transaction of which the client does not know.
#[tokio::test]
async fn a_cancelled_call_leaves_no_transaction_in_the_pool() {
    let server = PostgresServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let mut options = PostgresOptions::new(&proxy.through(&server.url())).unwrap();
    options.acquire_timeout = Duration::from_secs(60);
    // The server does not end an idle transaction within this test.
    options.statement_timeout = Duration::from_hours(1);
    let store = PostgresStore::connect_with(options).await.unwrap();
    store.migrate().await.unwrap();
    store.statistics(Period::Hour, time(NOW)).await.unwrap();
    let open =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND usename = 'app' AND state <> 'idle'";
    let none_open = async || server.psql(open).await.unwrap() == "0";
    let some_open = async || server.psql(open).await.unwrap() != "0";
    eventually("the pool is idle", none_open).await;
    // The server begins the transaction, and the call is cancelled before it hears of that.
    proxy.set(Fault::Delay(Duration::from_secs(3))).await;
    tokio::select! {
        biased;
        () = eventually("a transaction is open", some_open) => {}
        done = store.statistics(Period::Hour, time(NOW)) => panic!("not cancelled: {done:?}"),
    }
    proxy.set(Fault::Pass).await;
    eventually("no transaction is open", none_open).await;
    store.statistics(Period::Hour, time(NOW)).await.unwrap();
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

    // Deadlocked: rows go into the classifications first and the costs second, and somebody else locks them the other way.
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
    until(&recorder, "deadlocked", failing).await;
    lock.rollback().await.unwrap();
    until(&recorder, "no longer deadlocked", healthy).await;

    // Locked by somebody else.
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
    record(ROWS - 47_000).await;

    let counters = until(&recorder, "all", |counters| counters.committed == ROWS as u64).await;
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

/// Event number `n`, which bears its number.
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

/// Looks at the counters without a pause, from a thread of its own.
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
    let recorder = Recorder::try_start(Arc::new(store), config).await.unwrap();
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

/// A database that is not in UTF-8 cannot hold every prompt.
#[tokio::test]
async fn text_that_the_database_cannot_hold_is_buried_alone() {
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
    let counters = until(&recorder, "all", |counters| counters.queued == 0).await;
    assert_eq!((counters.committed, counters.dead_lettered), (399, 1), "{counters:?}");
    let letter = std::fs::read_to_string(directory.path().join("0/dead-letter.jsonl")).unwrap();
    let letter: serde_json::Value = serde_json::from_str(&letter).unwrap();
    assert_eq!(letter["code"], "22P05");
    assert_eq!(letter["record"]["event"]["classification"]["prompt"], "a 🦊 in the snow");
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
