//! The metrics of a limiter.

use picarcade_ratelimit::{Decision, Demand, Limit, Scope, Subjects, Window, describe_metrics};
use picarcade_testkit::RecordedMetrics;

use crate::setup::{Setup, secs};

#[tokio::test]
async fn every_series_is_described_and_in_the_readme() {
    let limiter = Setup::memory().limiter([Limit::requests(Scope::User, 1, Window::Sliding(secs(60)))]);
    for is_admitted in [true, false] {
        let decision = limiter.acquire(&Subjects::default().user("ada"), Demand::requests(1)).await.unwrap();
        assert_eq!(matches!(decision, Decision::Admitted(_)), is_admitted);
    }
    let metrics = RecordedMetrics::of(|| {
        describe_metrics();
        limiter.statistics().publish_metrics();
    });
    metrics.assert_documented(include_str!("../../README.md"));
    for (series, value) in [
        ("picarcade_limiter_decisions_total{decision=admitted}", 1.0),
        ("picarcade_limiter_decisions_total{decision=denied}", 1.0),
        ("picarcade_limiter_mode{mode=exact}", 1.0),
        ("picarcade_limiter_mode{mode=local}", 0.0),
    ] {
        assert_eq!(metrics.value(series), Some(value), "{series}");
    }
}
