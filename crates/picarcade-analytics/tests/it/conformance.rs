//! What every store promises, as plain functions over a fresh store.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use picarcade_analytics::{
    ClassificationEvent, CostEvent, Error, Event, GenerationRow, GenerationRows, Period, Record, SessionRow,
    SessionRows, Statistics, Store,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;

use crate::events::{NOW, at, classification, cost, mixed, outcome, performance, selection, time};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

pub trait Both: Store + SessionRows + GenerationRows {}
impl<T: Store + SessionRows + GenerationRows> Both for T {}

/// Makes empty stores, and counts what is in them.
pub trait Subject {
    fn fresh(&self) -> impl Future<Output = Arc<dyn Both>>;
    /// The same store, or another one, without rows: quicker than a fresh one where that is a database of its own.
    fn emptied(&self, store: Arc<dyn Both>) -> impl Future<Output = Arc<dyn Both>> {
        let _ = store;
        self.fresh()
    }
    /// Rows of a table.
    fn count(&self, store: &dyn Both, table: &str) -> impl Future<Output = Option<u64>>;
    /// What one plain query over the rows of a stretch of time says, where there is SQL.
    fn raw_sums(&self, from: i64, until: i64) -> impl Future<Output = Option<RawSums>>;
    /// How many roll-ups hold this text, where there are roll-ups.
    fn rollups_with(&self, text: &str) -> impl Future<Output = Option<u64>>;
    /// Deletes rows of a stretch of time behind the store's back; whether it could.
    fn erase(&self, from: i64, until: i64) -> impl Future<Output = bool>;
}

/// The answer of a plain query.
#[derive(Debug, serde::Deserialize)]
pub struct RawSums {
    pub rows: u64,
    pub confidence: f64,
    pub ms: f64,
    pub fallbacks: u64,
    pub hits: u64,
    pub limited: u64,
    pub saved: u64,
    pub spent: u64,
    pub types: BTreeMap<String, u64>,
}

pub struct Memory;

impl Subject for Memory {
    async fn fresh(&self) -> Arc<dyn Both> {
        Arc::new(picarcade_analytics::MemoryStore::new())
    }

    async fn count(&self, _: &dyn Both, _: &str) -> Option<u64> {
        None
    }

    async fn raw_sums(&self, _: i64, _: i64) -> Option<RawSums> {
        None
    }

    async fn rollups_with(&self, _: &str) -> Option<u64> {
        None
    }

    async fn erase(&self, _: i64, _: i64) -> bool {
        false
    }
}

macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        /// Every promise, each on a store of its own.
        pub async fn all(subject: &impl Subject) {
            $(
                eprintln!("  {}", stringify!($promise));
                $promise(subject).await;
            )*
        }
    };
}

promises![
    an_empty_store_answers_zeros,
    a_batch_written_twice_counts_once,
    a_rejected_row_leaves_nothing_of_its_batch,
    nul_is_stripped,
    an_outcome_completes_its_generation_once,
    an_outcome_waits_for_its_generation,
    an_outcome_completes_the_expense_that_waits_for_it,
    a_generation_is_found_until_and_after_its_outcome,
    statistics_are_those_of_the_rows,
    late_rows_are_counted,
    statistics_read_no_row_that_is_rolled_up,
    rows_since_the_last_roll_up_are_counted_unread,
    statistics_are_exact_while_rows_come_and_minutes_are_summed_up,
    statistics_of_a_user_are_of_that_user_alone,
    forgetting_a_user_leaves_the_others,
    sessions_are_kept_by_their_owner,
    a_session_has_one_working_medium,
    sessions_expire,
    the_schema_is_current,
];

async fn an_empty_store_answers_zeros(subject: &impl Subject) {
    let store = subject.fresh().await;
    for period in Period::ALL {
        let statistics = store.statistics(period, time(NOW)).await.unwrap();
        let expected = Statistics {
            period: period.to_string(),
            generated_at: "2026-01-02T03:04:30.000Z".into(),
            ..Statistics::default()
        };
        assert_eq!(statistics, expected);
    }
    store.maintain(time(NOW)).await.unwrap();
    assert_eq!(store.statistics(Period::Week, time(NOW)).await.unwrap().total_classifications, 0);
    store.write(&[]).await.unwrap();
    store.ping().await.unwrap();
}

async fn a_batch_written_twice_counts_once(subject: &impl Subject) {
    let store = subject.fresh().await;
    let batch: Vec<Record> = (0..200).map(|n| at(NOW - SECOND - n as i64, mixed(n))).collect();
    store.write(&batch[..150]).await.unwrap();
    store.write(&batch).await.unwrap();
    store.write(&batch).await.unwrap();
    let statistics = store.statistics(Period::Hour, time(NOW)).await.unwrap();
    assert_eq!(statistics.total_classifications, 140);
    for (table, rows) in [
        ("intent_classification_logs", 140),
        ("cost_tracking", 20),
        ("model_selection_logs", 20),
        ("system_performance_logs", 20),
    ] {
        if let Some(count) = subject.count(store.as_ref(), table).await {
            assert_eq!(count, rows, "{table}");
        }
    }
}

async fn a_rejected_row_leaves_nothing_of_its_batch(subject: &impl Subject) {
    let store = subject.fresh().await;
    let wrong = |change: fn(&mut ClassificationEvent)| {
        let mut event = classification("u");
        change(&mut event);
        Event::Classification(event)
    };
    let poisons = [
        wrong(|event| event.confidence = 1.5),
        wrong(|event| event.confidence = f64::NAN),
        wrong(|event| event.processing_time_ms = f64::INFINITY),
        wrong(|event| event.processing_time_ms = -1.0),
        wrong(|event| event.processing_time_ms = 2e15),
        wrong(|event| event.cost_micros = u64::MAX),
        wrong(|event| event.saved_micros = 1_000_000_000_000_001),
        Event::Cost(CostEvent { estimated_cost_micros: u64::MAX, ..cost("u", None) }),
        performance(f64::NAN),
        performance(-2e300),
    ];
    for poison in poisons {
        let batch = [
            at(NOW - 3, Event::Classification(classification("u"))),
            at(NOW - 2, poison.clone()),
            at(NOW - 1, Event::Classification(classification("u"))),
        ];
        let error = store.write(&batch).await.unwrap_err();
        assert!(error.is_rejection(), "{poison:?}: {error:?}");
        assert!(!error.is_transient());
    }
    assert_eq!(store.statistics(Period::Day, time(NOW)).await.unwrap().total_classifications, 0);
    // The store is as usable as before.
    store.write(&[at(NOW - 1, Event::Classification(classification("u")))]).await.unwrap();
    assert_eq!(store.statistics(Period::Day, time(NOW)).await.unwrap().total_classifications, 1);
}

async fn nul_is_stripped(subject: &impl Subject) {
    let store = subject.fresh().await;
    let event =
        ClassificationEvent { prompt: "a\0b".into(), model: "mo\0del".into(), ..classification("us\0er") };
    let metrics = Event::SystemPerformance(picarcade_analytics::SystemPerformanceEvent {
        component: "c".into(),
        metric: "m".into(),
        value: 1.0,
        status: "healthy".into(),
        metrics: serde_json::json!({ "a\0": "\0b" }),
    });
    store.write(&[at(NOW - 1, Event::Classification(event)), at(NOW - 1, metrics)]).await.unwrap();
    if subject.count(store.as_ref(), "intent_classification_logs").await.is_some() {
        let statistics = store.user_statistics("user", Period::Day, time(NOW)).await.unwrap();
        assert_eq!(statistics.by_model.keys().collect::<Vec<_>>(), ["model"]);
    }
}

async fn an_outcome_completes_its_generation_once(subject: &impl Subject) {
    let store = subject.fresh().await;
    let selected = at(NOW - 10 * SECOND, Event::ModelSelection(selection("u", "g")));
    store.write(&[selected]).await.unwrap();
    let foreign = at(NOW - 6 * SECOND, Event::Outcome(outcome("somebody else", "g", 9)));
    let first = at(NOW - 5 * SECOND, Event::Outcome(outcome("u", "g", 44_000)));
    let second = at(NOW - 4 * SECOND, Event::Outcome(outcome("u", "g", 99_000)));
    for batch in [vec![foreign], vec![first.clone()], vec![second, first.clone()], vec![first]] {
        store.write(&batch).await.unwrap();
        store.maintain(time(NOW)).await.unwrap();
    }
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 44_000);
    if let Some(count) = subject.count(store.as_ref(), "cost_tracking").await {
        assert_eq!(count, 1);
    }
}

async fn an_outcome_waits_for_its_generation(subject: &impl Subject) {
    let store = subject.fresh().await;
    store.write(&[at(NOW - SECOND, Event::Outcome(outcome("u", "g", 5_000)))]).await.unwrap();
    store.maintain(time(NOW)).await.unwrap();
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 0);
    store.write(&[at(NOW - 2 * SECOND, Event::ModelSelection(selection("u", "g")))]).await.unwrap();
    assert_eq!(store.maintain(time(NOW)).await.unwrap().outcomes_applied, 1);
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 5_000);
    assert_eq!(store.maintain(time(NOW)).await.unwrap().outcomes_applied, 0);
}

async fn a_generation_is_found_until_and_after_its_outcome(subject: &impl Subject) {
    let store = subject.fresh().await;
    assert_eq!(store.generation("g").await.unwrap(), None);
    let selected = selection("u", "g");
    let expected = GenerationRow {
        user_id: "u".to_owned(),
        selected_model: selected.selected_model.to_string(),
        estimated_cost_micros: selected.estimated_cost_micros,
        reported: false,
    };
    store.write(&[at(NOW - 3 * SECOND, Event::ModelSelection(selected))]).await.unwrap();
    assert_eq!(store.generation("g").await.unwrap(), Some(expected.clone()));
    assert_eq!(store.generation("another").await.unwrap(), None);
    // Somebody else's word about it is no report.
    store.write(&[at(NOW - 2 * SECOND, Event::Outcome(outcome("somebody else", "g", 9)))]).await.unwrap();
    assert_eq!(store.generation("g").await.unwrap(), Some(expected.clone()));
    store.write(&[at(NOW - SECOND, Event::Outcome(outcome("u", "g", 5_000)))]).await.unwrap();
    assert_eq!(store.generation("g").await.unwrap(), Some(GenerationRow { reported: true, ..expected }));
}

async fn an_outcome_completes_the_expense_that_waits_for_it(subject: &impl Subject) {
    let store = subject.fresh().await;
    let expense = CostEvent { generation_id: Some("g".into()), success: None, ..cost("u", None) };
    // Long enough ago to be rolled up before the outcome comes.
    let then = NOW - 20 * MINUTE;
    store
        .write(&[at(then, Event::Cost(expense)), at(then, Event::ModelSelection(selection("u", "g")))])
        .await
        .unwrap();
    store.maintain(time(NOW)).await.unwrap();
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 0);
    store.write(&[at(NOW - SECOND, Event::Outcome(outcome("u", "g", 7_000)))]).await.unwrap();
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 7_000);
    store.maintain(time(NOW)).await.unwrap();
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 7_000);
    if let Some(count) = subject.count(store.as_ref(), "cost_tracking").await {
        assert_eq!(count, 1);
    }
}

fn classifications() -> impl Strategy<Value = ClassificationEvent> {
    fn word(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
        proptest::sample::select(words)
    }
    (
        (
            word(&["NEW_IMAGE", "EDIT_IMAGE", "NEW_VIDEO", ""]),
            word(&["llm", "rules", "local"]),
            word(&["flux", "veo", "gen4"]),
            word(&["ann", "bob"]),
        ),
        (0.0..=1.0_f64, 0.0..30_000.0_f64, 0..100_000_u64),
        (any::<bool>(), any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |((workflow, source, model, user), (confidence, ms, saved), (fallback, hit, limited))| {
                ClassificationEvent {
                    classified_workflow: workflow.into(),
                    source: source.into(),
                    model: model.into(),
                    confidence,
                    processing_time_ms: ms,
                    used_fallback: fallback,
                    cache_hit: hit,
                    rate_limited: limited,
                    saved_micros: saved,
                    ..classification(user)
                }
            },
        )
}

/// Rows over the last nine days, denser towards the end.
fn rows(count: usize) -> impl Strategy<Value = Vec<Record>> {
    let age = prop_oneof![0..2 * MINUTE, 0..3 * HOUR, 0..30 * HOUR, 0..9 * 24 * HOUR];
    let row = (age, observed()).prop_map(|(age, event)| at(NOW - 1 - age, event));
    proptest::collection::vec(row, 1..count)
}

fn observed() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => classifications().prop_map(Event::Classification),
        1 => (0..90_000_u64).prop_map(|actual| Event::Cost(cost("ann", Some(actual)))),
    ]
}

/// Where a period begins: with the minute in which it would, counted exactly.
fn start(period: Period, now: i64) -> i64 {
    let exact = now - period.duration().as_micros() as i64;
    exact - exact.rem_euclid(MINUTE)
}

/// What a person would compute from all the rows.
fn naive(rows: &[Record], user: Option<&str>, period: Period, now: i64) -> Statistics {
    let from = start(period, now);
    let inside = || rows.iter().filter(|row| (from..now).contains(&row.created_at()));
    let seen: Vec<&ClassificationEvent> = inside()
        .filter_map(|row| match &row.event {
            Event::Classification(event) if user.is_none_or(|user| *event.user_id == *user) => Some(event),
            _ => None,
        })
        .collect();
    let spent: u64 = inside()
        .filter_map(|row| match &row.event {
            Event::Cost(event) if user.is_none_or(|user| *event.user_id == *user) => event.actual_cost_micros,
            _ => None,
        })
        .sum();
    let n = seen.len().max(1) as f64;
    let percent = |test: fn(&ClassificationEvent) -> bool| {
        seen.iter().filter(|event| test(event)).count() as f64 * 100.0 / n
    };
    let mut times: Vec<f64> = seen.iter().map(|event| event.processing_time_ms).collect();
    times.sort_by(f64::total_cmp);
    let rank = |share: f64| {
        let at = ((share * times.len() as f64).ceil() as usize).max(1) - 1;
        times.get(at).copied().unwrap_or(0.0)
    };
    let mut expected = Statistics {
        total_classifications: seen.len() as u64,
        avg_confidence: seen.iter().map(|event| event.confidence).sum::<f64>() / n,
        avg_processing_time_ms: times.iter().sum::<f64>() / n,
        p50_ms: rank(0.50),
        p95_ms: rank(0.95),
        p99_ms: rank(0.99),
        fallback_rate: percent(|event| event.used_fallback),
        cache_hit_rate: percent(|event| event.cache_hit),
        rate_limited_rate: percent(|event| event.rate_limited),
        cost_spent: spent as f64 / 1e6,
        cost_saved: seen.iter().map(|event| event.saved_micros).sum::<u64>() as f64 / 1e6,
        period: period.to_string(),
        ..Statistics::default()
    };
    for event in seen {
        for (counts, key) in [
            (&mut expected.by_type, &*event.classified_workflow),
            (&mut expected.by_source, &*event.source),
            (&mut expected.by_model, &*event.model),
        ] {
            if !key.is_empty() {
                *counts.entry(key.to_owned()).or_default() += 1;
            }
        }
    }
    expected
}

/// Equal, but for rounding in sums and the width of a histogram's buckets.
fn assert_same(found: &Statistics, expected: &Statistics) {
    let close = |a: f64, b: f64, part: f64| {
        assert!((a - b).abs() <= b.abs() * part + 1e-3, "{a} is not {b}\n{found:#?}\n{expected:#?}");
    };
    close(found.p50_ms, expected.p50_ms, 1.0 / 60.0);
    close(found.p95_ms, expected.p95_ms, 1.0 / 60.0);
    close(found.p99_ms, expected.p99_ms, 1.0 / 60.0);
    assert!((found.avg_confidence - expected.avg_confidence).abs() < 1e-9, "{found:#?}\n{expected:#?}");
    assert!((found.avg_processing_time_ms - expected.avg_processing_time_ms).abs() < 1e-6);
    let exact = Statistics {
        p50_ms: expected.p50_ms,
        p95_ms: expected.p95_ms,
        p99_ms: expected.p99_ms,
        avg_confidence: expected.avg_confidence,
        avg_processing_time_ms: expected.avg_processing_time_ms,
        generated_at: expected.generated_at.clone(),
        ..found.clone()
    };
    assert_eq!(&exact, expected);
}

/// What happens to a store.
#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Record>),
    Maintain,
    /// Rows of so many microseconds ago; some are of a clock that is ahead.
    Live(Vec<(i64, Event)>),
    /// Every so-manieth row once more, and a new one.
    Again(usize),
    /// So many microseconds go by.
    Pass(i64),
}

/// Rows of all ages, in batches, with housekeeping and time in between: each row may be rolled up, late, raw or not yet due.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => rows(60).prop_map(Step::Write),
        4 => proptest::collection::vec((-MINUTE..2 * MINUTE, observed()), 1..20).prop_map(Step::Live),
        1 => (1..4_usize).prop_map(Step::Again),
        2 => Just(Step::Maintain),
        1 => prop_oneof![1..MINUTE, MINUTE..2 * HOUR].prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..12)
}

/// By proptest: whatever happens in whatever order, statistics are what plain queries over the rows say.
async fn statistics_are_those_of_the_rows(subject: &impl Subject) {
    let config = Config { cases: 8, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let store = std::sync::Mutex::new(subject.fresh().await);
    let check = |steps: Vec<Step>| {
        Handle::current().block_on(async {
            let last = Arc::clone(&*store.lock().unwrap());
            let empty = subject.emptied(last).await;
            *store.lock().unwrap() = Arc::clone(&empty);
            follow(subject, empty.as_ref(), steps).await;
        });
        Ok(())
    };
    tokio::task::block_in_place(|| TestRunner::new(config).run(&steps(), check).unwrap());
}

async fn follow(subject: &impl Subject, store: &dyn Both, steps: Vec<Step>) {
    let mut now = NOW;
    let mut written: Vec<Record> = Vec::new();
    for step in steps {
        match step {
            Step::Write(rows) => {
                store.write(&rows).await.unwrap();
                written.extend(rows);
            }
            Step::Live(rows) => {
                let rows: Vec<Record> = rows.into_iter().map(|(age, event)| at(now - age, event)).collect();
                store.write(&rows).await.unwrap();
                written.extend(rows);
            }
            Step::Again(every) => {
                let new = at(now - 1, Event::Classification(classification("u")));
                let rows: Vec<Record> = written.iter().step_by(every).chain([&new]).cloned().collect();
                store.write(&rows).await.unwrap();
                written.push(new);
            }
            Step::Maintain => drop(store.maintain(time(now)).await.unwrap()),
            Step::Pass(micros) => now += micros,
        }
        same(store, &written, Period::Day, now).await;
    }
    for period in Period::ALL {
        for at in [now, now - 13 * MINUTE - 7] {
            same(store, &written, period, at).await;
        }
    }
    let week = start(Period::Week, now);
    if let Some(raw) = subject.raw_sums(week, now).await {
        let found = store.statistics(Period::Week, time(now)).await.unwrap();
        let rate = |count: u64| count as f64 * 100.0 / raw.rows.max(1) as f64;
        assert_eq!((found.total_classifications, &found.by_type), (raw.rows, &raw.types), "{raw:?}");
        for (found, raw) in [
            (found.avg_confidence, raw.confidence),
            (found.avg_processing_time_ms, raw.ms),
            (found.fallback_rate, rate(raw.fallbacks)),
            (found.cache_hit_rate, rate(raw.hits)),
            (found.rate_limited_rate, rate(raw.limited)),
            (found.cost_saved, raw.saved as f64 / 1e6),
            (found.cost_spent, raw.spent as f64 / 1e6),
        ] {
            assert!((found - raw).abs() < 1e-6, "{found} is not {raw}");
        }
    }
}

async fn same(store: &dyn Both, written: &[Record], period: Period, at: i64) {
    let found = store.statistics(period, time(at)).await.unwrap();
    assert_same(&found, &naive(written, None, period, at));
}

/// However many rows there are: those of whole minutes may as well not be there.
async fn statistics_read_no_row_that_is_rolled_up(subject: &impl Subject) {
    let store = subject.fresh().await;
    let rows: Vec<Record> = (0..2_000)
        .map(|n| at(NOW - 1 - n * 45 * SECOND, Event::Classification(classification("u"))))
        .chain((0..50).map(|n| at(NOW - 1 - n * 1_700 * SECOND, Event::Cost(cost("u", Some(10))))))
        .collect();
    store.write(&rows).await.unwrap();
    store.maintain(time(NOW)).await.unwrap();
    let closed = NOW - NOW % MINUTE;
    for period in Period::ALL {
        let before = store.statistics(period, time(NOW)).await.unwrap();
        assert_same(&before, &naive(&rows, None, period, NOW));
        if !subject.erase(start(period, NOW), closed).await {
            return;
        }
        assert_eq!(store.statistics(period, time(NOW)).await.unwrap(), before);
        store.write(&rows).await.unwrap();
        store.maintain(time(NOW)).await.unwrap();
    }
}

/// However busy the present minute is: what a batch adds to it is noted with the batch, and counted once.
async fn rows_since_the_last_roll_up_are_counted_unread(subject: &impl Subject) {
    let store = subject.fresh().await;
    store.maintain(time(NOW)).await.unwrap();
    let closed = NOW - NOW % MINUTE;
    let rows: Vec<Record> = (0..300)
        .map(|n| at(closed + n * 90_000, Event::Classification(classification("user-ann"))))
        .collect();
    for batch in rows.chunks(70) {
        store.write(batch).await.unwrap();
    }
    let expected = naive(&rows, None, Period::Day, NOW);
    assert_same(&store.statistics(Period::Day, time(NOW)).await.unwrap(), &expected);
    assert_eq!(subject.rollups_with("user-ann").await.unwrap_or(0), 0, "a part names a user");
    // In the middle of a batch, rows have to be told apart: they are read.
    let middle = closed + 100 * 90_000;
    let cut = naive(&rows, None, Period::Day, middle);
    assert_same(&store.statistics(Period::Day, time(middle)).await.unwrap(), &cut);
    if !subject.erase(closed, NOW).await {
        return;
    }
    assert_same(&store.statistics(Period::Day, time(NOW)).await.unwrap(), &expected);
    // Rows that come again make the minute one that is read, and nothing counts twice.
    let store = subject.fresh().await;
    store.maintain(time(NOW)).await.unwrap();
    store.write(&rows[..100]).await.unwrap();
    store.write(&rows).await.unwrap();
    assert_same(&store.statistics(Period::Day, time(NOW)).await.unwrap(), &expected);
    let later = NOW + 2 * MINUTE;
    store.maintain(time(later)).await.unwrap();
    let expected = naive(&rows, None, Period::Day, later);
    assert_same(&store.statistics(Period::Day, time(later)).await.unwrap(), &expected);
    if let Some(parts) = subject.count(store.as_ref(), "rollup_parts").await {
        assert_eq!(parts, 0, "parts of what has been rolled up");
    }
}

/// Writers, housekeeping and readers at once, over minutes that go by quickly; rows come late, and twice. What a reader sees
/// lies between what had been written before it asked and what had been begun when it had its answer.
async fn statistics_are_exact_while_rows_come_and_minutes_are_summed_up(subject: &impl Subject) {
    const BATCHES: u64 = 60;
    let store = subject.fresh().await;
    let clock = Arc::new(AtomicI64::new(NOW));
    let (begun, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut writers = tokio::task::JoinSet::new();
    for seed in 0..3 {
        let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
        let (begun, done) = (Arc::clone(&begun), Arc::clone(&done));
        writers.spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..BATCHES {
                let now = clock.fetch_add(3 * SECOND, Ordering::SeqCst);
                let batch: Vec<Record> = (0..5)
                    .map(|_| {
                        let latest = if random.u8(..10) == 0 { 10 * MINUTE } else { SECOND };
                        at(now - random.i64(0..latest), Event::Classification(classification("u")))
                    })
                    .collect();
                // At times a row comes first alone, and then with its batch.
                let alone = usize::from(random.u8(..4) == 0);
                begun.fetch_add(batch.len() as u64, Ordering::SeqCst);
                store.write(&batch[..alone]).await.unwrap();
                store.write(&batch).await.unwrap();
                done.fetch_add(batch.len() as u64, Ordering::SeqCst);
            }
        });
    }
    let reader = async {
        while done.load(Ordering::SeqCst) < 3 * 5 * BATCHES {
            let least = done.load(Ordering::SeqCst);
            let now = time(clock.load(Ordering::SeqCst) + MINUTE);
            let found = store.statistics(Period::Day, now).await.unwrap().total_classifications;
            let most = begun.load(Ordering::SeqCst);
            assert!((least..=most).contains(&found), "{found} is not between {least} and {most}");
            tokio::task::yield_now().await;
        }
    };
    let keeper = async {
        while done.load(Ordering::SeqCst) < 3 * 5 * BATCHES {
            match store.maintain(time(clock.load(Ordering::SeqCst))).await {
                Err(error) if !error.is_transient() => panic!("{error:?}"),
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let written = async {
        while let Some(writer) = writers.join_next().await {
            writer.unwrap();
        }
    };
    tokio::join!(reader, keeper, written);
    let now = time(clock.load(Ordering::SeqCst) + MINUTE);
    for _ in 0..2 {
        let found = store.statistics(Period::Day, now).await.unwrap();
        assert_eq!(found.total_classifications, 3 * 5 * BATCHES);
        store.maintain(now).await.unwrap();
    }
}

async fn late_rows_are_counted(subject: &impl Subject) {
    let store = subject.fresh().await;
    let mut rows: Vec<Record> =
        (0..180).map(|n| at(NOW - n * MINUTE - 1, Event::Classification(classification("u")))).collect();
    store.write(&rows).await.unwrap();
    store.maintain(time(NOW)).await.unwrap();
    // From a spool, hours later, into an hour that has been rolled up for good.
    let late: Vec<Record> = (0..40)
        .map(|n| at(NOW - 2 * HOUR - n * 7 * SECOND, Event::Classification(classification("v"))))
        .collect();
    store.write(&late).await.unwrap();
    rows.extend(late);
    let expected = naive(&rows, None, Period::Day, NOW);
    assert_same(&store.statistics(Period::Day, time(NOW)).await.unwrap(), &expected);
    store.maintain(time(NOW)).await.unwrap();
    assert_same(&store.statistics(Period::Day, time(NOW)).await.unwrap(), &expected);
    // The roll-ups remain right after much time has gone by.
    let later = NOW + 3 * HOUR;
    store.maintain(time(later)).await.unwrap();
    let expected = naive(&rows, None, Period::Day, later);
    assert_same(&store.statistics(Period::Day, time(later)).await.unwrap(), &expected);
}

async fn statistics_of_a_user_are_of_that_user_alone(subject: &impl Subject) {
    let store = subject.fresh().await;
    let rows = rows(300).new_tree(&mut TestRunner::deterministic()).unwrap().current();
    store.write(&rows).await.unwrap();
    store.maintain(time(NOW)).await.unwrap();
    for user in ["ann", "bob", "nobody"] {
        let found = store.user_statistics(user, Period::Week, time(NOW)).await.unwrap();
        assert_same(&found, &naive(&rows, Some(user), Period::Week, NOW));
    }
}

async fn forgetting_a_user_leaves_the_others(subject: &impl Subject) {
    let store = subject.fresh().await;
    // Long enough ago to be rolled up.
    let then = NOW - 5 * MINUTE;
    let rows: Vec<Record> = ["user-ann", "user-bob"]
        .into_iter()
        .flat_map(|user| {
            [
                at(then - 5, Event::Classification(classification(user))),
                at(then - 4, Event::Cost(cost(user, Some(10)))),
                at(then - 3, Event::ModelSelection(selection(user, user))),
                at(then - 2, Event::Outcome(outcome(user, &format!("{user}'s other"), 1))),
            ]
        })
        .collect();
    store.write(&rows).await.unwrap();
    for user in ["user-ann", "user-bob"] {
        assert!(store.put_session(&session(&format!("session of {user}"), user)).await.unwrap());
    }
    store.maintain(time(NOW)).await.unwrap();
    assert_eq!(subject.rollups_with("user-ann").await.unwrap_or(0), 0, "a roll-up names a user");
    let all = store.statistics(Period::Day, time(NOW)).await.unwrap();
    assert_eq!(store.forget_user("user-ann").await.unwrap(), 5);
    assert_eq!(store.forget_user("user-ann").await.unwrap(), 0);
    assert!(store.session("session of user-ann").await.unwrap().is_none());
    assert!(store.session("session of user-bob").await.unwrap().is_some());
    let of = |user| store.user_statistics(user, Period::Day, time(NOW));
    assert_eq!(of("user-ann").await.unwrap().total_classifications, 0);
    assert_eq!(of("user-bob").await.unwrap().total_classifications, 1);
    for table in ["cost_tracking", "model_selection_logs", "generation_outcomes", "user_sessions"] {
        if let Some(count) = subject.count(store.as_ref(), table).await {
            assert_eq!(count, 1, "{table}");
            // What was summed up stays.
            assert_eq!(store.statistics(Period::Day, time(NOW)).await.unwrap(), all);
        }
    }
}

fn session(id: &str, user: &str) -> SessionRow {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    SessionRow {
        session_id: id.to_owned(),
        user_id: user.to_owned(),
        current_working_image: None,
        current_working_video: None,
        metadata: serde_json::json!({ "title": "žluťoučký", "n": [1, 2.5, null] }),
        expires_at: None,
        updated_at: time(now as i64),
    }
}

async fn sessions_are_kept_by_their_owner(subject: &impl Subject) {
    let store = subject.fresh().await;
    assert_eq!(store.session("s").await.unwrap(), None);
    let row = session("s", "ann").with_working_image("https://example.org/a.png");
    assert!(store.put_session(&row).await.unwrap());
    assert_eq!(store.session("s").await.unwrap(), Some(row.clone()));
    // Another user can neither replace it nor delete it.
    assert!(!store.put_session(&session("s", "bob")).await.unwrap());
    assert!(!store.delete_session("s", "bob").await.unwrap());
    assert_eq!(store.session("s").await.unwrap(), Some(row.clone()));
    let row = row.with_working_video("https://example.org/a.mp4");
    assert!(store.put_session(&row).await.unwrap());
    assert_eq!(store.session("s").await.unwrap(), Some(row));
    assert!(store.delete_session("s", "ann").await.unwrap());
    assert!(!store.delete_session("s", "ann").await.unwrap());
    assert_eq!(store.session("s").await.unwrap(), None);
}

async fn a_session_has_one_working_medium(subject: &impl Subject) {
    let store = subject.fresh().await;
    let row = session("s", "ann").with_working_video("v").with_working_image("i");
    assert_eq!(
        (row.current_working_image.as_deref(), row.current_working_video.as_deref()),
        (Some("i"), None)
    );
    let both = SessionRow { current_working_video: Some("v".to_owned()), ..row };
    assert!(store.put_session(&both).await.unwrap_err().is_rejection());
    assert_eq!(store.session("s").await.unwrap(), None);
}

async fn sessions_expire(subject: &impl Subject) {
    let store = subject.fresh().await;
    let now = SystemTime::now();
    let past = SessionRow { expires_at: Some(now - Duration::from_secs(1)), ..session("past", "ann") };
    let future =
        SessionRow { expires_at: Some(now + Duration::from_secs(3_600)), ..session("future", "ann") };
    assert!(store.put_session(&past).await.unwrap());
    assert!(store.put_session(&future).await.unwrap());
    assert_eq!(store.session("past").await.unwrap(), None);
    assert!(store.session("future").await.unwrap().is_some());
    // Nobody owns an expired session.
    assert!(store.put_session(&SessionRow { user_id: "bob".to_owned(), ..past }).await.unwrap());
    assert_eq!(store.maintain(now).await.unwrap().sessions_expired, 1);
    assert!(store.session("future").await.unwrap().is_some());
}

async fn the_schema_is_current(subject: &impl Subject) {
    let store = subject.fresh().await;
    assert!(store.schema().await.unwrap().is_current());
    store.migrate().await.unwrap();
    assert!(store.schema().await.unwrap().is_current());
    let error = "3h".parse::<Period>().unwrap_err();
    assert!(matches!(error, Error::Config(_)));
}
