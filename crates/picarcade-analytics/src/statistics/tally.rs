//! The sum of many classifications and expenses, as a roll-up stores it: everything that statistics
//! need, and nothing about a user.
//!
//! A tally is a commutative monoid: tallies of disjoint sets of rows merge to the tally of their
//! union. A query therefore adds a few hundred stored tallies and a few raw rows instead of reading
//! ten million.
//!
//! The stored form is one version byte, then numbers and words as [`packed`] writes them. The
//! histogram of a busy minute has hundreds of buckets, and a query adds about eighty tallies. As
//! JSON they would take most of the time of a query and be too long for inline storage in
//! PostgreSQL. An unknown version is an error.

use std::collections::BTreeMap;

use super::histogram::{Histogram, bucket_of_ms};
use super::packed::{self, Reader};
use super::statistics::{Period, Statistics};
use crate::timestamp::rfc3339;
use crate::{ClassificationEvent, Error};

/// A group of classifications with the same type, source, model and duration bucket, as a `GROUP
/// BY` returns it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClassificationGroup {
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

/// The version byte of the stored form.
const PACKED: u8 = 2;

impl Tally {
    /// Adds the groups of rows that a query returned.
    pub(crate) fn add(&mut self, group: &ClassificationGroup) {
        self.rows += group.rows;
        self.confidence += group.confidence;
        self.processing_ms += group.processing_ms;
        self.fallbacks += group.fallbacks;
        self.cache_hits += group.cache_hits;
        self.rate_limited += group.rate_limited;
        self.saved_micros += group.saved_micros;
        count(&mut self.by_type, &group.workflow, group.rows);
        count(&mut self.by_source, &group.source, group.rows);
        count(&mut self.by_model, &group.model, group.rows);
        self.durations.add(group.bucket, group.rows);
    }

    /// Adds one row.
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

    /// Returns the micro-dollars spent.
    pub(crate) const fn spent(&self) -> u64 {
        self.spent_micros
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
            spent_micros: self.spent_micros,
            saved_micros: self.saved_micros,
            period: period.as_str().to_owned(),
            generated_at: rfc3339(now),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![PACKED];
        for sum in [
            self.rows,
            self.fallbacks,
            self.cache_hits,
            self.rate_limited,
            self.spent_micros,
            self.saved_micros,
        ] {
            packed::number(&mut bytes, sum);
        }
        packed::float(&mut bytes, self.confidence);
        packed::float(&mut bytes, self.processing_ms);
        for counts in [&self.by_type, &self.by_source, &self.by_model] {
            packed::number(&mut bytes, counts.len() as u64);
            for (key, count) in counts {
                packed::word(&mut bytes, key);
                packed::number(&mut bytes, *count);
            }
        }
        let mut last = 0;
        for (bucket, count) in self.durations.iter() {
            packed::number(&mut bytes, u64::from(bucket - last));
            packed::number(&mut bytes, count);
            last = bucket;
        }
        bytes
    }

    /// Adds an [encoded](Self::encode) tally. If that fails, the sums are invalid.
    pub(crate) fn merge_encoded(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match bytes.split_first() {
            Some((&PACKED, packed)) => self.merge_packed(Reader::new(packed)),
            _ => None,
        }
        .ok_or(Error::Corrupt { what: "roll-up" })
    }

    fn merge_packed(&mut self, mut from: Reader<'_>) -> Option<()> {
        for sum in [
            &mut self.rows,
            &mut self.fallbacks,
            &mut self.cache_hits,
            &mut self.rate_limited,
            &mut self.spent_micros,
            &mut self.saved_micros,
        ] {
            *sum = sum.checked_add(from.number()?)?;
        }
        self.confidence += from.float()?;
        self.processing_ms += from.float()?;
        for counts in [&mut self.by_type, &mut self.by_source, &mut self.by_model] {
            for _ in 0..from.number()? {
                let key = from.word()?;
                count(counts, key, from.number()?);
            }
        }
        let mut bucket = 0_u16;
        while !from.is_empty() {
            bucket = bucket.checked_add(u16::try_from(from.number()?).ok()?)?;
            self.durations.add(bucket, from.number()?);
        }
        Some(())
    }
}

/// A limited request was not classified and has no type, source or model to count.
fn count(into: &mut BTreeMap<String, u64>, key: &str, rows: u64) {
    match into.get_mut(key) {
        Some(sum) => *sum = sum.saturating_add(rows),
        None if key.is_empty() => {}
        None => drop(into.insert(key.to_owned(), rows)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group() -> impl Strategy<Value = ClassificationGroup> {
        let word = |words: &'static [&'static str]| proptest::sample::select(words).prop_map(str::to_owned);
        (
            (word(&["NEW_IMAGE", "EDIT_IMAGE", "NEW_VIDEO"]), word(&["llm", "rules"]), word(&["a", "b"])),
            (0..900_u16, 1..50_u64, 0..50_u64, 0..50_u64, 0..50_u64),
            // Eighths add without rounding, so the order of additions does not matter.
            (0..400_u32, 0..8_000_u32, 0..90_000_u64),
        )
            .prop_map(
                |((workflow, source, model), (bucket, rows, a, b, c), (confidence, ms, saved))| {
                    ClassificationGroup {
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
                    }
                },
            )
    }

    fn sum<'a>(groups: impl IntoIterator<Item = &'a ClassificationGroup>) -> Tally {
        let mut tally = Tally::default();
        for group in groups {
            tally.add(group);
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
            merged.merge_encoded(&sum(&groups[..cut]).encode()).unwrap();
            prop_assert_eq!(merged, sum(&groups));
        }

        #[test]
        fn any_bytes_are_a_tally_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(version) = bytes.first_mut() {
                *version = PACKED;
            }
            let _ = Tally::default().merge_encoded(&bytes);
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
        for bytes in [&b""[..], b"\x01", b"\x02{}", b"\x01{\"n\":1}", b"\x03"] {
            assert!(matches!(Tally::default().merge_encoded(bytes), Err(Error::Corrupt { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn a_full_histogram_is_short() {
        let mut tally = Tally::default();
        for bucket in 200..600 {
            tally.durations.add(bucket, 18);
        }
        // PostgreSQL keeps rows of at most 2 kB inline.
        assert!(tally.encode().len() < 900, "{}", tally.encode().len());
    }
}
