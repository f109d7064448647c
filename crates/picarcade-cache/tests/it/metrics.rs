//! What a recorder sees.

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
async fn counts_are_published_as_they_stand() {
    let cache = Cache::<u64>::builder("intent").build().unwrap();
    let runs = Runs::default();
    for _ in 0..3 {
        cache.get_or_load(key(1), runs.load(1, Duration::ZERO)).await.unwrap();
    }
    let board = Board::default();
    metrics::with_local_recorder(&board, || {
        cache.statistics().publish();
        cache.statistics().publish();
    });
    assert_eq!(board.value(r#"picarcade_cache_lookups_total["cache=intent", "outcome=l1"]"#), 2);
    assert_eq!(board.value(r#"picarcade_cache_lookups_total["cache=intent", "outcome=miss"]"#), 1);
    assert_eq!(board.value(r#"picarcade_cache_loads_total["cache=intent"]"#), 1);
    assert_eq!(board.value(r#"picarcade_cache_entries["cache=intent"]"#), 1.0_f64.to_bits());
    assert!(board.0.lock().unwrap().keys().all(|name| name.starts_with("picarcade_cache_")));
}
