//! Deletions that an endpoint missed while it was away, replayed before it becomes active.
//!
//! Without the journal, a value that was deleted during an outage would come back with the
//! endpoint. Only the last entry per key counts, so the journal is a map. The map is bounded. If it
//! is full, or if a caller cannot know whether everything was recorded, the journal returns
//! [`Replay::Purge`], because unknown keys can only be deleted all together. A purge costs cached
//! values but never correctness.
//!
//! Confirmed invalidations are also kept for a minute and repeated after a reconnect: Redis
//! replicates asynchronously, so a promoted replica may lack what its master had confirmed.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

/// How long a fail-over may still lose a confirmed invalidation.
const REPEAT_WITHIN: Duration = Duration::from_secs(60);
/// The maximum number of confirmed invalidations that are kept; the newest count.
const MAX_CONFIRMED: usize = 4096;

/// What an invalidation leaves at the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Invalidation {
    /// Nothing: the key is deleted.
    Delete,
    /// A value with a time to live, so that late writers detect the deletion.
    Tombstone { value: Bytes, ttl: Duration },
}

/// The next step before the endpoint may become active.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Nothing: the endpoint knows everything.
    Nothing,
    /// Replay these, then ask again.
    Batch(Vec<(Bytes, u64, Invalidation)>),
    /// Delete everything under the prefix, then ask again.
    Purge,
}

/// The invalidations that one endpoint has missed.
#[derive(Debug)]
pub(crate) struct Journal {
    missed: HashMap<Bytes, (u64, Invalidation)>,
    confirmed: VecDeque<(Instant, Bytes, Invalidation)>,
    capacity: usize,
    next: u64,
    overflowed: bool,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { missed: HashMap::new(), confirmed: VecDeque::new(), capacity, next: 0, overflowed: false }
    }

    /// Records an invalidation that the endpoint missed.
    pub(crate) fn record(&mut self, key: Bytes, invalidation: Invalidation) {
        if self.overflowed {
            return;
        }
        if self.missed.len() >= self.capacity && !self.missed.contains_key(&key) {
            self.overflowed = true;
            self.missed = HashMap::new();
            return;
        }
        self.next += 1;
        self.missed.insert(key, (self.next, invalidation));
    }

    /// Records an invalidation that the endpoint confirmed at `now`.
    pub(crate) fn record_confirmed(&mut self, now: Instant, key: Bytes, invalidation: Invalidation) {
        let old = |(at, ..): &(Instant, Bytes, Invalidation)| now.duration_since(*at) > REPEAT_WITHIN;
        while self.confirmed.len() >= MAX_CONFIRMED || self.confirmed.front().is_some_and(old) {
            self.confirmed.pop_front();
        }
        self.confirmed.push_back((now, key, invalidation));
    }

    /// Records a reconnect at `now`, perhaps to another server: recently confirmed invalidations
    /// count as missed.
    pub(crate) fn reconnected(&mut self, now: Instant) {
        for (at, key, invalidation) in std::mem::take(&mut self.confirmed) {
            // Missed invalidations are later than confirmed ones.
            if now.duration_since(at) <= REPEAT_WITHIN && !self.missed.contains_key(&key) {
                self.repeat(key, invalidation);
            }
        }
    }

    /// Like `record`, for an invalidation that is probably known: a full journal does not purge for
    /// it.
    fn repeat(&mut self, key: Bytes, invalidation: Invalidation) {
        if self.missed.len() < self.capacity {
            self.record(key, invalidation);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.missed.is_empty() && !self.overflowed
    }

    pub(crate) fn len(&self) -> usize {
        self.missed.len()
    }

    /// Returns the next step, with at most `limit` invalidations.
    pub(crate) fn replay(&self, limit: usize) -> Replay {
        if self.overflowed {
            return Replay::Purge;
        }
        if self.missed.is_empty() {
            return Replay::Nothing;
        }
        let batch = self.missed.iter().take(limit);
        Replay::Batch(batch.map(|(key, (at, what))| (key.clone(), *at, what.clone())).collect())
    }

    /// Removes replayed invalidations. Entries for the same keys that were recorded since then
    /// stay.
    pub(crate) fn confirm(&mut self, now: Instant, batch: &[(Bytes, u64, Invalidation)]) {
        for (key, at, _) in batch {
            if self.missed.get(key).is_some_and(|(latest, _)| latest == at)
                && let Some((key, (_, invalidation))) = self.missed.remove_entry(key)
            {
                self.record_confirmed(now, key, invalidation);
            }
        }
    }

    /// Begins a purge: later invalidations are recorded singly again.
    pub(crate) fn begin_purge(&mut self) {
        self.overflowed = false;
    }

    /// Records that the purge failed.
    pub(crate) fn purge_failed(&mut self) {
        self.overflowed = true;
        self.missed = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::{Invalidation, Journal, Replay};
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::{collections::HashSet, time::Duration};
    use tokio::time::Instant;

    #[derive(Debug, Clone)]
    enum Step {
        Record(u8),
        Replay,
        RecordBetween(u8),
    }

    proptest! {
        /// For any interleaving of records and replays: after the last replay, the endpoint has
        /// received every key at or after its last record, singly or by a purge.
        #[test]
        fn nothing_recorded_is_lost(
            steps in proptest::collection::vec(
                prop_oneof![
                    4 => any::<u8>().prop_map(|k| Step::Record(k % 24)),
                    1 => Just(Step::Replay),
                    1 => any::<u8>().prop_map(|k| Step::RecordBetween(k % 24)),
                ],
                0..120,
            ),
            capacity in 1_usize..32,
        ) {
            let mut journal = Journal::new(capacity);
            let mut unreplayed = HashSet::new();
            let key = |k: u8| Bytes::copy_from_slice(&[k]);
            let mut between = None;
            for step in steps.into_iter().chain([Step::Replay]) {
                match step {
                    Step::Record(k) => {
                        journal.record(key(k), Invalidation::Delete);
                        unreplayed.insert(k);
                    }
                    Step::RecordBetween(k) => between = Some(k),
                    Step::Replay => loop {
                        match journal.replay(3) {
                            Replay::Nothing => break,
                            Replay::Batch(batch) => {
                                for (k, _, _) in &batch {
                                    unreplayed.remove(&k[0]);
                                }
                                if let Some(k) = between.take() {
                                    journal.record(key(k), Invalidation::Delete);
                                    unreplayed.insert(k);
                                }
                                journal.confirm(Instant::now(), &batch);
                            }
                            Replay::Purge => {
                                journal.begin_purge();
                                unreplayed.clear();
                                if let Some(k) = between.take() {
                                    journal.record(key(k), Invalidation::Delete);
                                    unreplayed.insert(k);
                                }
                            }
                        }
                        prop_assert!(journal.len() <= capacity);
                    },
                }
            }
            prop_assert!(unreplayed.is_empty());
            prop_assert!(journal.is_empty());
        }
    }

    #[test]
    fn recently_confirmed_invalidations_are_repeated_after_a_reconnect() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut journal = Journal::new(10);
        let key = |n: u8| Bytes::copy_from_slice(&[n]);
        journal.record_confirmed(start, key(1), Invalidation::Delete);
        journal.record_confirmed(start + second * 50, key(2), Invalidation::Delete);
        journal.record_confirmed(start + second * 70, key(3), Invalidation::Delete);
        assert!(journal.is_empty(), "confirmed invalidations are not replayed");
        let tombstone = Invalidation::Tombstone { value: key(9), ttl: second };
        journal.record(key(3), tombstone.clone());
        journal.reconnected(start + second * 80);
        let Replay::Batch(mut batch) = journal.replay(10) else { panic!("no batch") };
        batch.sort_by(|a, b| a.0.cmp(&b.0));
        let replayed: Vec<_> = batch.iter().map(|(key, _, what)| (key.clone(), what.clone())).collect();
        assert_eq!(
            replayed,
            [(key(2), Invalidation::Delete), (key(3), tombstone)],
            "the later invalidation wins"
        );
        journal.confirm(start + second * 80, &batch);
        assert!(journal.is_empty());
        journal.reconnected(start + second * 100);
        assert_eq!(journal.len(), 2, "the replayed ones are repeated too");
        for n in 0..10_000_u32 {
            journal.record_confirmed(start, Bytes::copy_from_slice(&n.to_le_bytes()), Invalidation::Delete);
        }
        assert!(journal.confirmed.len() <= super::MAX_CONFIRMED);
        journal.reconnected(start);
        assert_eq!(
            (journal.len(), journal.overflowed),
            (10, false),
            "the journal is full and does not purge"
        );
    }

    #[test]
    fn a_failed_purge_is_repeated() {
        let mut journal = Journal::new(0);
        journal.record(Bytes::from_static(b"k"), Invalidation::Delete);
        assert_eq!(journal.replay(1), Replay::Purge);
        journal.begin_purge();
        journal.purge_failed();
        assert_eq!(journal.replay(1), Replay::Purge);
        assert!(!journal.is_empty());
    }
}
