//! A recorder of metrics for tests: the last value and the description of each series.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use parking_lot::Mutex;

/// A recorder of the last value and the description of each series. Clones share what they record.
#[derive(Clone, Debug, Default)]
pub struct RecordedMetrics(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    /// By name and labels.
    values: BTreeMap<String, f64>,
    /// By name.
    help: BTreeMap<String, String>,
}

impl RecordedMetrics {
    /// Returns what `record` records on this thread.
    pub fn of(record: impl FnOnce()) -> Self {
        let recorded = Self::default();
        metrics::with_local_recorder(&recorded, record);
        recorded
    }

    /// Returns the last value of a series, such as `calls_total{breaker=test,outcome=failure}`.
    #[must_use]
    pub fn value(&self, series: &str) -> Option<f64> {
        self.0.lock().values.get(series).copied()
    }

    /// Returns the names and labels of all series that have a value.
    #[must_use]
    pub fn series(&self) -> Vec<String> {
        self.0.lock().values.keys().cloned().collect()
    }

    /// Panics unless every recorded series is described, and `readme` has a table with a row for
    /// each description: the name first, the description last.
    ///
    /// # Panics
    ///
    /// Names the series and what is missing.
    pub fn assert_documented(&self, readme: &str) {
        let recorded = self.0.lock();
        for series in recorded.values.keys() {
            let name = series.split('{').next().unwrap_or(series);
            assert!(recorded.help.contains_key(name), "{name} is not described");
        }
        assert!(!recorded.help.is_empty(), "nothing is described");
        for (name, help) in &recorded.help {
            let (begin, end) = (format!("| `{name}` |"), format!("| {help} |"));
            let is_row = |line: &str| line.starts_with(&begin) && line.ends_with(&end);
            assert!(readme.lines().any(is_row), "the README has no row {begin} … {end}");
        }
    }

    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        Arc::new(Cell { recorded: self.clone(), series: format!("{}{labels}", key.name()) })
    }

    fn describe(&self, name: &KeyName, help: &SharedString) {
        self.0.lock().help.insert(name.as_str().to_owned(), help.to_string());
    }
}

/// One series.
#[derive(Debug)]
struct Cell {
    recorded: RecordedMetrics,
    series: String,
}

impl Cell {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut recorded = self.recorded.0.lock();
        let value = recorded.values.entry(self.series.clone()).or_default();
        *value = change(*value);
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

impl Recorder for RecordedMetrics {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, &help);
    }

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
