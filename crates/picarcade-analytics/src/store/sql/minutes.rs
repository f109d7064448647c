//! Tallies by minute: those that maintenance computes from rows, and the parts of batches until
//! then.
//!
//! A batch is written together with what its classifications add to their minutes. Statistics
//! therefore need not read the rows since the last roll-up, of which a busy minute has thousands. A
//! part counts exactly the rows that were inserted with it. A batch with existing rows writes no
//! part and marks its minutes as late. Parts exist only above the watermark: when it has passed,
//! the minute has been summed from the rows, and its parts are deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::statistics::{ClassificationGroup, Tally};
use crate::store::sql::plan::ReadPlan;
use crate::timestamp::{MINUTE, minute_of};
use crate::{ClassificationEvent, Error};

#[derive(Debug, Default)]
pub(crate) struct Minutes(BTreeMap<i64, Tally>);

impl Minutes {
    /// Adds classifications to the minute that contains `at`.
    pub(crate) fn add(&mut self, at: i64, group: &ClassificationGroup) {
        self.0.entry(minute_of(at)).or_default().add(group);
    }

    /// Adds money to the minute that contains `at`.
    pub(crate) fn spend(&mut self, at: i64, micros: u64) {
        self.0.entry(minute_of(at)).or_default().spend(micros);
    }

    /// Returns each non-empty minute, encoded.
    pub(crate) fn encoded(&self) -> impl Iterator<Item = (i64, Vec<u8>)> {
        self.0.iter().filter(|(_, tally)| !tally.is_empty()).map(|(&minute, tally)| (minute, tally.encode()))
    }
}

/// What the classifications of a batch add to their minutes.
#[derive(Debug, Default)]
pub(crate) struct Parts(BTreeMap<i64, Part>);

#[derive(Debug, Default)]
struct Part {
    last: i64,
    tally: Tally,
}

impl Parts {
    /// Adds a row created `at`.
    pub(crate) fn observe(&mut self, at: i64, event: &ClassificationEvent) {
        let part = self.0.entry(minute_of(at)).or_default();
        part.last = part.last.max(at);
        part.tally.observe(event);
    }

    /// Returns, per minute: the minute, when its last row was created, and the encoded tally.
    pub(crate) fn encoded(&self) -> impl Iterator<Item = (i64, i64, Vec<u8>)> {
        self.0.iter().map(|(&minute, part)| (minute, part.last, part.tally.encode()))
    }
}

/// Adds parts to `tally` and returns the ranges to read from the rows instead. Those are the
/// minutes that the plan names, and the minute that contains `until` if one of its parts has later
/// rows, because the clock of another instance is ahead.
pub(crate) fn merge_parts(
    tally: &mut Tally,
    plan: &ReadPlan,
    until: i64,
    parts: &[(i64, i64, &[u8])],
) -> Result<Vec<Range<i64>>, Error> {
    let beyond: BTreeSet<i64> =
        parts.iter().filter(|(_, last, _)| *last >= until).map(|(minute, ..)| *minute).collect();
    let is_live = |minute: i64| plan.live.iter().any(|range| range.contains(&minute));
    for (minute, _, part) in parts {
        if is_live(*minute) && !beyond.contains(minute) {
            tally.merge_encoded(part)?;
        }
    }
    let cut = beyond.into_iter().filter(|minute| is_live(*minute));
    let cut = cut.map(|minute| minute..until.min(minute + MINUTE));
    Ok(plan.raw.iter().cloned().chain(cut).collect())
}
