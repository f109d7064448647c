//! The sum of many classifications and expenses, as a roll-up keeps it: whatever statistics need, and nothing about a user.
//!
//! A tally is a commutative monoid: tallies of disjoint sets of rows merge to the tally of their union. That is what lets
//! a query add a few hundred stored tallies and a handful of raw rows instead of reading ten million.
//!
//! Stored form: one version byte and JSON. A minute's tally is a few hundred bytes; a reader that meets an unknown version
//! says so instead of guessing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::histogram::{Histogram, bucket_of_ms};
use crate::statistics::{Period, Statistics};
use crate::timestamp::rfc3339;
use crate::{ClassificationEvent, timestamp};

/// A group of classifications that share type, source, model and duration bucket, as a `GROUP BY` returns it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) workflow: String,
    pub(crate) source: String,
    pub(crate) model: String,
    pub(crate) bucket: u16,
    pub(crate) rows: u64,
    pub(crate) confidence: f64,
    pub(crate) processing_ms: f64,
    pub(crate) fallbacks: u64,
    pub(crate) cache_hits: u64,
    pub(crate) rate_limited: u64,
    pub(crate) saved_micros: u64,
}

impl From<&ClassificationEvent> for Group {
    fn from(event: &ClassificationEvent) -> Self {
        Self {
            workflow: event.classified_workflow.to_string(),
            source: event.source.to_string(),
            model: event.model.to_string(),
            bucket: bucket_of_ms(event.processing_time_ms),
            rows: 1,
            confidence: event.confidence,
            processing_ms: event.processing_time_ms,
            fallbacks: event.used_fallback.into(),
            cache_hits: event.cache_hit.into(),
            rate_limited: event.rate_limited.into(),
            saved_micros: event.saved_micros,
        }
    }
}

/// Sums over classifications, and the money spent in the same time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tally {
    rows: u64,
    confidence: f64,
    processing_ms: f64,
    fallbacks: u64,
    cache_hits: u64,
    rate_limited: u64,
    spent_micros: u64,
    saved_micros: u64,
    by_type: BTreeMap<String, u64>,
    by_source: BTreeMap<String, u64>,
    by_model: BTreeMap<String, u64>,
    durations: Histogram,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Stored {
    n: u64,
    conf: f64,
    ms: f64,
    fb: u64,
    hit: u64,
    rl: u64,
    cost: u64,
    saved: u64,
    t: BTreeMap<String, u64>,
    s: BTreeMap<String, u64>,
    m: BTreeMap<String, u64>,
    h: Vec<(u16, u64)>,
}

const VERSION: u8 = 1;

impl Tally {
    pub(crate) fn add(&mut self, group: Group) {
        self.rows += group.rows;
        self.confidence += group.confidence;
        self.processing_ms += group.processing_ms;
        self.fallbacks += group.fallbacks;
        self.cache_hits += group.cache_hits;
        self.rate_limited += group.rate_limited;
        self.saved_micros += group.saved_micros;
        count(&mut self.by_type, group.workflow, group.rows);
        count(&mut self.by_source, group.source, group.rows);
        count(&mut self.by_model, group.model, group.rows);
        self.durations.add(group.bucket, group.rows);
    }

    /// Money that `cost_tracking` says was spent.
    pub(crate) const fn spend(&mut self, micros: u64) {
        self.spent_micros += micros;
    }

    /// Micro-dollars spent.
    pub(crate) const fn spent(&self) -> u64 {
        self.spent_micros
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.confidence += other.confidence;
        self.processing_ms += other.processing_ms;
        self.fallbacks += other.fallbacks;
        self.cache_hits += other.cache_hits;
        self.rate_limited += other.rate_limited;
        self.spent_micros += other.spent_micros;
        self.saved_micros += other.saved_micros;
        merge_counts(&mut self.by_type, &other.by_type);
        merge_counts(&mut self.by_source, &other.by_source);
        merge_counts(&mut self.by_model, &other.by_model);
        self.durations.merge(&other.durations);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rows == 0 && self.spent_micros == 0
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
            cost_spent: dollars(self.spent_micros),
            cost_saved: dollars(self.saved_micros),
            period: period.as_str().to_owned(),
            generated_at: rfc3339(now),
        }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![VERSION];
        let stored = Stored {
            n: self.rows,
            conf: self.confidence,
            ms: self.processing_ms,
            fb: self.fallbacks,
            hit: self.cache_hits,
            rl: self.rate_limited,
            cost: self.spent_micros,
            saved: self.saved_micros,
            t: self.by_type.clone(),
            s: self.by_source.clone(),
            m: self.by_model.clone(),
            h: self.durations.iter().collect(),
        };
        serde_json::to_writer(&mut bytes, &stored).map_err(|_| Error::Corrupt { what: "roll-up" })?;
        Ok(bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let corrupt = Error::Corrupt { what: "roll-up" };
        let Some((&VERSION, json)) = bytes.split_first() else { return Err(corrupt) };
        let stored: Stored = serde_json::from_slice(json).map_err(|_| corrupt)?;
        let mut durations = Histogram::default();
        for (bucket, count) in stored.h {
            durations.add(bucket, count);
        }
        Ok(Self {
            rows: stored.n,
            confidence: stored.conf,
            processing_ms: stored.ms,
            fallbacks: stored.fb,
            cache_hits: stored.hit,
            rate_limited: stored.rl,
            spent_micros: stored.cost,
            saved_micros: stored.saved,
            by_type: stored.t,
            by_source: stored.s,
            by_model: stored.m,
            durations,
        })
    }
}

/// A limited request was not classified: it has no type, source or model to count.
fn count(into: &mut BTreeMap<String, u64>, key: String, rows: u64) {
    if !key.is_empty() {
        *into.entry(key).or_default() += rows;
    }
}

fn merge_counts(into: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>) {
    for (key, count) in from {
        match into.get_mut(key) {
            Some(sum) => *sum += count,
            None => {
                into.insert(key.clone(), *count);
            }
        }
    }
}

/// Micro-dollars as dollars: only for what people and JSON read.
pub(crate) fn dollars(micros: u64) -> f64 {
    micros as f64 / timestamp::SECOND as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group() -> impl Strategy<Value = Group> {
        let word = |words: &'static [&'static str]| proptest::sample::select(words).prop_map(str::to_owned);
        (
            (word(&["NEW_IMAGE", "EDIT_IMAGE", "NEW_VIDEO"]), word(&["llm", "rules"]), word(&["a", "b"])),
            (0..900_u16, 1..50_u64, 0..50_u64, 0..50_u64, 0..50_u64),
            // Eighths add without rounding, so that the order of additions cannot show.
            (0..400_u32, 0..8_000_u32, 0..90_000_u64),
        )
            .prop_map(
                |((workflow, source, model), (bucket, rows, a, b, c), (confidence, ms, saved))| Group {
                    workflow,
                    source,
                    model,
                    bucket,
                    rows,
                    confidence: f64::from(confidence) / 8.0,
                    processing_ms: f64::from(ms) / 8.0,
                    fallbacks: a.min(rows),
                    cache_hits: b.min(rows),
                    rate_limited: c.min(rows),
                    saved_micros: saved,
                },
            )
    }

    fn sum<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Tally {
        let mut tally = Tally::default();
        for group in groups {
            tally.add(group.clone());
            tally.spend(group.rows);
        }
        tally
    }

    proptest! {
        #[test]
        fn parts_merge_to_the_whole_and_survive_storage(
            groups in proptest::collection::vec(group(), 0..40), cut in 0..40_usize,
        ) {
            let cut = cut.min(groups.len());
            let mut merged = sum(&groups[cut..]);
            merged.merge(&Tally::decode(&sum(&groups[..cut]).encode().unwrap()).unwrap());
            prop_assert_eq!(merged, sum(&groups));
        }
    }

    #[test]
    fn an_empty_tally_is_all_zeros() {
        let statistics = Tally::default().statistics(Period::Day, 0);
        assert_eq!(statistics.total_classifications, 0);
        assert!(statistics.avg_confidence.abs() < f64::EPSILON && statistics.p99_ms.abs() < f64::EPSILON);
        assert_eq!(statistics.period, "24h");
    }

    #[test]
    fn foreign_bytes_are_an_error() {
        for bytes in [&b""[..], b"\x01", b"\x02{}", b"\x01{\"n\":1}"] {
            assert!(matches!(Tally::decode(bytes), Err(Error::Corrupt { .. })));
        }
    }
}
