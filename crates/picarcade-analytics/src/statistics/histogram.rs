//! A mergeable histogram of durations with a bounded relative error.
//!
//! Values are whole microseconds. Values below 64 have a bucket each. Above, every power of two is
//! divided into 32 buckets, so the middle of a bucket is within 1/64 (1.6 %) of any value in it.
//! This is the layout of Gil Tene's HdrHistogram (<https://hdrhistogram.github.io/HdrHistogram/>)
//! in integers only. The bucket of a value is the same in every store and on every machine, and
//! buckets of different minutes can be added.

/// Buckets per power of two, and half of the first value without a bucket of its own.
const DIVISIONS: u64 = 32;
const EXACT: u64 = 2 * DIVISIONS;
/// The longest distinguishable duration: about 19 hours. Longer ones count as this.
const LONGEST: u64 = (1 << 36) - 1;

/// Counts by bucket, up to the last non-empty one. A query adds about ten thousand counts, and
/// indexing a list takes a tenth of the time of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    pub(crate) fn add(&mut self, bucket: u16, count: u64) {
        let at = usize::from(bucket);
        if count > 0 && self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        if let Some(sum) = self.counts.get_mut(at) {
            *sum = sum.saturating_add(count);
        }
    }

    /// Returns the non-empty buckets and their counts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (0..=u16::MAX).zip(self.counts.iter().copied()).filter(|&(_, count)| count > 0)
    }

    /// Returns the value in milliseconds that `share` (0.0 to 1.0) of all values do not exceed, by
    /// the nearest-rank definition; 0 without values.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let total: u64 = self.counts.iter().sum();
        let rank = ((share * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.iter() {
            seen += count;
            if seen >= rank {
                return middle_ms(bucket);
            }
        }
        0.0
    }
}

/// Returns the bucket of a duration in milliseconds. An invalid duration (negative, NaN) counts as
/// zero.
pub(crate) fn bucket_of_ms(ms: f64) -> u16 {
    // A cast saturates and converts NaN to zero.
    bucket_of((ms * 1_000.0).round() as u64)
}

fn bucket_of(micros: u64) -> u16 {
    let micros = micros.min(LONGEST);
    if micros < EXACT {
        return micros as u16;
    }
    // 2^shift values share a bucket; the quotient is in 32..64.
    let shift = u64::from(micros.ilog2()) - 5;
    (EXACT + (shift - 1) * DIVISIONS + (micros >> shift) - DIVISIONS) as u16
}

/// Returns the middle of a bucket in milliseconds.
pub(crate) fn middle_ms(bucket: u16) -> f64 {
    let bucket = u64::from(bucket);
    if bucket < EXACT {
        return bucket as f64 / 1_000.0;
    }
    let (octave, division) = ((bucket - EXACT) / DIVISIONS, (bucket - EXACT) % DIVISIONS);
    let shift = (octave + 1).min(36);
    let low = (DIVISIONS + division) << shift;
    let width = 1_u64 << shift;
    (low as f64 + (width - 1) as f64 / 2.0) / 1_000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut last = 0;
        for micros in 0..1_u64 << 20 {
            let bucket = bucket_of(micros);
            assert!(bucket == last || bucket == last + 1, "{micros}: {last} then {bucket}");
            last = bucket;
        }
        assert_eq!(bucket_of_ms(f64::NAN), 0);
        assert_eq!(bucket_of_ms(-3.0), 0);
        assert_eq!(bucket_of_ms(f64::INFINITY), bucket_of(LONGEST));
    }

    proptest! {
        #[test]
        fn the_middle_is_within_a_sixty_fourth(micros in 0..=LONGEST) {
            let middle = middle_ms(bucket_of(micros)) * 1_000.0;
            prop_assert!((middle - micros as f64).abs() <= micros as f64 / 64.0 + 1e-6, "{micros} became {middle}");
        }

        #[test]
        fn order_is_kept(a in 0..=LONGEST, b in 0..=LONGEST) {
            prop_assert_eq!(a.cmp(&b), bucket_of(a).cmp(&bucket_of(b)).then(a.cmp(&b)));
        }

        #[test]
        fn quantiles_are_those_of_the_sorted_values(
            mut values in proptest::collection::vec(0.0..90_000.0_f64, 1..200),
            share in 0.0..=1.0_f64,
            cut in 0..200_usize,
        ) {
            let cut = cut.min(values.len());
            let (mut left, mut right) = (Histogram::default(), Histogram::default());
            for value in &values[..cut] { left.add(bucket_of_ms(*value), 1); }
            for value in &values[cut..] { right.add(bucket_of_ms(*value), 1); }
            for (bucket, count) in right.iter() { left.add(bucket, count); }
            values.sort_by(f64::total_cmp);
            let rank = ((share * values.len() as f64).ceil() as usize).clamp(1, values.len());
            prop_assert_eq!(bucket_of_ms(left.quantile_ms(share)), bucket_of_ms(values[rank - 1]));
        }
    }
}
