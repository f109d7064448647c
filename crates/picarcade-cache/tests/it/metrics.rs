//! The metrics that a recorder receives.

use std::time::Duration;

use picarcade_cache::{Cache, describe_metrics};
use picarcade_testkit::RecordedMetrics;

use crate::support::{Runs, key};

#[tokio::test(start_paused = true)]
async fn publishing_twice_does_not_add_up() {
    let cache = Cache::<u64>::builder("intent").cost_micros(|_| 20_000).build().unwrap();
    let runs = Runs::default();
    for _ in 0..3 {
        cache.get_or_load(key(1), runs.load(1, Duration::from_secs(2))).await.unwrap();
    }
    let statistics = cache.statistics();
    let metrics = RecordedMetrics::of(|| {
        statistics.publish_metrics();
        statistics.publish_metrics();
    });
    for (name, amount) in [
        ("picarcade_cache_lookups_total{cache=intent,result=l1}", 2.0),
        ("picarcade_cache_lookups_total{cache=intent,result=miss}", 1.0),
        ("picarcade_cache_loads_total{cache=intent}", 1.0),
        ("picarcade_cache_load_errors_total{cache=intent}", 0.0),
        ("picarcade_cache_entries{cache=intent}", 1.0),
        ("picarcade_cache_saved_dollars{cache=intent}", 0.04),
        ("picarcade_cache_load_seconds{cache=intent}", statistics.load_seconds),
    ] {
        assert_eq!(metrics.value(name), Some(amount), "{name}");
    }
    assert!(statistics.load_seconds >= 2.0);
    assert!(metrics.series().iter().all(|name| name.starts_with("picarcade_cache_")));
}

#[test]
fn every_series_is_described_and_in_the_readme() {
    let statistics = Cache::<u64>::builder("intent").build().unwrap().statistics();
    RecordedMetrics::of(|| {
        describe_metrics();
        statistics.publish_metrics();
    })
    .assert_documented(include_str!("../../README.md"));
}

/// Fails for a new count that is not published.
#[tokio::test(start_paused = true)]
async fn every_count_is_published() {
    let statistics = Cache::<u64>::builder("intent").build().unwrap().statistics();
    let published = RecordedMetrics::of(|| statistics.publish_metrics()).series();
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
            (format!("picarcade_cache_{field}_total{{"), format!("picarcade_cache_{field}{{"));
        assert!(
            published.iter().any(|name| name.starts_with(&total) || name.starts_with(&amount)),
            "{field}"
        );
    }
}
