//! The sum of many classifications and expenses: everything that statistics need, and nothing about
//! a user.
//!
//! A tally is a commutative monoid: tallies of disjoint sets of rows merge to the tally of their
//! union. A query therefore adds a few hundred stored tallies and a few raw rows instead of reading
//! ten million.

use std::collections::BTreeMap;

use super::histogram::{Histogram, bucket_of_ms};
use super::statistics::{Period, Statistics};
use crate::ClassificationEvent;
use crate::timestamp::rfc3339;

/// Sums over classifications, and the money spent in the same time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tally {
    pub(super) rows: u64,
    pub(super) confidence: f64,
    pub(super) processing_ms: f64,
    pub(super) fallbacks: u64,
    pub(super) cache_hits: u64,
    pub(super) rate_limited: u64,
    pub(super) spent_micros: u64,
    pub(super) saved_micros: u64,
    pub(super) by_type: BTreeMap<String, u64>,
    pub(super) by_source: BTreeMap<String, u64>,
    pub(super) by_model: BTreeMap<String, u64>,
    pub(super) durations: Histogram,
}

impl Tally {
    pub(crate) fn observe(&mut self, event: &ClassificationEvent) {
        self.rows += 1;
        self.confidence += event.confidence;
        self.processing_ms += event.processing_time_ms;
        self.fallbacks += u64::from(event.used_fallback);
        self.cache_hits += u64::from(event.cache_hit);
        self.rate_limited += u64::from(event.rate_limited);
        self.saved_micros = self.saved_micros.saturating_add(event.saved_micros);
        count(&mut self.by_type, &event.classified_workflow, 1);
        count(&mut self.by_source, &event.source, 1);
        count(&mut self.by_model, &event.model, 1);
        self.durations.add(bucket_of_ms(event.processing_time_ms), 1);
    }

    /// Adds money spent according to `cost_tracking`.
    pub(crate) const fn spend(&mut self, micros: u64) {
        self.spent_micros += micros;
    }

    pub(crate) const fn spent(&self) -> u64 {
        self.spent_micros
    }

    pub(crate) fn statistics(self, period: Period, now: i64) -> Statistics {
        let rows = self.rows.max(1) as f64;
        let percent = |part: u64| part as f64 * 100.0 / rows;
        Statistics {
            total_classifications: self.rows,
            avg_confidence: self.confidence / rows,
            avg_processing_time_ms: self.processing_ms / rows,
            p50_ms: self.durations.quantile_ms(0.50),
            p95_ms: self.durations.quantile_ms(0.95),
            p99_ms: self.durations.quantile_ms(0.99),
            fallback_rate: percent(self.fallbacks),
            cache_hit_rate: percent(self.cache_hits),
            rate_limited_rate: percent(self.rate_limited),
            by_type: self.by_type,
            by_source: self.by_source,
            by_model: self.by_model,
            spent_micros: self.spent_micros,
            saved_micros: self.saved_micros,
            period: period.as_str().to_owned(),
            generated_at: rfc3339(now),
        }
    }
}

/// A limited request was not classified and has no type, source or model to count.
pub(super) fn count(into: &mut BTreeMap<String, u64>, key: &str, rows: u64) {
    match into.get_mut(key) {
        Some(sum) => *sum = sum.saturating_add(rows),
        None if key.is_empty() => {}
        None => drop(into.insert(key.to_owned(), rows)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_tally_is_all_zeros() {
        let statistics = Tally::default().statistics(Period::Day, 0);
        assert_eq!(statistics.total_classifications, 0);
        assert!(statistics.avg_confidence.abs() < f64::EPSILON && statistics.p99_ms.abs() < f64::EPSILON);
        assert_eq!(statistics.period, "24h");
    }
}
