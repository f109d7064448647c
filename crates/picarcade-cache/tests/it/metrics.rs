//! The metrics that a recorder receives.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use picarcade_cache::Cache;

use crate::support::{Runs, key};

#[derive(Default)]
struct Board(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Board {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::clone(self.0.lock().unwrap().entry(format!("{}{labels:?}", key.name())).or_default())
    }

    fn value(&self, name: &str) -> u64 {
        self.0.lock().unwrap()[name].load(Ordering::SeqCst)
    }
}

impl Recorder for Board {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test(start_paused = true)]
async fn publishing_twice_does_not_add_up() {
    let cache = Cache::<u64>::builder("intent").cost_per_load_micros(20_000).build().unwrap();
    let runs = Runs::default();
    for _ in 0..3 {
        cache.get_or_load(key(1), runs.load(1, Duration::from_secs(2))).await.unwrap();
    }
    let statistics = cache.statistics();
    let board = Board::default();
    metrics::with_local_recorder(&board, || {
        statistics.publish_metrics();
        statistics.publish_metrics();
    });
    for (name, count) in [
        (r#"picarcade_cache_lookups_total["cache=intent", "result=l1"]"#, 2),
        (r#"picarcade_cache_lookups_total["cache=intent", "result=miss"]"#, 1),
        (r#"picarcade_cache_loads_total["cache=intent"]"#, 1),
        (r#"picarcade_cache_load_errors_total["cache=intent"]"#, 0),
    ] {
        assert_eq!(board.value(name), count, "{name}");
    }
    for (name, amount) in [
        (r#"picarcade_cache_entries["cache=intent"]"#, 1.0),
        (r#"picarcade_cache_saved_dollars["cache=intent"]"#, 0.04),
        (r#"picarcade_cache_load_seconds["cache=intent"]"#, statistics.load_seconds),
    ] {
        assert_eq!(board.value(name), f64::to_bits(amount), "{name}");
    }
    assert!(statistics.load_seconds >= 2.0);
    assert!(board.0.lock().unwrap().keys().all(|name| name.starts_with("picarcade_cache_")));
}

/// Fails for a new count that is not published.
#[tokio::test(start_paused = true)]
async fn every_count_is_published() {
    let statistics = Cache::<u64>::builder("intent").build().unwrap().statistics();
    let board = Board::default();
    metrics::with_local_recorder(&board, || statistics.publish_metrics());
    let published: Vec<String> = board.0.lock().unwrap().keys().cloned().collect();
    let serde_json::Value::Object(fields) = serde_json::to_value(&statistics).unwrap() else { panic!() };
    // The name is the label, the hit rate follows from the lookups, and the others have different
    // names.
    let elsewhere = [
        "name",
        "hit_rate",
        "hits_l1",
        "hits_l2",
        "stale",
        "misses",
        "bypasses",
        "in_flight",
        "saved_micros",
    ];
    for field in fields.keys().filter(|field| !elsewhere.contains(&field.as_str())) {
        let (total, amount) =
            (format!("picarcade_cache_{field}_total["), format!("picarcade_cache_{field}["));
        assert!(
            published.iter().any(|name| name.starts_with(&total) || name.starts_with(&amount)),
            "{field}"
        );
    }
}
