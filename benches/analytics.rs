//! What does recording cost, how fast are rows written, and does a query grow with the number of
//! rows?
//!
//! `cargo bench -p picarcade-benches --bench analytics`
//!
//! - `offer`: one `Recorder::record` of an existing event; the measured time covers a full queue.
//! - `spool`: rows from the queue to the disk while the store is away.
//! - `drain/postgres`, `drain/sqlite`: a batch of 1,000 through the store, and the same rows in the
//!   simplest statement, in turn, so that growing tables and disturbances affect both.
//! - `statistics`: 24 hours, over ten thousand rows and over a million (`PICARCADE_BENCH_ROWS` sets
//!   another number). The current minute is not rolled up and as busy as the others.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion's macros; a bench that cannot be set up should stop"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use picarcade_analytics::{
    ClassificationEvent, Config, Error, Event, Maintained, Period, PostgresStore, Record, Recorder,
    SchemaState, SqliteStore, Statistics, Store,
};
use picarcade_benches::{each, in_turn, is_wanted};
use picarcade_testkit::PostgresServer;
use tokio::runtime::Runtime;

const BATCH: usize = 1_000;

fn event(n: usize) -> ClassificationEvent {
    ClassificationEvent {
        user_id: format!("user-{}", n % 1_000).into(),
        prompt: format!("make the sky purple and put a small boat on the lake, version {n}").into(),
        prompt_is_whole: true,
        media_facts: Some(1),
        classified_workflow: ["EDIT_IMAGE", "NEW_IMAGE", "NEW_VIDEO"]
            .get(n % 3)
            .copied()
            .unwrap_or_default()
            .into(),
        confidence: 0.93,
        processing_time_ms: (n % 977) as f64 / 3.0,
        used_fallback: n.is_multiple_of(50),
        cache_hit: !n.is_multiple_of(3),
        circuit_breaker_state: "closed".into(),
        rate_limited: false,
        source: "llm".into(),
        model: "flux-kontext-max".into(),
        cost_micros: 0,
        saved_micros: 20_000,
        reason: "ai".into(),
        request_id: None,
    }
}

fn now_micros() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(0)
}

fn batch() -> Vec<Record> {
    let now = now_micros();
    (0..BATCH).map(|n| Record::new(now, Event::Classification(event(n)))).collect()
}

/// A store that accepts every row, or none.
#[derive(Debug)]
struct Null {
    away: bool,
}

#[async_trait::async_trait]
impl Store for Null {
    async fn write(&self, _: &[Record]) -> Result<(), Error> {
        if self.away { Err(Error::Timeout) } else { Ok(()) }
    }
    async fn statistics(&self, _: Period, _: SystemTime) -> Result<Statistics, Error> {
        Ok(Statistics::default())
    }
    async fn user_statistics(&self, _: &str, _: Period, _: SystemTime) -> Result<Statistics, Error> {
        Ok(Statistics::default())
    }
    async fn spent_since(&self, _: SystemTime, _: SystemTime) -> Result<u64, Error> {
        Ok(0)
    }
    async fn ping(&self) -> Result<Duration, Error> {
        Ok(Duration::ZERO)
    }
    async fn forget_user(&self, _: &str) -> Result<u64, Error> {
        Ok(0)
    }
    async fn migrate(&self) -> Result<(), Error> {
        Ok(())
    }
    async fn schema(&self) -> Result<SchemaState, Error> {
        Ok(SchemaState::Current { version: 0 })
    }
    async fn maintain(&self, _: SystemTime) -> Result<Maintained, Error> {
        Ok(Maintained::default())
    }
}

fn offer(criterion: &mut Criterion) {
    const ROWS: usize = 40_000;
    let runtime = Runtime::new().expect("a runtime");
    let recorder = runtime.block_on(async {
        let config = Config { batch_rows: 10_000, ..Config::default() };
        Recorder::start(Arc::new(Null { away: false }), config)
    });
    let events: Vec<ClassificationEvent> = (0..ROWS).map(event).collect();
    criterion.bench_function("offer", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            let mut left = usize::try_from(iterations).unwrap_or(usize::MAX);
            while left > 0 {
                let round = left.min(ROWS);
                let ready: Vec<Event> =
                    events.iter().take(round).cloned().map(Event::Classification).collect();
                let started = Instant::now();
                for event in ready {
                    recorder.record(black_box(event));
                }
                spent += started.elapsed();
                left -= round;
                runtime.block_on(recorder.flush()).unwrap();
            }
            spent
        });
    });
    assert_eq!(recorder.counters().dropped, 0, "the offers that were measured were not all taken");
}

fn spool(criterion: &mut Criterion) {
    const ROWS: usize = 40_000;
    let runtime = Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let recorder = runtime.block_on(async {
        let config = Config {
            spool_dir: Some(directory.path().to_owned()),
            spool_max_bytes: 64 << 30,
            queue_rows: 4 * ROWS,
            queue_bytes: 1 << 30,
            flush_interval: Duration::from_millis(1),
            ..Config::default()
        };
        let recorder = Recorder::start(Arc::new(Null { away: true }), config);
        recorder.record(Event::Classification(event(0)));
        recorder.flush().await.unwrap();
        recorder
    });
    let mut group = criterion.benchmark_group("spool");
    group.sample_size(10).throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("append", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            for _ in 0..iterations {
                let ready: Vec<Event> = (0..ROWS).map(|n| Event::Classification(event(n))).collect();
                let started = Instant::now();
                for event in ready {
                    recorder.record(event);
                }
                runtime.block_on(recorder.flush()).unwrap();
                spent += started.elapsed();
            }
            spent
        });
    });
    group.finish();
}

/// Columns of the batch for the simplest insert.
struct Columns {
    id: Vec<sqlx::types::Uuid>,
    text: [Vec<String>; 6],
    float: [Vec<f64>; 2],
    flag: [Vec<bool>; 3],
    int: [Vec<i64>; 3],
    bucket: Vec<i16>,
}

impl Columns {
    fn new() -> Self {
        let (records, now) = (batch(), now_micros());
        let rows: Vec<ClassificationEvent> = (0..BATCH).map(event).collect();
        let text = |of: fn(&ClassificationEvent) -> &str| rows.iter().map(|row| of(row).to_owned()).collect();
        Self {
            id: records.iter().map(|record| record.id).collect(),
            text: [
                text(|row| &row.user_id),
                text(|row| &row.prompt),
                text(|row| &row.classified_workflow),
                text(|row| &row.circuit_breaker_state),
                text(|row| &row.source),
                text(|row| &row.model),
            ],
            float: [
                rows.iter().map(|row| row.confidence).collect(),
                rows.iter().map(|row| row.processing_time_ms).collect(),
            ],
            flag: [
                rows.iter().map(|row| row.used_fallback).collect(),
                rows.iter().map(|row| row.cache_hit).collect(),
                rows.iter().map(|row| row.rate_limited).collect(),
            ],
            int: [vec![0; BATCH], vec![20_000; BATCH], vec![now; BATCH]],
            bucket: vec![77; BATCH],
        }
    }
}

async fn raw_unnest(connection: &mut sqlx::PgConnection, columns: &Columns) {
    let [user, prompt, workflow, state, source, model] = &columns.text;
    let [confidence, ms] = &columns.float;
    let [fallback, hit, limited] = &columns.flag;
    let [cost, saved, at] = &columns.int;
    sqlx::query(
        "INSERT INTO intent_classification_logs (id, user_id, prompt, classified_workflow, confidence, processing_time_ms,
             used_fallback, cache_hit, circuit_breaker_state, rate_limited, source, model, cost_micros, saved_micros,
             duration_bucket, created_at)
         SELECT a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, timestamptz 'epoch' + p * interval '1 microsecond'
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::float8[], $7::bool[], $8::bool[],
             $9::text[], $10::bool[], $11::text[], $12::text[], $13::int8[], $14::int8[], $15::int2[], $16::int8[])
             AS r (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)",
    )
    .bind(&columns.id)
    .bind(user)
    .bind(prompt)
    .bind(workflow)
    .bind(confidence)
    .bind(ms)
    .bind(fallback)
    .bind(hit)
    .bind(state)
    .bind(limited)
    .bind(source)
    .bind(model)
    .bind(cost)
    .bind(saved)
    .bind(&columns.bucket)
    .bind(at)
    .execute(connection)
    .await
    .expect("rows written");
}

fn drain_postgres(_: &mut Criterion) {
    if !is_wanted("drain/postgres") {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime.block_on(PostgresServer::start()).expect("postgres");
    let (store, mut connection) = runtime.block_on(async {
        let store = PostgresStore::connect(&server.url()).await.expect("a store");
        store.migrate().await.expect("migrated");
        let connection = <sqlx::PgConnection as sqlx::Connection>::connect(&server.superuser_url())
            .await
            .expect("a connection");
        (store, connection)
    });
    drain(
        "drain/postgres",
        || {
            let columns = Columns::new();
            each(1, || runtime.block_on(raw_unnest(&mut connection, &columns)))
        },
        || written(&runtime, &store),
    );
}

/// Returns how long a batch takes the store.
fn written(runtime: &Runtime, store: &dyn Store) -> Duration {
    let rows = batch();
    each(1, || runtime.block_on(store.write(&rows)).expect("rows written"))
}

/// Runs batches of both kinds in turn and returns the rows per second of the store.
fn drain<'a>(group: &str, raw: impl FnMut() -> Duration + 'a, ours: impl FnMut() -> Duration + 'a) {
    let medians = in_turn(group, 200, &mut [("raw", Box::new(raw)), ("store", Box::new(ours))]);
    if let [raw, ours] = medians[..] {
        let (raw, ours) = (raw.as_secs_f64(), ours.as_secs_f64());
        println!("{group}: {:.0} rows/s, {:.2} of raw", BATCH as f64 / ours, raw / ours);
    }
}

fn drain_sqlite(_: &mut Criterion) {
    if !is_wanted("drain/sqlite") {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let (store, raw) = runtime.block_on(async {
        let store = SqliteStore::open(&directory.path().join("store.db")).await.expect("a store");
        // The same tables, indexes and settings, in a separate file.
        let file = directory.path().join("raw.db");
        SqliteStore::open(&file).await.expect("a store").close().await;
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
            .synchronous(sqlx::sqlite::SqliteSynchronous::Normal);
        (store, sqlx::SqlitePool::connect_with(options).await.expect("a connection"))
    });
    drain(
        "drain/sqlite",
        || {
            let records = batch();
            each(1, || runtime.block_on(raw_multi_row(&raw, &records)))
        },
        || written(&runtime, &store),
    );
}

async fn raw_multi_row(pool: &sqlx::SqlitePool, records: &[Record]) {
    let mut transaction = pool.begin().await.expect("a transaction");
    for chunk in records.chunks(250) {
        let mut insert: sqlx::QueryBuilder<sqlx::Sqlite> = sqlx::QueryBuilder::new(
            "INSERT INTO intent_classification_logs (id, user_id, prompt, classified_workflow, confidence,
                 processing_time_ms, used_fallback, cache_hit, circuit_breaker_state, rate_limited, source, model,
                 cost_micros, saved_micros, duration_bucket, created_at) ",
        );
        insert.push_values(chunk, |mut row, record| {
            let Event::Classification(event) = &record.event else { return };
            row.push_bind(record.id.as_bytes().to_vec())
                .push_bind(event.user_id.to_string())
                .push_bind(event.prompt.to_string())
                .push_bind(event.classified_workflow.to_string())
                .push_bind(event.confidence)
                .push_bind(event.processing_time_ms)
                .push_bind(event.used_fallback)
                .push_bind(event.cache_hit)
                .push_bind(event.circuit_breaker_state.to_string())
                .push_bind(event.rate_limited)
                .push_bind(event.source.to_string())
                .push_bind(event.model.to_string())
                .push_bind(0_i64)
                .push_bind(20_000_i64)
                .push_bind(77_i64)
                .push_bind(record.created_at());
        });
        insert.build().execute(&mut *transaction).await.expect("rows written");
    }
    transaction.commit().await.expect("committed");
}

fn statistics(_: &mut Criterion) {
    if !is_wanted("statistics") {
        return;
    }
    let most =
        std::env::var("PICARCADE_BENCH_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime.block_on(PostgresServer::start()).expect("postgres");
    let directory = tempfile::tempdir().expect("a directory");
    for rows in [10_000, most] {
        let postgres = runtime.block_on(async {
            let url = server.create_database().await.expect("a database");
            let store = PostgresStore::connect(&url).await.expect("a store");
            store.migrate().await.expect("migrated");
            fill_postgres(&url, rows).await;
            store
        });
        percentiles(&runtime, &format!("postgres/{rows}"), &postgres, rows);
        let rows = rows.min(1_000_000);
        let sqlite = runtime.block_on(async {
            let file = directory.path().join(format!("{rows}.db"));
            let store = SqliteStore::open(&file).await.expect("a store");
            fill(&store, rows).await;
            store
        });
        percentiles(&runtime, &format!("sqlite/{rows}"), &sqlite, rows);
    }
}

fn day(runtime: &Runtime, store: &dyn Store) -> Statistics {
    runtime.block_on(store.statistics(Period::Day, SystemTime::now())).expect("statistics")
}

/// Returns the slowest of a few hundred calls over a day that is rolled up except for one minute
/// like the others, whose rows came in batches of half a second.
fn percentiles(runtime: &Runtime, name: &str, store: &dyn Store, rows: usize) {
    const CALLS: usize = 500;
    let minute = rows.div_ceil(24 * 60);
    runtime.block_on(async {
        store.maintain(SystemTime::now()).await.expect("rolled up");
        let events: Vec<usize> = (0..minute).collect();
        for batch in events.chunks(minute.div_ceil(120)) {
            let now = now_micros();
            let batch: Vec<Record> =
                batch.iter().map(|n| Record::new(now, Event::Classification(event(*n)))).collect();
            store.write(&batch).await.expect("rows written");
        }
    });
    let mut spent: Vec<Duration> =
        (0..CALLS).map(|_| each(1, || drop(black_box(day(runtime, store))))).collect();
    spent.sort_unstable();
    let at = |percent: usize| spent.get(CALLS * percent / 100).copied().unwrap_or_default();
    println!("statistics/24h/{name}: p50 {:?}, p90 {:?}, p99 {:?}", at(50), at(90), at(99));
}

/// Inserts this number of rows, evenly over the last day up to now, generated by the server.
async fn fill_postgres(url: &str, rows: usize) {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.expect("a connection");
    sqlx::query(
        "INSERT INTO intent_classification_logs (id, user_id, prompt, classified_workflow, confidence, processing_time_ms,
             used_fallback, cache_hit, circuit_breaker_state, rate_limited, source, model, cost_micros, saved_micros,
             duration_bucket, created_at)
         SELECT gen_random_uuid(), 'user-' || n % 1000, 'make the sky purple and put a small boat on the lake, version ' || n,
             (ARRAY['EDIT_IMAGE', 'NEW_IMAGE', 'NEW_VIDEO'])[1 + n % 3], 0.93, (n % 977) / 3.0, n % 50 = 0, n % 3 <> 0,
             'closed', false, 'llm', 'flux-kontext-max', 0, 20000, n % 400, now() - (n::float8 / $1) * interval '24 hours'
         FROM generate_series(1, $1::int8) AS n",
    )
    .bind(i64::try_from(rows).unwrap_or(0))
    .execute(&mut connection)
    .await
    .expect("rows written");
    // As autovacuum would do later.
    sqlx::query("VACUUM ANALYZE intent_classification_logs")
        .execute(&mut connection)
        .await
        .expect("vacuumed");
}

/// Inserts this number of rows, evenly over the last day.
async fn fill(store: &dyn Store, rows: usize) {
    const DAY: i64 = 86_400_000_000;
    let now = now_micros();
    let step = DAY / i64::try_from(rows).unwrap_or(DAY);
    for start in (0..rows).step_by(10_000) {
        let batch: Vec<Record> = (start..rows.min(start + 10_000))
            .map(|n| {
                Record::new(now - DAY + step * i64::try_from(n).unwrap_or(0), Event::Classification(event(n)))
            })
            .collect();
        store.write(&batch).await.expect("rows written");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = offer, spool, drain_postgres, drain_sqlite, statistics
}
criterion_main!(benches);
