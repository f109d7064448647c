//! Tallies by minute: those that housekeeping computes from rows, and the parts that batches leave until it does.
//!
//! A batch is written with what its classifications add to each of their minutes. So statistics need not read the rows that came
//! since the last roll-up, of which a busy minute has thousands. A part counts what was inserted with it, no more and no
//! less: a batch in which rows were there already leaves none, and notes its minutes as late instead. Parts are for the time
//! above the watermark only: when it has passed, the minute has been summed up from the rows and its parts go.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::plan::{Plan, floor};
use crate::tally::{Group, Tally};
use crate::timestamp::{HOUR, MINUTE, SECOND, minute_of};
use crate::{ClassificationEvent, Error};

/// For how long a minute must have been over to be summed up: its last rows wait for their batch, and would come late.
const SETTLING: i64 = 5 * SECOND;

/// Where the minutes end that can be summed up at `now`.
pub(crate) const fn closed(now: i64) -> i64 {
    minute_of(now - SETTLING)
}

/// Tallies by the minute they belong to.
#[derive(Debug, Default)]
pub(crate) struct Minutes(BTreeMap<i64, Tally>);

impl Minutes {
    /// Adds classifications of the minute that holds `at`.
    pub(crate) fn add(&mut self, at: i64, group: &Group) {
        self.0.entry(minute_of(at)).or_default().add(group);
    }

    /// Adds money spent in the minute that holds `at`.
    pub(crate) fn spend(&mut self, at: i64, micros: u64) {
        self.0.entry(minute_of(at)).or_default().spend(micros);
    }

    /// Each minute in which there was something, encoded.
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

    /// Of each minute: when it was, when its last row was created, and the tally, encoded.
    pub(crate) fn encoded(&self) -> impl Iterator<Item = (i64, i64, Vec<u8>)> {
        self.0.iter().map(|(&minute, part)| (minute, part.last, part.tally.encode()))
    }
}

/// Adds parts, as they were read, to `tally`; the stretches to be read from the rows instead. Those are the minutes that the plan
/// says so of, and the minute that holds `until` if a part of it has rows beyond, as when another instance's clock is ahead.
pub(crate) fn merge_parts(
    tally: &mut Tally,
    plan: &Plan,
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

/// The whole hours, below `watermark`, that hold any of `minutes`.
pub(crate) fn hours_of(minutes: impl IntoIterator<Item = i64>, watermark: i64) -> Vec<i64> {
    let mut hours: Vec<i64> = minutes
        .into_iter()
        .map(|minute| floor(minute, HOUR))
        .filter(|hour| hour + HOUR <= watermark)
        .collect();
    hours.sort_unstable();
    hours.dedup();
    hours
}
