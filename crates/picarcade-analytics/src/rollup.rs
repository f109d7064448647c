//! The tallies of a stretch of time by minute, as housekeeping computes them.

use std::collections::BTreeMap;

use crate::plan::floor;
use crate::tally::{Group, Tally};
use crate::timestamp::{HOUR, minute_of};

/// Tallies by the minute they belong to.
#[derive(Debug, Default)]
pub(crate) struct Minutes(BTreeMap<i64, Tally>);

impl Minutes {
    /// Adds classifications of the minute that holds `at`.
    pub(crate) fn add(&mut self, at: i64, group: Group) {
        self.0.entry(minute_of(at)).or_default().add(group);
    }

    /// Adds money spent in the minute that holds `at`.
    pub(crate) fn spend(&mut self, at: i64, micros: u64) {
        self.0.entry(minute_of(at)).or_default().spend(micros);
    }

    /// Each minute in which there was something, encoded.
    pub(crate) fn encoded(&self) -> Result<Vec<(i64, Vec<u8>)>, crate::Error> {
        self.0
            .iter()
            .filter(|(_, tally)| !tally.is_empty())
            .map(|(&minute, tally)| Ok((minute, tally.encode()?)))
            .collect()
    }
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
