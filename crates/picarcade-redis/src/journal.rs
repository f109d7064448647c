//! What was deleted while an endpoint was away, to be told to it before it serves again.
//!
//! Without this, a value that was deleted during an outage would come back with the endpoint. Only the last word
//! per key counts, so the journal is a map, and it is bounded: when it is full, or when a caller cannot know whether
//! everything was recorded, it says [`Replay::Purge`], because keys that nobody remembers can only be forgotten
//! all together. That costs cached values, never correctness.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;

/// What an invalidation leaves behind at the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Invalidation {
    /// Nothing: the key is deleted.
    Delete,
    /// A marker that lives for a while, so that late writers notice.
    Mark { marker: Bytes, ttl: Duration },
}

/// What the endpoint must do next before it may serve.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Nothing: it knows everything.
    Nothing,
    /// These, then ask again.
    Batch(Vec<(Bytes, u64, Invalidation)>),
    /// Delete everything under the prefix, then ask again.
    Purge,
}

/// The invalidations that one endpoint has missed.
#[derive(Debug)]
pub(crate) struct Journal {
    missed: HashMap<Bytes, (u64, Invalidation)>,
    capacity: usize,
    next: u64,
    overflowed: bool,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { missed: HashMap::new(), capacity, next: 0, overflowed: false }
    }

    /// Remembers that the endpoint has not been told.
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

    pub(crate) fn is_empty(&self) -> bool {
        self.missed.is_empty() && !self.overflowed
    }

    pub(crate) fn len(&self) -> usize {
        self.missed.len()
    }

    /// What to do next; at most `limit` at a time.
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

    /// The endpoint has been told these. What was recorded for the same keys since then stays.
    pub(crate) fn confirm(&mut self, batch: &[(Bytes, u64, Invalidation)]) {
        for (key, at, _) in batch {
            if self.missed.get(key).is_some_and(|(latest, _)| latest == at) {
                self.missed.remove(key);
            }
        }
    }

    /// The purge is about to begin: what is recorded from here on is recorded singly again.
    pub(crate) fn begin_purge(&mut self) {
        self.overflowed = false;
    }

    /// The purge did not succeed.
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
    use std::collections::HashSet;

    #[derive(Debug, Clone)]
    enum Step {
        Record(u8),
        Replay,
        RecordBetween(u8),
    }

    proptest! {
        /// However recording and replaying interleave: after the last replay the endpoint was told every key at
        /// or after the last time it was recorded, singly or by a purge.
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
            let mut untold = HashSet::new();
            let key = |k: u8| Bytes::copy_from_slice(&[k]);
            let mut between = None;
            for step in steps.into_iter().chain([Step::Replay]) {
                match step {
                    Step::Record(k) => {
                        journal.record(key(k), Invalidation::Delete);
                        untold.insert(k);
                    }
                    Step::RecordBetween(k) => between = Some(k),
                    Step::Replay => loop {
                        match journal.replay(3) {
                            Replay::Nothing => break,
                            Replay::Batch(batch) => {
                                for (k, _, _) in &batch {
                                    untold.remove(&k[0]);
                                }
                                if let Some(k) = between.take() {
                                    journal.record(key(k), Invalidation::Delete);
                                    untold.insert(k);
                                }
                                journal.confirm(&batch);
                            }
                            Replay::Purge => {
                                journal.begin_purge();
                                untold.clear();
                                if let Some(k) = between.take() {
                                    journal.record(key(k), Invalidation::Delete);
                                    untold.insert(k);
                                }
                            }
                        }
                        prop_assert!(journal.len() <= capacity);
                    },
                }
            }
            prop_assert!(untold.is_empty());
            prop_assert!(journal.is_empty());
        }
    }

    #[test]
    fn a_failed_purge_is_asked_for_again() {
        let mut journal = Journal::new(0);
        journal.record(Bytes::from_static(b"k"), Invalidation::Delete);
        assert_eq!(journal.replay(1), Replay::Purge);
        journal.begin_purge();
        journal.purge_failed();
        assert_eq!(journal.replay(1), Replay::Purge);
        assert!(!journal.is_empty());
    }
}
