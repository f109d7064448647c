//! Selects the stored tallies and raw rows that cover a range of time. Pure.
//!
//! Everything below the watermark is rolled up by minute, and its whole hours by hour, except
//! minutes that received late rows. From the watermark on, there are the parts that batches added
//! to a minute. A range is therefore divided into at most: raw rows to the first whole minute,
//! minutes to the first whole hour, hours, minutes again, and live minutes from the watermark on.
//! Late minutes are read from the rows, and their hours by minute. The cost depends on the length
//! of the range and on the distance of the watermark, but not on the number of rows.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::timestamp::{HOUR, MINUTE, floor};

/// Disjoint ranges of time, in microseconds, that cover a range exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReadPlan {
    /// Read from hourly tallies; the bounds are whole hours.
    pub(crate) hours: Vec<Range<i64>>,
    /// Read from minute tallies; the bounds are whole minutes.
    pub(crate) minutes: Vec<Range<i64>>,
    /// Read from the parts of batches; begins with a whole minute and ends with one, or at the end
    /// of the range.
    pub(crate) live: Vec<Range<i64>>,
    /// Read from the rows.
    pub(crate) raw: Vec<Range<i64>>,
}

impl ReadPlan {
    /// Covers `from..until`. `watermark` is `None` before the first roll-up. The `late` minutes are
    /// whole minutes.
    pub(crate) fn new(from: i64, until: i64, watermark: Option<i64>, late: &BTreeSet<i64>) -> Self {
        let mut plan = Self::default();
        let first = ceil(from, MINUTE);
        let (Some(watermark), true) = (watermark, first < until) else {
            extend(&mut plan.raw, from..until);
            return plan;
        };
        extend(&mut plan.raw, from..first);
        let last = floor(until, MINUTE).min(watermark);
        let mut at = first;
        while at < last {
            let hour = floor(at, HOUR);
            let end = (hour + HOUR).min(last);
            let whole = at == hour && end == hour + HOUR;
            if late.range(at..end).next().is_none() {
                let ranges = if whole { &mut plan.hours } else { &mut plan.minutes };
                extend(ranges, at..end);
            } else {
                for minute in (at..end).step_by(MINUTE as usize) {
                    let ranges = if late.contains(&minute) { &mut plan.raw } else { &mut plan.minutes };
                    extend(ranges, minute..minute + MINUTE);
                }
            }
            at = end;
        }
        if watermark > until {
            // Parts of rolled-up minutes are deleted.
            extend(&mut plan.raw, at..until);
            return plan;
        }
        for &minute in late.range(at..until) {
            extend(&mut plan.live, at..minute);
            at = until.min(minute + MINUTE);
            extend(&mut plan.raw, minute..at);
        }
        extend(&mut plan.live, at..until);
        plan
    }

    /// Money is read from rows, because there are no parts for it.
    pub(crate) fn unsummed(&self) -> Vec<Range<i64>> {
        self.raw.iter().chain(&self.live).cloned().collect()
    }
}

/// Adds a range and joins it to the last one if they touch.
fn extend(ranges: &mut Vec<Range<i64>>, range: Range<i64>) {
    if range.is_empty() {
        return;
    }
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

const fn ceil(at: i64, unit: i64) -> i64 {
    floor(at + unit - 1, unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn covers_the_stretch_once_and_trusts_only_what_is_rolled_up(
            from in 0..10 * HOUR, length in 0..10 * HOUR, watermark in 0..1_300_i64,
            late in proptest::collection::btree_set(0..1_300_i64, 0..12),
        ) {
            let until = from + length;
            let watermark = watermark * MINUTE;
            let late: BTreeSet<i64> = late.into_iter().map(|minute| minute * MINUTE).collect();
            let plan = ReadPlan::new(from, until, Some(watermark), &late);

            let mut all: Vec<_> =
                plan.hours.iter().chain(&plan.minutes).chain(&plan.live).chain(&plan.raw).cloned().collect();
            all.sort_by_key(|range| range.start);
            let mut at = from;
            for range in &all {
                prop_assert_eq!(range.start, at);
                prop_assert!(range.end > at);
                at = range.end;
            }
            prop_assert_eq!(at, until);

            for (ranges, unit) in [(&plan.hours, HOUR), (&plan.minutes, MINUTE)] {
                for range in ranges {
                    prop_assert!(range.start % unit == 0 && range.end % unit == 0);
                    prop_assert!(range.end <= watermark);
                    prop_assert!(late.range(range.clone()).next().is_none());
                }
            }
            for range in &plan.live {
                prop_assert!(range.start >= watermark && range.start % MINUTE == 0);
                prop_assert!(range.end % MINUTE == 0 || range.end == until);
                prop_assert!(late.range(range.clone()).next().is_none());
            }
            // Raw rows are read only at the ends and for late minutes.
            for range in &plan.raw {
                for minute in (ceil(range.start, MINUTE)..floor(range.end, MINUTE)).step_by(MINUTE as usize) {
                    prop_assert!(late.contains(&minute));
                }
            }
        }
    }

    #[test]
    fn a_day_is_mostly_hours() {
        let now = 100 * 24 * HOUR + 7 * MINUTE + 13;
        let plan =
            ReadPlan::new(floor(now, MINUTE) - 24 * HOUR, now, Some(floor(now, MINUTE)), &BTreeSet::new());
        assert_eq!(plan.hours.iter().map(|range| (range.end - range.start) / HOUR).sum::<i64>(), 23);
        assert_eq!((plan.hours.len(), plan.minutes.len(), plan.live.len(), plan.raw.len()), (1, 2, 1, 0));
    }

    #[test]
    fn nothing_is_trusted_before_the_first_roll_up() {
        let plan = ReadPlan::new(0, 10 * HOUR, None, &BTreeSet::new());
        assert_eq!((plan.raw.first(), plan.raw.len(), plan.live.len()), (Some(&(0..10 * HOUR)), 1, 0));
        assert_eq!(ReadPlan::new(7, 7, Some(0), &BTreeSet::new()), ReadPlan::default());
    }
}
