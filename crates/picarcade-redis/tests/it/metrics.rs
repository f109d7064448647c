//! The metrics of a handle.

use picarcade_redis::{Config, RedisHandle, describe_metrics};
use picarcade_testkit::RecordedMetrics;

#[tokio::test]
async fn every_series_is_described_and_in_the_readme() {
    // Nothing listens there, and the handle starts anyway.
    let handle = RedisHandle::connect(Config::new("redis://127.0.0.1:1")).unwrap();
    let metrics = RecordedMetrics::of(|| {
        describe_metrics();
        handle.status().publish_metrics();
    });
    metrics.assert_documented(include_str!("../../README.md"));
    for series in ["picarcade_redis_connected", "picarcade_redis_endpoint{endpoint=primary}"] {
        assert_eq!(metrics.value(series), Some(0.0), "{series}");
    }
}
