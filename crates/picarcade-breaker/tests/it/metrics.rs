//! The metrics that a recorder receives: transitions as they happen, totals when they are
//! published.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use picarcade_breaker::{Config, Registry};

use crate::support::{breaker, fail, succeed};

/// A recorder of the last value of each metric, by its name and labels.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, f64>>>);

#[derive(Debug)]
struct Cell(Kept, String);

impl Cell {
    fn change(&self, f: impl FnOnce(f64) -> f64) {
        let mut values = self.0.0.lock().unwrap();
        let value = values.entry(self.1.clone()).or_default();
        *value = f(*value);
    }
}

impl CounterFn for Cell {
    fn increment(&self, by: u64) {
        self.change(|value| value + by as f64);
    }

    fn absolute(&self, to: u64) {
        self.change(|_| to as f64);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, by: f64) {
        self.change(|value| value + by);
    }

    fn decrement(&self, by: f64) {
        self.change(|value| value - by);
    }

    fn set(&self, to: f64) {
        self.change(|_| to);
    }
}

impl Kept {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Cell(self.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.0.lock().unwrap().get(&format!("picarcade_breaker_{name}")).copied()
    }
}

impl Recorder for Kept {
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

#[test]
fn transitions_are_counted_and_totals_published() {
    let kept = Kept::default();
    metrics::with_local_recorder(&kept, || {
        let breaker = breaker(Config::default().failure_threshold(2));
        succeed(&breaker);
        fail(&breaker);
        fail(&breaker);
        assert!(breaker.try_acquire().is_err());
        let opened = kept.value("transitions_total{breaker=test,to=open,cause=consecutive_failures}");
        assert_eq!(opened, Some(1.0));
        assert_eq!(
            kept.value("calls_total{breaker=test,outcome=failure}"),
            None,
            "a call pays for no metric"
        );
        for _ in 0..2 {
            breaker.publish_metrics();
            for (outcome, total) in [("success", 1.0), ("failure", 2.0), ("rejected", 1.0), ("neutral", 0.0)]
            {
                assert_eq!(
                    kept.value(&format!("calls_total{{breaker=test,outcome={outcome}}}")),
                    Some(total)
                );
            }
            assert_eq!(kept.value("opened_total{breaker=test}"), Some(1.0));
            assert_eq!(kept.value("state{breaker=test,state=open}"), Some(1.0));
            assert_eq!(kept.value("state{breaker=test,state=closed}"), Some(0.0));
        }
        breaker.reset();
        breaker.publish_metrics();
        assert_eq!(kept.value("state{breaker=test,state=open}"), Some(0.0));
        assert_eq!(kept.value("state{breaker=test,state=closed}"), Some(1.0));
    });
}

#[test]
fn a_registry_publishes_all_of_its_breakers() {
    let kept = Kept::default();
    metrics::with_local_recorder(&kept, || {
        let registry = Registry::new();
        for name in ["anthropic", "openai"] {
            succeed(&registry.breaker(name));
        }
        registry.publish_metrics();
        for name in ["anthropic", "openai"] {
            assert_eq!(kept.value(&format!("calls_total{{breaker={name},outcome=success}}")), Some(1.0));
        }
    });
}
