//! The metrics that a recorder receives: transitions as they happen, totals when they are
//! published.

use picarcade_breaker::{Config, Registry, describe_metrics};
use picarcade_testkit::RecordedMetrics;

use crate::support::{breaker, fail, succeed};

fn value(metrics: &RecordedMetrics, name: &str) -> Option<f64> {
    metrics.value(&format!("picarcade_breaker_{name}"))
}

#[test]
fn transitions_are_counted_and_totals_published() {
    let kept = RecordedMetrics::default();
    metrics::with_local_recorder(&kept, || {
        let breaker = breaker(Config::default().failure_threshold(2));
        succeed(&breaker);
        fail(&breaker);
        fail(&breaker);
        assert!(breaker.try_acquire().is_err());
        let opened = value(&kept, "transitions_total{breaker=test,to=open,cause=consecutive_failures}");
        assert_eq!(opened, Some(1.0));
        assert_eq!(
            value(&kept, "calls_total{breaker=test,outcome=failure}"),
            None,
            "a call pays for no metric"
        );
        for _ in 0..2 {
            breaker.publish_metrics();
            for (outcome, total) in [("success", 1.0), ("failure", 2.0), ("rejected", 1.0), ("neutral", 0.0)]
            {
                assert_eq!(
                    value(&kept, &format!("calls_total{{breaker=test,outcome={outcome}}}")),
                    Some(total)
                );
            }
            assert_eq!(value(&kept, "opened_total{breaker=test}"), Some(1.0));
            assert_eq!(value(&kept, "state{breaker=test,state=open}"), Some(1.0));
            assert_eq!(value(&kept, "state{breaker=test,state=closed}"), Some(0.0));
        }
        breaker.reset();
        breaker.publish_metrics();
        assert_eq!(value(&kept, "state{breaker=test,state=open}"), Some(0.0));
        assert_eq!(value(&kept, "state{breaker=test,state=closed}"), Some(1.0));
    });
}

#[test]
fn a_registry_publishes_all_of_its_breakers() {
    let kept = RecordedMetrics::default();
    metrics::with_local_recorder(&kept, || {
        let registry = Registry::new();
        for name in ["anthropic", "openai"] {
            succeed(&registry.breaker(name));
        }
        registry.publish_metrics();
        for name in ["anthropic", "openai"] {
            assert_eq!(value(&kept, &format!("calls_total{{breaker={name},outcome=success}}")), Some(1.0));
        }
    });
}

#[test]
fn every_series_is_described_and_in_the_readme() {
    RecordedMetrics::of(|| {
        describe_metrics();
        let breaker = breaker(Config::default().failure_threshold(1));
        fail(&breaker);
        breaker.publish_metrics();
    })
    .assert_documented(include_str!("../../README.md"));
}
