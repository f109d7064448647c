//! The metrics of a recorder.

use std::sync::Arc;

use picarcade_analytics::{Config, MemoryStore, Recorder, describe_metrics};
use picarcade_testkit::RecordedMetrics;

use crate::events;

#[tokio::test]
async fn every_series_is_described_and_in_the_readme() {
    let recorder = Recorder::start(Arc::new(MemoryStore::new()), Config::default());
    recorder.shutdown(std::time::Duration::from_secs(60)).await;
    // A closed recorder without a spool drops events.
    recorder.record(events::performance(1.0));
    let metrics = RecordedMetrics::of(|| {
        describe_metrics();
        recorder.publish_metrics();
    });
    metrics.assert_documented(include_str!("../../README.md"));
    let dropped = "picarcade_analytics_dropped_total{table=system_performance_logs,reason=closed}";
    assert_eq!(
        (metrics.value(dropped), metrics.value("picarcade_analytics_accepted_total")),
        (Some(1.0), Some(1.0))
    );
}
