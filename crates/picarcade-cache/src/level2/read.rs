//! Reading from the second level: from bytes to an entry that may be believed.
//!
//! An entry is believed only if everything about it fits: envelope, schema, stamps, the clear mark, and the mark of each of
//! its tags. The clear mark is kept here and learned by messages; when an entry disagrees with it, it is asked for again
//! before the entry is refused. Marks of tags are asked for with every tagged entry: one more round trip (none, when the
//! caller named the tags before), and no message can be missed.
//!
//! Every failure is a miss, counted: the second level can only make things faster.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Key,
    clock::nanos,
    entry::{Entry, Stamps},
    inner::Inner,
    known::Known,
    level2::envelope::{self, Envelope},
    level2::remote::Mark,
    level2::second_level::{SecondLevel, Seen},
    tag::Tag,
};

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> Inner<V> {
    /// Reads a key from the second level. `tags` are those that the caller named, `born` the count of
    /// invalidations from before.
    pub(crate) async fn fetch(
        &self,
        second: &SecondLevel,
        key: &Key,
        tags: &[Tag],
        born: u64,
    ) -> (Known<V>, Seen) {
        let mut wanted: Vec<Mark> = tags.iter().map(|tag| Mark::Tag(*tag)).collect();
        let known_mark = second.known_clear_mark();
        if known_mark.is_none() {
            wanted.push(Mark::Clear);
        }
        let marks = async {
            if wanted.is_empty() { Ok(Vec::new()) } else { second.remote.marks(&second.space, &wanted).await }
        };
        let (record, marks) = tokio::join!(second.remote.read(&second.space, key), marks);
        let (record, marks) = match (record, marks) {
            (Ok(record), Ok(marks)) => (record, marks),
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!(cache = %self.name, %error, "second level not read");
                self.counters.remote_errors.one();
                return (Known::Nothing, Seen::nothing());
            }
        };
        let clear_mark = if let Some(mark) = known_mark {
            mark
        } else {
            let mark = marks.last().copied().unwrap_or(0);
            second.learn_clear_mark(mark);
            mark
        };
        let seen = Seen {
            generation: record.generation,
            clear_mark: Some(clear_mark),
            tags: tags.iter().copied().zip(marks).collect(),
        };
        match record.entry {
            Some(bytes) => self.admit(second, &bytes, seen, born).await,
            None => (Known::Nothing, seen),
        }
    }

    /// Decodes an entry and checks it against the marks.
    async fn admit(
        &self,
        second: &SecondLevel,
        bytes: &Bytes,
        mut seen: Seen,
        born: u64,
    ) -> (Known<V>, Seen) {
        let (envelope, json) = match envelope::decode(bytes, self.schema, self.policy.max_entry_bytes) {
            Ok(decoded) => decoded,
            Err(reason) => {
                self.undecodable(reason.as_str());
                return (Known::Nothing, seen);
            }
        };
        if seen.clear_mark != Some(envelope.clear_mark) {
            // Either the entry is from before a clear, or we have not heard of one yet.
            seen.clear_mark = second.ask_clear_mark().await.ok();
            if seen.clear_mark.is_none() {
                self.counters.remote_errors.one();
            }
            if seen.clear_mark != Some(envelope.clear_mark) {
                return (Known::Nothing, seen);
            }
        }
        if !self.marks_agree(second, &envelope, &seen).await {
            return (Known::Nothing, seen);
        }
        let Some(left) = envelope.remaining(self.clock.unix_ms()) else { return (Known::Nothing, seen) };
        let Ok(value) = serde_json::from_slice::<V>(&json) else {
            self.undecodable("value");
            return (Known::Nothing, seen);
        };
        let weight = self.weigh(&value, Some(json.len()));
        if weight > self.policy.max_entry_bytes {
            self.counters.too_large.one();
            return (Known::Nothing, seen);
        }
        let now = self.clock.now();
        let (age, fresh, stale) = (nanos(left.age), nanos(left.fresh), nanos(left.stale));
        let stored = now.saturating_sub(age);
        let tags: Vec<Tag> = envelope.tags.iter().map(|(tag, _)| *tag).collect();
        let entry = Entry {
            value: Arc::new(value),
            stamps: Stamps::new(stored, now.saturating_sub(stored).saturating_add(fresh), stale),
            born,
            weight: Self::counted(weight, &tags),
            tags: (!tags.is_empty()).then(|| Arc::new(tags)),
            load_micros: envelope.load_micros,
        };
        (if fresh > 0 { Known::Fresh(entry) } else { Known::Stale(entry) }, seen)
    }

    fn undecodable(&self, why: &'static str) {
        tracing::debug!(cache = %self.name, why, "second level holds something undecodable");
        self.counters.undecodable.one();
    }

    /// Whether no tag of an entry was invalidated since its load began.
    async fn marks_agree(&self, second: &SecondLevel, envelope: &Envelope, seen: &Seen) -> bool {
        let known = |tag: &Tag| seen.tags.iter().find(|(seen, _)| seen == tag).map(|(_, mark)| *mark);
        let unknown: Vec<Mark> = envelope
            .tags
            .iter()
            .filter(|(tag, _)| known(tag).is_none())
            .map(|(tag, _)| Mark::Tag(*tag))
            .collect();
        let mut asked = Vec::new();
        if !unknown.is_empty() {
            if let Ok(marks) = second.remote.marks(&second.space, &unknown).await {
                asked = unknown.into_iter().zip(marks).collect();
            } else {
                self.counters.remote_errors.one();
                return false;
            }
        }
        envelope.tags.iter().all(|(tag, mark)| {
            let current = known(tag)
                .or_else(|| asked.iter().find(|(asked, _)| *asked == Mark::Tag(*tag)).map(|(_, mark)| *mark));
            current == Some(*mark)
        })
    }
}
