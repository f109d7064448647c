//! Statistics over rows that are rolled up, late or not yet rolled up.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use picarcade_analytics::{Event, Period, Record};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;

use super::model::{HOUR, MINUTE, SECOND, assert_same, naive, observed, rows, start};
use super::subject::{Both, Subject};
use crate::events::{NOW, at, classification, cost, time};

/// A step of a generated history.
#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Record>),
    Maintain,
    /// Writes rows of this age in microseconds. Some come from a clock that is ahead.
    Live(Vec<(i64, Event)>),
    /// Writes every n-th row again, with a new one.
    Again(usize),
    /// Advances the clock by microseconds.
    Pass(i64),
}

/// Generates rows of all ages, in batches, with maintenance and time in between. Each row may be
/// rolled up, late, raw or not yet due.
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

/// Statistics equal those of plain queries over the rows for every generated order of steps.
pub async fn statistics_are_those_of_the_rows(subject: &impl Subject) {
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
        ] {
            assert!((found - raw).abs() < 1e-6, "{found} is not {raw}");
        }
        assert_eq!((found.saved_micros, found.spent_micros), (raw.saved, raw.spent), "{raw:?}");
    }
}

async fn same(store: &dyn Both, written: &[Record], period: Period, at: i64) {
    let found = store.statistics(period, time(at)).await.unwrap();
    assert_same(&found, &naive(written, None, period, at));
}

/// Rows of whole minutes are not read once they are rolled up.
pub async fn statistics_read_no_row_that_is_rolled_up(subject: &impl Subject) {
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

/// The additions of a batch to the current minute are stored with the batch and counted once.
pub async fn rows_since_the_last_roll_up_are_counted_from_parts(subject: &impl Subject) {
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
    // Rows in the middle of a batch must be distinguished, so they are read.
    let middle = closed + 100 * 90_000;
    let cut = naive(&rows, None, Period::Day, middle);
    assert_same(&store.statistics(Period::Day, time(middle)).await.unwrap(), &cut);
    if !subject.erase(closed, NOW).await {
        return;
    }
    assert_same(&store.statistics(Period::Day, time(NOW)).await.unwrap(), &expected);
    // Repeated rows make their minute one that is read from the rows, and no row counts twice.
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

pub async fn late_rows_are_counted(subject: &impl Subject) {
    let store = subject.fresh().await;
    let mut rows: Vec<Record> =
        (0..180).map(|n| at(NOW - n * MINUTE - 1, Event::Classification(classification("u")))).collect();
    store.write(&rows).await.unwrap();
    store.maintain(time(NOW)).await.unwrap();
    // The rows come from a spool, hours later, and belong to an hour that has been rolled up.
    let late: Vec<Record> = (0..40)
        .map(|n| at(NOW - 2 * HOUR - n * 7 * SECOND, Event::Classification(classification("v"))))
        .collect();
    store.write(&late).await.unwrap();
    rows.extend(late);
    let expected = naive(&rows, None, Period::Day, NOW);
    assert_same(&store.statistics(Period::Day, time(NOW)).await.unwrap(), &expected);
    store.maintain(time(NOW)).await.unwrap();
    assert_same(&store.statistics(Period::Day, time(NOW)).await.unwrap(), &expected);
    // The roll-ups stay correct after more time.
    let later = NOW + 3 * HOUR;
    store.maintain(time(later)).await.unwrap();
    let expected = naive(&rows, None, Period::Day, later);
    assert_same(&store.statistics(Period::Day, time(later)).await.unwrap(), &expected);
}

/// Writers, maintenance and readers run at once over quickly passing minutes; rows arrive late and
/// twice. A reader sees at least the rows written before its query and at most the rows begun
/// before its answer.
pub async fn statistics_are_exact_while_rows_arrive_and_minutes_are_rolled_up(subject: &impl Subject) {
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
                // Sometimes a row arrives first alone and then with its batch.
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
