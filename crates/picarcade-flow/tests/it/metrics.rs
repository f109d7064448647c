//! The metrics of the flow and of its parts.

use picarcade_flow::describe_metrics;
use picarcade_testkit::RecordedMetrics;

use crate::fixture;

/// The READMEs of the flow and of the crates whose series it publishes.
const READMES: [&str; 5] = [
    include_str!("../../README.md"),
    include_str!("../../../picarcade-analytics/README.md"),
    include_str!("../../../picarcade-breaker/README.md"),
    include_str!("../../../picarcade-cache/README.md"),
    include_str!("../../../picarcade-ratelimit/README.md"),
];

#[tokio::test]
async fn every_series_is_described_and_in_a_readme() {
    let fixture = fixture::local().await;
    let metrics = RecordedMetrics::of(|| {
        describe_metrics();
        fixture.flow.publish_metrics();
    });
    metrics.assert_documented(&READMES.concat());
    for (series, value) in [
        ("picarcade_component_status{component=flow}", 0.0),
        ("picarcade_classifications_in_flight", 0.0),
        ("picarcade_cache_entries{cache=intent}", 0.0),
        ("picarcade_limiter_mode{mode=exact}", 1.0),
        ("picarcade_analytics_queued_rows", 0.0),
    ] {
        assert_eq!(metrics.value(series), Some(value), "{series}");
    }
}
